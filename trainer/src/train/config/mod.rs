//! What a training run is told: the sections of a configuration.

mod check;
mod file;
mod text;

pub(super) use check::check;
pub use check::{MAX_ROWS, MAX_STEPS, MAX_TRAIN_STEPS};
pub use file::{Config, ConfigError};

use super::TrainError;
use crate::loss::LossConfig;
use crate::model::NetworkKind;
use crate::optimiser::{AdamConfig, EmaDecay, Rate, RateShape};
use picardy::{Betas, NoiseSchedule};
use serde::{Deserialize, Serialize};

/// The section `[noise]`: the discrete schedule, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// `linear`, `scaled_linear`, `cosine` or `sigmoid`.
    pub kind: String,
    /// Timesteps, at most [`MAX_TRAIN_STEPS`].
    pub train_steps: usize,
    /// The first beta.
    pub beta_start: f64,
    /// The last beta.
    pub beta_end: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { kind: "linear".into(), train_steps: 1000, beta_start: 1e-4, beta_end: 2e-2 }
    }
}

impl Schedule {
    /// The betas.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for a name that is none, [`TrainError::Schedule`] for betas outside (0, 1).
    pub fn betas(&self) -> Result<Betas, TrainError> {
        let betas = Betas::named(&self.kind, self.train_steps, self.beta_start, self.beta_end);
        let betas = betas.ok_or_else(|| TrainError::Setting {
            name: "noise.kind",
            value: format!("`{}`", self.kind),
            expected: "linear, scaled_linear, cosine or sigmoid",
        })?;
        betas.check()?;
        Ok(betas)
    }
}

/// Every kind of network with its defaults, the default one first.
pub(super) fn kinds() -> Vec<NetworkKind> {
    let other = |kind: &str| serde_json::from_value(serde_json::json!({ "kind": kind })).ok();
    std::iter::once(NetworkKind::default())
        .chain(["unet1d", "unet2d"].into_iter().filter_map(other))
        .collect()
}

/// The name of a kind.
pub(super) const fn kind(network: &NetworkKind) -> &'static str {
    match network {
        NetworkKind::ResidualMlp { .. } => "residual-mlp",
        NetworkKind::Unet1d { .. } => "unet1d",
        NetworkKind::Unet2d { .. } => "unet2d",
    }
}

/// Which running average of the weights is exported; [`EmaDecay`] has the formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmaKind {
    /// [`EmaDecay::None`].
    None,
    /// [`EmaDecay::Constant`].
    Constant,
    /// [`EmaDecay::WarmUp`].
    #[default]
    WarmUp,
    /// [`EmaDecay::HalfLife`].
    HalfLife,
    /// [`EmaDecay::Power`].
    Power,
}

/// The section `[optimiser]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OptimiserConfig {
    /// The highest learning rate.
    pub rate: f64,
    /// Its course over the steps.
    pub schedule: RateShape,
    /// Steps over which the rate rises first.
    pub warmup: u64,
    /// The lowest rate, as a share of the highest.
    pub floor: f64,
    /// `schedule = "step"`: the steps between falls.
    pub step_every: u64,
    /// `schedule = "step"`: what a fall multiplies the rate by.
    pub step_factor: f64,
    /// Adam's beta1.
    pub beta1: f64,
    /// Adam's beta2.
    pub beta2: f64,
    /// Adam's epsilon.
    pub epsilon: f64,
    /// AdamW's weight decay; 0 is Adam.
    pub weight_decay: f64,
    /// The largest norm of the gradients.
    pub clip: f64,
    /// Batches whose gradients' mean makes a step.
    pub accumulate: usize,
    /// The running average of the weights, which is what is exported.
    pub ema: EmaKind,
    /// `constant` and `warm-up`: its decay.
    pub ema_decay: f64,
    /// `half-life`: the items over which a weight's share halves.
    pub ema_half_life: f64,
    /// `half-life`: the share of the items seen that it never exceeds.
    pub ema_ramp_up: f64,
    /// `power`: the relative standard deviation of its profile.
    pub ema_sigma_rel: f64,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        let AdamConfig { beta1, beta2, epsilon, weight_decay } = AdamConfig::default();
        Self {
            rate: 1e-3,
            schedule: RateShape::Cosine,
            warmup: 0,
            floor: 0.0,
            step_every: 5000,
            step_factor: 0.5,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            clip: 1.0,
            accumulate: 1,
            ema: EmaKind::WarmUp,
            ema_decay: 0.999,
            ema_half_life: 500_000.0,
            ema_ramp_up: 0.05,
            ema_sigma_rel: 0.05,
        }
    }
}

impl OptimiserConfig {
    /// Adam's constants.
    pub(super) const fn adam(&self) -> AdamConfig {
        let Self { beta1, beta2, epsilon, weight_decay, .. } = *self;
        AdamConfig { beta1, beta2, epsilon, weight_decay }
    }

    /// The rate of each of `total` steps.
    pub fn rate(&self, total: u64) -> Rate {
        Rate {
            shape: self.schedule,
            peak: self.rate,
            floor: self.rate * self.floor,
            warmup: self.warmup,
            total,
            every: self.step_every,
            factor: self.step_factor,
        }
    }

    /// The average's decay where a step sees `items`. The settings have been checked.
    pub(super) fn decay(&self, items: usize) -> EmaDecay {
        let decay = self.ema_decay;
        match self.ema {
            EmaKind::None => EmaDecay::None,
            EmaKind::Constant => EmaDecay::Constant { decay },
            EmaKind::WarmUp => EmaDecay::WarmUp { decay },
            EmaKind::HalfLife => EmaDecay::HalfLife {
                items: self.ema_half_life,
                ramp_up: self.ema_ramp_up,
                batch: items as f64,
            },
            EmaKind::Power => EmaDecay::power(self.ema_sigma_rel).unwrap_or(EmaDecay::None),
        }
    }
}

/// The section `[run]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunConfig {
    /// Optimiser steps, at most [`MAX_STEPS`].
    pub steps: u64,
    /// Items of a batch, at most [`MAX_ROWS`].
    pub batch: usize,
    /// Seed of the weights and of all draws.
    pub seed: u64,
    /// Threads; 0: all cores. The result does not depend on them.
    pub threads: usize,
    /// Where the network is trained: `native`, by the trainer's own kernels on the processor, or by ONNX Runtime with the weights
    /// staying there, `cpu`, `cuda`, `cuda:N` or `webgpu`. Evaluation pictures are sampled natively in any case.
    pub device: String,
    /// Whether the next batch is drawn while a step runs. The result does not depend on it.
    pub prefetch: bool,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between evaluations; 0: none.
    pub evaluate_every: u64,
    /// Evaluations without a lower held-out loss after which the run stops; 0: it goes on to its end.
    pub patience: u64,
    /// Samples of an evaluation, drawn for its picture and its MMD.
    pub samples: usize,
    /// Steps of DDIM that draw them.
    pub sample_steps: usize,
    /// Whether `events.out.tfevents.*` for TensorBoard are written beside the log.
    pub tensorboard: bool,
    /// A safetensors file whose weights the run begins with, or empty.
    pub from: String,
    /// A TOML file that says which of its tensors are which of ours, or empty.
    pub name_map: String,
    /// Whether the weights of `from` are taken though its card has another prediction, schedule, scaling or condition.
    pub ignore_card: bool,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            steps: 20_000,
            batch: 128,
            seed: 0,
            threads: 0,
            device: "native".into(),
            prefetch: true,
            checkpoint_every: 1000,
            log_every: 100,
            evaluate_every: 0,
            patience: 0,
            samples: 256,
            sample_steps: 20,
            tensorboard: false,
            from: String::new(),
            name_map: String::new(),
            ignore_card: false,
        }
    }
}

/// All settings of a run but its data's ([`DataConfig`](crate::data::DataConfig)); all that it takes must fit
/// [`MAX_BYTES`](crate::model::MAX_BYTES) of memory.
///
/// # Examples
///
/// ```
/// use picardy_trainer::train::TrainConfig;
/// let mut config = TrainConfig::default();
/// config.run.steps = 5000;
/// config.optimiser.rate = 3e-4;
/// assert_eq!(config.network, picardy_trainer::model::NetworkKind::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// The network.
    pub network: NetworkKind,
    /// The noise schedule.
    pub noise: Schedule,
    /// The loss.
    pub loss: LossConfig,
    /// The optimiser.
    pub optimiser: OptimiserConfig,
    /// The run.
    pub run: RunConfig,
}

impl TrainConfig {
    /// The noise levels that the network is trained at, as a sampler walks down them.
    ///
    /// # Errors
    /// As [`Schedule::betas`]; [`TrainError::Schedule`] for a process whose setting is out of range.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, TrainError> {
        let schedule = self.loss.process().schedule(self.noise.betas()?);
        schedule.check()?;
        Ok(schedule)
    }
}
