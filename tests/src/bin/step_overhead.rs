//! What a step costs outside of the model: batch 1, 50 steps, sequential, f32, unit Gaussian data's exact model.
//!
//! `cargo run --release -p picardy-tests --bin step_overhead -- DIM` prints one JSON object: for each solver the
//! median microseconds per step, and what the run gave. `tests/peers/step_overhead.sh` runs it beside diffusers.

use picardy::{
    Batch, Betas, Ddim, Ddpm, DpmSolverPp, Level, Memory, Node, Noise, Prediction, Sampler, Sequential,
    Solver, denoiser,
};
use std::time::{Duration, Instant};

const STEPS: usize = 50;
const RUNS: usize = 401;

fn measure(solver: &impl Solver, dim: usize) -> anyhow::Result<serde_json::Value> {
    let mut levels = [Level::default(); STEPS + 1];
    let mut nodes = vec![Node::default(); solver.nodes(STEPS)];
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(STEPS, &mut levels)?;
    let plan = solver.plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let start: Vec<f32> = (0..dim).map(|i| ((i % 16) as f32 - 7.5) / 8.0).collect();
    let noise = Noise::seeded(0);
    let mut memory = Memory::new();
    let (mut micros, mut x) = (Vec::new(), start.clone());
    for _ in 0..RUNS {
        x.copy_from_slice(&start);
        let mut spent = Duration::ZERO;
        let mut model = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
            let start = Instant::now();
            for row in batch.iter() {
                // eps = s x / (a^2 v + s^2), v = 1
                let Level { alpha, sigma, .. } = row.level;
                let factor = (sigma / (alpha * alpha + sigma * sigma)) as f32;
                out.iter_mut().zip(x).for_each(|(out, x)| *out = factor * x);
            }
            spent += start.elapsed();
            Ok::<(), std::convert::Infallible>(())
        });
        let mut workspace = memory.workspace(Sequential.need(&plan, 1), dim);
        let begin = Instant::now();
        Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace)?;
        let total = begin.elapsed();
        micros.push((total - spent).as_secs_f64() * 1e6 / STEPS as f64);
    }
    micros.sort_by(f64::total_cmp);
    Ok(serde_json::json!({ "microseconds": micros[RUNS / 2], "sample": &x[..4] }))
}

fn main() -> anyhow::Result<()> {
    let dim = std::env::args().nth(1).map_or(Ok(16), |dim| dim.parse())?;
    anyhow::ensure!(dim >= 4, "states of {dim} numbers; give at least 4");
    let (ddim, ddpm) = (measure(&Ddim::default(), dim)?, measure(&Ddpm::default(), dim)?);
    let dpm = measure(&DpmSolverPp::order2(), dim)?;
    println!("{}", serde_json::json!({ "ddim": ddim, "ddpm": ddpm, "dpmsolver++": dpm }));
    Ok(())
}
