//! What the network was trained for: the metadata's word, and the flags' for what it does not say.

use std::io::Write;

use anyhow::{anyhow, bail};
use picardy::config::{ScheduleConfig, SchedulerConfig};
use picardy::{Betas, FlowShift, NoiseSchedule, Prediction};
use picardy_ort::OrtDenoiser;

use super::names;

/// The flags that describe a model without metadata.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Model without metadata, or with damaged metadata")]
pub(crate) struct ProcessArgs {
    /// What the network's output is.
    #[arg(long, value_name = "KIND", value_parser = names::prediction())]
    prediction: Option<Prediction>,
    /// The noise schedule it was trained with.
    #[arg(long, value_name = "KIND", value_parser = names::schedule())]
    schedule: Option<String>,
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
}

/// A network's process, and how its numbers become the data's.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) schedule: Schedule,
    pub(super) prediction: Prediction,
    pub(super) data_variance: f64,
    /// Mean and scale of each coordinate, where the metadata names them.
    pub(super) units: Option<(Vec<f64>, Vec<f64>)>,
}

/// The noise levels there are.
#[derive(Debug)]
pub(super) enum Schedule {
    /// A model's own, walked as the flags say.
    Trained(NoiseSchedule),
    /// A scheduler's, which says how it is walked, too.
    Config(SchedulerConfig),
}

impl Schedule {
    /// The most steps of a run.
    pub(super) fn train_steps(&self) -> usize {
        match self {
            Self::Trained(schedule) => schedule.most_steps(),
            Self::Config(config) => match config.schedule {
                ScheduleConfig::Spaced { betas, .. } | ScheduleConfig::Curved { betas, .. } => {
                    betas.train_steps
                }
                ScheduleConfig::Flow(flow) | ScheduleConfig::FlowOpen { flow, .. } => flow.train_steps,
                _ => Betas::MOST_STEPS,
            },
        }
    }
}

/// The process of `denoiser`, whose metadata speaks where it has any.
///
/// A flag that the metadata speaks for already is an error: whichever of the two won in silence, some
/// would expect the other. Metadata that is damaged gives way to the flags, and stderr says so. A scheduler's
/// configuration stands for the flags, and must agree with metadata.
pub(super) fn of(
    denoiser: &OrtDenoiser,
    args: &ProcessArgs,
    config: Option<SchedulerConfig>,
) -> anyhow::Result<Process> {
    let card = match denoiser.card() {
        Ok(Some(card)) => card,
        Ok(None) => return of_flags(args, config, "the model has no picardy metadata"),
        Err(error) if args.prediction.is_some() || args.schedule.is_some() || config.is_some() => {
            let process = of_flags(args, config, &error.to_string())?;
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
    if let Some(config) = &config {
        agree(config, card.prediction, card.schedule)?;
    }
    Ok(Process {
        schedule: config.map_or(Schedule::Trained(card.schedule), Schedule::Config),
        prediction: card.prediction,
        data_variance: card.data_variance,
        units: Some((card.data_mean.iter().collect(), card.data_scale.iter().collect())),
    })
}

/// Whether a scheduler is one for a network of this prediction and this schedule.
fn agree(config: &SchedulerConfig, prediction: Prediction, trained: NoiseSchedule) -> anyhow::Result<()> {
    let mend = "mend the file, or leave --scheduler-config out";
    if config.prediction != prediction {
        bail!(
            "the scheduler's prediction_type is {}, and the model's metadata says {prediction}: {mend}",
            config.prediction
        );
    }
    let (own, trained) = match config.schedule {
        // What zero SNR keeps of a signal is the scheduler's affair.
        ScheduleConfig::Spaced { betas, .. } | ScheduleConfig::Curved { betas, .. } => {
            let trained = match trained {
                NoiseSchedule::Vp(betas) => NoiseSchedule::Vp(betas.ending_at(0.0)),
                other => other,
            };
            (NoiseSchedule::Vp(betas.ending_at(0.0)), trained)
        }
        // The shift is the sampler's to choose, too: it says where steps are many.
        ScheduleConfig::Flow(flow) | ScheduleConfig::FlowOpen { flow, .. } => match trained {
            NoiseSchedule::Flow(FlowShift { shift, .. }) => {
                (NoiseSchedule::Flow(FlowShift { shift, ..flow }), trained)
            }
            _ => (NoiseSchedule::Flow(flow), trained),
        },
        _ => bail!("the scheduler's levels are of a kind that no model's metadata name: {mend}"),
    };
    if own != trained {
        bail!("the scheduler has {}, and the model's metadata says {}: {mend}", said(&own), said(&trained));
    }
    Ok(())
}

/// A schedule in words.
fn said(schedule: &NoiseSchedule) -> String {
    let betas = |betas: &Betas| {
        let (name, train_steps, (start, end)) = (betas.name(), betas.train_steps, betas.ends());
        let zero = if betas.zero_snr { ", rescaled to zero SNR" } else { "" };
        format!("{name} betas of {train_steps} timesteps from {start} to {end}{zero}")
    };
    match schedule {
        NoiseSchedule::Vp(own) => betas(own),
        NoiseSchedule::Flow(FlowShift { train_steps, shift }) => {
            format!("flow matching of {train_steps} timesteps, shift {shift}")
        }
        NoiseSchedule::Ve { sigma_min, sigma_max, rho } => {
            format!("EDM's sigmas from {sigma_max} to {sigma_min}, rho {rho}")
        }
        NoiseSchedule::Pinned { betas: own, variance } => {
            format!("the pinned process of variance {variance} over {}", betas(own))
        }
    }
}

/// The flags' process, or the scheduler's; `why` it is theirs.
fn of_flags(args: &ProcessArgs, config: Option<SchedulerConfig>, why: &str) -> anyhow::Result<Process> {
    let data_variance = args.data_variance.unwrap_or(1.0);
    if let Some(config) = config {
        let (schedule, prediction) = (Schedule::Config(config), config.prediction);
        return Ok(Process { schedule, prediction, data_variance, units: None });
    }
    let missing = |flag: &str, kinds: &str| anyhow!("{why}: name its {flag} ({kinds})");
    let prediction =
        args.prediction.ok_or_else(|| missing("--prediction", "epsilon, sample, v_prediction or flow"))?;
    let schedule = args.schedule.as_deref();
    let schedule =
        schedule.ok_or_else(|| missing("--schedule", "linear, scaled_linear, cosine or sigmoid"))?;
    let train_steps = args.train_steps.unwrap_or(1000) as usize;
    let (start, end) = (args.beta_start.unwrap_or(1e-4), args.beta_end.unwrap_or(2e-2));
    let betas = Betas::named(schedule, train_steps, start, end);
    let betas = betas.ok_or_else(|| anyhow!("no schedule {schedule}"))?;
    if betas == Betas::cosine(train_steps) && args.beta_start.or(args.beta_end).is_some() {
        bail!("the cosine schedule has no first and last beta: leave --beta-start and --beta-end out");
    }
    Ok(Process { schedule: Schedule::Trained(betas.into()), prediction, data_variance, units: None })
}
