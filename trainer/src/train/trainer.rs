//! The loop, one step at a time.

use super::batch::{Drawer, Drawn, Draws, Place, Prefetch, generator};
use super::config::check;
use super::engine::{Engine, State, Told, Updated};
use super::{Items, LossKind, Terms, TrainConfig, TrainError};
use crate::data::Dataset;
use crate::evaluate;
use crate::export::{About, metadata};
use crate::loss::{Gaussian, NoiseTable, Objective, Process, ResidualName, Statistics};
use crate::model::{Network, NetworkConfig, Parameter, has_room};
use crate::optimiser::Rate;
use crate::physics::Residual;
use crate::rng::Rng;
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

/// The weights of the lowest held-out loss.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Best {
    pub(super) step: u64,
    pub(super) loss: f64,
    pub(super) weights: Vec<f32>,
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The steps taken.
    pub step: u64,
    /// The loss's terms on the held-out items, of the averaged weights and with the same draws every time.
    pub terms: Terms,
    /// Whether it is lower than ever before.
    pub best: bool,
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
    pool: Option<Arc<rayon::ThreadPool>>,
    rate: Rate,
    drawer: Drawer,
    prefetch: Prefetch,
}

/// The stream of an evaluation's draws, apart from those of the steps.
const JUDGE_STREAM: u64 = 0x4A55_4447_4500_0000;
/// The most batches of an evaluation.
const JUDGE_BATCHES: usize = 64;

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
        let network = sizes(&config, &data)?;
        let bytes = bytes(&config, &data, &network, held_out.is_some())?;
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

    /// Takes the loss of the averaged weights on the held-out items, and keeps the weights where it is the lowest; `None` where
    /// nothing is held out. A run with patience needs it every [`evaluate_every`](super::RunConfig::evaluate_every) steps.
    ///
    /// # Errors
    /// The loss's.
    pub fn judge(&mut self) -> Result<Option<Judgement>, TrainError> {
        let Some(held_out) = &self.held_out else { return Ok(None) };
        let drawer = Drawer { data: Arc::clone(held_out), ..self.drawer.clone() };
        let count = held_out.len().div_ceil(drawer.items).clamp(1, JUDGE_BATCHES);
        let seed = self.config.run.seed;
        let batch = |index: usize| -> (Drawn, Rng) {
            let first = index * drawer.items;
            let items: Vec<usize> = (first..first + drawer.items).map(|i| i % held_out.len()).collect();
            (drawer.batch(&items), Rng::new(seed, JUDGE_STREAM + index as u64))
        };
        let pool = self.pool.clone();
        let mut judge = || self.engine.judge(&self.objective, count, batch);
        let terms = match pool {
            Some(pool) => pool.install(judge),
            None => judge(),
        }?;
        let loss = terms.total();
        let best = loss.is_finite() && self.best.as_ref().is_none_or(|best| loss < best.loss);
        if best {
            self.best = Some(Best { step: self.step, loss, weights: self.engine.average()?.into_owned() });
            self.worse = 0;
        } else {
            self.worse += 1;
        }
        Ok(Some(Judgement { step: self.step, terms, best }))
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

    /// The step and the held-out loss of the best weights so far.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.best.as_ref().map(|best| (best.step, best.loss))
    }

    /// The network that is exported and evaluated: with the averaged weights, and in a run with patience with those of the lowest
    /// held-out loss. From a device they are brought here, and the network is built for one row at a time.
    ///
    /// # Errors
    /// [`TrainError::Device`].
    pub fn averaged(&self) -> Result<Network<f32>, TrainError> {
        let best = self.best.as_ref().filter(|_| self.config.run.patience > 0);
        let mut model = self.engine.model().clone();
        match best {
            Some(best) => model.parameters_mut().copy_from_slice(&best.weights),
            None => model.parameters_mut().copy_from_slice(&self.engine.average()?),
        }
        Ok(model)
    }

    /// Names, shapes and places of the network's parameters.
    pub fn layout(&self) -> &[Parameter] {
        self.engine.model().layout()
    }

    /// The schedule as the losses use it.
    pub fn table(&self) -> &NoiseTable {
        self.objective.table()
    }

    /// The Gaussian fitted to the data, computed at each call.
    ///
    /// # Errors
    /// [`TrainError::Covariance`] where there is none.
    pub fn gaussian(&self) -> Result<Gaussian, TrainError> {
        let name = || self.data.name().to_owned();
        Gaussian::fit(&self.data.data(), self.data.dim())
            .map_err(|error| TrainError::Covariance { data: name(), error })
    }

    /// The metadata that both exported files carry; none where no card knows the network's output (`prediction = "edm"`) or its
    /// process (`process = "flow"` or `"pinned"`).
    pub fn card(&self) -> Vec<(String, String)> {
        let (process, prediction) = (self.config.loss.process(), self.config.loss.output().prediction());
        // The schedule was checked at the start.
        let (Process::Vp, Some(prediction), Ok(schedule)) = (process, prediction, self.config.noise.betas())
        else {
            return Vec::new();
        };
        let network = self.engine.model().config();
        let about = About {
            architecture: network.architecture,
            condition: network.condition,
            shape: &network.shape,
            schedule,
            prediction,
            loss: &LossKind::said(&self.config.loss),
            seed: self.config.run.seed,
            added_variance: 0.0,
        };
        metadata(&self.data, &about)
    }
}

/// Threads of the run's own; where the system gives none, the process's serve.
fn pool(threads: usize) -> Option<Arc<rayon::ThreadPool>> {
    let built = (threads > 0).then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    built.and_then(Result::ok).map(Arc::new)
}

/// The network for the data, with its condition.
pub(super) fn sizes(config: &TrainConfig, data: &Dataset) -> Result<NetworkConfig, TrainError> {
    Ok(NetworkConfig {
        shape: data.shape().to_vec(),
        condition: data.conditions().width(),
        architecture: config.network.architecture()?,
    })
}

/// The most bytes of the run's buffers at any time, without the data; saturates. The settings have been checked.
fn bytes(
    config: &TrainConfig,
    data: &Dataset,
    network: &NetworkConfig,
    judged: bool,
) -> Result<u128, TrainError> {
    let (loss, batch) = (&config.loss, config.run.batch);
    let size = size_of::<f32>() as u128;
    let buffers = loss.bytes(batch, data.dim(), network.condition, size_of::<f32>());
    let whole = Network::<f32>::bytes(network, Engine::host_rows(config, loss.rows(batch)))?;
    let part = whole.saturating_add(buffers);
    let weights = (Network::<f32>::count(network)? as u128).saturating_mul(size);
    // Adam's two, the average, and the best one.
    let copies = weights.saturating_mul(4);
    // One after another: a judgement has a network and losses of its own, an evaluation's samples come from a copy by way of a
    // file, and an export is of a copy and of two files.
    let judging = if judged { part } else { 0 };
    let file = whole.saturating_add(weights);
    let export = file.saturating_add(weights);
    let sampling = if config.run.evaluate_every > 0 {
        let threads = if config.run.threads > 0 { config.run.threads } else { rayon::current_num_threads() };
        file.saturating_add(evaluate::bytes(network, config.run.samples, threads)?)
    } else {
        0
    };
    Ok(part.saturating_add(copies).saturating_add(judging.max(export).max(sampling)))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
