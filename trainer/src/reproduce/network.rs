//! Networks of the experiments: trained on one thread, sampled on all.

use super::jobs::each;
use crate::data::Dataset;
use crate::model::{Network, NetworkError};
use crate::train::{TrainConfig, Trainer};
use picardy::{
    Batch, Form, Grid, Level, Memory, Node, Noise, Plan, Prediction, Report, Sampler, Sequential, Solver,
    denoiser,
};
use std::time::Instant;

/// Rows of a call of the network.
pub(super) const ROWS: usize = 128;

/// A run to its end on one thread, begun with `weights` or random ones, and the seconds it took.
pub(super) fn trained(
    mut config: TrainConfig,
    data: Dataset,
    weights: Option<&[f32]>,
) -> anyhow::Result<(Trainer, f64)> {
    config.run.threads = 1;
    let start = Instant::now();
    let mut trainer = Trainer::new(config, data)?;
    if let Some(weights) = weights {
        trainer = trainer.with_weights(weights)?;
    }
    while !trainer.is_finished() {
        trainer.step()?;
    }
    Ok((trainer, start.elapsed().as_secs_f64()))
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
    let firsts: Vec<usize> = (0..count).step_by(ROWS).collect();
    let chunks = each(&firsts, |&first| {
        let mut model = model.clone();
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
