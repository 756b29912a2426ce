//! How much noise a stochastic sampler adds: the distance to data over S_churn (arXiv 2407.08946).

use super::chart::{Line, chart};
use super::digits::{DISTANCE, Judge, Networks, Size, betas, contrastive, networks};
use super::network::{draw, nodes, run};
use super::report::{folder, write_report};
use super::spread::Spread;
use crate::model::Network;
use picardy::{Betas, Curve, Ddpm, Edm, Final, Level, Picard, Plan, Slope};
use serde_json::{Value, json};
use std::f64::consts::SQRT_2;
use std::path::Path;

/// Steps of EDM's sampler: 35 evaluations.
const STEPS: usize = 18;
/// Parts of the largest S_churn, which is N (sqrt 2 - 1): more does not add more noise.
const PARTS: [f64; 6] = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0];
const LOSSES: [&str; 2] = ["standard", "contrastive"];

fn s_churn(part: f64) -> f64 {
    part * STEPS as f64 * (SQRT_2 - 1.0)
}

/// The distance of samples to the digits over S_churn, 0 to the largest, of networks of the standard and of the contrastive loss, and
/// the rounds of parallel DDPM of both; mean and spread over seeds (of training and noise).
///
/// A 2-D U-Net is trained with the standard loss; from its weights one network goes on with it, the other with the contrastive
/// loss (zeta logistic 10.5, 1.5, clip 3), for equal steps. Samples by EDM's stochastic sampler (arXiv 2206.00364, algorithm 2) of
/// 18 steps along Karras' curve, S_min 0.05, S_max 50, S_noise 1.003. Parallel DDPM is [`Picard`] with multisecant slopes of two
/// directions and its own tolerance.
///
/// Networks are kept in the folder `networks` beside `out`, which [`gradient_estimation`](super::gradient_estimation()) shares.
/// `seeds` are 3 where it says nothing; `quick` takes seconds.
///
/// # Errors
///
/// The file system's; a loss or a sample that is not finite.
pub fn churn(out: &Path, quick: bool, seeds: Option<u64>) -> anyhow::Result<Value> {
    folder(out)?;
    let size = Size::new(quick, seeds);
    let judge = Judge::new()?;
    let betas = betas()?;
    let (mut rows, mut parallel, mut training) = (Vec::new(), Vec::new(), Vec::new());
    for networks in networks(&out.with_file_name("networks"), &size, true)? {
        training.push(networks.seconds);
        for (name, network) in pair(&networks) {
            over_churn(out, &size, &judge, &betas, (name, network, networks.seed), &mut rows)?;
            let row = rounds(&size, &betas, (name, network, networks.seed))?;
            println!("{row}");
            parallel.push(row);
        }
    }
    let (ours, rounds) = (summary(&rows), round_summary(&parallel));
    for row in ours.iter().chain([&rounds]) {
        println!("{row}");
    }
    for key in ["pixels", "features"] {
        let lines: Vec<Line> = LOSSES.map(|name| line(&rows, name, key)).to_vec();
        let path = out.join(format!("distance-{key}.png"));
        chart(
            &path,
            &format!("Digits: distance ({key}) over S_churn"),
            "S_churn",
            "Frechet distance",
            &lines,
        )?;
    }
    let report = json!({
        "experiment": "churn", "source": "arXiv 2407.08946",
        "paper": "the contrastive loss lowers FID most at the extremes of S_churn, and parallel DDPM's cost; its figures were not at hand",
        "wanted": "a lower distance at the extremes of S_churn, and no more rounds",
        "distance": DISTANCE, "steps_of_edm": STEPS,
        "network": format!("unet2d, widths {:?}, {:?} steps: standard, then either loss", size.widths, size.steps),
        "contrastive": contrastive().contrastive, "training_seconds": training,
        "seeds": size.seeds, "samples": size.samples, "resampled_data": judge.floor(size.samples)?,
        "ours": ours, "parallel_ddpm": rounds, "runs": rows, "parallel_runs": parallel,
    });
    println!("resampled data {}", report["resampled_data"]);
    write_report(out, &report)?;
    Ok(report)
}

fn pair(networks: &Networks) -> impl Iterator<Item = (&'static str, &Network<f32>)> {
    [Some(&networks.standard), networks.contrastive.as_ref()]
        .into_iter()
        .zip(LOSSES)
        .filter_map(|(network, name)| network.map(|network| (name, network)))
}

fn over_churn(
    out: &Path,
    size: &Size,
    judge: &Judge,
    betas: &Betas,
    (name, network, seed): (&str, &Network<f32>, u64),
    rows: &mut Vec<Value>,
) -> anyhow::Result<()> {
    let mut levels = vec![Level::default(); STEPS + 1];
    betas.respaced(STEPS, &Curve::karras(), Final::Data, &mut levels)?;
    for part in PARTS {
        let solver = Edm { s_churn: s_churn(part), s_min: 0.05, s_max: 50.0, s_noise: 1.003 };
        let (nodes, form) = nodes(&solver, &levels)?;
        let plan = Plan::new(&nodes, form)?;
        let samples = draw(network, &plan, size.samples, seed)?;
        let distances = judge.distances(&samples)?;
        if seed == 0 && (part == 0.0 || part == 1.0) {
            judge.picture(&samples, &out.join(format!("{name}-{:.1}.png", s_churn(part))))?;
        }
        let row = json!({ "loss": name, "seed": seed, "part": part, "s_churn": s_churn(part),
                          "pixels": distances.pixels, "features": distances.features });
        println!("{row}");
        rows.push(row);
    }
    Ok(())
}

/// Rounds and evaluations of parallel DDPM.
fn rounds(
    size: &Size,
    betas: &Betas,
    (name, network, seed): (&str, &Network<f32>, u64),
) -> anyhow::Result<Value> {
    let [steps, items] = size.parallel;
    let mut levels = vec![Level::default(); steps + 1];
    betas.trailing(steps, &mut levels)?;
    let (nodes, form) = nodes(&Ddpm::default(), &levels)?;
    let plan = Plan::new(&nodes, form)?;
    let picard = Picard { slope: Slope::Multisecant(2), ..Picard::default() };
    let outcome = run(&mut network.clone(), &plan, &picard, 0..items, seed)?;
    Ok(json!({ "loss": name, "seed": seed, "steps": steps, "items": items, "rounds": outcome.report.rounds,
               "evaluations_per_item": outcome.report.evaluations as f64 / items as f64 }))
}

fn chosen(name: &str, part: f64) -> [(&'static str, Value); 2] {
    [("loss", json!(name)), ("part", json!(part))]
}

fn line(rows: &[Value], name: &str, key: &str) -> Line {
    let point = |part| (s_churn(part), Spread::over(rows, &chosen(name, part), key));
    (name.to_owned(), PARTS.map(point).to_vec())
}

/// At each S_churn both losses' distances, their ratio, and in how many seeds the contrastive one is lower.
fn summary(rows: &[Value]) -> Vec<Value> {
    let at = |part: f64| {
        let mut row = json!({ "s_churn": s_churn(part) });
        for key in ["pixels", "features"] {
            let [standard, tuned] = LOSSES.map(|name| Spread::over(rows, &chosen(name, part), key));
            let values = |name| {
                let wanted = chosen(name, part);
                let own = rows.iter().filter(move |row| wanted.iter().all(|(k, v)| row[*k] == *v));
                own.filter_map(|row| row[key].as_f64()).collect::<Vec<_>>()
            };
            let [a, b] = LOSSES.map(values);
            let lower = a.iter().zip(&b).filter(|(a, b)| b < a).count();
            row[key] = json!({ "standard": standard, "contrastive": tuned,
                               "contrastive_over_standard": tuned.mean / standard.mean, "seeds_lower": lower });
        }
        row
    };
    PARTS.map(at).to_vec()
}

fn round_summary(rows: &[Value]) -> Value {
    let of = |name: &str| {
        let own = [("loss", json!(name))];
        json!({ "rounds": Spread::over(rows, &own, "rounds"),
                "evaluations_per_item": Spread::over(rows, &own, "evaluations_per_item") })
    };
    json!({ "standard": of("standard"), "contrastive": of("contrastive") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_experiment_judges_both_losses() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("churn");
        let report = churn(&out, true, None).unwrap();
        let ours = report["ours"].as_array().unwrap();
        assert_eq!((ours.len(), ours[0]["s_churn"].as_f64()), (6, Some(0.0)));
        for row in ours {
            let ratio = row["pixels"]["contrastive_over_standard"].as_f64().unwrap();
            assert!(ratio > 0.0 && ratio != 1.0, "{row}");
        }
        for name in LOSSES {
            let rounds = report["parallel_ddpm"][name]["rounds"]["mean"].as_f64().unwrap();
            assert!((2.0..100.0).contains(&rounds), "{rounds}");
        }
        assert!(out.join("distance-features.png").exists() && out.join("contrastive-0.0.png").exists());
    }
}
