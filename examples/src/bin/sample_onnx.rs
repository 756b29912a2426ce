//! An exported ONNX model, sampled in parallel over time through ONNX Runtime.
//!
//! `cargo run --release --bin sample_onnx`, after `cargo run --release --bin quickstart`; or `sample_onnx MODEL.onnx`.

use anyhow::Context;
use picardy::{Ddpm, Level, Memory, Node, Noise, Picard, Sampler, Solver};
use picardy_ort::{Model, Options, OrtDenoiser, Runtime};
use std::ops::ControlFlow;

const STEPS: usize = 1000;
const BATCH: usize = 8;

fn main() -> anyhow::Result<()> {
    Runtime::load(None)?;
    let path = std::env::args().nth(1).unwrap_or("target/quickstart/contrastive.onnx".into());
    let mut denoiser = OrtDenoiser::new(Model::load(path.as_ref(), Options::default())?)?;
    let dim = denoiser.dim();
    let (schedule, prediction, data_variance) = {
        let card =
            denoiser.card()?.context("the model has no metadata: name its schedule and prediction here")?;
        (card.schedule, card.prediction, card.data_variance)
    };

    let (mut levels, mut nodes) = (vec![Level::default(); STEPS + 1], vec![Node::default(); STEPS + 1]);
    let grid = schedule.trailing(STEPS, &mut levels)?;
    let plan = Ddpm::default().plan(&grid, prediction, &mut nodes)?;

    let picard = Picard { window: 500, data_variance, ..Picard::default() };
    let noise = Noise::seeded(7);
    let mut x = vec![0.0f32; BATCH * dim];
    plan.start(&noise, dim, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(picard.need(&plan, BATCH), dim);
    let report = picard.run_watched(&plan, &mut denoiser, &noise, &mut x, &mut workspace, |round| {
        println!(
            "round {:2}: {:4} of {} nodes done, {} rows",
            round.rounds, round.done, round.last, round.rows
        );
        ControlFlow::Continue(())
    })?;
    println!("{} rounds in place of {STEPS} calls, {} evaluations", report.rounds, report.evaluations);
    for sample in x.chunks(dim) {
        println!("{sample:.3?}");
    }
    Ok(())
}
