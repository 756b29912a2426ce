//! `eval`: MMD and NLL.

use crate::data::{Dataset, Scaling, Source};
use crate::evaluate;
use crate::loss::{Gaussian, LogSnrDraws, NllConfig, NoiseTable, Output, Process};
use crate::metrics::GaussianKernel;
use crate::model::{Network, Precision};
use crate::rng::Rng;
use crate::train::{Files, Trainer};
use anyhow::Context;
use picardy::nn::{Artifact, CardError, ModelCard, key};
use picardy::{Betas, Ddim, Ddpm, Prediction};
use std::path::PathBuf;

/// Rows that the likelihood's evaluations go through the network together.
const ROWS: usize = 512;
/// Built-in data to compare with is drawn with the run's seed plus this.
const FRESH: u64 = 1_000_003;

#[derive(Debug, clap::Args)]
pub(super) struct EvalArgs {
    /// A run's folder or a .safetensors file.
    model: PathBuf,
    /// The data to compare with: a run's own without (built-in sets are drawn afresh).
    #[arg(long)]
    data: Option<Source>,
    /// Samples, and draws of a built-in data set.
    #[arg(long, default_value_t = 4096)]
    samples: usize,
    /// The solver of the samples: ddpm or ddim.
    #[arg(long, default_value = "ddpm")]
    solver: SolverArg,
    /// Its steps; all of the schedule's without.
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
        (bytes, Some(run.origin))
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
    let (source, seed) = match (&args.data, own) {
        (Some(source), _) => (source.clone(), args.seed),
        (None, Some(origin)) => (origin.data.source()?, origin.seed),
        (None, None) => anyhow::bail!("a model file does not know its data; name it with --data"),
    };
    let data = source.load(args.samples, seed.wrapping_add(FRESH), scaling(&card))?;
    let (x, dim) = (normalised(&data, &card)?, data.dim());

    let steps = args.steps.unwrap_or(card.schedule.train_steps);
    let count = args.samples;
    let samples = match args.solver {
        SolverArg::Ddpm => evaluate::sample(&bytes, card.schedule, &Ddpm::default(), steps, count, args.seed),
        SolverArg::Ddim => evaluate::sample(&bytes, card.schedule, &Ddim::default(), steps, count, args.seed),
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
    let output = match card.prediction {
        Prediction::Epsilon => Output::Epsilon,
        Prediction::Sample => Output::Sample,
        Prediction::V => Output::V,
        Prediction::Flow => Output::Flow,
    };
    if card.condition > 0 {
        println!("note: the network is told a condition; both figures are without one");
    }
    let estimate = NllConfig { output, process: Process::Vp, levels, draws: args.draws };
    let none = vec![0.0; items.len() / dim * card.condition];
    let nll = estimate.estimate(&mut model, &table(card.schedule)?, &gaussian, items, &none, &mut rng)?;
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
    if of_training(&source, &data, &card) {
        println!(
            "note: the points are the file's own points, which it was trained on; name others with --data to see how \
             it does on new ones"
        );
    }
    Ok(())
}

/// Whether the data are the very points that the network was trained on: a file's whose moments the card has.
fn of_training(source: &Source, data: &Dataset, card: &ModelCard<'_>) -> bool {
    matches!(source, Source::File(_) | Source::Digits)
        && card.data_mean.iter().eq(data.mean().iter().copied())
        && card.data_scale.iter().eq(data.scale().iter().copied())
}

/// How the data of training were scaled: with an overall scale, columns may be constant.
fn scaling(card: &ModelCard<'_>) -> Scaling {
    let mut scales = card.data_scale.iter();
    let first = scales.next();
    if scales.all(|scale| Some(scale) == first) { Scaling::Overall } else { Scaling::PerColumn }
}

fn table(betas: Betas) -> anyhow::Result<NoiseTable> {
    Ok(NoiseTable::new(betas.alpha_bars().collect())?)
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
