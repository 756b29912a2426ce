//! Every network, solver, engine and method: one table.

use crate::report::Report;
use crate::training::Network;
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{
    Ddim, Ddpm, Denoiser, Level, Memory, Node, Noise, Picard, Plan, Prediction, Report as Cost, Run, Sampler,
    Sequential, SliceFrames, Slope, Solver,
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
/// As published: standard deviations of a step's noise.
pub(crate) const PARADIGMS_TOLERANCE: f64 = 0.1;

/// The published method, Picardy's default, and between them what the default is with other slopes.
fn parallel() -> [(&'static str, Picard); 5] {
    let slope = |slope| Picard { slope, ..Picard::default() };
    [
        ("paradigms", Picard::paradigms(usize::MAX, PARADIGMS_TOLERANCE)),
        ("frozen", slope(Slope::Frozen)),
        ("gaussian", slope(Slope::Gaussian)),
        ("multisecant2", slope(Slope::Multisecant(2))),
        ("default", Picard::default()),
    ]
}

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
        "   {:<12} {:<9} {:<8} {:<10} {:>6} {:>9} {:>9} {:>9} {:>8}",
        "network", "solver", "engine", "method", "rounds", "nfe/item", "distance", "farthest", "seconds"
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

/// Sequential first, then in parallel.
fn methods<D, E>(plan: &Plan<'_>, denoiser: &mut D, seed: u64) -> anyhow::Result<Vec<(&'static str, Outcome)>>
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>, Error = E>,
    E: Error + Send + Sync + 'static,
{
    let mut rows = vec![("sequential", timed(plan, denoiser, &Sequential, seed)?)];
    for (name, picard) in parallel() {
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

/// The mean absolute distance to the sequential samples, and the largest.
fn distance(rows: &[(&str, Outcome)], outcome: &Outcome) -> (f64, f64) {
    let apart = outcome.x.iter().zip(&rows[0].1.x).map(|(a, b)| f64::from((a - b).abs()));
    (apart.clone().sum::<f64>() / outcome.x.len() as f64, apart.fold(0.0, f64::max))
}

fn print(network: &Network, solver: &str, engine: &str, rows: &[(&str, Outcome)]) {
    for (method, outcome) in rows {
        let (mean, farthest) = distance(rows, outcome);
        println!(
            "   {:<12} {solver:<9} {engine:<8} {method:<10} {:>6} {:>9.1} {mean:>9.1e} {farthest:>9.1e} {:>8.3}",
            network.loss.name(),
            outcome.cost.rounds,
            outcome.cost.evaluations as f64 / BATCH as f64,
            outcome.seconds
        );
    }
}

fn into_report(rows: &[(&str, Outcome)], report: &mut Report) {
    for (method, outcome) in rows {
        let (mean, farthest) = distance(rows, outcome);
        // Who read the report before the methods had these names knows ParaDiGMS as its slope.
        let names = if *method == "paradigms" { &[*method, "identity"][..] } else { &[*method] };
        for name in names {
            if *name != "sequential" {
                report.set(&format!("rounds.{name}"), outcome.cost.rounds);
                report.set(&format!("nfe.{name}"), outcome.cost.evaluations as f64 / BATCH as f64);
                report.set(&format!("diff.{name}"), mean);
                report.set(&format!("farthest.{name}"), farthest);
            }
            report.set(&format!("seconds.{name}"), outcome.seconds);
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
    let mut path = |picard: Picard| -> anyhow::Result<Vec<RoundPath>> {
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
    let exact = path(Picard { tolerance: 0.0, ..Picard::default() })?;
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
    for (title, picard) in [
        ("ParaDiGMS as published", Picard::paradigms(usize::MAX, PARADIGMS_TOLERANCE)),
        ("Picardy's default", Picard::default()),
    ] {
        let rounds = path(picard)?;
        panels.push(RoundsPanel { title: title.into(), rounds });
    }
    Ok(Trajectory {
        title: "DDPM 1000 on the dino: the path after each round".into(),
        coordinate: "x".into(),
        sequential,
        panels,
    })
}
