//! What the experiments share: training, sampling, spreads over seeds, charts, the report.

use crate::data::Dataset;
use crate::model::{Network, NetworkError};
use crate::train::{TrainConfig, Trainer, write_whole};
use anyhow::Context;
use picardy::{
    Batch, Form, Grid, Level, Memory, Node, Noise, Plan, Prediction, Report, Sampler, Sequential, Solver,
    denoiser,
};
use picardy_ort::picture::{PALETTE, label_style, write_png};
use plotters::prelude::*;
use serde::Serialize;
use serde_json::Value;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Rows of a call of the network.
pub(super) const ROWS: usize = 128;

/// A mean over seeds, and the standard deviation around it (of one more seed: n - 1); 0 for one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) spread: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        Self { mean, spread }
    }

    /// Of the number `key` in those rows whose other entries are `wanted`.
    pub(super) fn over(rows: &[Value], wanted: &[(&str, Value)], key: &str) -> Self {
        let chosen = rows.iter().filter(|row| wanted.iter().all(|(name, value)| row[*name] == *value));
        Self::of(&chosen.filter_map(|row| row[key].as_f64()).collect::<Vec<_>>())
    }
}

/// Makes the folder of an experiment.
pub(super) fn folder(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("{}: cannot be made", out.display()))
}

/// Writes report.json into `out`.
pub(super) fn write_report(out: &Path, report: &Value) -> anyhow::Result<()> {
    let path = out.join("report.json");
    write_whole(&path, format!("{report:#}\n").as_bytes()).with_context(|| path.display().to_string())
}

/// `job(0)` to `job(count - 1)` on as many threads as there are cores, in the order of their numbers.
pub(super) fn on_threads<T: Send>(
    count: usize,
    job: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(count);
    let next = AtomicUsize::new(0);
    let mut done = std::thread::scope(|scope| {
        let work = || -> anyhow::Result<Vec<(usize, T)>> {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(done);
                }
                done.push((index, job(index)?));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut done = Vec::new();
        for worker in workers {
            // A panic in a thread is a bug of its own; it goes on here.
            done.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        anyhow::Ok(done)
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

/// A trained network, with the weights' average, and the seconds that it took.
pub(super) struct Trained {
    pub(super) network: Network<f32>,
    pub(super) card: Vec<(String, String)>,
    pub(super) seconds: f64,
}

/// Trains on one thread, from `weights` where they are given.
pub(super) fn train(
    mut config: TrainConfig,
    data: Dataset,
    weights: Option<&[f32]>,
) -> anyhow::Result<Trained> {
    config.run.threads = 1;
    let mut trainer = Trainer::new(config, data)?;
    if let Some(weights) = weights {
        trainer = trainer.with_weights(weights)?;
    }
    let start = Instant::now();
    while !trainer.is_finished() {
        trainer.step()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Trained { network: trainer.averaged(), card: trainer.card(), seconds })
}

/// A network that predicts the noise, for at least [`ROWS`] rows a call.
pub(super) fn for_sampling(network: &Network<f32>) -> anyhow::Result<Network<f32>> {
    let mut wide = Network::new(network.config(), ROWS, 0)?;
    wide.parameters_mut().copy_from_slice(network.parameters());
    Ok(wide)
}

/// A solver's plan over the levels, for a network that predicts the noise.
pub(super) fn nodes(solver: &impl Solver, levels: &[Level]) -> anyhow::Result<(Vec<Node>, Form)> {
    let grid = Grid::new(levels)?;
    let mut nodes = vec![Node::default(); solver.nodes(grid.steps())];
    let plan = solver.plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let (form, count) = (plan.form(), plan.nodes().len());
    nodes.truncate(count);
    Ok((nodes, form))
}

/// `count` samples `[count, dim]` in sequence over time, on all cores.
pub(super) fn draw(
    model: &Network<f32>,
    plan: &Plan<'_>,
    count: usize,
    seed: u64,
) -> anyhow::Result<Vec<f32>> {
    let chunks = on_threads(count.div_ceil(ROWS), |chunk| {
        let (first, mut model) = (chunk * ROWS, model.clone());
        let batch = ROWS.min(count - first);
        Ok(run(&mut model, plan, &Sequential, first..first + batch, seed)?.x)
    })?;
    Ok(chunks.concat())
}

/// What one run gave.
pub(super) struct Outcome {
    pub(super) x: Vec<f32>,
    pub(super) report: Report,
    pub(super) seconds: f64,
}

/// Samples the items `items` on this thread.
pub(super) fn run(
    model: &mut Network<f32>,
    plan: &Plan<'_>,
    sampler: &impl Sampler,
    items: std::ops::Range<usize>,
    seed: u64,
) -> anyhow::Result<Outcome> {
    let (dim, batch) = (model.dim(), items.len());
    let noise = Noise::seeded(seed).from_item(items.start as u64);
    let mut x = vec![0.0f32; batch * dim];
    plan.start(&noise, dim, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(sampler.need(plan, batch), dim);
    // A parallel round has more rows than the network takes at a time.
    let (most, mut t) = (model.max_batch(), Vec::new());
    let mut denoiser = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
        t.clear();
        t.extend(batch.iter().map(|row| row.level.t as f32));
        for ((t, x), out) in t.chunks(most).zip(x.chunks(most * dim)).zip(out.chunks_mut(most * dim)) {
            out.copy_from_slice(model.forward(x, t, &[])?);
        }
        Ok::<(), NetworkError>(())
    });
    let start = Instant::now();
    let report = sampler.run(plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
    Ok(Outcome { x, report, seconds: start.elapsed().as_secs_f64() })
}

/// A line of a chart: its name, and (x, y, spread of y).
pub(super) type Line = (String, Vec<(f64, Spread)>);

/// Draws lines with their spreads to the PNG file `path`; y from 0.
pub(super) fn chart(
    path: &Path,
    title: &str,
    x_label: &str,
    y_label: &str,
    lines: &[Line],
) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let right = points().map(|(x, _)| *x).fold(0.0, f64::max).max(1e-9) * 1.04;
    let top = points().map(|(_, y)| y.mean + y.spread).fold(0.0, f64::max).max(1e-9) * 1.08;
    write_png(path, (800, 560), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .caption(title, label_style(24))
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(-0.02 * right..right, 0.0..top)?;
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(y_label)
            .label_style(label_style(17))
            .axis_desc_style(label_style(18))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (index, (name, points)) in lines.iter().enumerate() {
            let colour = PALETTE[index % PALETTE.len()];
            let line = points.iter().map(|(x, y)| (*x, y.mean));
            chart
                .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
                .label(name.as_str())
                .legend(move |(x, y)| Rectangle::new([(x, y - 3), (x + 14, y + 3)], colour.filled()));
            chart.draw_series(points.iter().map(|(x, y)| {
                let ends = vec![(*x, (y.mean - y.spread).max(0.0)), (*x, y.mean + y.spread)];
                PathElement::new(ends, colour.stroke_width(1))
            }))?;
            chart.draw_series(points.iter().map(|(x, y)| Circle::new((*x, y.mean), 4, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(0xd0, 0xd0, 0xd8))
            .label_font(label_style(17))
            .position(SeriesLabelPosition::UpperRight)
            .draw()?;
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spreads_are_those_of_the_chosen_rows() {
        let rows =
            [json!({"loss": "a", "x": 1.0}), json!({"loss": "b", "x": 9.0}), json!({"loss": "a", "x": 3.0})];
        let spread = Spread::over(&rows, &[("loss", json!("a"))], "x");
        assert_eq!((spread.mean, spread.spread), (2.0, 2f64.sqrt()));
        assert_eq!(Spread::of(&[4.0]), Spread { mean: 4.0, spread: 0.0 });
    }

    #[test]
    fn jobs_keep_their_order_and_an_error_ends_them() {
        assert_eq!(on_threads(7, |i| Ok(i * i)).unwrap(), [0, 1, 4, 9, 16, 25, 36]);
        let error = on_threads(7, |i| if i == 3 { anyhow::bail!("job {i}") } else { Ok(i) }).unwrap_err();
        assert_eq!(error.to_string(), "job 3");
    }
}
