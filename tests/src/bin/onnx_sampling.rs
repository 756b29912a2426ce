//! What a call of an ONNX model costs, and a whole sequential run of DDIM 50, batch 1, one thread: one JSON object, medians
//! in microseconds, and the run's sample. The peer is `tests/peers/onnx_sampling.py`.
//!
//! ```text
//! cargo run --release -p picardy-tests --bin onnx_sampling -- MODEL.onnx
//! ```

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use picardy::{Ddim, Level, Node, Noise, Sampler, Sequential, SliceFrames, Solver, Workspace};
use picardy_ort::{Model, Options, OrtDenoiser};

const STEPS: usize = 50;

#[derive(Parser)]
struct Args {
    /// The model, with Picardy's metadata.
    model: PathBuf,
    /// The calls that are measured.
    #[arg(long, default_value_t = 4000)]
    calls: usize,
    /// The runs that are measured.
    #[arg(long, default_value_t = 100)]
    runs: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut denoiser = OrtDenoiser::new(Model::load(&args.model, Options::default())?)?;
    let dim = denoiser.dim();
    let start: Vec<f32> = (0..dim).map(|i| ((i % 16) as f32 - 7.5) / 8.0).collect();

    let mut out = vec![0.0f32; dim];
    let mut calls = Vec::with_capacity(args.calls);
    for call in 0..args.calls + args.calls / 10 {
        let t = ((call * 20) % 1000) as f64;
        let begin = Instant::now();
        denoiser.run(black_box(&start), [t].into_iter(), &mut out)?;
        black_box(&mut out);
        if call >= args.calls / 10 {
            calls.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }

    let card = denoiser.card()?.context("the model has no metadata; export it with picardy-train")?;
    let (schedule, prediction) = (card.schedule, card.prediction);
    let noise = Noise::seeded(0);
    let mut x = start.clone();
    let mut runs = Vec::with_capacity(args.runs);
    for run in 0..args.runs + args.runs / 10 {
        let begin = Instant::now();
        // As the peer's loop, with the steps set anew.
        let (mut levels, mut nodes) = ([Level::default(); STEPS + 1], [Node::default(); STEPS + 1]);
        let grid = schedule.trailing(STEPS, &mut levels)?;
        let plan = Ddim::default().plan(&grid, prediction, &mut nodes)?;
        x.copy_from_slice(&start);
        let mut memory = vec![0.0f32; Sequential.need(&plan, 1).rows * dim];
        let mut workspace = Workspace::new(SliceFrames::new(&mut memory, dim), &mut []);
        Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
        if run >= args.runs / 10 {
            runs.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
    println!(
        "{}",
        serde_json::json!({"call": median(&mut calls), "run": median(&mut runs), "sample": x[..dim.min(4)]})
    );
    Ok(())
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
