//! What a card says of a network's task: its process and schedule, and what its output is.

use core::fmt::Display;

use super::CardError;
use super::card_fields::key;
use super::card_reader::{Reader, invalid};
use crate::{Betas, FlowShift, NoiseSchedule, Prediction};

/// The formats that are read. The first knows variance-preserving networks of the four predictions without a parameter.
pub(super) const VERSIONS: core::ops::RangeInclusive<u32> = 1..=2;

/// What the number is that the network is told.
const TIMESTEP: &str = "timestep";
const SIGMA: &str = "sigma";

/// The oldest format that can say so much: what it can say is read by earlier releases, too.
pub(super) fn version(schedule: &NoiseSchedule, prediction: Prediction) -> u32 {
    match (schedule, prediction) {
        (_, Prediction::Edm { .. }) => 2,
        (NoiseSchedule::Vp(betas), _) if betas.last_alpha_bar == 0.0 => 1,
        _ => 2,
    }
}

/// Reads the process and its schedule.
pub(super) fn schedule<'a, F>(reader: &Reader<F>, version: u32) -> Result<NoiseSchedule, CardError>
where
    F: Fn(&str) -> Option<&'a str>,
{
    let process = reader.text(key::PROCESS)?;
    if version == 1 && process != "vp" {
        return Err(invalid(key::PROCESS, process, "vp, the one process of version 1"));
    }
    let told = if process == "ve" { SIGMA } else { TIMESTEP };
    let found = reader.text(key::CONDITIONING)?;
    let schedule = match process {
        "vp" => NoiseSchedule::Vp(betas(reader, version)?),
        "pinned" => NoiseSchedule::Pinned {
            betas: betas(reader, version)?,
            variance: reader.positive(key::VARIANCE)?,
        },
        "flow" => {
            let train_steps = reader.count(key::TRAIN_STEPS)?;
            NoiseSchedule::Flow(FlowShift { train_steps, shift: reader.positive(key::SHIFT)? })
        }
        "ve" => NoiseSchedule::Ve {
            sigma_min: reader.positive(key::SIGMA_MIN)?,
            sigma_max: reader.positive(key::SIGMA_MAX)?,
            rho: reader.positive(key::RHO)?,
        },
        other => return Err(invalid(key::PROCESS, other, "one of vp, flow, ve, pinned")),
    };
    if found != told {
        return Err(invalid(key::CONDITIONING, found, told));
    }
    // What the single values could not show.
    schedule.check().map_err(|_| match schedule {
        NoiseSchedule::Vp(betas) | NoiseSchedule::Pinned { betas, .. }
            if betas.train_steps > Betas::MOST_STEPS =>
        {
            invalid(key::TRAIN_STEPS, betas.train_steps, "at most 1000000")
        }
        NoiseSchedule::Pinned { betas, .. } if betas.zero_snr => {
            invalid(key::ZERO_SNR, "true", "false: a pinned process begins with some signal")
        }
        NoiseSchedule::Vp(betas) | NoiseSchedule::Pinned { betas, .. } => {
            invalid(key::BETA_END, betas.ends().1, "the end of betas in (0, 1)")
        }
        NoiseSchedule::Flow(flow) => invalid(key::TRAIN_STEPS, flow.train_steps, "at most 1000000"),
        NoiseSchedule::Ve { sigma_max, .. } => invalid(key::SIGMA_MAX, sigma_max, "above picardy.sigma_min"),
    })?;
    Ok(schedule)
}

fn betas<'a, F: Fn(&str) -> Option<&'a str>>(reader: &Reader<F>, version: u32) -> Result<Betas, CardError> {
    let train_steps = reader.count(key::TRAIN_STEPS)?;
    let unit = |key| reader.within(key, "a number in [0, 1)", |beta| (0.0..1.0).contains(&beta));
    let (start, end) = (unit(key::BETA_START)?, unit(key::BETA_END)?);
    let kind = reader.text(key::SCHEDULE)?;
    let expected = "one of linear, scaled_linear, cosine, sigmoid";
    let betas =
        Betas::named(kind, train_steps, start, end).ok_or_else(|| invalid(key::SCHEDULE, kind, expected))?;
    if !reader.flag(key::ZERO_SNR)? {
        return Ok(betas);
    }
    let betas = betas.zero_snr();
    Ok(match reader.optional(key::LAST_ALPHA_BAR) {
        Some(_) if version > 1 => betas.ending_at(unit(key::LAST_ALPHA_BAR)?),
        _ => betas,
    })
}

/// Reads what the output is.
pub(super) fn prediction<'a, F>(reader: &Reader<F>, version: u32) -> Result<Prediction, CardError>
where
    F: Fn(&str) -> Option<&'a str>,
{
    let name = reader.text(key::PREDICTION)?;
    match (name, version) {
        ("edm", 2..) => Ok(Prediction::Edm { sigma_data: reader.positive(key::SIGMA_DATA)? }),
        (_, 2..) => {
            let expected = "one of epsilon, sample, v_prediction, flow, edm";
            name.parse().map_err(|_| invalid(key::PREDICTION, name, expected))
        }
        _ => {
            let expected = "one of epsilon, sample, v_prediction, flow, the predictions of version 1";
            name.parse().map_err(|_| invalid(key::PREDICTION, name, expected))
        }
    }
}

/// Writes the process and its schedule.
pub(super) fn put_schedule(schedule: &NoiseSchedule, put: &mut impl FnMut(&'static str, &dyn Display)) {
    put(key::PROCESS, &schedule.process());
    match schedule {
        NoiseSchedule::Vp(betas) => put_betas(betas, put),
        NoiseSchedule::Pinned { betas, variance } => {
            put_betas(betas, put);
            put(key::VARIANCE, variance);
        }
        NoiseSchedule::Flow(flow) => {
            put(key::TRAIN_STEPS, &flow.train_steps);
            put(key::SHIFT, &flow.shift);
        }
        NoiseSchedule::Ve { sigma_min, sigma_max, rho } => {
            put(key::SIGMA_MIN, sigma_min);
            put(key::SIGMA_MAX, sigma_max);
            put(key::RHO, rho);
        }
    }
    let told = if matches!(schedule, NoiseSchedule::Ve { .. }) { SIGMA } else { TIMESTEP };
    put(key::CONDITIONING, &told);
}

fn put_betas(betas: &Betas, put: &mut impl FnMut(&'static str, &dyn Display)) {
    put(key::SCHEDULE, &betas.name());
    put(key::TRAIN_STEPS, &betas.train_steps);
    put(key::BETA_START, &betas.ends().0);
    put(key::BETA_END, &betas.ends().1);
    // Absent is false, so that cards without it are as they were.
    if betas.zero_snr {
        put(key::ZERO_SNR, &true);
        if betas.last_alpha_bar != 0.0 {
            put(key::LAST_ALPHA_BAR, &betas.last_alpha_bar);
        }
    }
}

/// Writes what the output is.
pub(super) fn put_prediction(prediction: Prediction, put: &mut impl FnMut(&'static str, &dyn Display)) {
    put(key::PREDICTION, &prediction);
    if let Prediction::Edm { sigma_data } = prediction {
        put(key::SIGMA_DATA, &sigma_data);
    }
}
