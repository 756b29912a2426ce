//! The plane: standard against contrastive training, sequential against parallel DDPM (arXiv 2407.08946).

use super::jobs::each;
use super::network::{draw, for_sampling, nodes, run, trained};
use super::report::{FRESH, folder, write_report};
use super::spread::Spread;
use crate::data::Builtin;
use crate::metrics::GaussianKernel;
use crate::train::{LossKind, TrainConfig};
use picardy::{AnySampler, AnySolver, Betas, Ddim, Ddpm, Form, Level, Node, Picard, Plan, Sequential, Slope};
use picardy_ort::picture::{PALETTE, Series, panels};
use serde_json::{Value, json};
use std::path::Path;

/// Items that a run samples together, for rounds and times.
const BATCH: usize = 64;
/// Batches of the runs in parallel.
const BATCHES: usize = 4;
/// Points of a picture.
const SHOWN: usize = 2000;

/// What the experiment is told.
#[derive(Debug, Clone, clap::Args)]
pub struct DinoArgs {
    /// The built-in 2-D data set.
    #[arg(long, default_value = "dino")]
    pub data: Builtin,
    /// Seeds, from `--first-seed`.
    #[arg(long, default_value_t = 5)]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    pub first_seed: u64,
    /// Optimiser steps of each run.
    #[arg(long, default_value_t = 20_000)]
    pub steps: u64,
    /// Samples that are compared with as many fresh draws of the data.
    #[arg(long, default_value_t = 4096)]
    pub samples: usize,
    /// Weight of the contrastive loss.
    #[arg(long)]
    pub weight: Option<f64>,
    /// Its items per step.
    #[arg(long)]
    pub items: Option<usize>,
    /// Its draws per item and density.
    #[arg(long)]
    pub draws: Option<usize>,
    /// Independent draws for the two densities, as the paper estimates them.
    #[arg(long)]
    pub independent: bool,
    /// Decay of the weights' average.
    #[arg(long)]
    pub ema: Option<f64>,
    /// Only one of the losses.
    #[arg(long)]
    pub only: Option<String>,
}

impl Default for DinoArgs {
    fn default() -> Self {
        Self {
            data: Builtin::Dino,
            seeds: 5,
            first_seed: 0,
            steps: 20_000,
            samples: 4096,
            weight: None,
            items: None,
            draws: None,
            independent: false,
            ema: None,
            only: None,
        }
    }
}

impl DinoArgs {
    fn config(&self, loss: LossKind, seed: u64) -> TrainConfig {
        let mut config = TrainConfig { loss: loss.config(), ..TrainConfig::default() };
        (config.run.steps, config.run.seed) = (self.steps, seed);
        let c = &mut config.loss.contrastive;
        if c.weight != 0.0 {
            c.weight = self.weight.unwrap_or(c.weight);
        }
        c.items = self.items.unwrap_or(c.items);
        c.draws = self.draws.unwrap_or(c.draws);
        c.shared = !self.independent;
        config.optimiser.ema_decay = self.ema.unwrap_or(config.optimiser.ema_decay);
        config
    }
}

/// The experiment of [`dino_with`] on the dino with its defaults; `quick` takes seconds.
///
/// # Errors
///
/// As there.
pub fn dino(out: &Path, quick: bool) -> anyhow::Result<Value> {
    dino_with(out, &DinoArgs::default(), quick)
}

/// MMD (squared, unbiased, bandwidth 0.03) of samples to fresh draws of a set in the plane, by DDPM 1000 and DDIM 20; rounds,
/// evaluations and seconds of DDPM 1000 in sequence and in parallel, and the parallel samples' MMD beside that of the same items in
/// sequence; networks of the standard and of the contrastive loss, of equal steps; mean and spread over seeds.
///
/// Parallel are [`Picard`] with multisecant slopes of two directions at its own tolerance, and ParaDiGMS as published with
/// tolerance 0.1, in batches of 64 on one thread each, both losses at the same time. `quick` takes 300 steps, one seed, 64 samples.
///
/// # Errors
///
/// A set that is not of the plane, `only` that is no loss; the file system's; a loss or a sample that is not finite.
pub fn dino_with(out: &Path, args: &DinoArgs, quick: bool) -> anyhow::Result<Value> {
    let data = args.data;
    anyhow::ensure!(
        data.dim() == 2,
        "--data {data} has {} coordinate(s): give a set of the plane",
        data.dim()
    );
    anyhow::ensure!(args.seeds > 0, "--seeds is 0: give at least 1");
    let mut args = args.clone();
    if quick {
        (args.seeds, args.steps, args.samples) = (1, args.steps.min(300), args.samples.min(BATCH));
    }
    let losses = [LossKind::Standard, LossKind::Contrastive];
    let chosen: Vec<_> =
        losses.into_iter().filter(|l| args.only.as_ref().is_none_or(|o| l.name() == o)).collect();
    anyhow::ensure!(
        !chosen.is_empty(),
        "--only {}: give standard or contrastive",
        args.only.unwrap_or_default()
    );
    folder(out)?;
    let mut rows = Vec::new();
    for seed in args.first_seed..args.first_seed.saturating_add(args.seeds) {
        let results = each(&chosen, |&loss| one(&args, loss, seed))?;
        if seed == args.first_seed {
            picture(out, data, &results)?;
        }
        for (row, _) in results {
            println!("{row}");
            rows.push(row);
        }
    }
    let ours: Vec<Value> = chosen.iter().map(|loss| summary(&rows, loss.name())).collect();
    for row in &ours {
        println!("{row}");
    }
    let report = json!({
        "experiment": "dino", "source": "arXiv 2407.08946", "data": data.name(),
        "paper": "a lower MMD with the contrastive loss, for sequential and parallel DDPM; its figures were not at hand",
        "wanted": "an MMD at least 10 % lower", "steps": args.steps, "seeds": args.seeds, "samples": args.samples,
        "contrastive": args.config(LossKind::Contrastive, 0).loss.contrastive,
        "change": change(&rows), "ours": ours, "runs": rows,
    });
    println!("{}", report["change"]);
    write_report(out, &report)?;
    Ok(report)
}

fn solvers() -> [(&'static str, AnySolver, usize); 2] {
    [("ddpm1000", Ddpm::default().into(), 1000), ("ddim20", Ddim::default().into(), 20)]
}

fn trailing(solver: &AnySolver, betas: &Betas, steps: usize) -> anyhow::Result<(Vec<Node>, Form)> {
    let mut levels = vec![Level::default(); steps + 1];
    betas.trailing(steps, &mut levels)?;
    nodes(solver, &levels)
}

fn samplers() -> [(&'static str, AnySampler); 3] {
    [
        ("sequential", AnySampler::Sequential(Sequential)),
        ("picard", AnySampler::Picard(Picard { slope: Slope::Multisecant(2), ..Picard::default() })),
        ("paradigms", AnySampler::Picard(Picard::paradigms(usize::MAX, 0.1))),
    ]
}

/// Trains and judges a network: its row of the report, and its samples.
fn one(args: &DinoArgs, loss: LossKind, seed: u64) -> anyhow::Result<(Value, Vec<f32>)> {
    let config = args.config(loss, seed);
    let betas = config.noise.betas()?;
    let (trainer, seconds) = trained(config, args.data.sample(8000, seed)?, None)?;
    let mut network = for_sampling(&trainer.averaged()?)?;
    let fresh = args.data.sample(args.samples, seed.wrapping_add(FRESH))?;
    let mmd = |x: &[f32]| GaussianKernel::default().mmd(x, &fresh.data(), 2);
    let mut row = json!({ "loss": loss.name(), "seed": seed, "train_seconds": seconds });
    let mut first = Vec::new();
    for (name, solver, steps) in solvers() {
        let (nodes, form) = trailing(&solver, &betas, steps)?;
        let samples = draw(&network, &Plan::new(&nodes, form)?, args.samples, seed)?;
        let mmd = mmd(&samples)?;
        row[name] = json!(mmd.value);
        row[format!("{name}_error")] = json!(mmd.standard_error);
        if first.is_empty() {
            first = samples;
        }
    }
    let (nodes, form) = trailing(&Ddpm::default().into(), &betas, 1000)?;
    let plan = Plan::new(&nodes, form)?;
    let count = args.samples.min(BATCHES * BATCH);
    let mut sequential: Vec<f32> = Vec::new();
    for (name, sampler) in samplers() {
        let mut own = Judged::default();
        for from in (0..count).step_by(BATCH) {
            let outcome = run(&mut network, &plan, &sampler, from..(from + BATCH).min(count), seed)?;
            own.batches += 1.0;
            own.rounds += outcome.report.rounds as f64;
            own.evaluations += outcome.report.evaluations as f64;
            own.seconds += outcome.seconds;
            own.x.extend(outcome.x);
        }
        if name == "sequential" {
            sequential.clone_from(&own.x);
        }
        let apart = own.x.iter().zip(&sequential).map(|(a, b)| f64::from((a - b).abs()));
        row[format!("{name}_rounds")] = json!(own.rounds / own.batches);
        row[format!("{name}_evaluations")] = json!(own.evaluations / count as f64);
        row[format!("{name}_seconds")] = json!(own.seconds / own.batches);
        row[format!("{name}_mmd")] = json!(mmd(&own.x)?.value);
        row[format!("{name}_distance")] = json!(apart.sum::<f64>() / own.x.len() as f64);
    }
    Ok((row, first))
}

#[derive(Default)]
struct Judged {
    batches: f64,
    rounds: f64,
    evaluations: f64,
    seconds: f64,
    x: Vec<f32>,
}

fn picture(out: &Path, data: Builtin, results: &[(Value, Vec<f32>)]) -> anyhow::Result<()> {
    let points = |x: &[f32]| x.as_chunks::<2>().0.iter().take(SHOWN).copied().collect::<Vec<[f32; 2]>>();
    let mut all = vec![("data".to_owned(), points(&data.sample(SHOWN, 1_000_003)?.data()))];
    for (row, samples) in results {
        let (loss, mmd) = (row["loss"].as_str().unwrap_or_default(), row["ddpm1000"].as_f64());
        all.push((format!("{loss}, DDPM 1000, MMD {:.4}", mmd.unwrap_or(f64::NAN)), points(samples)));
    }
    let series: Vec<[Series<'_>; 1]> = all
        .iter()
        .enumerate()
        .map(|(i, (_, points))| {
            [Series { label: "", points, colour: PALETTE[i % PALETTE.len()], joined: false }]
        })
        .collect();
    let drawn: Vec<(&str, &[Series<'_>])> =
        all.iter().zip(&series).map(|((title, _), series)| (title.as_str(), &series[..])).collect();
    panels(&drawn, &out.join("samples.png"))?;
    Ok(())
}

fn summary(rows: &[Value], loss: &str) -> Value {
    let of = |key: &str| Spread::over(rows, &[("loss", json!(loss))], key);
    let mut summary = json!({ "loss": loss, "ddpm1000": of("ddpm1000"), "ddim20": of("ddim20"),
                              "train_seconds": of("train_seconds") });
    for (name, _) in samplers() {
        let key = |what: &str| of(&format!("{name}_{what}"));
        summary[name] = json!({
            "rounds": key("rounds"), "evaluations_per_item": key("evaluations"), "seconds_per_batch": key("seconds"),
            "mmd": key("mmd"), "distance_to_sequential": key("distance"),
        });
    }
    summary
}

/// What the contrastive loss changes the mean MMD by, and in how many seeds it is lower; null where one loss is left out.
fn change(rows: &[Value]) -> Value {
    let of = |loss: &str, key: &str| -> Vec<f64> {
        rows.iter().filter(|r| r["loss"] == loss).filter_map(|r| r[key].as_f64()).collect()
    };
    let mut change = json!({});
    for key in ["ddpm1000", "ddim20", "picard_mmd", "paradigms_mmd"] {
        let (standard, contrastive) = (of("standard", key), of("contrastive", key));
        if standard.is_empty() || contrastive.is_empty() {
            return Value::Null;
        }
        let lower = standard.iter().zip(&contrastive).filter(|(a, b)| b < a).count();
        let part = Spread::of(&contrastive).mean / Spread::of(&standard).mean - 1.0;
        change[key] = json!({ "relative": part, "seeds_lower": lower });
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_losses_are_judged_on_any_set_of_the_plane() {
        let folder = tempfile::tempdir().unwrap();
        let args = DinoArgs { data: Builtin::TwoMoons, ..DinoArgs::default() };
        let report = dino_with(folder.path(), &args, true).unwrap();
        let ours = report["ours"].as_array().unwrap();
        assert_eq!((ours.len(), report["data"].as_str()), (2, Some("two-moons")));
        for row in ours {
            assert_eq!(row["sequential"]["rounds"]["mean"], 1000.0);
            assert!(row["picard"]["rounds"]["mean"].as_f64().unwrap() < 100.0, "{row}");
            assert!(row["picard"]["distance_to_sequential"]["mean"].as_f64().unwrap() < 0.01, "{row}");
        }
        assert!(report["change"]["ddpm1000"]["relative"].as_f64().unwrap().is_finite());
        assert!(folder.path().join("samples.png").exists() && folder.path().join("report.json").exists());
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let refused = |args: DinoArgs| dino_with(Path::new("/nowhere"), &args, true).unwrap_err().to_string();
        let line = refused(DinoArgs { data: Builtin::TwoModes, ..DinoArgs::default() });
        assert!(line.contains("--data two-modes") && line.contains("plane"), "{line}");
        let only = refused(DinoArgs { only: Some("both".into()), ..DinoArgs::default() });
        assert!(only.contains("--only both") && only.contains("contrastive"), "{only}");
        assert!(refused(DinoArgs { seeds: 0, ..DinoArgs::default() }).contains("--seeds"));
    }
}
