//! Three networks of one architecture: the standard loss, the contrastive one, and the standard one with the robot's limits.

use crate::physics::WithinLimits;
use indicatif::{ProgressBar, ProgressStyle};
use picardy_robot::PLACES;
use picardy_trainer::data::Dataset;
use picardy_trainer::export;
use picardy_trainer::loss::{Draws, LossConfig, OutputName, WeightingName};
use picardy_trainer::model::{NetworkKind, Precision};
use picardy_trainer::train::{TrainConfig, Trainer};
use std::path::Path;
use std::sync::Arc;

/// What a network is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Loss {
    Standard,
    Contrastive,
    Physics,
}

impl Loss {
    pub(crate) const ALL: [Self; 3] = [Self::Standard, Self::Contrastive, Self::Physics];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Contrastive => "contrastive",
            Self::Physics => "physics",
        }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Steps and sizes.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    pub(crate) steps: u64,
    pub(crate) batch: usize,
    pub(crate) widths: Vec<usize>,
    pub(crate) seed: u64,
    /// The weight of the limits in the physics-informed loss.
    pub(crate) weight: f64,
    /// What the weights are written in.
    pub(crate) precision: Precision,
}

/// A trained network as its file, and what the training took.
pub(crate) struct Trained {
    pub(crate) loss: Loss,
    pub(crate) bytes: Vec<u8>,
    pub(crate) seconds: f64,
}

/// Trains and writes `NAME.safetensors` and `NAME.onnx` into `out`.
pub(crate) fn train(loss: Loss, settings: &Training, data: &Dataset, out: &Path) -> anyhow::Result<Trained> {
    let Training { steps, batch, ref widths, seed, weight, precision } = *settings;
    let mut config = TrainConfig { loss: LossConfig::standard(), ..TrainConfig::default() };
    config.network =
        NetworkKind::Unet1d { widths: widths.clone(), embedding: 32, kernel: 5, groups: 8, scale: true };
    (config.noise.kind, config.noise.train_steps) = ("cosine".into(), 100);
    config.loss.prediction = OutputName::Sample;
    config.loss.denoising.weighting = WeightingName::MinSnr;
    (config.run.steps, config.run.batch, config.run.seed) = (steps, batch, seed);
    (config.optimiser.rate, config.optimiser.warmup) = (1e-3, steps / 50);
    if loss == Loss::Contrastive {
        let contrastive = &mut config.loss.contrastive;
        (contrastive.weight, contrastive.items, contrastive.draws) = (1.0 / 64.0, 4, 8);
        // Chunks have directions without any spread (where the robot is now), of which no Gaussian can be fitted.
        contrastive.levels = Draws::Logistic { loc: 3.0, scale: 1.5, clip: 4.0 };
        contrastive.zeta = contrastive.levels;
    }
    let mut trainer = if loss == Loss::Physics {
        config.loss.physics.inequality = weight;
        Trainer::with_residual(config, data.clone(), None, Arc::new(WithinLimits { places: PLACES }))?
    } else {
        Trainer::new(config, data.clone())?
    };
    let bar = ProgressBar::new(steps)
        .with_style(ProgressStyle::with_template("   {msg:<12} {bar:40} {pos}/{len} {eta}")?)
        .with_message(loss.name());
    let begin = std::time::Instant::now();
    while !trainer.is_finished() {
        trainer.step()?;
        bar.inc(1);
    }
    bar.finish();
    let seconds = begin.elapsed().as_secs_f64();
    let network = trainer.averaged()?;
    export::write(out, loss.name(), &network, &trainer.card(), precision)?;
    let bytes = std::fs::read(out.join(format!("{}.safetensors", loss.name())))?;
    Ok(Trained { loss, bytes, seconds })
}
