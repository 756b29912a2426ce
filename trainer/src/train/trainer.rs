//! The loop, one step at a time.

use super::{ContrastiveSettings, LossKind, MAX_ROWS, MAX_STEPS, MAX_TRAIN_STEPS, MAX_WIDTH, TrainConfig};
use crate::data::Dataset;
use crate::export::{About, metadata};
use crate::loss::{
    ContrastiveTerm, Gaussian, LossConfig, LossError, Losses, NoiseTable, Objective, Statistics,
};
use crate::model::{MAX_BYTES, MlpConfig, Network, NetworkError, has_room};
use crate::optimiser::{Adam, AdamConfig, CosineRate, Ema, clip_scale};
use crate::rng::Rng;
use picardy::ScheduleError;
use picardy::nn::MAX_BLOCKS;

/// Why training cannot start or go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting out of range.
    #[error("`{name}` is {value}; it must be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The noise schedule is none.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The run takes more memory than [`MAX_BYTES`], or than the system would give.
    #[error(
        "the run takes {:.1} GB of memory, more than there is (at most {:.0} GB are taken): lower the width, the \
         batch, or the contrastive items and draws",
        *.bytes as f64 / 1e9, MAX_BYTES as f64 / 1e9
    )]
    Memory {
        /// What it takes.
        bytes: u128,
    },
    /// The contrastive loss needs a Gaussian fitted to the data, whose covariance is singular.
    #[error("{data}: {error}, or train with the standard loss, which needs no covariance")]
    Covariance {
        /// The data's name.
        data: String,
        /// Why it is singular.
        error: LossError,
    },
    /// The network cannot be built.
    #[error(transparent)]
    Model(#[from] NetworkError),
    /// The loss cannot be built or taken.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The loss or the gradient is not finite; the weights are those before the step.
    #[error(
        "step {step}: the loss is {loss} and the gradient's norm {norm}; lower the learning rate or check the data"
    )]
    NotFinite {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of the gradient.
        norm: f64,
    },
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// The step, from 1.
    pub step: u64,
    /// The standard loss.
    pub standard: f64,
    /// The weighted contrastive loss; 0 without.
    pub contrastive: f64,
    /// The norm of the gradient before clipping.
    pub norm: f64,
    /// The learning rate.
    pub rate: f64,
}

/// A training run: network, optimiser, average, losses.
///
/// ```
/// use picardy_trainer::data::Builtin;
/// use picardy_trainer::train::{TrainConfig, Trainer};
/// let data = Builtin::TwoMoons.sample(500, 0)?;
/// let config = TrainConfig { steps: 20, width: 16, ..TrainConfig::default() };
/// let mut trainer = Trainer::new(config, data)?;
/// while !trainer.is_finished() {
///     trainer.step()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer {
    pub(super) config: TrainConfig,
    pub(super) data: Dataset,
    pub(super) model: Network<f32>,
    pub(super) adam: Adam<f32>,
    pub(super) ema: Ema<f32>,
    pub(super) step: u64,
    rate: CosineRate,
    objective: Objective<f32>,
}

/// Streams of the generator for training: one per step, after those that data sets use.
const FIRST_STREAM: u64 = 1 << 32;

impl Trainer {
    /// A run at its beginning.
    ///
    /// # Errors
    /// Settings out of range, too large for the memory, or, for the contrastive loss, data with a singular covariance.
    pub fn new(config: TrainConfig, data: Dataset) -> Result<Self, TrainError> {
        check(&config)?;
        let betas = config.schedule.betas()?;
        let dim = data.dim();
        let bytes = bytes(&config, dim);
        if !has_room(bytes) {
            return Err(TrainError::Memory { bytes });
        }
        let table = NoiseTable::new(betas.alpha_bars().collect())?;
        let loss = loss_config(&config);
        let statistics = Statistics::of(&data, &loss)
            .map_err(|error| TrainError::Covariance { data: data.name().to_owned(), error })?;
        let objective = Objective::new(&loss, table, &statistics, config.batch)?;
        let rows = objective.rows();
        let model = Network::new(shape(&config, dim), rows, config.seed)?;
        let parameters = model.parameters().len();
        let optimiser = AdamConfig { weight_decay: config.weight_decay, ..AdamConfig::default() };
        Ok(Self {
            adam: Adam::new(optimiser, parameters),
            ema: Ema::new(config.ema, model.parameters()),
            rate: CosineRate { peak: config.rate, floor: 0.0, warmup: config.warmup, total: config.steps },
            step: 0,
            config,
            data,
            model,
            objective,
        })
    }

    /// One optimiser step.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`]; weights and averages are then those before the step.
    pub fn step(&mut self) -> Result<Step, TrainError> {
        let mut rng = Rng::new(self.config.seed, FIRST_STREAM + self.step);
        self.model.zero_gradients();
        let Self { objective, model, data, .. } = self;
        let losses = objective.step_drawing(model, &mut rng, |x0, _, rng| draw_items(data, x0, rng))?;
        let Losses { denoising: standard, contrastive, .. } = losses;
        let (norm, scale) = clip_scale(self.model.gradients(), self.config.clip);
        let loss = losses.total();
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::NotFinite { step: self.step + 1, loss, norm });
        }
        let rate = self.rate.at(self.step);
        let (parameters, gradients) = self.model.parameters_and_gradients();
        self.adam.step(rate, scale, parameters, gradients);
        self.ema.update(self.model.parameters());
        self.step += 1;
        Ok(Step { step: self.step, standard, contrastive, norm, rate })
    }

    /// Whether all steps have been taken.
    pub const fn is_finished(&self) -> bool {
        self.step >= self.config.steps
    }

    /// The steps taken.
    pub const fn steps(&self) -> u64 {
        self.step
    }

    /// The settings.
    pub const fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The data.
    pub const fn data(&self) -> &Dataset {
        &self.data
    }

    /// The network with the averaged weights: what is exported and evaluated.
    pub fn averaged(&self) -> Network<f32> {
        let mut model = self.model.clone();
        model.parameters_mut().copy_from_slice(self.ema.average());
        model
    }

    /// The schedule as the losses use it.
    pub const fn table(&self) -> &NoiseTable {
        self.objective.table()
    }

    /// The Gaussian fitted to the data, computed at each call.
    ///
    /// # Errors
    /// [`TrainError::Covariance`] where there is none.
    pub fn gaussian(&self) -> Result<Gaussian, TrainError> {
        let name = || self.data.name().to_owned();
        Gaussian::fit(self.data.data(), self.data.dim())
            .map_err(|error| TrainError::Covariance { data: name(), error })
    }

    /// The metadata that both exported files carry.
    pub fn card(&self) -> Vec<(String, String)> {
        card(&self.config, &self.data)
    }
}

/// The metadata of a network trained with `config` on `data`.
fn card(config: &TrainConfig, data: &Dataset) -> Vec<(String, String)> {
    // The schedule was checked at the start.
    let Ok(schedule) = config.schedule.betas() else { return Vec::new() };
    let about = About {
        model: "residual-mlp",
        schedule,
        width: config.width,
        blocks: config.blocks,
        loss: config.loss.name(),
        seed: config.seed,
        added_variance: 0.0,
    };
    metadata(data, &about)
}

/// Items drawn with replacement.
fn draw_items(data: &Dataset, out: &mut [f32], rng: &mut Rng) {
    let dim = data.dim();
    for slot in out.chunks_exact_mut(dim) {
        let start = rng.below(data.len()) * dim;
        slot.copy_from_slice(&data.data()[start..start + dim]);
    }
}

/// The network's sizes.
pub(super) fn shape(config: &TrainConfig, dim: usize) -> MlpConfig {
    MlpConfig { dim, width: config.width, blocks: config.blocks }
}

/// The loss of these settings.
fn loss_config(config: &TrainConfig) -> LossConfig {
    let ContrastiveSettings { items, draws, weight, shared } = config.contrastive;
    match config.loss {
        LossKind::Standard => LossConfig::standard(),
        LossKind::Contrastive => LossConfig {
            contrastive: ContrastiveTerm { items, draws, weight, shared, ..ContrastiveTerm::default() },
            ..LossConfig::default()
        },
    }
}

/// The bytes of the run's buffers, without the data; saturates. The settings have been checked.
fn bytes(config: &TrainConfig, dim: usize) -> u128 {
    let (loss, shape) = (loss_config(config), shape(config, dim));
    let network = shape.bytes(loss.rows(config.batch), size_of::<f32>());
    // Adam's two, the average, and its copy with a gradient that is exported.
    let copies = shape.parameters().saturating_mul(5 * size_of::<f32>() as u128);
    network.saturating_add(copies).saturating_add(loss.bytes(config.batch, dim, 0, size_of::<f32>()))
}

/// Refuses settings out of range; whatever passes can be computed with.
pub(super) fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let setting = |name, value: String, expected| Err(TrainError::Setting { name, value, expected });
    let positive = "positive and finite";
    let ContrastiveSettings { items, draws, .. } = config.contrastive;
    let contrastive = config.loss == LossKind::Contrastive;
    let rows = items.checked_mul(draws);
    match config {
        c if !(1..=MAX_STEPS).contains(&c.steps) => {
            setting("steps", c.steps.to_string(), "1 to 1000000000000")
        }
        c if !(1..=MAX_ROWS).contains(&c.batch) => setting("batch", c.batch.to_string(), "1 to 16777216"),
        c if c.width > MAX_WIDTH => setting("width", c.width.to_string(), "even, 2 to 65536"),
        c if !(1..=MAX_BLOCKS).contains(&c.blocks) => setting("blocks", c.blocks.to_string(), "1 to 8"),
        c if !(1..=MAX_TRAIN_STEPS).contains(&c.schedule.train_steps) => {
            setting("train_steps", c.schedule.train_steps.to_string(), "1 to 1000000")
        }
        _ if contrastive && (rows.is_none_or(|n| n > MAX_ROWS) || items > MAX_ROWS) => {
            setting("contrastive items x draws", format!("{items} x {draws}"), "at most 16777216")
        }
        c if !(c.rate > 0.0 && c.rate.is_finite()) => setting("rate", c.rate.to_string(), positive),
        c if c.clip.is_nan() || c.clip <= 0.0 => setting("clip", c.clip.to_string(), "positive"),
        c if !(0.0..1.0).contains(&c.ema) => setting("ema", c.ema.to_string(), "in [0, 1)"),
        c if c.warmup >= c.steps => setting("warmup", c.warmup.to_string(), "less than the steps"),
        c if !(c.weight_decay >= 0.0 && c.weight_decay.is_finite()) => {
            setting("weight_decay", c.weight_decay.to_string(), "0 or more, finite")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Builtin;

    fn refused(change: impl FnOnce(&mut TrainConfig)) -> String {
        let mut config = TrainConfig::default();
        change(&mut config);
        let data = Builtin::TwoMoons.sample(10, 0).unwrap();
        Trainer::new(config, data).expect_err("too large").to_string()
    }

    #[test]
    fn hostile_sizes_are_refused_with_their_value() {
        for huge in [usize::MAX, usize::MAX - 1, 1 << 62, 1 << 40] {
            let said = huge.to_string();
            assert!(refused(|c| c.width = huge).contains(&said));
            assert!(refused(|c| c.blocks = huge).contains(&said));
            assert!(refused(|c| c.batch = huge).contains(&said));
            assert!(refused(|c| c.contrastive.items = huge).contains(&said));
            assert!(refused(|c| c.contrastive.draws = huge).contains(&said));
            assert!(refused(|c| (c.contrastive.items, c.contrastive.draws) = (0, huge)).contains("items"));
            assert!(refused(|c| c.schedule.train_steps = huge).contains(&said));
            assert!(refused(|c| c.steps = huge as u64).contains(&said));
        }
        // Each setting is in range, and all together are too much.
        let said = refused(|c| (c.width, c.batch) = (MAX_WIDTH, MAX_ROWS));
        assert!(said.contains("GB of memory"), "{said}");
    }

    #[test]
    fn the_estimate_covers_the_buffers() {
        let config = TrainConfig { width: 64, ..TrainConfig::default() };
        let data = Builtin::TwoMoons.sample(10, 0).unwrap();
        let trainer = Trainer::new(config, data).unwrap();
        let parameters = trainer.model.parameters().len();
        assert_eq!(shape(&trainer.config, 2).parameters(), parameters as u128);
        let rows = trainer.objective.rows();
        assert_eq!(rows, 512);
        // At least six vectors of parameters and fourteen blocks of activations.
        let least = 4 * (6 * parameters + 14 * 64 * rows);
        assert!(bytes(&trainer.config, 2) >= least as u128);
    }

    #[test]
    fn only_the_contrastive_loss_needs_a_covariance() {
        let folder = tempfile::tempdir().unwrap();
        let load = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            crate::data::read_file(path).unwrap()
        };
        let few = load("few.csv", "1,2\n3,5\n");
        let same = load("same.csv", "1,2\n2,4\n3,6\n4,8\n5,10\n");
        for (data, parts) in [(few, ["few.csv", "2 rows of 2"]), (same, ["same.csv", "linear combination"])] {
            let config = |loss| TrainConfig { loss, steps: 2, width: 4, ..TrainConfig::default() };
            let error = Trainer::new(config(LossKind::Contrastive), data.clone()).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            assert!(error.contains("standard loss"), "{error}");
            let mut trainer = Trainer::new(config(LossKind::Standard), data).unwrap();
            trainer.step().unwrap();
            assert!(trainer.gaussian().is_err());
        }
    }

    #[test]
    fn a_bad_schedule_is_told_plainly() {
        for (change, parts) in [
            ((1e-4, 1.5), ["beta 1.5", "timestep 999"]),
            ((-0.1, 0.02), ["beta -0.1", "timestep 0"]),
            ((f64::NAN, 0.02), ["NaN", "(0, 1)"]),
        ] {
            let said = refused(|c| (c.schedule.beta_start, c.schedule.beta_end) = change);
            assert!(parts.iter().all(|part| said.contains(part)) && !said.contains('{'), "{said}");
        }
        let said = refused(|c| c.schedule.kind = "quadratic".into());
        assert!(said.contains("`quadratic`") || said.contains("quadratic"), "{said}");
        assert!(said.contains("sigmoid") && !said.contains('{'), "{said}");
    }
}
