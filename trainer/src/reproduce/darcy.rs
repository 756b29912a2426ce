//! Flow through porous media, learnt with and without being told its equation: arXiv 2403.14404.

use super::fields::Fields;
use super::jobs::each;
use super::maps::{self, Map};
use super::network::{draw, trained};
use super::report::{self, FRESH};
use super::spread::summary;
use crate::loss::{LossConfig, OutputName, ResidualName, WeightingName};
use crate::model::NetworkKind;
use crate::optimiser::RateShape;
use crate::physics::{Darcy, DarcyData, Medium, Residual, mean_residual};
use crate::train::{OptimiserConfig, Schedule, TrainConfig, Trainer};
use anyhow::Context;
use picardy::{Ddpm, Level, Node, Prediction, Solver};
use serde_json::{Value, json};
use std::path::Path;

/// Timesteps of the cosine schedule.
const TIMESTEPS: usize = 100;
/// The correlation length of the media in cells: the paper's 0.1 of 64 cells.
const LENGTH: f64 = 6.4;
/// What is added to a seed for the second part's draws.
const SECOND_PART: u64 = 1 << 32;
/// The timesteps of little noise, and the share of rows that all recipes have there.
const LITTLE: usize = 10;
const SHARE: f64 = 0.5;

/// One way to train.
#[derive(Clone, Copy)]
struct Recipe {
    name: &'static str,
    /// c at [`CELLS`]; 0.001 is the paper's, at 64.
    weight: f64,
    /// Timesteps below which the equation is asked; 0 for all.
    timesteps: usize,
    /// The residual at [`CELLS`] beyond which its cost grows along a line; 0 for none.
    bend: f64,
}

/// The size that recipes are written for. At others the residual is taken in this size's units: the highest waves of the same
/// fields have a residual that grows as the square of the cells a side, and c and the bend follow it.
const CELLS: usize = 16;

const VANILLA: Recipe = Recipe { name: "vanilla", weight: 0.0, timesteps: 0, bend: 0.0 };
const RECIPES: [Recipe; 2] =
    [VANILLA, Recipe { name: "informed", weight: 0.006, timesteps: LITTLE, bend: 0.5 }];

/// How far the experiment goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DarcySize {
    /// Cells a side.
    pub cells: usize,
    /// Optimiser steps of each network: the first quarter is common to all.
    pub steps: u64,
    /// Seeds, from 0.
    pub seeds: u64,
    /// Fields that are trained on.
    pub train: usize,
    /// Samples that are judged, and four times as many fresh fields.
    pub samples: usize,
    /// The standard deviation of ln K.
    pub deviation: f64,
}

impl DarcySize {
    /// What twenty minutes of two quiet cores are enough for; `quick`, of seconds.
    pub const fn new(quick: bool) -> Self {
        if quick {
            Self { cells: 8, steps: 200, seeds: 1, train: 200, samples: 32, deviation: 0.5 }
        } else {
            Self { cells: 16, steps: 8000, seeds: 3, train: 4000, samples: 1024, deviation: 0.5 }
        }
    }
}

/// The residual `|div(K grad p) + f|` of sampled pressures and permeabilities, and the samples' distances to data, of a 2-D U-Net
/// trained without the equation and with it. The first quarter of the steps is common and without. From there one network goes on
/// so, and the other with c = 0.006 on the mean estimate: at the 10 timesteps of least noise, where that mean is nearly a sample,
/// and with a cost that grows along a line beyond residuals of 0.5, which a few extreme media would rule else. These are for 16
/// cells a side; at `cells` c is divided by `(cells/16)^4` and the bend multiplied by `(cells/16)^2`.
///
/// All else is the same: 100 timesteps of the cosine schedule, prediction of x0 weighted by `min(SNR, 5)`, batch 16, half of the
/// rows at those 10 timesteps ([`Focus`](crate::loss::Focus)), Adam at 1e-3, falling along half a cosine after the first quarter,
/// averaged weights, and samples by DDPM of 100 steps from the same noise.
///
/// The paper has c = 0.001 at all timesteps, 64 by 64 cells, a U-Net of width 32 and 300 000 steps of batch 64 on a GPU; the
/// default here is what [`DarcySize::new`] says. The media's correlation length is 6.4 cells at every size, the paper's at 64, and
/// ln K deviates by 0.5 by default. Residuals of other sizes do not compare: a cell's divergence has a factor `size^2`. Fields
/// without any flow have a mean residual of 0.3: a low residual says nothing without the distance to data.
///
/// Measures of distance: the MMD^2 of 4 by 4 block means of both fields in standardised coordinates (Gaussian kernel, bandwidth
/// 16), and Kolmogorov-Smirnov distances of each cell's values and of the energies in rings of cosine waves.
///
/// Writes pictures of each network's samples and `report.json` into `out`.
///
/// # Errors
///
/// The file system's; a loss that is not finite; cells that are no multiple of 8 from 8 to 1024; no seeds, or too few samples
/// or steps; a medium that cannot be drawn.
pub fn darcy(out: &Path, size: &DarcySize) -> anyhow::Result<Value> {
    let DarcySize { cells, seeds, samples, .. } = *size;
    anyhow::ensure!(
        cells >= 8 && cells.is_multiple_of(8) && cells <= Darcy::MAX_SIZE,
        "{cells} cells a side: ask for a multiple of 8 from 8 to {}",
        Darcy::MAX_SIZE
    );
    report::seeds(Some(seeds), false, 1)?;
    anyhow::ensure!(samples >= 3, "{samples} samples: ask for 3 or more");
    anyhow::ensure!(size.steps >= 4, "{} steps: ask for 4 or more", size.steps);
    report::folder(out)?;
    let seeds: Vec<u64> = (0..seeds).collect();
    let rows = each(&seeds, |&seed| run(out, seed, size).with_context(|| format!("seed {seed}")))?.concat();
    let of = |name: &str| {
        let mut keys = KEYS.to_vec();
        keys.push("step_ms");
        summary(&rows, &keys, |row| row["loss"] == name)
    };
    let vanilla = of(VANILLA.name);
    let data = summary(&rows, &KEYS, |row| row["loss"] == "data");
    let ours: Vec<Value> = RECIPES
        .iter()
        .map(|recipe| {
            let mut row = of(recipe.name);
            let mean = |row: &Value, key: &str| row[key]["mean"].as_f64().unwrap_or(f64::NAN);
            row["vanilla_over_this"] = json!(mean(&vanilla, "residual") / mean(&row, "residual"));
            for key in ["mmd", "cells_ks", "spectrum_ks"] {
                row[format!("{key}_over_vanilla")] = json!(mean(&row, key) / mean(&vanilla, key));
            }
            row["loss"] = json!(recipe.name);
            let physics = config(*recipe, 0, size).loss.physics;
            (row["c"], row["bend"], row["timesteps"]) =
                (json!(physics.weight), json!(physics.bend), json!(physics.timesteps));
            row
        })
        .collect();
    let report = json!({
        "experiment": "darcy", "source": "arXiv 2403.14404, section 4",
        "paper": "64 x 64 cells: residual lower by up to two orders of magnitude than without the equation",
        "wanted": "vanilla_over_this at least 10 at an mmd within 10 % of vanilla's, or within its error",
        "measure": "residual: mean |r| of samples in the fields' units; mmd: of 4 x 4 block means of both fields; \
                    ks: Kolmogorov-Smirnov distances of cells and of rings of waves",
        "cells": cells, "steps": size.steps, "seeds": seeds.len(), "train": size.train, "samples": samples,
        "deviation": size.deviation, "data": data, "ours": ours, "runs": rows,
    });
    report::finish(out, report)
}

/// What is said of samples, and of fresh data in their place.
const KEYS: [&str; 6] = ["residual", "residual_median", "mmd", "mmd_error", "cells_ks", "spectrum_ks"];

fn config(recipe: Recipe, seed: u64, size: &DarcySize) -> TrainConfig {
    let mut loss = LossConfig::standard();
    loss.prediction = OutputName::Sample;
    loss.denoising.weighting = WeightingName::MinSnr;
    (loss.denoising.focus, loss.denoising.focus_timesteps) = (SHARE, LITTLE);
    let physics = &mut loss.physics;
    physics.residual = ResidualName::Darcy;
    let unit = (size.cells as f64 / CELLS as f64).powi(2);
    physics.timesteps = recipe.timesteps;
    (physics.weight, physics.bend) = (recipe.weight / (unit * unit), recipe.bend * unit);
    // One more level for each doubling: attention is at 8 x 8 cells for powers of two, at less than 16 x 16 for others.
    let levels = 1 + (size.cells / 8).ilog2() as usize;
    let widths = std::iter::once(16).chain(std::iter::repeat_n(32, levels)).take(levels.max(2)).collect();
    let network = NetworkKind::Unet2d { widths, embedding: 32, blocks: 1, groups: 8, heads: 4 };
    let noise = Schedule { kind: "cosine".into(), train_steps: TIMESTEPS, ..Schedule::default() };
    let mut config =
        TrainConfig { loss, network, noise, optimiser: OptimiserConfig::default(), ..TrainConfig::default() };
    (config.run.batch, config.run.seed) = (16, seed);
    config
}

/// All recipes of a seed: a row each, and one of fresh data.
fn run(out: &Path, seed: u64, size: &DarcySize) -> anyhow::Result<Vec<Value>> {
    let medium = Medium::LogNormal { length: LENGTH / size.cells as f64, deviation: size.deviation };
    let generator = DarcyData { size: size.cells, medium };
    let data = generator.dataset(size.train, seed)?;
    let like = |count, more| generator.dataset_like(&data, count, seed + more);
    let (fresh, other) = (like(size.samples.saturating_mul(4), FRESH)?, like(size.samples, 2 * FRESH)?);
    let fields = Fields::new(&fresh.data(), size.cells);
    let physics = Darcy::new(size.cells)?;
    let judge = |name: &str, samples: &[f32]| -> anyhow::Result<Value> {
        let points: Vec<f32> = fresh.restore(samples).iter().map(|x| *x as f32).collect();
        if seed == 0 {
            picture(&out.join(format!("{name}.png")), &points, &physics)?;
        }
        let mean = |points: &[f32]| mean_residual::<f32>(&physics, points, fresh.dim());
        let mut each: Vec<f64> = points.chunks_exact(fresh.dim()).map(mean).collect();
        each.sort_by(f64::total_cmp);
        let mut row = fields.judge(samples)?;
        (row["loss"], row["seed"]) = (json!(name), json!(seed));
        row["residual"] = json!(mean(&points));
        row["residual_median"] = json!(each.get(each.len() / 2));
        Ok(row)
    };
    let mut rows = vec![judge("data", &other.data())?];
    let first = size.steps / 4;
    let mut common = config(VANILLA, seed, size);
    common.run.steps = first;
    common.optimiser.schedule = RateShape::Constant;
    let (base, base_seconds) = trained(common, data.clone(), None)?;
    let base = base.averaged()?;
    rows.extend(each(&RECIPES, |&recipe| {
        let mut config = config(recipe, seed.wrapping_add(SECOND_PART), size);
        config.run.steps = size.steps - first;
        let (trainer, seconds) =
            trained(config, data.clone(), Some(base.parameters())).with_context(|| recipe.name.to_owned())?;
        let begin = std::time::Instant::now();
        let mut row = judge(recipe.name, &sample(&trainer, size.samples, seed)?)?;
        row["sample_seconds"] = json!(begin.elapsed().as_secs_f64());
        (row["common_seconds"], row["train_seconds"]) = (json!(base_seconds), json!(seconds));
        row["step_ms"] = json!(1e3 * seconds / (size.steps - first) as f64);
        println!("{row}");
        Ok(row)
    })?);
    Ok(rows)
}

fn sample(trainer: &Trainer, count: usize, seed: u64) -> anyhow::Result<Vec<f32>> {
    let mut levels = vec![Level::default(); TIMESTEPS + 1];
    let grid = trainer.config().noise.betas()?.trailing(TIMESTEPS, &mut levels)?;
    let mut nodes = vec![Node::default(); TIMESTEPS + 1];
    let plan = Ddpm::default().plan(&grid, Prediction::Sample, &mut nodes)?;
    draw(&trainer.averaged()?, &plan, count, seed)
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
    fn the_equation_lowers_the_residual() {
        let folder = tempfile::tempdir().unwrap();
        let size = DarcySize { cells: 8, steps: 90, seeds: 1, train: 64, samples: 8, deviation: 0.5 };
        let report = darcy(folder.path(), &size).unwrap();
        assert!(report["ours"][1]["vanilla_over_this"].as_f64().unwrap() > 1.5, "{}", report["ours"]);
        assert!(folder.path().join("informed.png").exists());
        for cells in [0, 12, 2048] {
            let error = darcy(folder.path(), &DarcySize { cells, ..size }).unwrap_err().to_string();
            assert!(error.contains(&cells.to_string()), "{error}");
        }
    }
}
