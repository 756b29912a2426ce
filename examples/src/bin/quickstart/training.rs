//! Both networks, side by side.

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use picardy::Betas;
use picardy_trainer::data::Builtin;
use picardy_trainer::export;
use picardy_trainer::model::{Network as Model, Precision};
use picardy_trainer::train::{LossKind, TrainConfig, Trainer};
use std::path::Path;

/// A trained network.
pub(crate) struct Network {
    pub(crate) loss: LossKind,
    /// Its safetensors file.
    pub(crate) bytes: Vec<u8>,
    pub(crate) betas: Betas,
    model: Model<f32>,
    card: Vec<(String, String)>,
}

/// The settings for the dino.
pub(crate) fn dino(steps: u64, seed: u64) -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.run.steps, config.run.seed) = (steps, seed);
    // Two are trained side by side, each on a core.
    config.run.threads = 1;
    config
}

/// [`train`]s both and exports them to `standard.*` and `contrastive.*`.
pub(crate) fn both(data: Builtin, config: TrainConfig, out: &Path) -> anyhow::Result<Vec<Network>> {
    let networks = train(data, &config)?;
    for network in &networks {
        export::write(out, network.loss.name(), &network.model, &network.card, Precision::F32)?;
    }
    Ok(networks)
}

/// Trains with the standard and with the contrastive loss, otherwise alike, each on a core.
pub(crate) fn train(data: Builtin, config: &TrainConfig) -> anyhow::Result<Vec<Network>> {
    let bars = MultiProgress::new();
    std::thread::scope(|scope| {
        let runs = [LossKind::Standard, LossKind::Contrastive].map(|loss| {
            let bar = bars.add(bar(loss, config.run.steps));
            let config = TrainConfig { loss: loss.config(), ..config.clone() };
            scope.spawn(move || one(data, loss, config, &bar))
        });
        runs.into_iter()
            .map(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn one(data: Builtin, loss: LossKind, config: TrainConfig, bar: &ProgressBar) -> anyhow::Result<Network> {
    let data = data.sample(8000, config.run.seed)?;
    let mut trainer = Trainer::new(config, data)?;
    let mut mean = None;
    while !trainer.is_finished() {
        let step = trainer.step()?;
        let denoising = step.terms.get("denoising");
        let mean = mean.get_or_insert(denoising);
        *mean += 0.01 * (denoising - *mean);
        if step.step % 50 == 0 || trainer.is_finished() {
            bar.set_position(step.step);
            bar.set_message(format!("{mean:.4}"));
        }
    }
    bar.abandon();
    let (model, card) = (trainer.averaged()?, trainer.card());
    let betas = trainer.config().noise.betas().context("the schedule was checked at the start")?;
    let bytes = model.to_safetensors(&card, Precision::F32)?;
    Ok(Network { loss, bytes, betas, model, card })
}

fn bar(loss: LossKind, steps: u64) -> ProgressBar {
    let template = "   {prefix:<12} {bar:24} {pos}/{len}  {per_sec}  {eta} left  eps loss {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_prefix(loss.name())
}
