//! A parallel sampler on a model, beside the sequential one on the same noise: one JSON object, with the keys of the
//! peer's side (`tests/peers/parallel.py`) and `method`, `sampler` (its settings).
//!
//! ```text
//! cargo run --release -p picardy-tests --bin parallel_bench -- MODEL --solver ddpm --steps 1000 --tolerance 0.01 \
//!     --method picard [--window W] [--batch B] [--noise FILE.npz]
//! ```
//!
//! `evaluations` are per item, `mean_abs_diff` and `max_abs_diff` are between the parallel and the sequential sample,
//! `loop_s` is the time of the parallel run outside the model.

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{
    AnySampler, Auto, Ddim, Ddpm, Denoiser, Level, Mark, Memory, Need, Node, Noise, NoiseSchedule, Parareal,
    Picard, Plan, Prediction, Report, Sampler, Sequential, SliceFrames, Slope, Solver, Span, Speculative,
    Start, Tensor, Workspace,
};
use picardy_ort::{Model, Options, OrtDenoiser, Provider, ResidentFrames, Runtime};
use picardy_tests::{Tape, Timed};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Args {
    /// The model: .onnx or .safetensors, with Picardy's metadata.
    model: PathBuf,
    #[arg(long, value_enum, default_value = "ddpm")]
    solver: SolverName,
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Of the method's own criterion; its default without.
    #[arg(long)]
    tolerance: Option<f64>,
    /// The most open nodes; 0 for the whole run.
    #[arg(long, default_value_t = 0)]
    window: usize,
    #[arg(long, default_value_t = 16)]
    batch: usize,
    #[arg(long, value_enum, default_value = "auto")]
    method: Method,
    /// Picard's: every so many-th node is evaluated where the states still move far.
    #[arg(long)]
    stride: Option<usize>,
    /// Picard's: the most rows of a call; 0 for any.
    #[arg(long, default_value_t = 0)]
    rows: usize,
    /// Picard's: identity, frozen, gaussian, secant, or multisecant1 to multisecant4.
    #[arg(long)]
    slope: Option<String>,
    /// Picard's: constant, gaussian, or the number of evaluations of a coarse start.
    #[arg(long)]
    start: Option<String>,
    /// Picard's: the history of Anderson mixing.
    #[arg(long)]
    anderson: Option<usize>,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// `init`, `noise` and `sequential` of the peer (`parallel.py --save`), in place of the seed and the batch.
    #[arg(long)]
    noise: Option<PathBuf>,
    /// What evaluates an ONNX model: cpu, cuda, webgpu and so on.
    #[arg(long, default_value_t = Provider::Cpu)]
    provider: Provider,
    /// States stay on the provider's device.
    #[arg(long)]
    resident: bool,
    /// Runs of which the median time is taken.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SolverName {
    Ddpm,
    Ddim,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Sequential,
    /// As published: identity slope, constant start, its criterion.
    Paradigms,
    Picard,
    /// Picard with Anderson mixing of history 2.
    Anderson,
    Parareal,
    /// Parareal, block after block as their inputs come.
    Pipelined,
    /// Exact in law, not the sequential sample: its distance to that says nothing.
    Speculative,
    /// What `Auto` chooses for a device of --rows rows.
    Auto,
}

/// What the model says of itself.
struct Process {
    dim: usize,
    schedule: NoiseSchedule,
    prediction: Prediction,
    data_variance: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let extension = args.model.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("onnx") => {
            Runtime::load_for(args.provider, None)?;
            let options = Options { provider: args.provider, ..Options::default() };
            let denoiser = OrtDenoiser::new(Model::load(&args.model, options)?)?;
            let card = denoiser.card()?.context("the model has no metadata; export it with picardy-train")?;
            let process = Process {
                dim: denoiser.dim(),
                schedule: card.schedule,
                prediction: card.prediction,
                data_variance: card.data_variance,
            };
            if args.resident {
                let (provider, item) = (denoiser.model().provider(), denoiser.item_shape().to_vec());
                bench::<_, Device>(&args, &process, denoiser, Device { provider, item, ..Device::default() })
            } else {
                bench::<_, Memory<f32>>(&args, &process, denoiser, Memory::new())
            }
        }
        Some("safetensors") => {
            let bytes = std::fs::read(&args.model)
                .with_context(|| format!("cannot read {}", args.model.display()))?;
            let artifact = Artifact::parse(&bytes)?;
            let model = ResidualMlp::from_artifact(&artifact)?;
            let card = model.card(&artifact)?;
            let process = Process {
                dim: model.dim(),
                schedule: card.schedule,
                prediction: card.prediction,
                data_variance: card.data_variance,
            };
            let mut scratch = vec![0.0; model.scratch_len(64)];
            anyhow::ensure!(!args.resident, "--resident is of ONNX models: give an .onnx file");
            bench::<_, Memory<f32>>(&args, &process, MlpDenoiser::new(model, &mut scratch), Memory::new())
        }
        _ => bail!("{}: give a model that ends in .onnx or .safetensors", args.model.display()),
    }
}

fn bench<D, P>(args: &Args, process: &Process, denoiser: D, place: P) -> anyhow::Result<()>
where
    P: Place,
    D: for<'f> Denoiser<P::Frames<'f>, Error: std::error::Error + Send + Sync + 'static>,
{
    let (dim, steps) = (process.dim, args.steps);
    let (mut levels, mut nodes) = (Vec::new(), Vec::new());
    // Checked before so much memory is taken.
    anyhow::ensure!((1..=1_000_000).contains(&args.batch), "a batch of {}; give 1 to 1000000", args.batch);
    anyhow::ensure!((1..=1_000_000).contains(&steps), "{steps} steps; give 1 to 1000000");
    levels.resize(steps + 1, Level::default());
    nodes.resize(steps + 1, Node::default());
    let grid = process.schedule.trailing(steps, &mut levels)?;
    let plan = match args.solver {
        SolverName::Ddpm => Ddpm::default().plan(&grid, process.prediction, &mut nodes)?,
        SolverName::Ddim => Ddim::default().plan(&grid, process.prediction, &mut nodes)?,
    };
    let tape = args.noise.as_ref().map(Tape::read).transpose()?;
    if let Some(tape) = &tape {
        tape.check(plan.last(), dim)?;
    }
    let batch = tape.as_ref().map_or(args.batch, |tape| tape.batch);
    let (noise, init) = match &tape {
        Some(tape) => (tape.noise(), tape.init.clone()),
        None => {
            let noise = Noise::seeded(args.seed);
            let mut init = vec![0.0; batch.saturating_mul(dim)];
            plan.start(&noise, dim, &mut init);
            (noise, init)
        }
    };
    let mut runner = Runner {
        plan,
        noise,
        init,
        dim,
        batch,
        repeat: args.repeat.max(1),
        denoiser: Timed::new(denoiser),
        place,
    };
    let sequential = runner.run(&Sequential)?;
    let sampler = sampler(args, process, &runner.plan, batch)?;
    let parallel = runner.run(&sampler)?;
    let (mean, max) = difference(&parallel.x, &sequential.x);
    let mut line = serde_json::json!({
        "provider": args.provider.to_string(),
        "resident": args.resident,
        "solver": format!("{:?}", args.solver).to_lowercase(),
        "method": format!("{:?}", args.method).to_lowercase(),
        "steps": steps,
        "tolerance": tolerance_of(&sampler),
        "sampler": format!("{sampler:?}"),
        "window": if args.window == 0 { plan.last() } else { args.window.min(plan.last()) },
        "batch": batch,
        "rounds": parallel.report.rounds,
        "evaluations": parallel.report.evaluations as f64 / batch as f64,
        "sequential_s": sequential.seconds,
        "parallel_s": parallel.seconds,
        "loop_s": parallel.outside,
        "mean_abs_diff": mean,
        "max_abs_diff": max,
    });
    if let Some(tape) = &tape {
        line["diff_to_peer_sequential"] = difference(&parallel.x, &tape.sequential).0.into();
    }
    println!("{line}");
    Ok(())
}

/// The method's sampler.
fn sampler(args: &Args, process: &Process, plan: &Plan<'_>, batch: usize) -> anyhow::Result<AnySampler> {
    let picard = picard(args, process)?;
    let Picard { tolerance, data_variance, window, .. } = picard;
    Ok(match args.method {
        Method::Sequential => AnySampler::Sequential(Sequential),
        Method::Paradigms => {
            let paper = Picard::paradigms(window, args.tolerance.unwrap_or(0.1));
            AnySampler::Picard(Picard { data_variance, ..paper })
        }
        Method::Picard | Method::Anderson => AnySampler::Picard(picard),
        Method::Parareal | Method::Pipelined => AnySampler::Parareal(Parareal {
            tolerance,
            data_variance,
            pipelined: matches!(args.method, Method::Pipelined),
            ..Parareal::default()
        }),
        Method::Speculative => {
            AnySampler::Speculative(Speculative { draft: window, data_variance, ..Speculative::default() })
        }
        Method::Auto => {
            let rows = if args.rows == 0 { usize::MAX } else { args.rows };
            Auto { rows, tolerance, data_variance, ..Auto::default() }.choose(plan, batch, process.dim)
        }
    })
}

fn picard(args: &Args, process: &Process) -> anyhow::Result<Picard> {
    let standard = Picard::default();
    let any = |limit| if limit == 0 { usize::MAX } else { limit };
    Ok(Picard {
        window: any(args.window),
        rows: any(args.rows),
        stride: args.stride.unwrap_or(standard.stride),
        slope: args.slope.as_deref().map_or(Ok(standard.slope), |name| {
            Ok(match name {
                "identity" => Slope::Identity,
                "frozen" => Slope::Frozen,
                "gaussian" => Slope::Gaussian,
                "secant" => Slope::Secant,
                _ => match name.strip_prefix("multisecant").map(str::parse) {
                    Some(Ok(directions)) => Slope::Multisecant(directions),
                    _ => bail!(
                        "slope {name:?}; give identity, frozen, gaussian, secant or multisecant1 to multisecant4"
                    ),
                },
            })
        })?,
        start: match args.start.as_deref() {
            None => standard.start,
            Some("constant") => Start::Constant,
            Some("gaussian") => Start::Gaussian,
            Some(number) => Start::Coarse(
                number
                    .parse()
                    .with_context(|| format!("start {number:?}; give constant, gaussian or a number of steps"))?,
            ),
        },
        anderson: args.anderson.unwrap_or(if matches!(args.method, Method::Anderson) { 2 } else { 0 }),
        tolerance: args.tolerance.unwrap_or(standard.tolerance),
        data_variance: process.data_variance,
        ..standard
    })
}

struct Runner<'a, D, P> {
    plan: Plan<'a>,
    noise: Noise<'a>,
    init: Vec<f32>,
    dim: usize,
    batch: usize,
    repeat: usize,
    denoiser: Timed<D>,
    place: P,
}

/// Where the states are.
trait Place {
    type Frames<'f>: Tensor<Scalar = f32>
    where
        Self: 'f;

    fn workspace(&mut self, need: Need, dim: usize) -> anyhow::Result<Workspace<'_, Self::Frames<'_>>>;
}

impl Place for Memory<f32> {
    type Frames<'f> = SliceFrames<'f, f32>;

    fn workspace(&mut self, need: Need, dim: usize) -> anyhow::Result<Workspace<'_, Self::Frames<'_>>> {
        Ok(Memory::workspace(self, need, dim))
    }
}

/// A device, its frames made anew where a run needs more.
#[derive(Default)]
struct Device {
    provider: Provider,
    item: Vec<usize>,
    frames: Option<ResidentFrames>,
    spans: Vec<Span>,
    marks: Vec<Mark>,
}

impl Place for Device {
    type Frames<'f> = &'f mut ResidentFrames;

    fn workspace(&mut self, need: Need, _: usize) -> anyhow::Result<Workspace<'_, Self::Frames<'_>>> {
        self.spans.resize(self.spans.len().max(need.spans), Span::default());
        self.marks.resize(self.marks.len().max(need.marks), Mark::default());
        let kept = self.frames.take().filter(|frames| frames.rows() >= need.rows);
        let frames = match kept {
            Some(frames) => self.frames.insert(frames),
            None => self.frames.insert(ResidentFrames::new(self.provider, need, &self.item)?),
        };
        Ok(Workspace::new(frames, &mut self.spans).with_marks(&mut self.marks))
    }
}

struct Outcome {
    x: Vec<f32>,
    report: Report,
    /// Medians over the repeats: of the run, and of what of it was outside the model.
    seconds: f64,
    outside: f64,
}

impl<D, P: Place> Runner<'_, D, P>
where
    D: for<'f> Denoiser<P::Frames<'f>, Error: std::error::Error + Send + Sync + 'static>,
{
    fn run(&mut self, sampler: &impl Sampler) -> anyhow::Result<Outcome> {
        let (mut seconds, mut outside) = (Vec::new(), Vec::new());
        let (mut x, mut report) = (Vec::new(), Report::default());
        for _ in 0..self.repeat {
            x.clone_from(&self.init);
            let mut workspace = self.place.workspace(sampler.need(&self.plan, self.batch), self.dim)?;
            self.denoiser.spent = Duration::ZERO;
            let start = Instant::now();
            report = sampler.run(&self.plan, &mut self.denoiser, &self.noise, &mut x, &mut workspace)?;
            let total = start.elapsed();
            seconds.push(total.as_secs_f64());
            outside.push(total.saturating_sub(self.denoiser.spent).as_secs_f64());
        }
        Ok(Outcome { x, report, seconds: median(seconds), outside: median(outside) })
    }
}

fn tolerance_of(sampler: &AnySampler) -> Option<f64> {
    match sampler {
        AnySampler::Picard(picard) => Some(picard.tolerance),
        AnySampler::Parareal(parareal) => Some(parareal.tolerance),
        _ => None,
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The mean and the largest absolute difference.
fn difference(a: &[f32], b: &[f32]) -> (f64, f64) {
    let differences = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()));
    (differences.clone().sum::<f64>() / a.len() as f64, differences.fold(0.0, f64::max))
}
