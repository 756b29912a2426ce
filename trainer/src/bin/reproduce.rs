//! The papers' experiments, one command each: `cargo run --release -p picardy-trainer --bin reproduce -- dino`.

use anyhow::Context;
use clap::Parser;
use picardy::{Ddim, Ddpm};
use picardy_trainer::data::Builtin;
use picardy_trainer::evaluate;
use picardy_trainer::model::Precision;
use picardy_trainer::reproduce::{self, DarcySize};
use picardy_trainer::train::{LossKind, TrainConfig, Trainer};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(version, about = "Reproduces the papers' experiments")]
enum Experiment {
    /// The 2-D experiment of arXiv 2407.08946: MMD of standard against contrastive training, mean and spread over seeds.
    Dino(DinoArgs),
    /// Figure 1 of arXiv 2407.08946: where scores learnt on the line are wrong.
    #[command(name = "gaussian-1d")]
    Gaussian1d(Common),
    /// True against estimated log-likelihoods of a mixture, standard against contrastive.
    Densities(Common),
    /// arXiv 2305.09605: the pinned process against the variance-preserving one.
    Pinned(Common),
    /// arXiv 2403.14404: fields of Darcy flow, with and without the physics in the loss.
    Darcy(DarcyArgs),
    /// arXiv 2403.14404, appendix F.1: points on the circle.
    PhysicsToy(Common),
}

#[derive(clap::Args)]
struct Common {
    /// A run of seconds, to see that it works.
    #[arg(long)]
    quick: bool,
    /// The folder of pictures and report.json; target/reproduce/NAME by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seeds, from 0.
    #[arg(long)]
    seeds: Option<u64>,
}

impl Common {
    fn folder(&self, name: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| Path::new("target/reproduce").join(name))
    }
}

#[derive(clap::Args)]
struct DarcyArgs {
    #[command(flatten)]
    common: Common,
    /// Cells a side; the paper's are 64.
    #[arg(long)]
    cells: Option<usize>,
    /// Optimiser steps.
    #[arg(long)]
    steps: Option<u64>,
}

#[derive(clap::Args)]
struct DinoArgs {
    /// The built-in 2-D data set.
    #[arg(long, default_value = "dino")]
    data: Builtin,
    /// Seeds, from `--first-seed`.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// Optimiser steps of each run.
    #[arg(long, default_value_t = 20_000)]
    steps: u64,
    /// Samples that are compared with as many fresh draws of the data.
    #[arg(long, default_value_t = 4096)]
    samples: usize,
    /// Weight of the contrastive loss.
    #[arg(long)]
    weight: Option<f64>,
    /// Its items per step.
    #[arg(long)]
    items: Option<usize>,
    /// Its draws per item and density.
    #[arg(long)]
    draws: Option<usize>,
    /// Independent draws for the two densities, as the paper estimates them.
    #[arg(long)]
    independent: bool,
    /// Decay of the weights' average.
    #[arg(long)]
    ema: Option<f64>,
    /// Only one of the losses.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> anyhow::Result<()> {
    match Experiment::parse() {
        Experiment::Dino(args) => dino(&args),
        Experiment::Gaussian1d(args) => {
            reproduce::gaussian_1d(&args.folder("gaussian-1d"), args.quick, args.seeds).map(drop)
        }
        Experiment::Densities(args) => {
            reproduce::densities(&args.folder("densities"), args.quick, args.seeds).map(drop)
        }
        Experiment::Pinned(args) => {
            reproduce::pinned(&args.folder("pinned"), args.quick, args.seeds).map(drop)
        }
        Experiment::Darcy(DarcyArgs { common, cells, steps }) => {
            let usual = DarcySize::new(common.quick);
            let size = DarcySize {
                cells: cells.unwrap_or(usual.cells),
                steps: steps.unwrap_or(usual.steps),
                seeds: common.seeds.unwrap_or(usual.seeds),
                ..usual
            };
            reproduce::darcy(&common.folder("darcy"), &size).map(drop)
        }
        Experiment::PhysicsToy(args) => {
            reproduce::physics_toy(&args.folder("physics-toy"), args.quick, args.seeds).map(drop)
        }
    }
}

fn dino(args: &DinoArgs) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for seed in args.first_seed..args.first_seed + args.seeds {
        let config = |loss: LossKind| {
            let mut config = TrainConfig { loss: loss.config(), ..TrainConfig::default() };
            (config.run.steps, config.run.seed) = (args.steps, seed);
            let c = &mut config.loss.contrastive;
            if c.weight != 0.0 {
                c.weight = args.weight.unwrap_or(c.weight);
            }
            c.items = args.items.unwrap_or(c.items);
            c.draws = args.draws.unwrap_or(c.draws);
            c.shared = !args.independent;
            config.optimiser.ema_decay = args.ema.unwrap_or(config.optimiser.ema_decay);
            config
        };
        let losses = [LossKind::Standard, LossKind::Contrastive];
        let chosen = losses.into_iter().filter(|l| args.only.as_ref().is_none_or(|only| l.name() == only));
        let runs: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                chosen.map(|loss| (loss, scope.spawn(move || train(args.data, config(loss))))).collect();
            threads
                .into_iter()
                .map(|(loss, thread)| {
                    let run = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    run.map(|run| (loss, run))
                })
                .collect::<Result<_, _>>()
        })?;
        let fresh = args.data.sample(args.samples, seed + 1_000_003)?;
        for (loss, (network, seconds)) in runs {
            let betas = TrainConfig::default().noise.betas().context("the default schedule")?;
            let ddpm = evaluate::mmd(&network, betas, &Ddpm::default(), 1000, &fresh.data(), 2, seed)?;
            let ddim = evaluate::mmd(&network, betas, &Ddim::default(), 20, &fresh.data(), 2, seed)?;
            let row = json!({
                "loss": loss.name(), "seed": seed, "train_seconds": seconds,
                "ddpm1000": ddpm.value, "ddpm1000_error": ddpm.standard_error,
                "ddim20": ddim.value, "ddim20_error": ddim.standard_error,
            });
            println!("{row}");
            rows.push(row);
        }
    }
    for loss in ["standard", "contrastive"] {
        let of = |key: &str| -> (f64, f64) {
            let values: Vec<f64> =
                rows.iter().filter(|r| r["loss"] == loss).filter_map(|r| r[key].as_f64()).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
            (mean, spread)
        };
        let ((ddpm, ddpm_spread), (ddim, ddim_spread)) = (of("ddpm1000"), of("ddim20"));
        println!(
            "{}",
            json!({ "loss": loss, "mean": { "ddpm1000": ddpm, "ddim20": ddim },
                    "spread": { "ddpm1000": ddpm_spread, "ddim20": ddim_spread } })
        );
    }
    Ok(())
}

/// The network's file and the seconds that its training took.
fn train(data: Builtin, config: TrainConfig) -> anyhow::Result<(Vec<u8>, f64)> {
    let data = data.sample(8000, config.run.seed)?;
    let mut trainer = Trainer::new(config, data)?;
    let start = std::time::Instant::now();
    while !trainer.is_finished() {
        trainer.step()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok((trainer.averaged().to_safetensors(&trainer.card(), Precision::F32)?, seconds))
}
