//! `picardy-ort sample`.

mod resident;
mod solver;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use picardy::config::SchedulerConfig;
use picardy::{
    AnySampler, AnySolver, Denoiser, Guided, Level, Mark, Node, Noise, Plan, Report, Round, Sampler,
    SliceFrames, Solver, Span, Tensor, Workspace,
};
use picardy_ort::remote::RemoteOptions;
use picardy_ort::{GpuGraphs, Model, Options, Provider, RemoteDenoiser, Runtime, output, picture};

use super::method::Method;
use super::names;
use super::process::{self, Schedule};
use super::signature::SignatureArgs;
use solver::{SpacingFlag, VarianceFlag};

#[derive(Debug, clap::Args)]
pub(crate) struct SampleArgs {
    /// The ONNX file.
    model: PathBuf,
    /// The solver.
    #[arg(long, value_parser = names::solver(), default_value = "ddim")]
    solver: AnySolver,
    /// A diffusers `scheduler_config.json`: solver, timesteps, prediction and clipping as it has them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["solver", "eta", "variance", "spacing", "prediction", "schedule",
        "train_steps", "beta_start", "beta_end"])]
    scheduler_config: Option<PathBuf>,
    /// The solver's steps.
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// How much noise ddim, ddim_stride, euler_ancestral and tcd add: 0 to 1 [default: as the solver's papers have it].
    #[arg(long)]
    eta: Option<f64>,
    /// The variance of DDPM's steps [default: small].
    #[arg(long, value_enum)]
    variance: Option<VarianceFlag>,
    /// Which of the trained timesteps are visited [default: trailing].
    #[arg(long, value_enum)]
    spacing: Option<SpacingFlag>,
    /// How many items are sampled.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    batch: u32,
    /// The noise's seed: the same one gives the same samples, by whichever method.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The .npy file of the samples.
    #[arg(long, value_name = "FILE", default_value = "samples.npy")]
    out: PathBuf,
    /// The PNG file of a picture of them.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Leaves the samples as the network makes them, and not in the data's own units.
    #[arg(long)]
    normalised: bool,
    /// The threads that ONNX Runtime shares an operator's work among; 0 leaves it the choice.
    #[arg(long, default_value_t = 1, value_parser = threads)]
    threads: usize,
    /// What evaluates the model's nodes: cpu, cuda, tensorrt, tensorrt-fp16, webgpu or auto, with a
    /// device's index as in cuda:1. Where it cannot be used, nothing else is.
    #[arg(long, default_value_t)]
    provider: Provider,
    /// Whether a GPU's runs are captured and repeated as one where their shapes come again: off, on, or after how many runs of a shape
    #[arg(long, value_name = "WHEN", default_value_t = GpuGraphs::Off)]
    gpu_graphs: GpuGraphs,
    /// Servers of the Open Inference Protocol that evaluate the model, as in http://host:8080/v2/models/NAME: the file then
    /// tells what it was trained for, and no more.
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with_all = ["guidance", "condition"])]
    remote: Vec<String>,
    #[command(flatten)]
    method: Method,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    process: process::ProcessArgs,
}

/// ONNX Runtime starts as many threads as it is told: not more than a machine can have.
fn threads(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n <= 1024).ok_or_else(|| "give 0 to 1024".to_owned())
}

pub(super) fn run(args: &SampleArgs, library: Option<&Path>) -> anyhow::Result<String> {
    Runtime::load_for(args.provider, library)?;
    check_outputs(args)?;
    let options = Options { threads: args.threads, provider: args.provider, graphs: args.gpu_graphs };
    let model = Model::load(&args.model, options)?;
    if args.provider == Provider::Auto {
        let chosen = model.provider();
        let reasons: Vec<String> = model.passed_over().iter().map(ToString::to_string).collect();
        eprintln!(
            "note: sampled on {chosen}{}{}",
            if reasons.is_empty() { "" } else { ": " },
            reasons.join("; ")
        );
    }
    let mut denoiser = args.signature.denoiser(model)?;
    let config = args.scheduler_config.as_deref().map(read_config).transpose()?;
    let process = process::of(&denoiser, &args.process, config)?;
    let solver = config.map_or_else(|| solver::of(args, &process), |config| Ok(config.solver))?;

    // More steps than timesteps are the grid's to refuse, not the allocator's.
    let slots = args.steps.min(process.schedule.train_steps());
    let mut levels: Vec<Level> = filled(Some(slots + 1), Level::default())?;
    let mut nodes: Vec<Node> = filled(Some(solver.nodes(slots)), Node::default())?;
    let plan = match &process.schedule {
        Schedule::Config(config) => config.plan(args.steps, &mut levels, &mut nodes)?,
        Schedule::Trained(schedule) => {
            if let (Some(spacing), None) = (args.spacing, schedule.betas()) {
                bail!(
                    "--spacing {}: the process of this model is {}, which has no timesteps to choose from; leave it out",
                    spacing.name(),
                    schedule.process()
                );
            }
            let spacing = args.spacing.unwrap_or_default().of();
            let grid = schedule.grid(args.steps, spacing, &mut levels)?;
            solver.plan(&grid, process.prediction, &mut nodes)?
        }
    };
    let started = Instant::now();
    let dim = denoiser.dim();
    let on_servers = !args.remote.is_empty();
    let on_device = denoiser.model().provider() != Provider::Cpu && !on_servers;
    let wide = (on_device || on_servers, on_device);
    let sampler = args.method.sampler(&plan, (args.batch as usize, dim), process.data_variance, wide)?;
    let remote = remote(args, &sampler, &plan, config, denoiser.item_shape())?;
    let on_device = match remote {
        Some(_) => None,
        None => resident::sample(args, &plan, config, &sampler, &mut denoiser)?,
    };
    let stayed = on_device.is_some();
    if !stayed && args.gpu_graphs != GpuGraphs::Off {
        eprintln!("note: no runs are captured: --gpu-graphs is for states that stay on a GPU");
    }
    let (mut x, report) = match (remote.or(on_device), args.signature.guidance) {
        (Some(done), _) => done,
        (None, None) => guarded(args, &sampler, &plan, config, &mut denoiser, dim)?,
        (None, Some(weight)) => {
            // A call has at most as many rows as the run has frames.
            let need = sampler.need(&plan, args.batch as usize);
            let mut memory: Vec<f32> = filled(need.rows.checked_mul(4 * dim), 0.0)?;
            let rescale = args.signature.guidance_rescale.unwrap_or(0.0);
            let frames = SliceFrames::new(&mut memory, dim);
            let mut guided = Guided::new(&mut denoiser, frames, weight).rescaled(rescale);
            guarded(args, &sampler, &plan, config, &mut guided, dim)?
        }
    };
    let seconds = started.elapsed().as_secs_f64();

    if let (false, Some((mean, scale))) = (args.normalised, &process.units) {
        for row in x.chunks_mut(denoiser.dim()) {
            for (x, (mean, scale)) in row.iter_mut().zip(mean.iter().zip(scale)) {
                *x = (mean + scale * f64::from(*x)) as f32;
            }
        }
    }
    let shape: Vec<usize> =
        std::iter::once(args.batch as usize).chain(denoiser.item_shape().iter().copied()).collect();
    output::write_npy(&args.out, &shape, &x)
        .with_context(|| format!("cannot write `{}`", args.out.display()))
        .map_err(flatten)?;
    let mut said = format!("{} rounds, {} evaluations, {seconds:.2} s\n", report.rounds, report.evaluations);
    if stayed {
        said += &format!("the states stayed on {}\n", denoiser.model().provider());
    }
    if let (splits @ 1.., Some(rows)) = (denoiser.splits(), denoiser.row_limit()) {
        said += &format!("out of memory: calls were halved {splits} times, to {rows} rows\n");
    }
    if denoiser.learned_variance() {
        said += "the model learned its variance: the first half of its output's channels was taken\n";
    }
    said += &format!("{} {shape:?}\n", args.out.display());
    if let Some(path) = &args.picture {
        draw(args, path, &solver, denoiser.dim(), &x)?;
        said += &format!("{}\n", path.display());
    }
    Ok(said)
}

/// Samples with the model on servers, where the flags name any.
fn remote(
    args: &SampleArgs,
    sampler: &AnySampler,
    plan: &Plan<'_>,
    config: Option<SchedulerConfig>,
    item_shape: &[usize],
) -> anyhow::Result<Option<(Vec<f32>, Report)>> {
    if args.remote.is_empty() {
        return Ok(None);
    }
    let options = RemoteOptions { item_shape: Some(item_shape.to_vec()), ..RemoteOptions::default() };
    let mut remote = RemoteDenoiser::connect(&args.remote, options)?;
    let dim = item_shape.iter().product();
    guarded(args, sampler, plan, config, &mut remote, dim).map(Some)
}

/// An error and its causes in one line.
fn flatten(error: anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// What can be known before the work about whether its result can be written.
fn check_outputs(args: &SampleArgs) -> anyhow::Result<()> {
    for path in std::iter::once(&args.out).chain(&args.picture) {
        let dir = output::parent(path);
        if !dir.is_dir() {
            bail!("cannot write `{}`: there is no directory `{}`", path.display(), dir.display());
        }
        if path.is_dir() || path.file_name().is_none() {
            bail!("cannot write `{}`: it is a directory; name a file", path.display());
        }
    }
    if args.picture.as_ref() == Some(&args.out) {
        bail!("--out and --picture both name `{}`: name two files", args.out.display());
    }
    Ok(())
}

fn read_config(path: &Path) -> anyhow::Result<SchedulerConfig> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))
        .map_err(flatten)?;
    text.parse().map_err(|error| anyhow::anyhow!("`{}`: {error}", path.display()))
}

/// Samples, with the scheduler's limits on the estimates where there is a scheduler.
fn guarded<D>(
    args: &SampleArgs,
    sampler: &AnySampler,
    plan: &Plan<'_>,
    config: Option<SchedulerConfig>,
    denoiser: &mut D,
    dim: usize,
) -> anyhow::Result<(Vec<f32>, Report)>
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>, Error: std::error::Error + Send + Sync + 'static>,
{
    let Some(config) = config else { return sample(args, sampler, plan, denoiser, dim) };
    let mut scratch: Vec<f32> = filled(Some(dim), 0.0)?;
    sample(args, sampler, plan, &mut config.guarded(denoiser, plan, &mut scratch)?, dim)
}

fn sample<D>(
    args: &SampleArgs,
    sampler: &AnySampler,
    plan: &Plan<'_>,
    denoiser: &mut D,
    dim: usize,
) -> anyhow::Result<(Vec<f32>, Report)>
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>, Error: std::error::Error + Send + Sync + 'static>,
{
    let need = sampler.need(plan, args.batch as usize);
    let mut memory: Vec<f32> = filled(need.rows.checked_mul(dim), 0.0)?;
    run_over(args, sampler, plan, denoiser, SliceFrames::new(&mut memory, dim))
}

fn run_over<F, D>(
    args: &SampleArgs,
    sampler: &impl Sampler,
    plan: &Plan<'_>,
    denoiser: &mut D,
    frames: F,
) -> anyhow::Result<(Vec<f32>, Report)>
where
    F: Tensor<Scalar = f32>,
    D: Denoiser<F, Error: std::error::Error + Send + Sync + 'static>,
{
    let (batch, dim) = (args.batch as usize, frames.dim());
    let need = sampler.need(plan, batch);
    let mut x: Vec<f32> = filled(batch.checked_mul(dim), 0.0)?;
    let mut spans: Vec<Span> = filled(Some(need.spans), Span::default())?;
    let mut marks: Vec<Mark> = filled(Some(need.marks), Mark::default())?;
    let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);

    let noise = Noise::seeded(args.seed);
    plan.start(&noise, dim, &mut x);
    let bar = progress(plan.last());
    let watch = |round: &Round| {
        bar.set_position(round.done as u64);
        bar.set_message(format!("round {}, {} evaluations", round.rounds, round.evaluations));
        std::ops::ControlFlow::Continue(())
    };
    let report = sampler.run_watched(plan, denoiser, &noise, &mut x, &mut workspace, watch);
    bar.finish_and_clear();
    Ok((x, report?))
}

/// Memory of `length` elements, or an error where there is not that much.
fn filled<T: Clone>(length: Option<usize>, value: T) -> anyhow::Result<Vec<T>> {
    let mut memory = Vec::new();
    match length.filter(|&length| memory.try_reserve_exact(length).is_ok()) {
        Some(length) => memory.resize(length, value),
        None => {
            let gigabytes = length.map_or(f64::INFINITY, |n| n as f64 * size_of::<T>() as f64 / 1e9);
            bail!("the run takes {gigabytes:.0} GB of memory: give a smaller --batch, --window or --steps");
        }
    }
    Ok(memory)
}

/// A bar on the terminal; nothing where stderr is none.
fn progress(nodes: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(nodes as u64), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} nodes, {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// One coordinate as a histogram; of more, the first two as a cloud.
fn draw(args: &SampleArgs, path: &Path, solver: &AnySolver, dim: usize, x: &[f32]) -> anyhow::Result<()> {
    let model = args.model.file_name().unwrap_or_default().to_string_lossy();
    let more = if dim > 2 { ", the first two coordinates" } else { "" };
    let title = format!("{model}: {solver} {}{more}", args.steps);
    if dim == 1 {
        picture::histogram(x, path, &title)?;
    } else {
        let points: Vec<[f32; 2]> = x.chunks(dim).map(|row| [row[0], row[1]]).collect();
        picture::scatter(&points, path, &title)?;
    }
    Ok(())
}
