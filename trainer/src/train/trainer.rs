//! The loop, one step at a time.

use super::batch::{Drawer, Draws, Place, Prefetch, generator};
use super::config::check;
use super::engine::{Engine, State, Told, Updated};
use super::judge::Best;
use super::{Items, Terms, TrainConfig, TrainError, room};
use crate::data::Dataset;
use crate::loss::{NoiseTable, Objective, ResidualName, Statistics};
use crate::model::has_room;
use crate::optimiser::Rate;
use crate::physics::Residual;
use serde::Serialize;
use std::sync::Arc;

/// What one step did; a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The step, from 1.
    pub step: u64,
    /// The loss's terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// The norm of the gradient before clipping.
    pub norm: f64,
    /// The learning rate.
    pub rate: f64,
}

/// A training run: network, optimiser, average, losses.
///
/// The result is a function of the settings and the data: threads and prefetching do not change a bit of it. With
/// [`RunConfig::device`](super::RunConfig::device) another than `native`, network, optimiser and average stay on that device; the
/// result is then the same up to rounding.
///
/// ```
/// use picardy_trainer::data::Builtin;
/// use picardy_trainer::train::{TrainConfig, Trainer};
/// let data = Builtin::TwoMoons.sample(500, 0)?;
/// let mut config = TrainConfig::default();
/// config.run.steps = 20;
/// let mut trainer = Trainer::new(config, data)?;
/// while !trainer.is_finished() {
///     trainer.step()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    pub(super) config: TrainConfig,
    pub(super) data: Arc<Dataset>,
    pub(super) held_out: Option<Arc<Dataset>>,
    pub(super) engine: Engine,
    pub(super) objective: Objective<f32>,
    pub(super) step: u64,
    pub(super) best: Option<Best>,
    /// Evaluations since the best one.
    pub(super) worse: u64,
    /// Whether the weights are no numbers any more.
    pub(super) diverged: bool,
    /// The run's threads; none: all of the process's.
    pub(super) pool: Option<Arc<rayon::ThreadPool>>,
    rate: Rate,
    pub(super) drawer: Drawer,
    prefetch: Prefetch,
}

impl Trainer {
    /// A run at its beginning, on all of the data.
    ///
    /// # Errors
    /// Settings out of range, too large for the memory, or, for the contrastive loss, data with a singular covariance.
    pub fn new(config: TrainConfig, data: Dataset) -> Result<Self, TrainError> {
        Self::build(config, data, None, None)
    }

    /// A run at its beginning, with physics of one's own in the loss, whatever `loss.physics.residual` says; it says `custom` from
    /// then on, and a checkpoint of it goes on with [`Trainer::resume_with_residual`].
    ///
    /// # Errors
    /// As [`Trainer::with_held_out`]; a residual for items of another size.
    pub fn with_residual(
        config: TrainConfig,
        data: Dataset,
        held_out: Option<Dataset>,
        residual: Arc<dyn Residual<f32>>,
    ) -> Result<Self, TrainError> {
        Self::build(config, data, held_out, Some(residual))
    }

    /// A run at its beginning, with items that are evaluated with and not trained on.
    ///
    /// # Errors
    /// As [`Trainer::new`]; held-out items of another shape, or none where the run is to stop by them.
    pub fn with_held_out(
        config: TrainConfig,
        data: Dataset,
        held_out: Option<Dataset>,
    ) -> Result<Self, TrainError> {
        Self::build(config, data, held_out, None)
    }

    pub(super) fn build(
        mut config: TrainConfig,
        data: Dataset,
        held_out: Option<Dataset>,
        residual: Option<Arc<dyn Residual<f32>>>,
    ) -> Result<Self, TrainError> {
        check(&config)?;
        let betas = config.noise.betas()?;
        if held_out.is_none() && config.run.patience > 0 {
            let (name, value) = ("run.patience", config.run.patience.to_string());
            return Err(TrainError::Setting { name, value, expected: "0 where `data.held-out` is 0" });
        }
        let network = room::sizes(&config, &data)?;
        let bytes = room::bytes(&config, &data, &network, held_out.is_some())?;
        if !has_room(bytes) {
            return Err(TrainError::Memory { bytes });
        }
        let table = NoiseTable::new(betas.alpha_bars().collect())?;
        let statistics = Statistics::of(&data, &config.loss)
            .map_err(|error| TrainError::Covariance { data: data.name().to_owned(), error })?;
        let (loss, batch) = (&config.loss, config.run.batch);
        let objective = match residual {
            Some(residual) => {
                let objective = Objective::with_residual(loss, table, &statistics, batch, residual)?;
                // What a checkpoint says of it: a name would be another residual.
                config.loss.physics.residual = ResidualName::Custom;
                objective
            }
            None => Objective::new(loss, table, &statistics, batch)?,
        };
        let engine = Engine::new(&config, &network, &config.loss.sizes(batch))?;
        let condition = network.condition;
        if let Some(held_out) = &held_out
            && (held_out.shape() != data.shape() || held_out.conditions().width() != condition)
        {
            let (held_out, trained) = (held_out.shape().to_vec(), data.shape().to_vec());
            return Err(TrainError::HeldOut { held_out, trained });
        }
        let accumulate = config.optimiser.accumulate;
        let data = Arc::new(data);
        let drawer = Drawer {
            data: Arc::clone(&data),
            seed: config.run.seed,
            items: objective.items(),
            condition,
            flip: false,
            accumulate,
        };
        Ok(Self {
            rate: config.optimiser.rate(config.run.steps),
            prefetch: Prefetch::new(config.run.prefetch),
            step: 0,
            best: None,
            worse: 0,
            diverged: false,
            pool: pool(config.run.threads),
            held_out: held_out.map(Arc::new),
            config,
            data,
            engine,
            objective,
            drawer,
        })
    }

    /// Mirrors images left to right, each with probability 1/2 each time it is drawn. Data whose items are no images
    /// [height, width, channels] stay as they are.
    #[must_use]
    pub fn flipping(mut self, flip: bool) -> Self {
        self.drawer.flip = flip;
        // What was drawn ahead was drawn otherwise.
        self.prefetch = Prefetch::new(self.config.run.prefetch);
        self
    }

    /// Begins with other weights than random ones.
    ///
    /// # Errors
    /// [`TrainError::Model`] where they are not as many as the network's.
    pub fn with_weights(mut self, weights: &[f32]) -> Result<Self, TrainError> {
        let (expected, got) = (self.engine.model().parameters().len(), weights.len());
        if expected != got {
            let error = picardy::nn::ShapeError { argument: "weights", expected, got };
            return Err(crate::model::NetworkError::from(error).into());
        }
        let state = self.engine.state()?;
        let state = State { parameters: weights.into(), average: weights.into(), ema_steps: 0, ..state };
        let state = state.into_owned();
        self.engine.restore(&state)?;
        Ok(self)
    }

    /// One optimiser step.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] or [`TrainError::Step`]; weights and averages are then those before the step.
    /// [`TrainError::Diverged`]; they are then good for nothing, on a device those before the step. [`TrainError::Device`].
    pub fn step(&mut self) -> Result<Step, TrainError> {
        match self.pool.clone() {
            // What the network and the losses compute on several threads is done on these.
            Some(pool) => pool.install(|| self.step_here()),
            None => self.step_here(),
        }
    }

    fn step_here(&mut self) -> Result<Step, TrainError> {
        let accumulate = self.config.optimiser.accumulate;
        let mut terms = Terms::default();
        let mut items = Vec::new();
        self.engine.begin()?;
        for batch in 0..accumulate {
            let place = Place { step: self.step, batch };
            let drawn = self.prefetch.take(&self.drawer, place);
            let mut noise = generator(self.config.run.seed, place, Draws::Noise);
            let added = self.objective.step(self.engine.learner(), &drawn.x0, &drawn.c, &mut noise);
            items.extend(drawn.items.iter().map(|&i| self.data.original(i)));
            match added {
                Ok(added) => terms.add(&added.into()),
                Err(error) => {
                    return Err(TrainError::Step { step: self.step + 1, items: Items(items), error });
                }
            }
        }
        let batches = accumulate as f64;
        let terms = terms.divided(batches);
        let (loss, rate, step) = (terms.total(), self.rate.at(self.step), self.step + 1);
        let norm = match self.engine.update(Told { rate, clip: self.config.optimiser.clip, batches, loss })? {
            Updated::Taken { norm } => norm,
            Updated::NotFinite { norm } => {
                return Err(TrainError::NotFinite { step, loss, norm, items: Items(items) });
            }
            Updated::Diverged { kept } => {
                self.diverged = !kept;
                return Err(TrainError::Diverged { step, rate, items: Items(items) });
            }
        };
        self.step += 1;
        Ok(Step { step: self.step, terms, norm, rate })
    }

    /// Does something on the run's threads.
    pub(super) fn on_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Whether all steps have been taken, or patience has run out.
    pub const fn is_finished(&self) -> bool {
        self.step >= self.config.run.steps || self.is_out_of_patience()
    }

    /// Whether the held-out loss has not fallen for as many evaluations as the run's patience.
    pub const fn is_out_of_patience(&self) -> bool {
        self.config.run.patience > 0 && self.worse >= self.config.run.patience
    }

    /// The steps taken.
    pub const fn steps(&self) -> u64 {
        self.step
    }

    /// The settings.
    pub const fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The data that is trained on.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// The items that are held out.
    pub fn held_out(&self) -> Option<&Dataset> {
        self.held_out.as_deref()
    }
}

/// Threads of the run's own; where the system gives none, the process's serve.
fn pool(threads: usize) -> Option<Arc<rayon::ThreadPool>> {
    let built = (threads > 0).then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    built.and_then(Result::ok).map(Arc::new)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
