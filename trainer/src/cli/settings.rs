//! The flags of `train`, and what they make of the defaults.

use crate::data::{Scaling, Source};
use crate::train::{ContrastiveSettings, LossKind, Schedule, TrainConfig};
use std::path::PathBuf;

/// Flags of `train`; what is not given is the default that is shown.
#[derive(Debug, clap::Args)]
pub(super) struct TrainArgs {
    /// dino, swiss-roll, two-moons, spirals, checkerboard, eight-gaussians, two-modes, or a .csv, .tsv or .npy file.
    #[arg(long, default_value = "dino")]
    pub(super) data: Source,
    /// Points that are drawn from a built-in data set.
    #[arg(long, default_value_t = 8000)]
    pub(super) points: usize,
    /// What centred coordinates are divided by: per-column (each by its own standard deviation) or overall (all by one,
    /// as for pixels).
    #[arg(long, default_value_t = Scaling::PerColumn)]
    pub(super) scaling: Scaling,
    /// The run's folder: checkpoint, log, exported model.
    #[arg(long, default_value = "target/run")]
    pub(super) out: PathBuf,
    /// Train anew where the folder holds a run already.
    #[arg(long)]
    pub(super) overwrite: bool,
    /// The loss: standard or contrastive.
    #[arg(long, default_value = "contrastive")]
    loss: LossArg,
    /// Optimiser steps.
    #[arg(long, default_value_t = TrainConfig::default().steps)]
    steps: u64,
    /// Items per step.
    #[arg(long, default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = TrainConfig::default().rate)]
    rate: f64,
    /// Steps over which the rate rises.
    #[arg(long, default_value_t = TrainConfig::default().warmup)]
    warmup: u64,
    /// AdamW's weight decay; 0 is Adam.
    #[arg(long, default_value_t = TrainConfig::default().weight_decay)]
    weight_decay: f64,
    /// The largest norm of the gradients.
    #[arg(long, default_value_t = TrainConfig::default().clip)]
    clip: f64,
    /// Decay of the weights' running average.
    #[arg(long, default_value_t = TrainConfig::default().ema)]
    ema: f64,
    /// Width of the network.
    #[arg(long, default_value_t = TrainConfig::default().width)]
    width: usize,
    /// Its residual blocks.
    #[arg(long, default_value_t = TrainConfig::default().blocks)]
    blocks: usize,
    /// Seed of everything.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Contrastive: items per step.
    #[arg(long, default_value_t = ContrastiveSettings::default().items)]
    contrastive_items: usize,
    /// Contrastive: draws per item and density.
    #[arg(long, default_value_t = ContrastiveSettings::default().draws)]
    contrastive_draws: usize,
    /// Contrastive: weight of the items' mean loss.
    #[arg(long, default_value_t = ContrastiveSettings::default().weight)]
    contrastive_weight: f64,
    /// Contrastive: independent draws for the two densities, as the paper estimates them.
    #[arg(long)]
    contrastive_independent: bool,
    /// Noise schedule: linear, scaled_linear, cosine or sigmoid.
    #[arg(long, default_value = "linear")]
    schedule: String,
    /// Timesteps of the schedule.
    #[arg(long, default_value_t = Schedule::default().train_steps)]
    train_steps: usize,
    /// The first beta.
    #[arg(long, default_value_t = Schedule::default().beta_start)]
    beta_start: f64,
    /// The last beta.
    #[arg(long, default_value_t = Schedule::default().beta_end)]
    beta_end: f64,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 1000)]
    pub(super) checkpoint_every: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LossArg {
    Standard,
    Contrastive,
}

impl TrainArgs {
    pub(super) fn config(&self) -> TrainConfig {
        TrainConfig {
            width: self.width,
            blocks: self.blocks,
            steps: self.steps,
            batch: self.batch,
            rate: self.rate,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
            ema: self.ema,
            seed: self.seed,
            loss: match self.loss {
                LossArg::Standard => LossKind::Standard,
                LossArg::Contrastive => LossKind::Contrastive,
            },
            contrastive: ContrastiveSettings {
                items: self.contrastive_items,
                draws: self.contrastive_draws,
                weight: self.contrastive_weight,
                shared: !self.contrastive_independent,
            },
            schedule: Schedule {
                kind: self.schedule.clone(),
                train_steps: self.train_steps,
                beta_start: self.beta_start,
                beta_end: self.beta_end,
            },
        }
    }
}
