//! The flags of `train`, and what they make of the configuration.

use crate::data::{Scaling, Source};
use crate::train::{Config, EmaKind, LossKind};
use std::path::PathBuf;

/// Flags of `train`. What neither a flag nor the file says is the default, which `picardy-train config` prints.
#[derive(Debug, clap::Args)]
pub(super) struct TrainArgs {
    /// The configuration, a TOML file; flags override what it says.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Any key of the configuration, such as optimiser.schedule=linear; overrides file and flags, and may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// The run's folder: configuration, checkpoint, log, pictures, exported model.
    #[arg(long, default_value = "target/run")]
    pub(super) out: PathBuf,
    /// Train anew where the folder holds a run already.
    #[arg(long)]
    pub(super) overwrite: bool,
    /// dino, swiss-roll, two-moons, spirals, checkerboard, eight-gaussians, two-modes, digits, a .csv, .tsv or .npy file, or a
    /// folder of .png files.
    #[arg(long)]
    data: Option<Source>,
    /// Points that are drawn from a built-in distribution.
    #[arg(long)]
    points: Option<usize>,
    /// What centred coordinates are divided by: per-column (each by its own standard deviation) or overall (all by one,
    /// as for pixels).
    #[arg(long)]
    scaling: Option<Scaling>,
    /// The loss: standard or contrastive.
    #[arg(long)]
    loss: Option<LossArg>,
    /// Optimiser steps.
    #[arg(long)]
    steps: Option<u64>,
    /// Items per step.
    #[arg(long)]
    batch: Option<usize>,
    /// The highest learning rate.
    #[arg(long)]
    rate: Option<f64>,
    /// Steps over which the rate rises.
    #[arg(long)]
    warmup: Option<u64>,
    /// AdamW's weight decay; 0 is Adam.
    #[arg(long)]
    weight_decay: Option<f64>,
    /// The largest norm of the gradients.
    #[arg(long)]
    clip: Option<f64>,
    /// Decay of the weights' running average.
    #[arg(long)]
    ema: Option<f64>,
    /// Width of the network.
    #[arg(long)]
    width: Option<u64>,
    /// Its residual blocks.
    #[arg(long)]
    blocks: Option<u64>,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; 0 is all cores. The result does not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Where the network is trained: native, or by ONNX Runtime on cpu, cuda, cuda:N or webgpu.
    #[arg(long)]
    device: Option<String>,
    /// Contrastive: items per step.
    #[arg(long)]
    contrastive_items: Option<usize>,
    /// Contrastive: draws per item and density.
    #[arg(long)]
    contrastive_draws: Option<usize>,
    /// Contrastive: weight of the items' mean loss.
    #[arg(long)]
    contrastive_weight: Option<f64>,
    /// Contrastive: independent draws for the two densities, as the paper estimates them.
    #[arg(long)]
    contrastive_independent: bool,
    /// Noise schedule: linear, scaled_linear, cosine or sigmoid.
    #[arg(long)]
    schedule: Option<String>,
    /// Timesteps of the schedule.
    #[arg(long)]
    train_steps: Option<usize>,
    /// The first beta.
    #[arg(long)]
    beta_start: Option<f64>,
    /// The last beta.
    #[arg(long)]
    beta_end: Option<f64>,
    /// Steps between checkpoints.
    #[arg(long)]
    checkpoint_every: Option<u64>,
    /// A safetensors file whose weights the run begins with.
    #[arg(long)]
    from: Option<String>,
    /// A TOML file that says which of its tensors are which of ours.
    #[arg(long)]
    name_map: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LossArg {
    Standard,
    Contrastive,
}

impl From<LossArg> for LossKind {
    fn from(loss: LossArg) -> Self {
        match loss {
            LossArg::Standard => Self::Standard,
            LossArg::Contrastive => Self::Contrastive,
        }
    }
}

/// Puts a flag's value in the place of a setting's, where there is one.
fn put<T>(flag: &Option<T>, setting: &mut T)
where
    T: Clone,
{
    if let Some(value) = flag {
        setting.clone_from(value);
    }
}

impl TrainArgs {
    /// The file's settings, then the flags', then those of `--set`.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        for (key, value) in [("network.width", self.width), ("network.blocks", self.blocks)] {
            if let Some(value) = value {
                config.assign(&format!("{key}={value}"))?;
            }
        }
        put(&self.data.as_ref().map(Source::to_string), &mut config.data.source);
        put(&self.points, &mut config.data.points);
        put(&self.scaling.map(Into::into), &mut config.data.scaling);
        let train = &mut config.train;
        match self.loss.map(LossKind::from) {
            // Only where it is another: the file's settings of its terms stay.
            Some(kind) if kind != LossKind::of(&train.loss) => {
                train.loss.contrastive.weight = kind.config().contrastive.weight;
            }
            _ => {}
        }
        let contrastive = &mut train.loss.contrastive;
        put(&self.contrastive_items, &mut contrastive.items);
        put(&self.contrastive_draws, &mut contrastive.draws);
        put(&self.contrastive_weight, &mut contrastive.weight);
        contrastive.shared &= !self.contrastive_independent;
        let optimiser = &mut train.optimiser;
        put(&self.rate, &mut optimiser.rate);
        put(&self.warmup, &mut optimiser.warmup);
        put(&self.weight_decay, &mut optimiser.weight_decay);
        put(&self.clip, &mut optimiser.clip);
        put(&self.ema, &mut optimiser.ema_decay);
        let noise = &mut train.noise;
        put(&self.schedule, &mut noise.kind);
        put(&self.train_steps, &mut noise.train_steps);
        put(&self.beta_start, &mut noise.beta_start);
        put(&self.beta_end, &mut noise.beta_end);
        let run = &mut train.run;
        put(&self.steps, &mut run.steps);
        put(&self.batch, &mut run.batch);
        put(&self.seed, &mut run.seed);
        put(&self.threads, &mut run.threads);
        put(&self.device, &mut run.device);
        put(&self.checkpoint_every, &mut run.checkpoint_every);
        put(&self.from, &mut run.from);
        put(&self.name_map, &mut run.name_map);
        for assignment in &self.set {
            config.assign(assignment)?;
        }
        let train = &config.train;
        if let Some(asked) = self.loss.map(LossKind::from) {
            let (weight, got) = (train.loss.contrastive.weight, LossKind::of(&train.loss));
            anyhow::ensure!(
                asked == got,
                "--loss {} is asked for, and `loss.contrastive.weight` is {weight}, which makes it the {} loss: leave out \
                 --loss, or what sets that weight (--contrastive-weight or --set)",
                asked.name(),
                got.name()
            );
        }
        anyhow::ensure!(
            self.ema.is_none() || matches!(train.optimiser.ema, EmaKind::Constant | EmaKind::WarmUp),
            "--ema is the decay of `constant` and `warm-up`, and `optimiser.ema` is another: leave one of them out"
        );
        anyhow::ensure!(
            train.run.name_map.is_empty() || !train.run.from.is_empty(),
            "`run.name-map` names another file's tensors, and `run.from` names no file: give both"
        );
        Ok(config)
    }
}
