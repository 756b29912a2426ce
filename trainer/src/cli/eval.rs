//! `eval`: MMD and NLL.

use crate::data::{DataConfig, Dataset, Scaling, Source, Stored};
use crate::evaluate::{self, sample_told};
use crate::loss::{Gaussian, LogSnrDraws, NllConfig};
use crate::metrics::GaussianKernel;
use crate::model::{Network, Precision};
use crate::rng::Rng;
use crate::train::{Checkpoint, Files, Trainer};
use anyhow::Context;
use picardy::nn::{Artifact, CardError, ModelCard, key};
use picardy::{Ddim, Ddpm, NoiseSchedule};
use std::path::PathBuf;

/// Rows that the likelihood's evaluations go through the network together.
const ROWS: usize = 512;
/// Built-in data to compare with is drawn with the run's seed plus this.
const FRESH: u64 = 1_000_003;
/// Steps of the samples where the network knows no timesteps.
const VE_STEPS: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct EvalArgs {
    /// A run's folder or a .safetensors file.
    model: PathBuf,
    /// The data to compare with: a run's own without, which are the held-out items where there are some (built-in sets are drawn
    /// afresh). Beside a run, a table's label column is the run's.
    #[arg(long)]
    data: Option<Source>,
    /// The labels of --data that the network is told: a file of one a row, or `own` of digits.
    #[arg(long, requires = "data")]
    labels: Option<String>,
    /// The column of --data's own file that is the label, from 1; the run's own without.
    #[arg(long, requires = "data")]
    label_column: Option<usize>,
    /// The observations of --data that the network is told: a file of one vector a row.
    #[arg(long, requires = "data")]
    observations: Option<String>,
    /// Samples, and draws of a built-in data set.
    #[arg(long, default_value_t = 4096)]
    samples: usize,
    /// The solver of the samples: ddpm or ddim.
    #[arg(long, default_value = "ddpm")]
    solver: SolverArg,
    /// Its steps; all of the schedule's timesteps without, and 1000 of a process that has none.
    #[arg(long)]
    steps: Option<usize>,
    /// Evaluations per item for the likelihood.
    #[arg(long, default_value_t = 128)]
    draws: usize,
    /// Items whose likelihood is estimated, at least 2.
    #[arg(long, default_value_t = 1000)]
    items: usize,
    /// Seed of samples and draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SolverArg {
    Ddpm,
    Ddim,
}

pub(super) fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.items >= 2,
        "--items {}: a mean and its error take at least 2 items; name more",
        args.items
    );
    let path = || args.model.display();
    let (bytes, own) = if args.model.is_dir() {
        let run = Trainer::resume_on(&Files { folder: args.model.clone() }.checkpoint(), Some("native"))?;
        let bytes = run.trainer.averaged()?.to_safetensors(&run.trainer.card(), Precision::F32)?;
        (bytes, Some(run))
    } else {
        (std::fs::read(&args.model).with_context(|| path().to_string())?, None)
    };
    let artifact = Artifact::parse(&bytes).with_context(|| path().to_string())?;
    let card = ModelCard::from_lookup(|key| artifact.metadata(key)).map_err(|error| match error {
        CardError::Missing { key: key::VERSION } => {
            anyhow::anyhow!("{}: it has no picardy metadata; name a model of `picardy-train export`", path())
        }
        error => anyhow::anyhow!("{}: {error}", path()),
    })?;
    let Points { data, note } = points(args, own.as_ref(), &card)?;
    let (x, dim) = (normalised(&data, &card)?, data.dim());

    let steps = args.steps.unwrap_or(match card.schedule {
        NoiseSchedule::Ve { .. } => VE_STEPS,
        schedule => schedule.most_steps(),
    });
    let count = args.samples;
    let told = evaluate::conditions_of(&data, card.condition, count).with_context(|| path().to_string())?;
    let (schedule, count_of) = (card.schedule, (count, args.seed));
    let samples = match args.solver {
        SolverArg::Ddpm => sample_told(&bytes, schedule, &Ddpm::default(), steps, &told, count_of),
        SolverArg::Ddim => sample_told(&bytes, schedule, &Ddim::default(), steps, &told, count_of),
    };
    let samples = samples.with_context(|| path().to_string())?;
    let mmd = GaussianKernel::default()
        .mmd(&samples, &x, dim)
        .with_context(|| format!("{count} samples against {} points of {}", x.len() / dim, data.name()))?;
    println!(
        "mmd {:.5} +- {:.5}   ({:?}, {steps} steps, {count} samples against {} points)",
        mmd.value,
        mmd.standard_error,
        args.solver,
        x.len() / dim
    );

    let mut model = Network::from_safetensors(&bytes, ROWS).with_context(|| path().to_string())?;
    let gaussian = Gaussian::fit(&x, dim).with_context(|| format!("no likelihood for {}", data.name()))?;
    let levels = LogSnrDraws::for_eigenvalues(gaussian.eigenvalues());
    let items = &x[..args.items.saturating_mul(dim).min(x.len())];
    let mut rng = Rng::new(args.seed, u64::MAX);
    if card.condition > 0 && told.is_empty() {
        println!(
            "note: the network is told a condition, and {} has none here: both figures are without one; give it with \
             --labels, --label-column or --observations",
            data.name()
        );
    }
    let estimate = NllConfig { output: card.prediction, schedule, levels, draws: args.draws };
    let mut told = vec![0.0; items.len() / dim * card.condition];
    for (index, slot) in told.chunks_exact_mut(card.condition.max(1)).enumerate() {
        data.conditions().write(index, slot);
    }
    let nll = estimate.estimate(&mut model, items, &told, &mut rng)?;
    // A density in the data's units is one in the network's divided by the scales.
    let units: f64 = card.data_scale.iter().map(f64::ln).sum();
    println!(
        "nll {:.4} +- {:.4} nats   ({:.4} in the data's own units; {} items, {} draws each)",
        nll.mean,
        nll.standard_error,
        nll.mean + units,
        items.len() / dim,
        args.draws
    );
    if let Some(note) = note {
        println!("note: {note}");
    }
    Ok(())
}

/// What the samples are compared with, and what is to be said of it.
struct Points {
    data: Dataset,
    note: Option<String>,
}

const TRAINED_ON: &str = "the points are the set's own points, which it was trained on; name others with --data to see how it does on new ones";

/// The data of `--data` with its flags, or a run's own: fresh draws of a built-in set without conditions, the held-out items of
/// any other, or all of them.
fn points(args: &EvalArgs, run: Option<&Checkpoint>, card: &ModelCard<'_>) -> anyhow::Result<Points> {
    let scaling = scaling(card).into();
    let fresh = |seed: u64| seed.wrapping_add(FRESH);
    let config = match (&args.data, run) {
        (None, None) => anyhow::bail!("a model file does not know its data; name it with --data"),
        (None, Some(run)) => {
            let own = &run.origin.data;
            let drawn = matches!(own.source()?, Source::Builtin(_));
            if drawn && own.labels.is_empty() && own.observations.is_empty() {
                let config = DataConfig { scaling, stored: Stored::F32, points: args.samples, ..own.clone() };
                return Ok(Points { data: config.load(fresh(run.origin.seed))?, note: None });
            }
            let (data, note) = match run.trainer.held_out() {
                Some(held_out) => {
                    let count = held_out.len();
                    (
                        held_out,
                        format!("the points are the {count} held-out items, which it was not trained on"),
                    )
                }
                None => (run.trainer.data(), TRAINED_ON.to_owned()),
            };
            return Ok(Points { data: data.clone(), note: Some(note) });
        }
        (Some(source), run) => DataConfig {
            source: source.to_string(),
            points: args.samples,
            scaling,
            labels: args.labels.clone().unwrap_or_default(),
            label_column: match args.label_column {
                Some(column) => column,
                // A file like the run's own has the label where that has it.
                None if args.labels.is_some() || args.observations.is_some() => 0,
                None => run.map_or(0, |run| run.origin.data.label_column),
            },
            observations: args.observations.clone().unwrap_or_default(),
            ..DataConfig::default()
        },
    };
    // As many classes as the network knows: the data may have fewer.
    let classes = if config.observations.is_empty() { card.condition } else { 0 };
    let data = DataConfig { classes, ..config }.load(fresh(args.seed))?;
    // A built-in set's points are drawn afresh; its moments are known, and those of every draw.
    let drawn = matches!(args.data, Some(Source::Builtin(_)));
    let note = (!drawn && of_training(&data, card)).then(|| TRAINED_ON.to_owned());
    Ok(Points { data, note })
}

/// Whether the data are the very points that the network was trained on: a file's whose moments the card has.
fn of_training(data: &Dataset, card: &ModelCard<'_>) -> bool {
    card.data_mean.iter().eq(data.mean().iter().copied())
        && card.data_scale.iter().eq(data.scale().iter().copied())
}

/// How the data of training were scaled: with an overall scale, columns may be constant.
fn scaling(card: &ModelCard<'_>) -> Scaling {
    let mut scales = card.data_scale.iter();
    let first = scales.next();
    if scales.all(|scale| Some(scale) == first) { Scaling::Overall } else { Scaling::PerColumn }
}

/// The data in the network's coordinates, by the card's mean and scale (which may be other than the data's own).
fn normalised(data: &Dataset, card: &ModelCard<'_>) -> anyhow::Result<Vec<f32>> {
    anyhow::ensure!(
        card.dim() == data.dim(),
        "the model has {} coordinates and {} has {}; name the data it was trained on",
        card.dim(),
        data.name(),
        data.dim()
    );
    let raw = data.restore(&data.data());
    let affine: Vec<_> = card.data_mean.iter().zip(card.data_scale.iter()).collect();
    Ok(raw.iter().zip(affine.iter().cycle()).map(|(x, (mean, scale))| ((x - mean) / scale) as f32).collect())
}
