//! Whether the weights that a run begins with were trained for what the run trains.

use super::{RunError, TrainConfig, TrainError, WeightsError};
use crate::data::Dataset;
use picardy::nn::{CardError, ModelCard, key};
use picardy::{NoiseSchedule, Prediction};
use safetensors::SafeTensors;
use std::path::Path;

/// How far the data's mean (in standard deviations) and its standard deviations (as a share) may be from the card's: data that
/// are drawn or measured again differ by some percent, and another unit or scaling by far more.
const SCALING: f64 = 0.1;

/// Compares the card of a safetensors file with a run; a file without a card, such as PyTorch's, passes.
///
/// # Errors
/// [`WeightsError::Card`] with every setting that differs, or a card or file that cannot be read.
pub(super) fn check_card(path: &Path, config: &TrainConfig, data: &Dataset) -> Result<(), RunError> {
    let bytes = std::fs::read(path).map_err(|error| WeightsError::File { path: path.to_owned(), error })?;
    // What is no safetensors file is refused where its tensors are read.
    let Ok((_, metadata)) = SafeTensors::read_metadata(&bytes) else { return Ok(()) };
    let entries = metadata.metadata().clone().unwrap_or_default();
    let card = match ModelCard::from_lookup(|key| entries.get(key).map(String::as_str)) {
        Ok(card) => card,
        Err(CardError::Missing { key: key::VERSION }) => return Ok(()),
        Err(error) => {
            let reason =
                format!("its card is damaged: {error}; or set `run.ignore-card` to take its weights alone");
            return Err(WeightsError::Format { path: path.to_owned(), reason }.into());
        }
    };
    let wrong: Vec<String> = [task(&card, config)?, scaling(&card, data), condition(&card, data)].concat();
    if wrong.is_empty() { Ok(()) } else { Err(WeightsError::Card { path: path.to_owned(), wrong }.into()) }
}

/// A setting of the run, the card's value, and how to match it.
fn differs(key: &str, own: &str, theirs: &str) -> String {
    format!("`{key}` is {own} and the card says {theirs} (`--set {key}={theirs}` matches it)")
}

/// The name of a prediction in settings.
const fn setting(prediction: Prediction) -> &'static str {
    match prediction {
        Prediction::V => "v",
        other => other.name(),
    }
}

/// The prediction, the process and the schedule.
fn task(card: &ModelCard<'_>, config: &TrainConfig) -> Result<Vec<String>, TrainError> {
    let mut wrong = Vec::new();
    let (own, theirs) = (config.loss.output(), card.prediction);
    match (own, theirs) {
        (Prediction::Edm { sigma_data: own }, Prediction::Edm { sigma_data: theirs }) if own != theirs => {
            wrong.push(differs("loss.sigma-data", &own.to_string(), &theirs.to_string()));
        }
        (Prediction::Edm { .. }, Prediction::Edm { .. }) => {}
        _ if own != theirs => wrong.push(differs("loss.prediction", setting(own), setting(theirs))),
        _ => {}
    }
    let (ours, theirs) = (config.noise_schedule()?, card.schedule);
    let mut number = |key, own: f64, theirs: f64| {
        if own != theirs {
            wrong.push(differs(key, &own.to_string(), &theirs.to_string()));
        }
    };
    let (ours, schedule) = match (ours, theirs) {
        (NoiseSchedule::Vp(ours), NoiseSchedule::Vp(theirs)) => (ours, theirs),
        (
            NoiseSchedule::Pinned { betas: ours, variance: own },
            NoiseSchedule::Pinned { betas: theirs, variance },
        ) => {
            number("loss.variance", own, variance);
            (ours, theirs)
        }
        (NoiseSchedule::Flow(ours), NoiseSchedule::Flow(theirs)) => {
            number("loss.shift", ours.shift, theirs.shift);
            number("noise.train-steps", ours.train_steps as f64, theirs.train_steps as f64);
            return Ok(wrong);
        }
        (own, NoiseSchedule::Ve { .. }) => {
            let own = own.process();
            wrong.push(format!("`loss.process` is {own} and the card says ve, which no run's is"));
            return Ok(wrong);
        }
        (own, theirs) => {
            wrong.push(differs("loss.process", own.process(), theirs.process()));
            // The other processes do not look at the schedule's kind.
            return Ok(wrong);
        }
    };
    let names = ["noise.kind", "noise.train-steps", "noise.beta-start", "noise.beta-end"];
    let values = |betas: &picardy::Betas| {
        let (start, end) = betas.ends();
        [betas.name().to_owned(), betas.train_steps.to_string(), start.to_string(), end.to_string()]
    };
    for (key, (own, theirs)) in names.into_iter().zip(values(&ours).into_iter().zip(values(&schedule))) {
        // A cosine has no ends.
        let ends = key.starts_with("noise.beta");
        if own != theirs && !(ends && ours.name() != schedule.name()) {
            wrong.push(differs(key, &own, &theirs));
        }
    }
    if schedule.zero_snr {
        wrong.push("its schedule is rescaled to no signal at its end, which no run's is".to_owned());
    }
    Ok(wrong)
}

/// The first coordinate whose mean or scale differs.
fn scaling(card: &ModelCard<'_>, data: &Dataset) -> Vec<String> {
    if card.dim() != data.dim() {
        // The tensors' shapes say so.
        return Vec::new();
    }
    let own = data.mean().iter().zip(data.scale());
    let theirs = card.data_mean.iter().zip(card.data_scale.iter());
    for (at, ((mean, scale), (their_mean, their_scale))) in own.zip(theirs).enumerate() {
        let near = (mean - their_mean).abs() <= SCALING * their_scale
            && (scale / their_scale - 1.0).abs() <= SCALING;
        if !near {
            let mend = mend(data, card);
            return vec![format!(
                "`data.scaling`: coordinate {at} has the mean {mean} and the scale {scale}, and the card says {their_mean} and \
                 {their_scale}{mend}"
            )];
        }
    }
    Vec::new()
}

/// What makes the scales the card's, where a setting does.
fn mend(data: &Dataset, card: &ModelCard<'_>) -> &'static str {
    let one = |mut scales: Box<dyn Iterator<Item = f64> + '_>| {
        let first = scales.next();
        scales.all(|scale| Some(scale) == first)
    };
    match (one(Box::new(data.scale().iter().copied())), one(Box::new(card.data_scale.iter()))) {
        (false, true) => " (`--set data.scaling=overall` may match it)",
        (true, false) => " (`--set data.scaling=per-column` may match it)",
        _ => "",
    }
}

/// What the network is told.
fn condition(card: &ModelCard<'_>, data: &Dataset) -> Vec<String> {
    let (own, theirs) = (data.conditions().width(), card.condition);
    if own == theirs {
        return Vec::new();
    }
    let mend = match theirs {
        0 => "leave out `data.labels`, `data.label-column` and `data.observations`".to_owned(),
        n => format!("`--set data.classes={n}` for labels, or observations of {} numbers", n - 1),
    };
    vec![format!("the condition has {own} numbers and the card says {theirs} ({mend})")]
}
