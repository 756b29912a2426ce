//! Every network, solver, engine and method: one table.

use crate::report::Report;
use crate::training::Network;
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{
    Ddim, Ddpm, Denoiser, Level, Memory, Node, Noise, Picard, Plan, Prediction, Report as Cost, Run, Sampler,
    Sequential, SliceFrames, Slope, Solver, Start,
};
use picardy_examples::pictures::{RoundPath, RoundsPanel, Trajectory};
use picardy_ort::{Model, Options, OrtDenoiser, Runtime};
use picardy_trainer::train::LossKind;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// Items that are sampled together.
pub(crate) const BATCH: usize = 64;
const DIM: usize = 2;
const TOLERANCE: f64 = 0.05;

/// The slopes, with the start that belongs to each: identity with a constant one is ParaDiGMS.
const SLOPES: [(&str, Slope, Start); 4] = [
    ("identity", Slope::Identity, Start::Constant),
    ("frozen", Slope::Frozen, Start::Gaussian),
    ("gaussian", Slope::Gaussian, Start::Gaussian),
    ("secant", Slope::Secant, Start::Gaussian),
];

struct Outcome {
    x: Vec<f32>,
    cost: Cost,
    seconds: f64,
}

/// Prints the table, and puts the contrastive network's DDPM 1000 through core::nn into the report.
pub(crate) fn table(networks: &[Network], seed: u64, out: &Path, report: &mut Report) -> anyhow::Result<()> {
    let ort = Runtime::load(None);
    if let Err(error) = &ort {
        println!("   without ONNX Runtime: {error}");
    }
    println!(
        "   {:<12} {:<9} {:<8} {:<10} {:>6} {:>9} {:>9} {:>8}",
        "network", "solver", "engine", "method", "rounds", "nfe/item", "distance", "seconds"
    );
    for network in networks {
        for (solver, steps) in [("ddpm1000", 1000), ("ddim20", 20)] {
            let nodes = nodes(network, solver, steps)?;
            let plan = Plan::new(&nodes, picardy::Form::Data)?;
            let model = ResidualMlp::from_artifact(&Artifact::parse(&network.bytes)?)?;
            let mut scratch = vec![0.0; model.scratch_len(48)];
            let rows = methods(&plan, &mut MlpDenoiser::new(model, &mut scratch), seed)?;
            print(network, solver, "core::nn", &rows);
            if network.loss == LossKind::Contrastive && solver == "ddpm1000" {
                into_report(&rows, report);
            }
            if ort.is_ok() {
                let file = out.join(format!("{}.onnx", network.loss.name()));
                let mut denoiser = OrtDenoiser::new(Model::load(&file, Options::default())?)?;
                let rows = methods(&plan, &mut denoiser, seed)?;
                print(network, solver, "ort", &rows);
            }
        }
    }
    Ok(())
}

fn nodes(network: &Network, solver: &str, steps: usize) -> anyhow::Result<Vec<Node>> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); steps + 1]);
    let grid = network.betas.trailing(steps, &mut levels)?;
    if solver == "ddpm1000" {
        Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
    } else {
        Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
    }
    Ok(nodes)
}

/// Sequential first, then the four slopes.
fn methods<D, E>(plan: &Plan<'_>, denoiser: &mut D, seed: u64) -> anyhow::Result<Vec<(&'static str, Outcome)>>
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>, Error = E>,
    E: Error + Send + Sync + 'static,
{
    let mut rows = vec![("sequential", timed(plan, denoiser, &Sequential, seed)?)];
    for (name, slope, start) in SLOPES {
        let picard = Picard { slope, start, tolerance: TOLERANCE, ..Picard::default() };
        rows.push((name, timed(plan, denoiser, &picard, seed)?));
    }
    Ok(rows)
}

fn timed<D, E>(
    plan: &Plan<'_>,
    denoiser: &mut D,
    sampler: &impl Sampler,
    seed: u64,
) -> anyhow::Result<Outcome>
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>, Error = E>,
    E: Error + Send + Sync + 'static,
{
    let noise = Noise::seeded(seed);
    let mut x = vec![0.0f32; BATCH * DIM];
    plan.start(&noise, DIM, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(sampler.need(plan, BATCH), DIM);
    let start = Instant::now();
    let cost = sampler.run(plan, denoiser, &noise, &mut x, &mut workspace)?;
    Ok(Outcome { x, cost, seconds: start.elapsed().as_secs_f64() })
}

/// The mean absolute distance to the sequential samples.
fn distance(rows: &[(&str, Outcome)], outcome: &Outcome) -> f64 {
    let sum: f64 = outcome.x.iter().zip(&rows[0].1.x).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / outcome.x.len() as f64
}

fn print(network: &Network, solver: &str, engine: &str, rows: &[(&str, Outcome)]) {
    for (method, outcome) in rows {
        println!(
            "   {:<12} {solver:<9} {engine:<8} {method:<10} {:>6} {:>9.1} {:>9.1e} {:>8.3}",
            network.loss.name(),
            outcome.cost.rounds,
            outcome.cost.evaluations as f64 / BATCH as f64,
            distance(rows, outcome),
            outcome.seconds
        );
    }
}

fn into_report(rows: &[(&str, Outcome)], report: &mut Report) {
    for (method, outcome) in rows {
        if *method != "sequential" {
            report.set(&format!("rounds.{method}"), outcome.cost.rounds);
            report.set(&format!("nfe.{method}"), outcome.cost.evaluations as f64 / BATCH as f64);
            report.set(&format!("diff.{method}"), distance(rows, outcome));
        }
        if ["sequential", "secant"].contains(method) {
            report.set(&format!("seconds.{method}"), outcome.seconds);
        }
    }
}

/// One coordinate of one item of a DDPM 1000 run, in sequence and after every round of two parallel runs.
pub(crate) fn trajectory(network: &Network, seed: u64) -> anyhow::Result<Trajectory> {
    let nodes = nodes(network, "ddpm1000", 1000)?;
    let plan = Plan::new(&nodes, picardy::Form::Data)?;
    let model = ResidualMlp::from_artifact(&Artifact::parse(&network.bytes)?)?;
    let mut scratch = vec![0.0; model.scratch_len(48)];
    let mut denoiser = MlpDenoiser::new(model, &mut scratch);
    let noise = Noise::seeded(seed);
    let mut memory = Memory::new();

    // Run to the exact end, a parallel run has been through the sequential states.
    let mut path = |slope, start, tolerance| -> anyhow::Result<Vec<RoundPath>> {
        let picard = Picard { slope, start, tolerance, ..Picard::default() };
        let mut x = [0.0f32; DIM];
        plan.start(&noise, DIM, &mut x);
        let mut workspace = memory.workspace(picard.need(&plan, 1), DIM);
        let mut run = picard.begin(&plan, &noise, &x, &mut workspace)?;
        let mut rounds = Vec::new();
        let mut state = [0.0f32; DIM];
        while let Some(round) = run.round(&mut denoiser)? {
            let mut states = Vec::new();
            for node in round.done..=plan.last() {
                if run.state(0, node, &mut state).is_some() {
                    states.push(state[0]);
                }
            }
            rounds.push(RoundPath { first: round.done, states, done: round.done });
        }
        Ok(rounds)
    };
    let exact = path(Slope::Secant, Start::Gaussian, 0.0)?;
    // Each round's first state is final: put together, they and the start are the sequential path.
    let mut start = [0.0f32; DIM];
    plan.start(&noise, DIM, &mut start);
    let mut sequential = vec![start[0]; plan.last() + 1];
    for round in &exact {
        for (slot, state) in sequential[round.first..].iter_mut().zip(&round.states) {
            *slot = *state;
        }
    }
    let mut panels = Vec::new();
    for (title, slope, start) in [
        ("ParaDiGMS (identity slope, constant start)", Slope::Identity, Start::Constant),
        ("secant slope, gaussian start", Slope::Secant, Start::Gaussian),
    ] {
        let rounds = path(slope, start, TOLERANCE)?;
        panels.push(RoundsPanel { title: title.into(), rounds });
    }
    Ok(Trajectory {
        title: "DDPM 1000 on the dino: the path after each round".into(),
        coordinate: "x".into(),
        sequential,
        panels,
    })
}
