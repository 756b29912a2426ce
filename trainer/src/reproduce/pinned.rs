//! The pinned process against the variance-preserving one: arXiv 2305.09605.

use super::jobs::each;
use super::network::{draw, trained};
use super::report::{self, FRESH};
use super::spread::summary;
use crate::data::Builtin;
use crate::loss::{LossConfig, OutputName, ProcessName};
use crate::metrics::GaussianKernel;
use crate::train::{TrainConfig, Trainer};
use anyhow::Context;
use picardy::{Ddpm, Level, Node, Pinned, Solver};
use picardy_ort::picture::{PALETTE, Series, panels};
use serde_json::{Value, json};
use std::path::Path;

const DATA: [Builtin; 2] = [Builtin::Dino, Builtin::TwoMoons];

/// A process and what its network returns.
#[derive(Clone, Copy)]
struct Arm {
    name: &'static str,
    process: ProcessName,
    prediction: OutputName,
}

/// The second tells what comes of the process from what comes of the prediction.
const ARMS: [Arm; 3] = [
    Arm { name: "vp-epsilon", process: ProcessName::Vp, prediction: OutputName::Epsilon },
    Arm { name: "vp-sample", process: ProcessName::Vp, prediction: OutputName::Sample },
    Arm { name: "pinned", process: ProcessName::Pinned, prediction: OutputName::Sample },
];

struct Size {
    steps: u64,
    seeds: u64,
    samples: usize,
    /// Steps of the samplers.
    grids: &'static [usize],
}

struct Job {
    data: Builtin,
    arm: Arm,
    seed: u64,
}

/// MMD to fresh data of samples by the pinned process (prediction of the data, time uniform) and by the variance-preserving one
/// (DDPM; prediction of the noise, as is usual, and of the data), on the dino and two moons: the same network, training steps and
/// sampling steps for all. Width 128, 2 blocks, batch 128, 8000 points, Adam 1e-3 falling along half a cosine, averaged weights.
///
/// With v = 1 a step of the pinned sampler is DDPM's in other coordinates, so what differs is which levels the network is trained
/// at, how its error is weighted, and the scale of what it is shown.
///
/// Writes a picture of each data set's samples and `report.json` into `out`. `quick` trains one seed for fewer steps; `seeds`
/// says how many.
///
/// # Errors
///
/// The file system's; a loss that is not finite; 0 seeds.
pub fn pinned(out: &Path, quick: bool, seeds: Option<u64>) -> anyhow::Result<Value> {
    let seeds = report::seeds(seeds, quick, 5)?;
    let size = if quick {
        Size { steps: 500, seeds, samples: 512, grids: &[20] }
    } else {
        Size { steps: 10_000, seeds, samples: 4096, grids: &[20, 100] }
    };
    experiment(out, &size)
}

fn experiment(out: &Path, size: &Size) -> anyhow::Result<Value> {
    report::folder(out)?;
    let jobs: Vec<Job> = DATA
        .into_iter()
        .flat_map(|data| ARMS.map(|arm| (data, arm)))
        .flat_map(|(data, arm)| (0..size.seeds).map(move |seed| Job { data, arm, seed }))
        .collect();
    let done = each(&jobs, |job| {
        run(job, size).with_context(|| format!("{}, {}, seed {}", job.data, job.arm.name, job.seed))
    })?;
    for data in DATA {
        let of = jobs.iter().zip(&done).filter(|(job, _)| job.data == data && job.seed == 0);
        let series: Vec<(&str, [Series<'_>; 1])> = of
            .map(|(job, (_, points))| {
                (job.arm.name, [Series { label: "", points, colour: PALETTE[0], joined: false }])
            })
            .collect();
        let all: Vec<(&str, &[Series<'_>])> =
            series.iter().map(|(name, series)| (*name, &series[..])).collect();
        panels(&all, &out.join(format!("{data}.png")))?;
    }
    let rows: Vec<Value> = done.into_iter().flat_map(|(rows, _)| rows).collect();
    let mut ours = Vec::new();
    for data in DATA {
        for &steps in size.grids {
            let of = |arm: &Arm| {
                summary(&rows, &["mmd", "mmd_error"], |row| {
                    row["data"] == data.name() && row["process"] == arm.name && row["sample_steps"] == steps
                })
            };
            let mut row = json!({ "data": data.name(), "sample_steps": steps });
            for arm in &ARMS {
                row[arm.name] = of(arm);
            }
            let mean = |name: &str| row[name]["mmd"]["mean"].as_f64().unwrap_or(f64::NAN);
            row["pinned_over_vp"] = json!(mean("pinned") / mean("vp-epsilon"));
            ours.push(row);
        }
    }
    let report = json!({
        "experiment": "pinned", "source": "arXiv 2305.09605",
        "paper": "compares the pinned process with the variance-preserving one at equal networks and steps; its figures were not at hand",
        "measure": "unbiased MMD^2 (Gaussian kernel, bandwidth 0.03) of as many samples and fresh data, standardised coordinates",
        "steps": size.steps, "seeds": size.seeds, "samples": size.samples, "ours": ours, "runs": rows,
    });
    report::finish(out, report)
}

/// A row for each grid, and the samples of the last one in the data's units.
fn run(job: &Job, size: &Size) -> anyhow::Result<(Vec<Value>, Vec<[f32; 2]>)> {
    let mut loss = LossConfig::standard();
    (loss.process, loss.prediction) = (job.arm.process, job.arm.prediction);
    let mut config = TrainConfig { loss, ..TrainConfig::default() };
    (config.run.steps, config.run.seed) = (size.steps, job.seed);
    let data = job.data.sample(8000, job.seed)?;
    let (trainer, seconds) = trained(config, data, None)?;
    let fresh = job.data.sample(size.samples, job.seed + FRESH)?;
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for &steps in size.grids {
        let samples = sample(&trainer, job, steps, size.samples)?;
        let mmd = GaussianKernel::default().mmd(&samples, &fresh.data(), 2)?;
        let row = json!({
            "data": job.data.name(), "process": job.arm.name, "seed": job.seed, "sample_steps": steps,
            "train_seconds": seconds, "mmd": mmd.value, "mmd_error": mmd.standard_error,
        });
        println!("{row}");
        rows.push(row);
        let restored = trainer.data().restore(&samples);
        points = restored.as_chunks::<2>().0.iter().map(|&[x, y]| [x as f32, y as f32]).collect();
    }
    Ok((rows, points))
}

fn sample(trainer: &Trainer, job: &Job, steps: usize, count: usize) -> anyhow::Result<Vec<f32>> {
    let mut levels = vec![Level::default(); steps + 1];
    let grid = trainer.config().noise_schedule()?.trailing(steps, &mut levels)?;
    let mut nodes = vec![Node::default(); steps + 1];
    let (model, prediction) = (trainer.averaged()?, trainer.config().loss.output());
    let plan = match job.arm.process {
        ProcessName::Pinned => {
            let variance = trainer.config().loss.variance;
            Pinned { variance }.plan(&grid, prediction, &mut nodes)?
        }
        _ => Ddpm::default().plan(&grid, prediction, &mut nodes)?,
    };
    draw(&model, &plan, count, job.seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_learns_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let report =
            experiment(folder.path(), &Size { steps: 1000, seeds: 1, samples: 300, grids: &[20] }).unwrap();
        let rows = report["runs"].as_array().unwrap();
        assert_eq!(rows.len(), 6);
        let mut noise = vec![0.0; 600];
        crate::rng::Rng::new(1, 0).fill_normal(&mut noise);
        // The dino takes longer than a test.
        for row in rows.iter().filter(|row| row["data"] == "two-moons") {
            let data = Builtin::TwoMoons.sample(300, 9).unwrap();
            let untaught = GaussianKernel::default().mmd(&noise, &data.data(), 2).unwrap();
            assert!(row["mmd"].as_f64().unwrap() < 0.75 * untaught.value, "{row}, noise {untaught:?}");
        }
        assert!(folder.path().join("dino.png").exists() && folder.path().join("two-moons.png").exists());
    }
}
