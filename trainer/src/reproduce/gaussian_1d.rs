//! Where a learnt score is wrong on the line: arXiv 2407.08946, figure 1.

use super::jobs::each;
use super::maps::{self, Map};
use super::network::trained;
use super::report;
use super::spread::summary;
use crate::data::{Builtin, Dataset, Mixture};
use crate::loss::NoiseTable;
use crate::model::{Network, NetworkKind};
use crate::rng::Rng;
use crate::train::{LossKind, TrainConfig};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;

/// The map's grid.
const LEVELS: usize = 120;
const PLACES: usize = 161;
const EDGE: f64 = 4.0;
/// The share of the probability that counts as where training data lies.
const INSIDE: f64 = 0.99;
/// The colours' powers of ten.
const DECADES: (f64, f64) = (-5.0, 1.0);
/// The stream of the single Gaussian's points.
const STREAM: u64 = 0x4741_5553_5300_0000;
const DATA: [&str; 2] = ["two-modes", "gaussian"];
const LOSSES: [LossKind; 2] = [LossKind::Standard, LossKind::Contrastive];

struct Size {
    steps: u64,
    seeds: u64,
    points: usize,
}

struct Job {
    data: &'static str,
    loss: LossKind,
    seed: u64,
}

/// The squared error `(eps_hat + s score)^2` of networks over (x, log-SNR), on the line, for data from two Gaussians and from one:
/// standard against contrastive training, as in figure 1 of arXiv 2407.08946.
///
/// The grid is x in (-4, 4) and the schedule's log-SNRs, even in log-SNR. At each level the inside is the smallest set of x that
/// holds 99 % of the probability of diffused data, and the outside the rest of the grid; both means are over the grid. A residual
/// MLP of width 64 with 2 blocks, batch 128, Adam 1e-3 falling along half a cosine, averaged weights.
///
/// Writes `map.png` and `report.json` into `out`. `quick` trains one seed for fewer steps; `seeds` says how many.
///
/// # Errors
///
/// The file system's; a loss that is not finite; 0 seeds.
pub fn gaussian_1d(out: &Path, quick: bool, seeds: Option<u64>) -> anyhow::Result<Value> {
    let seeds = report::seeds(seeds, quick, 5)?;
    let size = if quick {
        Size { steps: 500, seeds, points: 2000 }
    } else {
        Size { steps: 10_000, seeds, points: 8000 }
    };
    experiment(out, &size)
}

fn experiment(out: &Path, size: &Size) -> anyhow::Result<Value> {
    report::folder(out)?;
    let jobs: Vec<Job> = DATA
        .iter()
        .flat_map(|&data| LOSSES.map(|loss| (data, loss)))
        .flat_map(|(data, loss)| (0..size.seeds).map(move |seed| Job { data, loss, seed }))
        .collect();
    let done = each(&jobs, |job| run(job, size))?;
    let firsts: Vec<(String, Vec<f64>)> = jobs
        .iter()
        .zip(&done)
        .filter(|(job, _)| job.seed == 0)
        .map(|(job, (_, map))| (format!("{}, {} (log10)", job.data, job.loss.name()), map.clone()))
        .collect();
    let panels: Vec<Map<'_>> = firsts
        .iter()
        .map(|(title, values)| Map { title: title.clone(), values, columns: LEVELS, range: DECADES })
        .collect();
    maps::draw(&out.join("map.png"), &panels, 2)?;
    let rows: Vec<Value> = done.into_iter().map(|(row, _)| row).collect();
    let of = |data: &str, loss: LossKind| {
        let keys = ["inside", "outside", "inside_weighted"];
        summary(&rows, &keys, |row| row["data"] == data && row["loss"] == loss.name())
    };
    let ours: Vec<Value> = DATA
        .iter()
        .map(|&data| {
            let [standard, contrastive] = LOSSES.map(|loss| of(data, loss));
            let ratio = |key: &str| {
                contrastive[key]["mean"].as_f64().unwrap_or(f64::NAN)
                    / standard[key]["mean"].as_f64().unwrap_or(f64::NAN)
            };
            json!({
                "data": data,
                "contrastive_over_standard": { "inside": ratio("inside"), "outside": ratio("outside") },
                "standard": standard, "contrastive": contrastive,
            })
        })
        .collect();
    let report = json!({
        "experiment": "gaussian-1d", "source": "arXiv 2407.08946, figure 1",
        "paper": "a picture without numbers: the standard network errs outside of where training data lies, the contrastive one less",
        "measure": "mean of (eps_hat + s score)^2 over the grid; inside: the smallest set of x with 99 % of the probability at each level",
        "steps": size.steps, "seeds": size.seeds, "ours": ours, "runs": rows,
    });
    report::finish(out, report)
}

/// The row of a run, and its map: log10 of the error, the largest x on top.
fn run(job: &Job, size: &Size) -> anyhow::Result<(Value, Vec<f64>)> {
    let (data, truth) = if job.data == "gaussian" {
        let truth = Mixture { weights: [0.5; 2], means: [0.0; 2], stds: [1.0; 2] };
        (gaussian(size.points, job.seed), truth)
    } else {
        (Builtin::TwoModes.sample(size.points, job.seed)?, Mixture::two_modes())
    };
    let mut config = TrainConfig {
        loss: job.loss.config(),
        network: NetworkKind::ResidualMlp { width: 64, blocks: 2 },
        ..TrainConfig::default()
    };
    (config.run.steps, config.run.seed) = (size.steps, job.seed);
    let (trainer, seconds) = trained(config, data, None)
        .with_context(|| format!("{}, {}, seed {}", job.data, job.loss.name(), job.seed))?;
    let Errors { inside, outside, weighted, map } =
        errors(&mut trainer.averaged()?, &truth, trainer.table())?;
    let row = json!({
        "data": job.data, "loss": job.loss.name(), "seed": job.seed, "train_seconds": seconds,
        "inside": inside, "outside": outside, "inside_weighted": weighted,
    });
    println!("{row}");
    Ok((row, map))
}

/// Standard normal points.
fn gaussian(n: usize, seed: u64) -> Dataset {
    let mut rng = Rng::new(seed, STREAM);
    let points: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
    Dataset::standardised("gaussian".to_owned(), &points, vec![0.0], vec![1.0])
}

struct Errors {
    inside: f64,
    outside: f64,
    /// The error that data meets: weighted by the diffused data's probability.
    weighted: f64,
    map: Vec<f64>,
}

fn errors(model: &mut Network<f32>, truth: &Mixture, table: &NoiseTable) -> anyhow::Result<Errors> {
    let x: Vec<f64> = (0..PLACES).map(|i| EDGE * (2.0 * i as f64 / (PLACES - 1) as f64 - 1.0)).collect();
    let (top, bottom) = (table.log_snr()[0], table.log_snr()[table.train_steps() - 1]);
    let mut map = vec![0.0; LEVELS * PLACES];
    // Sum and count.
    let (mut inside, mut outside, mut weighted) = ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]);
    for column in 0..LEVELS {
        let log_snr = bottom + (top - bottom) * column as f64 / (LEVELS - 1) as f64;
        let level = table.level(table.nearest(log_snr));
        let (a, s) = (level.alpha, level.sigma);
        let density: Vec<f64> = x.iter().map(|x| truth.log_density(*x, a, s).exp()).collect();
        let least = threshold(&density);
        let mut eps = Vec::with_capacity(PLACES);
        for x in x.chunks(model.max_batch()) {
            let rows: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            eps.extend_from_slice(model.forward(&rows, &vec![level.t as f32; x.len()], &[])?);
        }
        for (i, (x, eps)) in x.iter().zip(&eps).enumerate() {
            let error = (f64::from(*eps) + s * truth.score(*x, a, s)).powi(2);
            map[(PLACES - 1 - i) * LEVELS + column] = error.max(1e-30).log10();
            let sum = if density[i] >= least { &mut inside } else { &mut outside };
            *sum = [sum[0] + error, sum[1] + 1.0];
            weighted = [weighted[0] + density[i] * error, weighted[1] + density[i]];
        }
    }
    let mean = |[sum, count]: [f64; 2]| sum / count;
    Ok(Errors { inside: mean(inside), outside: mean(outside), weighted: mean(weighted), map })
}

/// The least density of the smallest set of cells that holds [`INSIDE`] of all.
fn threshold(density: &[f64]) -> f64 {
    let mut sorted = density.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let enough = INSIDE * sorted.iter().sum::<f64>();
    let mut sum = 0.0;
    let last = sorted.iter().find(|density| {
        sum += **density;
        sum >= enough
    });
    last.copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inside_is_where_the_probability_is() {
        let density: Vec<f64> = (-400..=400).map(|i| (-0.5 * (f64::from(i) / 100.0).powi(2)).exp()).collect();
        let least = threshold(&density);
        let edge = (-2.0 * least.ln()).sqrt();
        // 99 % of a normal lies within 2.576.
        assert!((edge - 2.576).abs() < 0.02, "{edge}");
    }

    #[test]
    fn points_are_standard_normal() {
        let data = gaussian(20_000, 7);
        assert!((data.mean_square() - 1.0).abs() < 0.05, "{}", data.mean_square());
    }

    #[test]
    fn a_trained_network_errs_least_where_its_data_lies() {
        let folder = tempfile::tempdir().unwrap();
        let report = experiment(folder.path(), &Size { steps: 300, seeds: 1, points: 1000 }).unwrap();
        assert_eq!(report["runs"].as_array().unwrap().len(), 4);
        for row in report["runs"].as_array().unwrap() {
            let of = |key: &str| row[key].as_f64().unwrap();
            assert!(of("inside_weighted") < 0.3 && of("outside") > of("inside_weighted"), "{row}");
        }
        assert!(folder.path().join("map.png").exists() && folder.path().join("report.json").exists());
    }
}
