//! Plans of a diffusion policy, one at a time: the time of DDIM's run with the artifact in place, or with ONNX Runtime; one JSON
//! object with milliseconds of a run, the median on the clock and the mean on the core, and the plan. The peer is `tests/peers/policy_time.py`.
//!
//! ```text
//! cargo run --release -p picardy-tests --bin policy_bench -- POLICY TAKEN [--engine core|ort]
//! ```
//!
//! POLICY holds `reference.safetensors` (`tests/peers/policy.py`), TAKEN what `picardy-train import` wrote.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use picardy::config::SchedulerConfig;
use picardy::nn::{Artifact, ModelCard, Network, NetworkDenoiser, Step};
use picardy::{Denoiser, Level, Memory, Node, Noise, Sampler, Sequential, SliceFrames};
use picardy_ort::{Array, Model, Options, OrtDenoiser};

#[derive(Parser)]
struct Args {
    /// The policy, with the start and the condition.
    policy: PathBuf,
    /// What it was taken over as.
    taken: PathBuf,
    /// What evaluates the network.
    #[arg(long, value_enum, default_value = "core")]
    engine: Engine,
    /// DDIM's steps.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// The runs that are measured.
    #[arg(long, default_value_t = 50)]
    runs: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Core,
    Ort,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let read = |path: PathBuf| std::fs::read(&path).with_context(|| path.display().to_string());
    let reference = read(args.policy.join("reference.safetensors"))?;
    let reference = Artifact::parse(&reference)?;
    let start = reference.tensor("start")?.f32()?;
    let condition = reference.tensor("condition")?.f32()?;
    let scheduler = String::from_utf8(read(args.taken.join("scheduler_config.json"))?)?;
    let scheduler: SchedulerConfig = scheduler.parse()?;
    match args.engine {
        Engine::Core => {
            let bytes = read(args.taken.join("policy.safetensors"))?;
            let artifact = Artifact::parse(&bytes)?;
            let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
            let mut program = vec![Step::default(); card.architecture.steps(card.condition)];
            let network = Network::from_artifact(&artifact, &card, &mut program)?;
            let mut scratch = vec![0.0; network.scratch_len(1)];
            ensure!(network.dim() == start.len(), "one plan is timed: make the policy with --batch 1");
            time(&args, &scheduler, NetworkDenoiser::new(network, condition, &mut scratch), start)
        }
        Engine::Ort => {
            let options = Options { threads: 1, ..Options::default() };
            let mut denoiser = OrtDenoiser::new(Model::load(&args.taken.join("policy.onnx"), options)?)?;
            denoiser.bind("condition", Array::floats(&[1, condition.len()], condition.to_vec())?, None)?;
            time(&args, &scheduler, denoiser, start)
        }
    }
}

fn time<D>(args: &Args, scheduler: &SchedulerConfig, denoiser: D, start: &[f32]) -> anyhow::Result<()>
where
    D: for<'f> Denoiser<SliceFrames<'f, f32>>,
    for<'f> <D as Denoiser<SliceFrames<'f, f32>>>::Error: std::error::Error + Send + Sync + 'static,
{
    let dim = start.len();
    let mut denoiser = Some(denoiser);
    let (noise, mut x, mut memory) = (Noise::seeded(0), start.to_vec(), Memory::new());
    let (mut walls, mut before) = (Vec::new(), 0.0);
    let mut guard = vec![0.0f32; dim];
    let warmup = args.runs.div_ceil(10);
    for run in 0..args.runs + warmup {
        if run == warmup {
            before = on_the_core()?;
        }
        let began = Instant::now();
        // As the peer's loop, with the steps set anew.
        let mut levels = vec![Level::default(); scheduler.levels(args.steps)];
        let mut nodes = vec![Node::default(); scheduler.nodes(args.steps)];
        let plan = scheduler.plan(args.steps, &mut levels, &mut nodes)?;
        let mut guarded = scheduler.guarded(denoiser.take().context("the denoiser")?, &plan, &mut guard)?;
        x.copy_from_slice(start);
        let mut workspace = memory.workspace(Sequential.need(&plan, 1), dim);
        Sequential.run(&plan, &mut guarded, &noise, &mut x, &mut workspace)?;
        denoiser = Some(guarded.denoiser);
        if run >= warmup {
            walls.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    let core = (on_the_core()? - before) / 1e6 / args.runs as f64;
    println!("{}", serde_json::json!({"wall": median(&mut walls), "core": core, "plan": x}));
    Ok(())
}

/// Nanoseconds that this thread has run, which others on the core do not lengthen. (Counted at the scheduler's ticks: too coarse
/// for a single run.)
fn on_the_core() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .context("the thread's own time is read from Linux's /proc")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
