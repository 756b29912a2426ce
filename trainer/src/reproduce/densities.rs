//! True against estimated log-likelihoods, on a mixture whose density is known.

use super::jobs::each;
use super::network::trained;
use super::report::{self, FRESH};
use super::spread::{Spread, summary};
use crate::data::Dataset;
use crate::loss::{LogSnrDraws, NllConfig};
use crate::rng::Rng;
use crate::train::{LossKind, TrainConfig};
use anyhow::Context;
use picardy_ort::picture::{PALETTE, Series, panels};
use serde_json::{Value, json};
use std::path::Path;

/// Three round Gaussians of the plane: their weights, means and standard deviations.
const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];
const MEANS: [[f64; 2]; 3] = [[-1.0, -0.5], [1.0, -0.5], [0.0, 1.0]];
const DEVIATIONS: [f64; 3] = [0.3, 0.2, 0.1];
/// How far off the data its other points are moved, in standard deviations of the data.
const OFF: f64 = 0.5;
const STREAM: u64 = 0x4445_4E53_0000_0000;
const ESTIMATES: u64 = 0x4445_4E53_0001_0000;
const LOSSES: [LossKind; 2] = [LossKind::Standard, LossKind::Contrastive];
/// Which points are asked.
const PLACES: [&str; 2] = ["data", "off"];

struct Size {
    steps: u64,
    seeds: u64,
    train: usize,
    points: usize,
    /// Draws of an estimate, and estimates of a point.
    draws: usize,
    repeats: usize,
}

struct Job {
    loss: LossKind,
    seed: u64,
}

/// A point: the truth, the mean of its estimates, and that mean's standard error; in nats.
#[derive(Clone, Copy)]
struct Point {
    truth: f64,
    estimate: f64,
    error: f64,
}

/// The log-likelihood that a network gives to points of a mixture of three Gaussians of the plane, by the information-theoretic
/// estimate ([`NllConfig::estimate`]), against the mixture's own: of standard and of contrastive networks (arXiv 2407.08946).
///
/// Asked are fresh draws of the data, and the same draws moved off it by half a standard deviation of the data, where a density
/// is needed to tell noise levels apart. Each point is estimated several times, so that the error of the estimate itself is known:
/// what the networks add to it is the rest. Width 128, 2 blocks, batch 128, 8000 points.
///
/// Writes `densities.png` (estimate over truth, with bars of one standard error) and `report.json` into `out`. `quick` trains one
/// seed for fewer steps; `seeds` says how many.
///
/// # Errors
///
/// The file system's; a loss that is not finite; 0 seeds.
pub fn densities(out: &Path, quick: bool, seeds: Option<u64>) -> anyhow::Result<Value> {
    let seeds = report::seeds(seeds, quick, 5)?;
    let size = if quick {
        Size { steps: 500, seeds, train: 2000, points: 64, draws: 128, repeats: 4 }
    } else {
        Size { steps: 10_000, seeds, train: 8000, points: 256, draws: 512, repeats: 8 }
    };
    experiment(out, &size)
}

fn experiment(out: &Path, size: &Size) -> anyhow::Result<Value> {
    report::folder(out)?;
    let jobs: Vec<Job> =
        LOSSES.into_iter().flat_map(|loss| (0..size.seeds).map(move |seed| Job { loss, seed })).collect();
    let done = each(&jobs, |job| run(job, size))?;
    let firsts: Vec<(&Job, &[Vec<Point>; 2])> =
        jobs.iter().zip(done.iter().map(|(_, points)| points)).filter(|(job, _)| job.seed == 0).collect();
    picture(&out.join("densities.png"), &firsts)?;
    let rows: Vec<Value> = done.into_iter().flat_map(|(rows, _)| rows).collect();
    let keys = ["correlation", "mean_absolute_error", "bias", "estimate_error"];
    let ours: Vec<Value> = PLACES
        .iter()
        .map(|&place| {
            let of = |loss: LossKind| {
                summary(&rows, &keys, |row| row["points"] == place && row["loss"] == loss.name())
            };
            json!({ "points": place, "standard": of(LossKind::Standard), "contrastive": of(LossKind::Contrastive) })
        })
        .collect();
    let report = json!({
        "experiment": "densities", "source": "arXiv 2407.08946, and 2302.03792 for the estimate",
        "paper": "the contrastive loss asks for right densities at and off the data; its own figures for this are not at hand",
        "measure": "nats of log-likelihood in standardised coordinates; estimate_error: mean standard error of a point's estimate; off: data moved by 0.5 standard deviations",
        "steps": size.steps, "seeds": size.seeds, "points": size.points, "draws": size.draws * size.repeats,
        "ours": ours, "runs": rows,
    });
    report::finish(out, report)
}

fn run(job: &Job, size: &Size) -> anyhow::Result<(Vec<Value>, [Vec<Point>; 2])> {
    let mut config = TrainConfig { loss: job.loss.config(), ..TrainConfig::default() };
    (config.run.steps, config.run.seed) = (size.steps, job.seed);
    let (trainer, seconds) = trained(config, sample(size.train, job.seed), None)
        .with_context(|| format!("{}, seed {}", job.loss.name(), job.seed))?;
    let gaussian = trainer.gaussian()?;
    let estimate = NllConfig {
        output: trainer.config().loss.output(),
        schedule: trainer.config().noise_schedule()?,
        levels: LogSnrDraws::for_eigenvalues(gaussian.eigenvalues()),
        draws: size.draws,
    };
    let mut model = trainer.averaged()?;
    let data = sample(size.points, job.seed + FRESH);
    let mut rng = Rng::new(job.seed, ESTIMATES);
    let moved: Vec<f32> = data.data().iter().map(|x| x + (OFF * rng.normal()) as f32).collect();
    let mut rows = Vec::new();
    let mut asked = |place: &str, points: &[f32]| -> anyhow::Result<Vec<Point>> {
        let mut found = Vec::new();
        for x in points.chunks_exact(2) {
            let mut estimates = Vec::new();
            for _ in 0..size.repeats {
                estimates.push(-estimate.estimate(&mut model, x, &[], &mut rng)?.mean);
            }
            let Spread { mean, spread } = Spread::of(&estimates);
            let error = spread / (size.repeats as f64).sqrt();
            found.push(Point { truth: log_density([x[0].into(), x[1].into()]), estimate: mean, error });
        }
        let mean = |of: &dyn Fn(&Point) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        let row = json!({
            "points": place, "loss": job.loss.name(), "seed": job.seed, "train_seconds": seconds,
            "correlation": correlation(&found),
            "mean_absolute_error": mean(&|p| (p.estimate - p.truth).abs()),
            "bias": mean(&|p| p.estimate - p.truth), "estimate_error": mean(&|p| p.error),
            "mean_truth": mean(&|p| p.truth),
        });
        println!("{row}");
        rows.push(row);
        Ok(found)
    };
    let points = [asked(PLACES[0], &data.data())?, asked(PLACES[1], &moved)?];
    Ok((rows, points))
}

/// The mixture's mean and variance of each coordinate.
fn moments() -> ([f64; 2], [f64; 2]) {
    let mean: [f64; 2] = std::array::from_fn(|i| (0..3).map(|k| WEIGHTS[k] * MEANS[k][i]).sum());
    let variance = std::array::from_fn(|i| {
        (0..3).map(|k| WEIGHTS[k] * ((MEANS[k][i] - mean[i]).powi(2) + DEVIATIONS[k].powi(2))).sum()
    });
    (mean, variance)
}

/// Draws of the mixture, standardised by its exact moments.
fn sample(n: usize, seed: u64) -> Dataset {
    let mut rng = Rng::new(seed, STREAM);
    let points: Vec<f64> = (0..n)
        .flat_map(|_| {
            let u = rng.uniform();
            let k = if u < WEIGHTS[0] { 0 } else { 1 + usize::from(u >= WEIGHTS[0] + WEIGHTS[1]) };
            let (x, y) = rng.normal_pair();
            [MEANS[k][0] + DEVIATIONS[k] * x, MEANS[k][1] + DEVIATIONS[k] * y]
        })
        .collect();
    let (mean, variance) = moments();
    Dataset::standardised(
        "three-gaussians".to_owned(),
        &points,
        mean.to_vec(),
        variance.map(f64::sqrt).to_vec(),
    )
}

/// The log-density of a standardised point, in standardised coordinates.
fn log_density(x: [f64; 2]) -> f64 {
    let (mean, variance) = moments();
    let point: [f64; 2] = std::array::from_fn(|i| mean[i] + variance[i].sqrt() * x[i]);
    let logs: [f64; 3] = std::array::from_fn(|k| {
        let square: f64 = (0..2).map(|i| (point[i] - MEANS[k][i]).powi(2)).sum();
        let variance = DEVIATIONS[k].powi(2);
        WEIGHTS[k].ln() - (std::f64::consts::TAU * variance).ln() - 0.5 * square / variance
    });
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - top).exp()).sum();
    top + sum.ln() + 0.5 * (variance[0] * variance[1]).ln()
}

/// Pearson's, of truth and estimate.
fn correlation(points: &[Point]) -> f64 {
    let n = points.len() as f64;
    let truth = points.iter().map(|p| p.truth).sum::<f64>() / n;
    let estimate = points.iter().map(|p| p.estimate).sum::<f64>() / n;
    let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
    for p in points {
        let (a, b) = (p.truth - truth, p.estimate - estimate);
        (both, one, other) = (both + a * b, one + a * a, other + b * b);
    }
    both / (one * other).sqrt()
}

/// Estimate over truth: a panel for each loss and place, the same scale for all.
fn picture(path: &Path, runs: &[(&Job, &[Vec<Point>; 2])]) -> anyhow::Result<()> {
    let mut drawn = Vec::new();
    for (place, name) in PLACES.iter().enumerate() {
        for (job, points) in runs {
            let dots: Vec<[f32; 2]> =
                points[place].iter().map(|p| [p.truth as f32, p.estimate as f32]).collect();
            let bars: Vec<Vec<[f32; 2]>> = points[place]
                .iter()
                .map(|p| {
                    [-1.0, 1.0].map(|sign| [p.truth as f32, (p.estimate + sign * p.error) as f32]).to_vec()
                })
                .collect();
            let (low, high) = points[place]
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p.truth), b.max(p.truth)));
            let line = [low, high].map(|v| [v as f32; 2]);
            drawn.push((format!("{}, {name}: estimate over truth, nats", job.loss.name()), dots, bars, line));
        }
    }
    let series: Vec<Vec<Series<'_>>> = drawn
        .iter()
        .map(|(_, dots, bars, line)| {
            let bar = |points| Series { label: "", points, colour: PALETTE[5], joined: true };
            bars.iter()
                .map(|bar_points| bar(&bar_points[..]))
                .chain([
                    Series { label: "", points: dots, colour: PALETTE[0], joined: false },
                    Series { label: "equal", points: line, colour: PALETTE[1], joined: true },
                ])
                .collect()
        })
        .collect();
    let all: Vec<(&str, &[Series<'_>])> =
        drawn.iter().zip(&series).map(|((title, ..), series)| (title.as_str(), &series[..])).collect();
    Ok(panels(&all, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_integrates_to_one_and_fits_the_draws() {
        let step = 0.02;
        let sum: f64 = (-250..250)
            .flat_map(|i| (-250..250).map(move |j| [f64::from(i) * step, f64::from(j) * step]))
            .map(|x| log_density(x).exp() * step * step)
            .sum();
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
        let data = sample(20_000, 3);
        assert!((data.mean_square() - 1.0).abs() < 0.03, "{}", data.mean_square());
    }

    #[test]
    fn estimates_follow_the_truth() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size { steps: 300, seeds: 1, train: 1000, points: 40, draws: 64, repeats: 3 };
        let report = experiment(folder.path(), &size).unwrap();
        for row in report["runs"].as_array().unwrap() {
            assert!(row["correlation"].as_f64().unwrap() > 0.5, "{row}");
            assert!(row["estimate_error"].as_f64().unwrap() > 0.0, "{row}");
        }
        assert!(folder.path().join("densities.png").exists());
    }
}
