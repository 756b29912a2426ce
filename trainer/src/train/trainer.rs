//! The loop, one step at a time.

use super::{LossKind, TrainConfig};
use crate::data::Dataset;
use crate::loss::{Contrastive, ContrastiveConfig, Gaussian, LogSnrDraws, LossError, NoiseTable, Standard};
use crate::model::{Mlp, MlpConfig, MlpError};
use crate::optimiser::{Adam, AdamConfig, CosineRate, Ema, clip_scale};
use crate::rng::Rng;
use picardy::Prediction;
use picardy::nn::{ModelCard, Numbers};

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
    /// The network cannot be built.
    #[error(transparent)]
    Model(#[from] MlpError),
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
    pub(super) model: Mlp<f32>,
    pub(super) adam: Adam<f32>,
    pub(super) ema: Ema<f32>,
    pub(super) step: u64,
    rate: CosineRate,
    table: NoiseTable,
    gaussian: Gaussian,
    standard: Standard<f32>,
    contrastive: Option<Contrastive<f32>>,
    batch: Vec<f32>,
}

/// Streams of the generator for training: one per step, after those that data sets use.
const FIRST_STREAM: u64 = 1 << 32;

impl Trainer {
    /// A run at its beginning.
    ///
    /// # Errors
    /// Settings out of range, or data with a singular covariance.
    pub fn new(config: TrainConfig, data: Dataset) -> Result<Self, TrainError> {
        check(&config)?;
        let betas = config.schedule.betas().ok_or_else(|| TrainError::Setting {
            name: "schedule",
            value: format!("{:?}", config.schedule),
            expected: "linear, scaled_linear, cosine or sigmoid, with betas in (0, 1)",
        })?;
        let dim = data.dim();
        let table = NoiseTable::new(betas.alpha_bars().collect())?;
        let gaussian = Gaussian::fit(data.data(), dim)?;
        let contrastive = match config.loss {
            LossKind::Standard => None,
            LossKind::Contrastive => {
                let levels = LogSnrDraws::for_eigenvalues(gaussian.eigenvalues());
                let settings = config.contrastive;
                let weight = settings.weight / settings.items.max(1) as f64;
                let (items, draws, shared) = (settings.items, settings.draws, settings.shared);
                let estimator = ContrastiveConfig { items, draws, weight, shared, levels, zeta: levels };
                Some(Contrastive::new(estimator, gaussian.clone(), dim)?)
            }
        };
        let rows = contrastive.as_ref().map_or(0, Contrastive::rows).max(config.batch);
        let shape = MlpConfig { dim, width: config.width, blocks: config.blocks };
        let model = Mlp::new(shape, rows, config.seed)?;
        let parameters = model.parameters().len();
        let optimiser = AdamConfig { weight_decay: config.weight_decay, ..AdamConfig::default() };
        Ok(Self {
            adam: Adam::new(optimiser, parameters),
            ema: Ema::new(config.ema, model.parameters()),
            rate: CosineRate { peak: config.rate, floor: 0.0, warmup: config.warmup, total: config.steps },
            standard: Standard::new(config.batch, dim),
            batch: vec![0.0; config.batch.max(config.contrastive.items) * dim],
            step: 0,
            config,
            data,
            model,
            table,
            gaussian,
            contrastive,
        })
    }

    /// One optimiser step.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`]; weights and averages are then those before the step.
    pub fn step(&mut self) -> Result<Step, TrainError> {
        let mut rng = Rng::new(self.config.seed, FIRST_STREAM + self.step);
        self.model.zero_gradients();
        let dim = self.data.dim();
        let x0 = &mut self.batch[..self.config.batch * dim];
        draw_items(&self.data, x0, &mut rng);
        let standard = self.standard.step(&mut self.model, &self.table, x0, &mut rng)?;
        let mut contrastive = 0.0;
        if let Some(loss) = &mut self.contrastive {
            let x0 = &mut self.batch[..self.config.contrastive.items * dim];
            draw_items(&self.data, x0, &mut rng);
            contrastive = loss.step(&mut self.model, &self.table, x0, &mut rng)?;
        }
        let (norm, scale) = clip_scale(self.model.gradients(), self.config.clip);
        let loss = standard + contrastive;
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
    pub fn averaged(&self) -> Mlp<f32> {
        let mut model = self.model.clone();
        model.parameters_mut().copy_from_slice(self.ema.average());
        model
    }

    /// The schedule as the losses use it.
    pub const fn table(&self) -> &NoiseTable {
        &self.table
    }

    /// The Gaussian fitted to the data.
    pub const fn gaussian(&self) -> &Gaussian {
        &self.gaussian
    }

    /// The metadata that both exported files carry.
    pub fn card(&self) -> Vec<(String, String)> {
        card(&self.config, &self.data)
    }
}

/// The metadata of a network trained with `config` on `data`.
fn card(config: &TrainConfig, data: &Dataset) -> Vec<(String, String)> {
    let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let (shape, mean, scale) = (data.dim().to_string(), list(data.mean()), list(data.scale()));
    let squares: f64 = data.data().iter().map(|x| f64::from(*x).powi(2)).sum();
    let mut entries = Vec::new();
    // Numbers that were just written as numbers are lists of numbers, and the schedule was checked at the start.
    if let (Some(schedule), Some(shape), Some(data_mean), Some(data_scale)) =
        (config.schedule.betas(), Numbers::new(&shape), Numbers::new(&mean), Numbers::new(&scale))
    {
        let card = ModelCard {
            model: "residual-mlp",
            schedule,
            prediction: Prediction::Epsilon,
            shape,
            width: config.width,
            blocks: config.blocks,
            loss: config.loss.name(),
            seed: config.seed,
            data_mean,
            data_scale,
            data_variance: squares / data.data().len() as f64,
        };
        card.entries(|key, value| entries.push((key.to_owned(), value.to_string())));
    }
    entries
}

/// Items drawn with replacement.
fn draw_items(data: &Dataset, out: &mut [f32], rng: &mut Rng) {
    let dim = data.dim();
    for slot in out.chunks_exact_mut(dim) {
        let start = rng.below(data.len()) * dim;
        slot.copy_from_slice(&data.data()[start..start + dim]);
    }
}

fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let setting = |name, value: String, expected| Err(TrainError::Setting { name, value, expected });
    let positive = "positive and finite";
    match config {
        c if c.steps == 0 => setting("steps", c.steps.to_string(), "at least 1"),
        c if c.batch == 0 => setting("batch", c.batch.to_string(), "at least 1"),
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
