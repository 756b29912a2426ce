//! What the network was trained for: the metadata's word, and the flags' for what it does not say.

use std::io::Write;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use picardy::{Betas, Prediction};
use picardy_ort::OrtDenoiser;

/// The flags that describe a model without metadata.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model without metadata, or with damaged metadata")]
pub(crate) struct ProcessArgs {
    /// What the network's output is.
    #[arg(long, value_name = "KIND")]
    prediction: Option<PredictionFlag>,
    /// The noise schedule it was trained with.
    #[arg(long, value_name = "KIND")]
    schedule: Option<ScheduleFlag>,
    /// The timesteps of its training [default: 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    train_steps: Option<u32>,
    /// The schedule's first beta [default: 0.0001].
    #[arg(long, value_name = "BETA")]
    beta_start: Option<f64>,
    /// The schedule's last beta [default: 0.02].
    #[arg(long, value_name = "BETA")]
    beta_end: Option<f64>,
    /// The variance of the data per coordinate, as the network saw it [default: 1].
    #[arg(long, value_name = "V")]
    data_variance: Option<f64>,
    /// The shape of one item, such as 3,64,64, where the graph leaves it open.
    #[arg(long, value_name = "SHAPE", value_delimiter = ',')]
    pub(super) item_shape: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PredictionFlag {
    Epsilon,
    Sample,
    #[value(aliases = ["v_prediction", "v-prediction"])]
    V,
    Flow,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScheduleFlag {
    Linear,
    #[value(alias = "scaled_linear")]
    ScaledLinear,
    #[value(alias = "squaredcos_cap_v2")]
    Cosine,
    Sigmoid,
}

/// A network's process, and how its numbers become the data's.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) betas: Betas,
    pub(super) prediction: Prediction,
    pub(super) data_variance: f64,
    /// Mean and scale of each coordinate, where the metadata names them.
    pub(super) units: Option<(Vec<f64>, Vec<f64>)>,
}

/// The process of `denoiser`, whose metadata speaks where it has any.
///
/// A flag that the metadata speaks for already is an error: whichever of the two won in silence, some
/// would expect the other. Metadata that is damaged gives way to the flags, and stderr says so.
pub(super) fn of(denoiser: &OrtDenoiser, args: &ProcessArgs) -> anyhow::Result<Process> {
    let card = match denoiser.card() {
        Ok(Some(card)) => card,
        Ok(None) => return of_flags(args, "the model has no picardy metadata"),
        Err(error) if args.prediction.is_some() || args.schedule.is_some() => {
            let process = of_flags(args, &error.to_string())?;
            // A stderr that is gone is no failure of ours.
            let _ = writeln!(
                std::io::stderr(),
                "note: {error}; the flags stand for all of the metadata, and the samples are as the network makes them"
            );
            return Ok(process);
        }
        Err(error) => bail!("{error}; or name its --prediction and --schedule"),
    };
    let named = [
        ("--prediction", args.prediction.is_some()),
        ("--schedule", args.schedule.is_some()),
        ("--train-steps", args.train_steps.is_some()),
        ("--beta-start", args.beta_start.is_some()),
        ("--beta-end", args.beta_end.is_some()),
        ("--data-variance", args.data_variance.is_some()),
    ];
    if let Some((flag, _)) = named.iter().find(|(_, named)| *named) {
        bail!(
            "{flag} is for models without metadata, and this one has it (picardy-ort info shows it): leave the flag out"
        );
    }
    Ok(Process {
        betas: card.schedule,
        prediction: card.prediction,
        data_variance: card.data_variance,
        units: Some((card.data_mean.iter().collect(), card.data_scale.iter().collect())),
    })
}

/// The flags' process; `why` it is theirs.
fn of_flags(args: &ProcessArgs, why: &str) -> anyhow::Result<Process> {
    let missing = |flag: &str, kinds: &str| anyhow!("{why}: name its {flag} ({kinds})");
    let prediction =
        args.prediction.ok_or_else(|| missing("--prediction", "epsilon, sample, v_prediction or flow"))?;
    let schedule =
        args.schedule.ok_or_else(|| missing("--schedule", "linear, scaled-linear, cosine or sigmoid"))?;
    let train_steps = args.train_steps.unwrap_or(1000) as usize;
    let (start, end) = (args.beta_start.unwrap_or(1e-4), args.beta_end.unwrap_or(2e-2));
    let betas = match schedule {
        ScheduleFlag::Linear => Betas::linear(train_steps, start, end),
        ScheduleFlag::ScaledLinear => Betas::scaled_linear(train_steps, start, end),
        ScheduleFlag::Sigmoid => Betas::sigmoid(train_steps, start, end),
        ScheduleFlag::Cosine if args.beta_start.or(args.beta_end).is_some() => {
            bail!("the cosine schedule has no first and last beta: leave --beta-start and --beta-end out");
        }
        ScheduleFlag::Cosine => Betas::cosine(train_steps),
    };
    let prediction = match prediction {
        PredictionFlag::Epsilon => Prediction::Epsilon,
        PredictionFlag::Sample => Prediction::Sample,
        PredictionFlag::V => Prediction::V,
        PredictionFlag::Flow => Prediction::Flow,
    };
    Ok(Process { betas, prediction, data_variance: args.data_variance.unwrap_or(1.0), units: None })
}
