//! Flow through porous media, learnt with and without being told its equation: arXiv 2403.14404.

use super::jobs::each;
use super::maps::{self, Map};
use super::network::{draw, trained};
use super::report::{self, FRESH};
use super::spread::summary;
use crate::loss::{Estimation, LossConfig, OutputName, ResidualName, WeightingName};
use crate::metrics::GaussianKernel;
use crate::model::NetworkKind;
use crate::physics::{Darcy, DarcyData, Medium, Residual, mean_residual};
use crate::train::{OptimiserConfig, Schedule, TrainConfig, Trainer};
use anyhow::Context;
use picardy::{Ddpm, Level, Node, Prediction, Solver};
use serde_json::{Value, json};
use std::path::Path;

/// Timesteps of the cosine schedule.
const TIMESTEPS: usize = 100;
/// Blocks a side of what distances are taken of.
const BLOCKS: usize = 4;

/// One way to train.
#[derive(Clone, Copy)]
struct Recipe {
    name: &'static str,
    /// c; 0.001 is the paper's.
    weight: f64,
}

const RECIPES: [Recipe; 3] = [
    Recipe { name: "vanilla", weight: 0.0 },
    Recipe { name: "mean", weight: 0.001 },
    Recipe { name: "mean-tenth", weight: 0.0001 },
];

/// How far the experiment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DarcySize {
    /// Cells a side.
    pub cells: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Seeds, from 0.
    pub seeds: u64,
    /// Fields that are trained on.
    pub train: usize,
    /// Samples that are judged, and as many fresh fields.
    pub samples: usize,
}

impl DarcySize {
    /// What ten minutes of two cores are enough for; `quick`, of seconds.
    pub const fn new(quick: bool) -> Self {
        if quick {
            Self { cells: 8, steps: 200, seeds: 1, train: 200, samples: 32 }
        } else {
            Self { cells: 16, steps: 4000, seeds: 1, train: 4000, samples: 256 }
        }
    }
}

/// The residual `|div(K grad p) + f|` of sampled pressures and permeabilities, and the samples' distance to data, of a 2-D U-Net
/// trained without the equation and with it asked of the mean estimate: c = 0.001, the paper's, and a tenth of it. 100 timesteps of the
/// cosine schedule, prediction of x0 weighted by `min(SNR, 5)`, batch 16, Adam 1e-3 falling along half a cosine, averaged weights,
/// samples by DDPM of 100 steps.
///
/// The paper has 64 by 64 cells, a U-Net of width 32 and 300 000 steps of batch 64 on a GPU; the default here is what ten minutes
/// of two cores are enough for ([`DarcySize::new`]). Residuals of other sizes do not compare: a cell's divergence has a factor
/// `size^2`. The distance is the MMD^2 (Gaussian kernel, bandwidth 16) of both fields' means over 4 by 4 blocks, in standardised
/// coordinates: 32 numbers a sample.
///
/// Writes pictures of each network's samples and `report.json` into `out`.
///
/// # Errors
///
/// The file system's; a loss that is not finite; cells that are no multiple of 8 from 8 to 1024; no seeds, or too few samples.
pub fn darcy(out: &Path, size: &DarcySize) -> anyhow::Result<Value> {
    let DarcySize { cells, seeds, samples, .. } = *size;
    anyhow::ensure!(
        cells >= 8 && cells.is_multiple_of(8) && cells <= Darcy::MAX_SIZE,
        "{cells} cells a side: ask for a multiple of 8 from 8 to {}",
        Darcy::MAX_SIZE
    );
    report::seeds(Some(seeds), false, 1)?;
    anyhow::ensure!(samples >= 3, "{samples} samples: ask for 3 or more");
    report::folder(out)?;
    let jobs: Vec<(Recipe, u64)> =
        RECIPES.into_iter().flat_map(|recipe| (0..seeds).map(move |seed| (recipe, seed))).collect();
    let rows = each(&jobs, |(recipe, seed)| {
        run(out, *recipe, *seed, size).with_context(|| format!("{}, seed {seed}", recipe.name))
    })?;
    let of =
        |name: &str| summary(&rows, &["residual", "mmd", "mmd_error", "step_ms"], |row| row["loss"] == name);
    let vanilla = of("vanilla");
    let ours: Vec<Value> = RECIPES
        .iter()
        .map(|recipe| {
            let mut row = of(recipe.name);
            let mean = |row: &Value| row["residual"]["mean"].as_f64().unwrap_or(f64::NAN);
            row["vanilla_over_this"] = json!(mean(&vanilla) / mean(&row));
            row["loss"] = json!(recipe.name);
            row["c"] = json!(recipe.weight);
            row
        })
        .collect();
    let report = json!({
        "experiment": "darcy", "source": "arXiv 2403.14404, section 4",
        "paper": "64 x 64 cells: residual lower by up to two orders of magnitude than without the equation",
        "wanted": "vanilla_over_this at least 10 at an mmd within 10 % of vanilla's, or within its error",
        "measure": "residual: mean |r| of samples in the fields' units; mmd: of 4 x 4 block means of both fields",
        "cells": cells, "steps": size.steps, "seeds": seeds, "train": size.train, "samples": samples,
        "data_residual_in_f32": rows[0]["data_residual"], "data_mmd": rows[0]["data_mmd"],
        "ours": ours, "runs": rows,
    });
    report::finish(out, report)
}

fn config(recipe: Recipe, seed: u64, size: &DarcySize) -> TrainConfig {
    let mut loss = LossConfig::standard();
    loss.prediction = OutputName::Sample;
    loss.denoising.weighting = WeightingName::MinSnr;
    (loss.physics.weight, loss.physics.residual) = (recipe.weight, ResidualName::Darcy);
    loss.physics.estimation = Estimation::Mean;
    // One more level for each doubling: attention is at 8 x 8 cells or fewer.
    let levels = 1 + (size.cells / 8).ilog2() as usize;
    let widths = std::iter::once(16).chain(std::iter::repeat_n(32, levels)).take(levels.max(2)).collect();
    let network = NetworkKind::Unet2d { widths, embedding: 32, blocks: 1, groups: 8, heads: 4 };
    let noise = Schedule { kind: "cosine".into(), train_steps: TIMESTEPS, ..Schedule::default() };
    let mut config =
        TrainConfig { loss, network, noise, optimiser: OptimiserConfig::default(), ..TrainConfig::default() };
    (config.run.steps, config.run.batch, config.run.seed) = (size.steps, 16, seed);
    config
}

fn run(out: &Path, recipe: Recipe, seed: u64, size: &DarcySize) -> anyhow::Result<Value> {
    let generator = DarcyData { size: size.cells, medium: Medium::default() };
    let data = generator.dataset(size.train, seed)?;
    let [fresh, other] =
        [FRESH, 2 * FRESH].map(|more| generator.dataset_like(&data, size.samples, seed + more));
    let (fresh, other) = (fresh?, other?);
    let physics = Darcy::new(size.cells)?;
    let (trainer, seconds) = trained(config(recipe, seed, size), data, None)?;
    let begin = std::time::Instant::now();
    let samples = sample(&trainer, size.samples, seed)?;
    let sample_seconds = begin.elapsed().as_secs_f64();
    let kernel = GaussianKernel::new((BLOCKS * BLOCKS) as f64)?;
    let means = |x: &[f32]| blocks(x, size.cells);
    let mmd = kernel.mmd(&means(&samples), &means(&fresh.data()), 2 * BLOCKS * BLOCKS)?;
    let base = kernel.mmd(&means(&other.data()), &means(&fresh.data()), 2 * BLOCKS * BLOCKS)?;
    let restored = |x: &[f32]| -> Vec<f32> { fresh.restore(x).iter().map(|x| *x as f32).collect() };
    let points = restored(&samples);
    if seed == 0 {
        picture(&out.join(format!("{}.png", recipe.name)), &points, &physics)?;
    }
    let dim = fresh.dim();
    let row = json!({
        "loss": recipe.name, "seed": seed, "train_seconds": seconds, "sample_seconds": sample_seconds,
        "step_ms": 1e3 * seconds / size.steps as f64,
        "residual": mean_residual::<f32>(&physics, &points, dim),
        "mmd": mmd.value, "mmd_error": mmd.standard_error,
        "data_residual": mean_residual::<f32>(&physics, &restored(&fresh.data()), dim),
        "data_mmd": base.value,
    });
    println!("{row}");
    Ok(row)
}

fn sample(trainer: &Trainer, count: usize, seed: u64) -> anyhow::Result<Vec<f32>> {
    let mut levels = vec![Level::default(); TIMESTEPS + 1];
    let grid = trainer.config().noise.betas()?.trailing(TIMESTEPS, &mut levels)?;
    let mut nodes = vec![Node::default(); TIMESTEPS + 1];
    let plan = Ddpm::default().plan(&grid, Prediction::Sample, &mut nodes)?;
    draw(&trainer.averaged()?, &plan, count, seed)
}

/// Means over [`BLOCKS`] by [`BLOCKS`] blocks of both fields of each item.
fn blocks(items: &[f32], cells: usize) -> Vec<f32> {
    let side = cells / BLOCKS;
    let share = 1.0 / (side * side) as f32;
    let mut out = vec![0.0; items.len() / (2 * cells * cells) * 2 * BLOCKS * BLOCKS];
    for (item, out) in items.chunks_exact(2 * cells * cells).zip(out.chunks_exact_mut(2 * BLOCKS * BLOCKS)) {
        for (cell, pair) in item.chunks_exact(2).enumerate() {
            let block = cell / cells / side * BLOCKS + cell % cells / side;
            for (sum, value) in out[2 * block..].iter_mut().zip(pair) {
                *sum += value * share;
            }
        }
    }
    out
}

/// Four samples: pressure, permeability, and the residual's log10.
fn picture(path: &Path, points: &[f32], physics: &Darcy) -> anyhow::Result<()> {
    let cells = physics.size();
    let shown = points.chunks_exact(2 * cells * cells).take(4);
    let fields: Vec<[Vec<f64>; 3]> = shown
        .map(|item| {
            let mut r = vec![0.0; cells * cells];
            physics.residual(item, &mut r);
            let field = |first: usize| item.iter().skip(first).step_by(2).map(|v| f64::from(*v)).collect();
            [field(0), field(1), r.iter().map(|r| f64::from(r.abs().max(1e-6)).log10()).collect()]
        })
        .collect();
    let names = ["pressure", "permeability", "log10 |r|, -2 to 3"];
    let all: Vec<Map<'_>> = (0..3)
        .flat_map(|kind| fields.iter().map(move |fields| (kind, fields)))
        .map(|(kind, fields)| match kind {
            2 => Map { title: names[2].into(), values: &fields[2], columns: cells, range: (-2.0, 3.0) },
            _ => Map::own(names[kind].into(), &fields[kind], cells),
        })
        .collect();
    Ok(maps::draw(path, &all, fields.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_means() {
        // The pressure is the column's block, the permeability the row's.
        let item: Vec<f32> =
            (0..64).flat_map(|cell| [(cell % 8 / 2) as f32, (cell / 8 / 2) as f32]).collect();
        let means = blocks(&item, 8);
        assert_eq!(means.len(), 32);
        for (block, pair) in means.chunks(2).enumerate() {
            assert_eq!(pair, [(block % 4) as f32, (block / 4) as f32]);
        }
    }

    #[test]
    fn the_equation_lowers_the_residual() {
        let folder = tempfile::tempdir().unwrap();
        let size = DarcySize { cells: 8, steps: 60, seeds: 1, train: 64, samples: 8 };
        let report = darcy(folder.path(), &size).unwrap();
        assert!(report["ours"][1]["vanilla_over_this"].as_f64().unwrap() > 1.5, "{}", report["ours"]);
        assert!(folder.path().join("mean.png").exists());
        for cells in [0, 12, 2048] {
            let error = darcy(folder.path(), &DarcySize { cells, ..size }).unwrap_err().to_string();
            assert!(error.contains(&cells.to_string()), "{error}");
        }
    }
}
