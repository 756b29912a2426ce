//! The noise classifier: which inputs are not of the data, by networks of the standard and of the contrastive loss.

use super::chart::{Line, chart};
use super::corrupt::Corruption;
use super::digits::contrastive;
use super::jobs::each;
use super::network::{ROWS, for_sampling, trained};
use super::report;
use super::spread::{Spread, summary};
use crate::data::{Dataset, digits};
use crate::loss::{LossConfig, NoiseTable};
use crate::model::{Network, NetworkError, NetworkKind};
use crate::rng::Rng;
use crate::train::{LossKind, TrainConfig};
use anyhow::Context;
use picardy::likelihood::{
    BANDS, Likelihood, LikelihoodMemory, LogSnrs, Nats, Profile, Threshold, Typical, View,
};
use picardy::{Batch, Prediction, denoiser};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

const STREAM: u64 = 0x434C_4153_0000_0000;
const LOSSES: [&str; 2] = ["standard", "contrastive"];
/// False alarms that the thresholds may give.
const RATE: f64 = 0.05;
/// The log-SNRs of the digits. The upper end is short of where the images' whole pixels show.
const IMAGES: LogSnrs = LogSnrs::Logistic { loc: 1.2, scale: 1.5, clip: 2.5 };
/// Those of the observations.
const PLANE: LogSnrs = LogSnrs::Logistic { loc: 2.0, scale: 1.5, clip: 4.5 };
/// The draws of all estimates.
const DRAWS: u64 = 7;

struct Size {
    seeds: u64,
    /// Steps of the U-Net that both losses have in common, and those in which they differ; steps of the observations' network.
    steps: [u64; 3],
    widths: [usize; 2],
    /// Held-out inputs: for what is usual, for the threshold, and for the test.
    held_out: [usize; 3],
    evaluations: usize,
}

/// A set of inputs in the network's coordinates.
struct Inputs {
    name: &'static str,
    x: Vec<f32>,
}

/// Finding inputs that are not of the data by their density's profile over the noise levels ([`Typical`]), and, for comparison, by `-log p(x)`
/// alone ([`Likelihood`]), of networks of the standard and of the contrastive loss (arXiv 2407.08946): corrupted digits (noise, blur, an inverted block, inverted, turned, shuffled), and observations of a point robot
/// whose sensor is shifted, noisy or stuck.
///
/// The measure is the area under the ROC curve (AUROC) of held-out against spoilt inputs. Thresholds are calibrated on other held-out
/// inputs at a false-alarm rate of 0.05 ([`Threshold`]); the report has the rates of alarms. All estimates share their draws.
///
/// Digits: a 2-D U-Net, trained with the standard loss, then with either for equal steps, on 65% of the images. Observations: the residual
/// MLP, from the start. Writes `roc-digits.png`, `roc-observations.png` and `report.json` into `out`.
///
/// # Errors
///
/// The file system's; a loss that is not finite; 0 seeds.
pub fn classifier(out: &Path, quick: bool, seeds: Option<u64>) -> anyhow::Result<Value> {
    let seeds = report::seeds(seeds, quick, 2)?;
    let size = if quick {
        Size { seeds, steps: [150, 50, 300], widths: [8, 8], held_out: [60, 60, 60], evaluations: 32 }
    } else {
        Size {
            seeds,
            steps: [3000, 1500, 6000],
            widths: [16, 32],
            held_out: [200, 200, 200],
            evaluations: 128,
        }
    };
    experiment(out, &size)
}

fn experiment(out: &Path, size: &Size) -> anyhow::Result<Value> {
    report::folder(out)?;
    let jobs: Vec<(u64, bool)> = (0..size.seeds).flat_map(|seed| [(seed, true), (seed, false)]).collect();
    let rows: Vec<Value> =
        each(
            &jobs,
            |&(seed, images)| if images { of_digits(seed, size) } else { of_observations(seed, size) },
        )?
        .concat();
    let mut ours = Vec::new();
    for data in ["digits", "observations"] {
        let named = |row: &Value| row["data"] == data && row["loss"] == LOSSES[0] && row["seed"] == 0;
        let names: Vec<&str> =
            rows.iter().filter(|row| named(row)).filter_map(|row| row["inputs"].as_str()).collect();
        for name in names {
            let keys = ["auroc", "auroc_density", "alarms", "mean_nats"];
            let of = |loss: &str| {
                summary(&rows, &keys, |row| {
                    row["data"] == data && row["inputs"] == name && row["loss"] == loss
                })
            };
            ours.push(json!({ "data": data, "inputs": name, "standard": of("standard"), "contrastive": of("contrastive") }));
        }
        let lines = LOSSES.map(|loss| line(&rows, data, loss));
        let title = format!("{data}: all that are spoilt against held-out ones");
        chart(&out.join(format!("roc-{data}.png")), &title, "false alarms", "found", &lines)?;
    }
    let mut rows = rows;
    rows.iter_mut().filter_map(Value::as_object_mut).for_each(|row| drop(row.remove("roc")));
    let report = json!({
        "experiment": "classifier", "source": "arXiv 2407.08946, 2302.03792",
        "paper": "the densities of a diffusion model tell noise levels apart; no figure of the paper is of these data",
        "measure": "auroc: held-out against spoilt, by the profile over noise levels; auroc_density: by -log p alone; alarms: the part above the threshold of the held-out calibration set; `held-out`: false alarms",
        "rate": RATE, "evaluations": size.evaluations, "steps": size.steps, "widths": size.widths, "seeds": size.seeds,
        "ours": ours, "runs": rows,
    });
    report::finish(out, report)
}

/// What a network says of items: `log p` in standardised coordinates, and its profile.
fn asked(
    model: &mut Network<f32>,
    table: &NoiseTable,
    levels: LogSnrs,
    evaluations: usize,
    x: &[f32],
) -> anyhow::Result<(Vec<Nats>, Vec<Profile>)> {
    let (dim, most) = (model.dim(), model.max_batch());
    let view = |l: f64| View::new(&table.level(table.nearest(l)), Prediction::Epsilon);
    let likelihood = Likelihood { levels, evaluations, variance: 1.0, seed: DRAWS, view };
    let mut t = Vec::new();
    let mut denoiser = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
        t.clear();
        t.extend(batch.iter().map(|row| row.level.t as f32));
        for ((t, x), out) in t.chunks(most).zip(x.chunks(most * dim)).zip(out.chunks_mut(most * dim)) {
            out.copy_from_slice(model.forward(x, t, &[])?);
        }
        Ok::<(), NetworkError>(())
    });
    let mut memory = LikelihoodMemory::new();
    let mut buffers = memory.buffers(evaluations, dim);
    let mut nats = vec![Nats::default(); x.len() / dim];
    let mut profiles = vec![[0.0; BANDS]; nats.len()];
    likelihood.log_density(&mut denoiser, x, &mut buffers, &mut nats)?;
    likelihood.profile(&mut denoiser, x, &mut buffers, &mut profiles)?;
    Ok((nats, profiles))
}

/// Inputs' scores: by profile, by density; and the mean standard error of the densities.
struct Scores {
    typical: Vec<f64>,
    density: Vec<f64>,
    errors: Vec<f64>,
}

/// What one network says of the inputs: a row for the held-out ones, for each kind of spoilt ones, and for all of these.
fn judged(
    about: &Value,
    model: &mut Network<f32>,
    table: &NoiseTable,
    levels: LogSnrs,
    size: &Size,
    [usual, calibration, held_out]: [&[f32]; 3],
    spoilt: &[Inputs],
) -> anyhow::Result<Vec<Value>> {
    let begin = Instant::now();
    let mut ask = |x: &[f32]| asked(model, table, levels, size.evaluations, x);
    let typical = Typical::fit(&ask(usual)?.1)?;
    let mut scores = |x: &[f32]| -> anyhow::Result<Scores> {
        let (nats, profiles) = ask(x)?;
        Ok(Scores {
            typical: profiles.iter().map(|profile| typical.score(profile)).collect(),
            density: nats.iter().map(|nats| -nats.value).collect(),
            errors: nats.iter().map(|nats| nats.standard_error).collect(),
        })
    };
    let threshold = Threshold::calibrate(&mut scores(calibration)?.typical, RATE)?;
    let own = scores(held_out)?;
    let mut rows = Vec::new();
    let mut row = |name: &str, scores: &Scores| {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mut row = about.clone();
        let alarms = scores.typical.iter().filter(|score| threshold.is_alarm(**score)).count();
        row["inputs"] = json!(name);
        row["alarms"] = json!(alarms as f64 / scores.typical.len() as f64);
        row["mean_nats"] = json!(-mean(&scores.density));
        row["estimate_error"] = json!(mean(&scores.errors));
        row["auroc"] = json!(auroc(&own.typical, &scores.typical));
        row["auroc_density"] = json!(auroc(&own.density, &scores.density));
        println!("{row}");
        if name == "all" {
            row["roc"] = json!(roc(&own.typical, &scores.typical));
        }
        rows.push(row);
    };
    row("held-out", &own);
    let mut all = Scores { typical: Vec::new(), density: Vec::new(), errors: Vec::new() };
    for Inputs { name, x } in spoilt {
        let scores = scores(x)?;
        row(name, &scores);
        all.typical.extend(scores.typical);
        all.density.extend(scores.density);
        all.errors.extend(scores.errors);
    }
    row("all", &all);
    println!("judged in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(rows)
}

fn of_digits(seed: u64, size: &Size) -> anyhow::Result<Vec<Value>> {
    let whole = digits()?;
    let (train, held_out) = whole.split(0.35, seed)?;
    let config = |part: usize, loss: LossConfig| {
        let mut config = TrainConfig { loss, ..TrainConfig::default() };
        let widths = size.widths.to_vec();
        config.network = NetworkKind::Unet2d { widths, embedding: 32, blocks: 1, groups: 4, heads: 4 };
        (config.run.steps, config.run.batch) = (size.steps[part], 64);
        config.run.seed = if part == 0 { seed } else { seed + (1 << 40) };
        config.optimiser.rate = if part == 0 { 2e-3 } else { 5e-4 };
        config
    };
    let run = |part, loss, weights: Option<&[f32]>| {
        trained(config(part, loss), train.clone(), weights).with_context(|| format!("digits, seed {seed}"))
    };
    let (base, common) = run(0, LossConfig::standard(), None)?;
    let base = base.averaged()?;
    let dim = whole.dim();
    let data = held_out.data();
    let [usual, calibration, _] = size.held_out;
    anyhow::ensure!(
        data.len() > (usual + calibration) * dim,
        "{} held-out images are too few",
        held_out.len()
    );
    let (usual, rest) = data.split_at(usual * dim);
    let (calibration, rest) = rest.split_at(calibration * dim);
    let own = &rest[..(size.held_out[2] * dim).min(rest.len())];
    let mut rng = Rng::new(seed, STREAM);
    let spoilt = Corruption::ALL.map(|corruption| {
        let images = own.chunks_exact(dim).flat_map(|x| {
            let image: Vec<f64> = whole.restore(x).iter().map(|pixel| pixel.round()).collect();
            corruption.apply(&image, &mut rng)
        });
        let affine = whole.mean().iter().zip(whole.scale()).cycle();
        let x = images.zip(affine).map(|(pixel, (mean, scale))| ((pixel - mean) / scale) as f32).collect();
        Inputs { name: corruption.name(), x }
    });
    let mut rows = Vec::new();
    for (name, loss) in LOSSES.into_iter().zip([LossConfig::standard(), contrastive()]) {
        let (trainer, seconds) = run(1, loss, Some(base.parameters()))?;
        let about =
            json!({ "data": "digits", "loss": name, "seed": seed, "train_seconds": common + seconds });
        let mut model = for_sampling(&trainer.averaged()?)?;
        rows.extend(judged(
            &about,
            &mut model,
            trainer.table(),
            IMAGES,
            size,
            [usual, calibration, own],
            &spoilt,
        )?);
    }
    Ok(rows)
}

/// Observations of a point robot that passes a round obstacle on either side: places along the two paths, with a little noise. Standardised by
/// fixed numbers.
fn observations(n: usize, seed: u64) -> Dataset {
    let mut rng = Rng::new(seed, STREAM);
    let points: Vec<f64> = (0..n)
        .flat_map(|_| {
            let way = rng.uniform();
            let side = if rng.below(2) == 1 { 1.0 } else { -1.0 };
            let (x, y) = rng.normal_pair();
            [2.0 * way - 1.0 + 0.03 * x, 0.6 * side * (std::f64::consts::PI * way).sin() + 0.03 * y]
        })
        .collect();
    Dataset::standardised("observations".to_owned(), &points, vec![0.0; 2], vec![0.578, 0.425])
}

/// Sensors that fail.
fn failures(own: &[f32], seed: u64) -> [Inputs; 4] {
    let mut rng = Rng::new(seed, STREAM + 1);
    let mut each = |name, spoil: &dyn Fn([f32; 2], &mut Rng) -> [f32; 2]| Inputs {
        name,
        x: own.chunks_exact(2).flat_map(|x| spoil([x[0], x[1]], &mut rng)).collect(),
    };
    [
        each("shifted", &|[x, y], _| [x, y + 0.7]),
        each("noisy", &|[x, y], rng| [x + 0.7 * rng.normal() as f32, y + 0.7 * rng.normal() as f32]),
        each("stuck", &|[x, _], _| [x, 0.0]),
        each("far", &|[x, y], _| [x + 4.0, y]),
    ]
}

fn of_observations(seed: u64, size: &Size) -> anyhow::Result<Vec<Value>> {
    let train = observations(8000, seed);
    let sets = [0, 1, 2].map(|k| observations(size.held_out[k], seed + (k as u64 + 1) * report::FRESH));
    let [usual, calibration, own] = sets.each_ref().map(Dataset::data);
    let spoilt = failures(&own, seed);
    let mut rows = Vec::new();
    for (name, loss) in LOSSES.into_iter().zip([LossKind::Standard, LossKind::Contrastive]) {
        let mut config = TrainConfig { loss: loss.config(), ..TrainConfig::default() };
        (config.run.steps, config.run.seed) = (size.steps[2], seed);
        let (trainer, seconds) =
            trained(config, train.clone(), None).with_context(|| format!("observations, seed {seed}"))?;
        let about = json!({ "data": "observations", "loss": name, "seed": seed, "train_seconds": seconds });
        let averaged = trainer.averaged()?;
        let mut model = Network::new(averaged.config(), ROWS, 0)?;
        model.parameters_mut().copy_from_slice(averaged.parameters());
        rows.extend(judged(
            &about,
            &mut model,
            trainer.table(),
            PLANE,
            size,
            [&usual, &calibration, &own],
            &spoilt,
        )?);
    }
    Ok(rows)
}

/// The probability that a spoilt input's score is above an own one's; ties count half (the Mann-Whitney statistic).
fn auroc(own: &[f64], spoilt: &[f64]) -> f64 {
    let above: f64 = spoilt
        .iter()
        .flat_map(|s| own.iter().map(move |o| if s > o { 1.0 } else { f64::from(u8::from(s == o)) / 2.0 }))
        .sum();
    above / (own.len() * spoilt.len()) as f64
}

/// The part of spoilt inputs that is found at false-alarm rates of 0, 0.02, 0.04 and so on.
fn roc(own: &[f64], spoilt: &[f64]) -> Vec<f64> {
    let mut own = own.to_vec();
    own.sort_by(|a, b| b.total_cmp(a));
    (0..=50)
        .map(|place| {
            let above = own.get(own.len() * place / 50).copied().unwrap_or(f64::NEG_INFINITY);
            spoilt.iter().filter(|score| **score > above).count() as f64 / spoilt.len() as f64
        })
        .collect()
}

/// The ROC curve of a loss, mean and spread over seeds.
fn line(rows: &[Value], data: &str, loss: &str) -> Line {
    let chosen = |row: &&Value| row["data"] == data && row["loss"] == loss && row["inputs"] == "all";
    let curves: Vec<&Vec<Value>> =
        rows.iter().filter(chosen).filter_map(|row| row["roc"].as_array()).collect();
    let point = |place: usize| {
        let found: Vec<f64> = curves.iter().filter_map(|curve| curve.get(place)?.as_f64()).collect();
        (place as f64 / 50.0, Spread::of(&found))
    };
    (loss.to_owned(), (0..=50).map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_mann_whitney_statistic() {
        assert_eq!(auroc(&[1.0, 2.0], &[3.0, 4.0]), 1.0);
        assert_eq!(auroc(&[1.0, 2.0], &[2.0, 0.0]), 0.375);
        let curve = roc(&[1.0, 2.0, 3.0, 4.0], &[2.5, 9.0]);
        // Thresholds 4, 3, 2 and none.
        assert_eq!([curve[0], curve[13], curve[25], curve[50]], [0.5, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_tiny_experiment_finds_what_is_spoilt() {
        let place = tempfile::tempdir().unwrap();
        let size =
            Size { seeds: 1, steps: [60, 20, 200], widths: [8, 8], held_out: [40, 40, 40], evaluations: 16 };
        let report = experiment(place.path(), &size).unwrap();
        let ours = report["ours"].as_array().unwrap();
        assert_eq!(ours.len(), 9 + 6);
        for row in ours {
            let of = |loss: &str, key: &str| row[loss][key]["mean"].as_f64().unwrap();
            let auroc = |loss| of(loss, "auroc");
            match row["inputs"].as_str().unwrap() {
                "held-out" => assert_eq!((auroc("standard"), auroc("contrastive")), (0.5, 0.5)),
                // Far off the data, any network will do.
                "inverted" | "far" => assert!(auroc("standard") > 0.9, "{row}"),
                "noise" => assert!(of("standard", "auroc_density") > 0.9, "{row}"),
                _ => {}
            }
        }
        assert!(
            place.path().join("roc-digits.png").exists()
                && place.path().join("roc-observations.png").exists()
        );
    }
}
