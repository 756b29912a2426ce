//! What a training run is told.

use super::TrainError;
use picardy::Betas;
use serde::{Deserialize, Serialize};

/// The largest [`TrainConfig::width`].
pub const MAX_WIDTH: usize = 65_536;
/// The largest [`TrainConfig::batch`], and the most contrastive items times draws.
pub const MAX_ROWS: usize = 1 << 24;
/// The largest [`TrainConfig::steps`].
pub const MAX_STEPS: u64 = 1_000_000_000_000;
/// The largest [`Schedule::train_steps`].
pub const MAX_TRAIN_STEPS: usize = 1_000_000;

/// Which loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// The mean squared error of eps.
    Standard,
    /// The standard loss plus the weighted contrastive one (arXiv 2407.08946).
    #[default]
    Contrastive,
}

impl LossKind {
    /// The name in flags, logs and model cards.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Contrastive => "contrastive",
        }
    }
}

/// The settings of the contrastive loss; the defaults are what BENCHMARKS.md measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastiveSettings {
    /// Items per step; times the draws, at most [`MAX_ROWS`].
    pub items: usize,
    /// Draws of (l, eps) per item and density.
    pub draws: usize,
    /// The weight of the mean contrastive loss of the items.
    pub weight: f64,
    /// Whether both densities of an item share their draws (false: as the paper estimates them).
    pub shared: bool,
}

impl Default for ContrastiveSettings {
    fn default() -> Self {
        Self { items: 16, draws: 16, weight: 1.0 / 16.0, shared: true }
    }
}

/// The discrete schedule, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
            name: "schedule",
            value: format!("`{}`", self.kind),
            expected: "linear, scaled_linear, cosine or sigmoid",
        })?;
        betas.check()?;
        Ok(betas)
    }
}

/// All settings of a run; all that it takes must fit [`MAX_BYTES`](crate::model::MAX_BYTES) of memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Width of the residual MLP, even, at most [`MAX_WIDTH`].
    pub width: usize,
    /// Its blocks.
    pub blocks: usize,
    /// Optimiser steps, at most [`MAX_STEPS`].
    pub steps: u64,
    /// Items per step of the standard loss, at most [`MAX_ROWS`].
    pub batch: usize,
    /// The highest learning rate; it falls along half a cosine to 0.
    pub rate: f64,
    /// Steps over which the rate rises.
    pub warmup: u64,
    /// AdamW's weight decay; 0 is Adam.
    pub weight_decay: f64,
    /// The largest norm of the gradients.
    pub clip: f64,
    /// Decay of the running average of the weights, which is what is exported.
    pub ema: f64,
    /// Seed of the weights and of all draws.
    pub seed: u64,
    /// The loss.
    pub loss: LossKind,
    /// Its settings where it is contrastive.
    pub contrastive: ContrastiveSettings,
    /// The noise schedule.
    pub schedule: Schedule,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            width: 128,
            blocks: 2,
            steps: 20_000,
            batch: 128,
            rate: 1e-3,
            warmup: 0,
            weight_decay: 0.0,
            clip: 1.0,
            ema: 0.999,
            seed: 0,
            loss: LossKind::default(),
            contrastive: ContrastiveSettings::default(),
            schedule: Schedule::default(),
        }
    }
}
