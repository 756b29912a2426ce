//! What the experiments share.

use crate::data::Dataset;
use crate::model::{Network, NetworkError};
use crate::physics::Residual;
use crate::train::{TrainConfig, Trainer, write_whole};
use anyhow::Context;
use picardy::{Batch, Memory, Noise, Plan, Sampler, Sequential, denoiser};
use serde_json::{Value, json};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is added to a seed for draws that no training has seen.
pub(super) const FRESH: u64 = 1_000_003;

/// The mean and the standard deviation (of n - 1) of values; 0 for one.
pub(super) fn mean_spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// The mean and the spread of each of `keys` over the rows that `chosen` picks.
pub(super) fn summary(rows: &[Value], keys: &[&str], chosen: impl Fn(&Value) -> bool) -> Value {
    let mut object = serde_json::Map::new();
    let rows: Vec<&Value> = rows.iter().filter(|row| chosen(row)).collect();
    for key in keys {
        let values: Vec<f64> = rows.iter().filter_map(|row| row[*key].as_f64()).collect();
        let (mean, spread) = mean_spread(&values);
        object.insert((*key).to_owned(), json!({ "mean": mean, "spread": spread }));
    }
    Value::Object(object)
}

/// `work` of every job, in the jobs' order, as many at a time as there are cores.
pub(super) fn each<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, anyhow::Result<R>)> = std::thread::scope(|scope| {
        let run = || {
            let mut own = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(index) else { return own };
                own.push((index, work(job)));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        // A panic in a thread is a bug of its own; it goes on here.
        let joined = threads.into_iter().map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.flatten().collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A run to its end, on one thread in one part, and the seconds it took.
pub(super) fn trained(
    mut config: TrainConfig,
    data: Dataset,
    residual: Option<Arc<dyn Residual<f32>>>,
) -> anyhow::Result<(Trainer, f64)> {
    config.run.threads = 1;
    let begin = std::time::Instant::now();
    let mut trainer = match residual {
        Some(residual) => Trainer::with_residual(config, data, None, residual)?,
        None => Trainer::new(config, data)?,
    };
    while !trainer.is_finished() {
        trainer.step()?;
    }
    Ok((trainer, begin.elapsed().as_secs_f64()))
}

/// `count` samples [count, dim] in sequence over the plan's nodes.
pub(super) fn sampled(
    model: &mut Network<f32>,
    plan: &Plan<'_>,
    count: usize,
    seed: u64,
) -> anyhow::Result<Vec<f32>> {
    let (dim, rows) = (model.dim(), model.max_batch().min(128));
    let mut network = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
        let t: Vec<f32> = batch.iter().map(|row| row.level.t as f32).collect();
        out.copy_from_slice(model.forward(x, &t, &[])?);
        Ok::<(), NetworkError>(())
    });
    let (mut samples, mut memory) = (vec![0.0f32; count * dim], Memory::new());
    for (chunk, x) in samples.chunks_mut(rows * dim).enumerate() {
        let noise = Noise::seeded(seed).from_item((chunk * rows) as u64);
        plan.start(&noise, dim, x);
        let mut workspace = memory.workspace(Sequential.need(plan, x.len() / dim), dim);
        Sequential.run(plan, &mut network, &noise, x, &mut workspace)?;
    }
    Ok(samples)
}

/// Makes the folder of an experiment.
pub(super) fn folder(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder `{}`", out.display()))
}

/// Prints the report's summary, a line each, and writes all of it to `report.json`.
pub(super) fn finish(out: &Path, report: Value) -> anyhow::Result<Value> {
    println!("{}: {}", report["experiment"].as_str().unwrap_or_default(), report["paper"]);
    for row in report["ours"].as_array().into_iter().flatten() {
        println!("{row}");
    }
    let path = out.join("report.json");
    write_whole(&path, format!("{report:#}\n").as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(report)
}

/// How many seeds: those that were asked for, or else few in a quick run.
pub(super) fn seeds(asked: Option<u64>, quick: bool, full: u64) -> anyhow::Result<u64> {
    let seeds = asked.unwrap_or(if quick { 1 } else { full });
    anyhow::ensure!((1..=1000).contains(&seeds), "{seeds} seeds: ask for 1 to 1000");
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_back_in_order_and_the_first_error_is_given() {
        let jobs: Vec<u64> = (0..20).collect();
        let squares = each(&jobs, |j| Ok(j * j)).unwrap();
        assert_eq!(squares, jobs.iter().map(|j| j * j).collect::<Vec<_>>());
        let error = each(&jobs, |j| if *j < 7 { Ok(()) } else { anyhow::bail!("job {j}") }).unwrap_err();
        assert_eq!(error.to_string(), "job 7");
        assert!(each(&[] as &[u64], |_| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn spreads() {
        assert_eq!(mean_spread(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
        assert_eq!(mean_spread(&[5.0]), (5.0, 0.0));
        let rows = [json!({"a": 1.0, "b": "x"}), json!({"a": 3.0, "b": "x"}), json!({"a": 9.0, "b": "y"})];
        assert_eq!(summary(&rows, &["a"], |row| row["b"] == "x")["a"]["mean"], 2.0);
    }

    #[test]
    fn seeds_are_in_range() {
        assert_eq!((seeds(None, true, 5).unwrap(), seeds(None, false, 5).unwrap()), (1, 5));
        assert_eq!(seeds(Some(3), true, 5).unwrap(), 3);
        assert!(seeds(Some(0), true, 5).unwrap_err().to_string().contains("0 seeds"));
    }
}
