//! Samples a model here and on two servers, one of which is killed in the middle: `tests/remote.sh` starts them.
//!
//! `remote_check MODEL PID json|binary URL URL`: PID is the first server's.

use anyhow::{Context, ensure};
use picardy::{
    AnySampler, AnySolver, Betas, Denoiser, Memory, Noise, Picard, Prediction, Sampler, Sequential,
    SliceFrames,
};
use picardy::{Level, Node, Round, Solver};
use picardy_ort::pipeline::{Pipeline, Request, RowDenoiser, Settings, SharedPlan};
use picardy_ort::remote::{RemoteDenoiser, RemoteOptions, Transfer};
use picardy_ort::{Model, Options, OrtDenoiser, ensure_runtime};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCH: usize = 8;

/// The largest difference; NaN where a number is, which is below no limit.
fn largest(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
}

/// A run; `watch` is told its rounds.
fn sample<D>(
    denoiser: &mut D,
    sampler: &AnySampler,
    (solver, steps): (AnySolver, usize),
    dim: usize,
    mut watch: impl FnMut(&Round),
) -> anyhow::Result<Vec<f32>>
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>>,
    for<'a> <D as Denoiser<SliceFrames<'a, f32>>>::Error: std::fmt::Display,
{
    let (mut levels, mut nodes) =
        (vec![Level::default(); steps + 1], vec![Node::default(); solver.nodes(steps)]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(steps, &mut levels)?;
    let plan = solver.plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let noise = Noise::seeded(11);
    let mut x = vec![0.0f32; BATCH * dim];
    plan.start(&noise, dim, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(sampler.need(&plan, BATCH), dim);
    let watched = |round: &Round| {
        watch(round);
        ControlFlow::Continue(())
    };
    sampler
        .run_watched(&plan, denoiser, &noise, &mut x, &mut workspace, watched)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(x)
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("remote_check MODEL PID json|binary URL URL");
    let (model, pid, transfer, urls) = (next()?, next()?, next()?, [next()?, next()?]);
    let transfer = match transfer.as_str() {
        "json" => Transfer::Json,
        "binary" => Transfer::Binary,
        other => anyhow::bail!("transfer `{other}`: give json or binary"),
    };
    ensure_runtime()?;
    let mut local = OrtDenoiser::new(Model::load(Path::new(&model), Options::default())?)?;
    let options = RemoteOptions { timeout: Duration::from_secs(20), transfer, ..RemoteOptions::default() };
    let mut remote = RemoteDenoiser::connect(&urls, options.clone())?;
    let dim = remote.dim();
    ensure!(dim == local.dim() && remote.health().iter().all(Result::is_ok));

    // One call: the outputs themselves.
    let x: Vec<f32> = (0..37 * dim).map(|i| (i as f32 * 0.713).sin()).collect();
    let times = || (0..37).map(|i| f64::from(i * 27));
    let (mut here, mut there) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    local.run(&x, times(), &mut here)?;
    remote.run(&x, times(), &mut there)?;
    println!("37 rows: the largest difference is {:.1e}", largest(&here, &there));
    ensure!(largest(&here, &there) < 1e-5 && here.iter().any(|x| x.abs() > 0.1));

    let picard = AnySampler::Picard(Picard::default());
    let (ddim, ddpm): (AnySolver, AnySolver) = ("ddim".parse()?, "ddpm".parse()?);
    let sequential = AnySampler::Sequential(Sequential);
    for (name, sampler, run) in
        [("sequential ddim 20", sequential, (ddim, 20)), ("picard ddpm 50", picard, (ddpm, 50))]
    {
        let started = Instant::now();
        let here = sample(&mut local, &sampler, run, dim, |_| {})?;
        let alone = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let there = sample(&mut remote, &sampler, run, dim, |_| {})?;
        let difference = largest(&here, &there);
        let spent = started.elapsed().as_secs_f64();
        println!("{name}: {difference:.1e}, {alone:.2} s here, {spent:.2} s there");
        ensure!(difference < 1e-5, "{name} differs by {difference}");
    }

    // A pipeline of requests on the fleet, and a server that is killed in the middle of a run.
    let plan = SharedPlan::trailing(&ddim, &Betas::linear(1000, 1e-4, 2e-2), 100, Prediction::Epsilon)?;
    let request = |seed| Request::new(&plan, 2).seed(seed);
    let pipeline = Pipeline::new(vec![Box::new(local)], Settings::default())?;
    let here: Vec<_> = (0..24).map(|seed| pipeline.submit(request(seed))).collect::<Result<_, _>>()?;
    let here: Vec<_> = here.into_iter().map(|handle| handle.wait()).collect::<Result<_, _>>()?;
    let mut local = OrtDenoiser::new(Model::load(Path::new(&model), Options::default())?)?;
    // Two calls are under way at a time.
    let both = Arc::new(RemoteDenoiser::connect(&urls, options)?);
    let calls: Vec<Box<dyn RowDenoiser>> = vec![Box::new(Arc::clone(&both)), Box::new(Arc::clone(&both))];
    let fleet = Pipeline::new(calls, Settings::default())?;
    let there: Vec<_> = (0..24).map(|seed| fleet.submit(request(seed))).collect::<Result<_, _>>()?;
    let wanted = sample(&mut local, &picard, (ddpm, 100), dim, |_| {})?;
    let mut killed = false;
    let sampled = sample(&mut remote, &picard, (ddpm, 100), dim, |round| {
        if round.rounds == 3 {
            killed = Command::new("kill").args(["-9", &pid]).status().is_ok_and(|status| status.success());
        }
    })?;
    ensure!(killed, "server {pid} was not killed");
    let difference = largest(&wanted, &sampled);
    println!("picard ddpm 100, a server killed after round 3: {difference:.1e}, {:?}", remote.metrics());
    ensure!(difference < 1e-5 && remote.metrics().failed > 0);
    let mut most = 0.0f32;
    for (here, there) in here.into_iter().zip(there) {
        let difference = largest(&here.x, &there.wait()?.x);
        ensure!(difference < 1e-5, "a request's sample differs by {difference}");
        most = most.max(difference);
    }
    println!(
        "24 requests of a pipeline over both: {most:.1e}, {:.1} rows a call, {:?}",
        fleet.metrics().mean_rows(),
        both.metrics()
    );
    ensure!(fleet.metrics().done == 24 && both.metrics().failed > 0);
    let health = remote.health();
    ensure!(health[0].is_err() && health[1].is_ok());
    println!("no sample lost");
    Ok(())
}
