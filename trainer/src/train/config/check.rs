//! Refuses settings out of range.

use super::{OptimiserConfig, RunConfig, TrainConfig};
use crate::loss::{Output, OutputName, ProcessName};
use crate::model::NetworkKind;
use crate::optimiser::{EmaDecay, MAX_SIGMA_REL};
use crate::train::TrainError;
use crate::train::engine::provider;

/// The largest [`RunConfig::batch`].
pub const MAX_ROWS: usize = 1 << 24;
/// The largest [`RunConfig::steps`].
pub const MAX_STEPS: u64 = 1_000_000_000_000;
/// The largest [`Schedule::train_steps`](super::Schedule::train_steps).
pub const MAX_TRAIN_STEPS: usize = 1_000_000;
/// The largest width of a residual MLP.
const MAX_WIDTH: usize = 1 << 24;
/// The most [`RunConfig::threads`] and [`OptimiserConfig::accumulate`].
const MAX_PARTS: usize = 1024;
/// The most [`RunConfig::samples`].
const MAX_SAMPLES: usize = 1 << 20;

/// One setting and what is right for it.
struct Setting {
    name: &'static str,
    value: String,
    good: bool,
    expected: &'static str,
}

fn setting(name: &'static str, value: impl ToString, good: bool, expected: &'static str) -> Setting {
    Setting { name, value: value.to_string(), good, expected }
}

/// Refuses settings out of range; whatever passes can be computed with.
pub(in crate::train) fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let steps = config.noise.train_steps;
    let noise = setting("noise.train-steps", steps, (1..=MAX_TRAIN_STEPS).contains(&steps), "1 to 1000000");
    let mlp = match config.network {
        NetworkKind::ResidualMlp { width, .. } => {
            let good = (4..=MAX_WIDTH).contains(&width) && width.is_multiple_of(2);
            Some(setting("network.width", width, good, "even, 4 to 16777216"))
        }
        _ => None,
    };
    // Its runs begin at pure noise, of which the noise says nothing.
    let (process, prediction) = (config.loss.process, config.loss.prediction);
    let sampled = process != ProcessName::Flow || prediction != OutputName::Epsilon;
    let expected = "flow, v, sample or edm where `loss.process` is flow, whose samples begin without signal";
    let prediction = setting("loss.prediction", Output::Epsilon, sampled, expected);
    let settings = run(&config.run).into_iter().chain([noise, prediction]).chain(mlp);
    let settings = settings.chain(optimiser(&config.optimiser, config.run.steps));
    for Setting { name, value, good, expected } in settings {
        if !good {
            return Err(TrainError::Setting { name, value, expected });
        }
    }
    provider(&config.run.device)?;
    Ok(config.loss.check()?)
}

fn run(run: &RunConfig) -> Vec<Setting> {
    let parts = |n: usize| n <= MAX_PARTS;
    vec![
        setting("run.steps", run.steps, (1..=MAX_STEPS).contains(&run.steps), "1 to 1000000000000"),
        setting("run.batch", run.batch, (1..=MAX_ROWS).contains(&run.batch), "1 to 16777216"),
        // TOML's whole numbers end there.
        setting("run.seed", run.seed, i64::try_from(run.seed).is_ok(), "0 to 9223372036854775807"),
        setting("run.threads", run.threads, parts(run.threads), "1 to 1024, or 0 for all cores"),
        setting("run.checkpoint-every", run.checkpoint_every, run.checkpoint_every > 0, "1 or more"),
        setting("run.log-every", run.log_every, run.log_every > 0, "1 or more"),
        setting(
            "run.patience",
            run.patience,
            run.patience == 0 || run.evaluate_every > 0,
            "0 where `run.evaluate-every` is 0, since nothing is evaluated",
        ),
        setting("run.samples", run.samples, (3..=MAX_SAMPLES).contains(&run.samples), "3 to 1048576"),
        setting("run.sample-steps", run.sample_steps, run.sample_steps > 0, "1 to `noise.train-steps`"),
    ]
}

fn optimiser(o: &OptimiserConfig, steps: u64) -> Vec<Setting> {
    let positive = |x: f64| x > 0.0 && x.is_finite();
    let share = |x: f64| (0.0..1.0).contains(&x);
    let said = "positive and finite";
    vec![
        setting("optimiser.rate", o.rate, positive(o.rate), said),
        setting("optimiser.warmup", o.warmup, o.warmup < steps, "less than `run.steps`"),
        setting("optimiser.floor", o.floor, (0.0..=1.0).contains(&o.floor), "a share of the rate, 0 to 1"),
        setting("optimiser.step-every", o.step_every, o.step_every > 0, "1 or more"),
        setting(
            "optimiser.step-factor",
            o.step_factor,
            o.step_factor > 0.0 && o.step_factor <= 1.0,
            "in (0, 1]",
        ),
        setting("optimiser.beta1", o.beta1, share(o.beta1), "in [0, 1)"),
        setting("optimiser.beta2", o.beta2, share(o.beta2), "in [0, 1)"),
        setting("optimiser.epsilon", o.epsilon, positive(o.epsilon), said),
        setting(
            "optimiser.weight-decay",
            o.weight_decay,
            o.weight_decay >= 0.0 && o.weight_decay.is_finite(),
            "0 or more, finite",
        ),
        setting("optimiser.clip", o.clip, o.clip > 0.0, "positive"),
        setting("optimiser.accumulate", o.accumulate, (1..=MAX_PARTS).contains(&o.accumulate), "1 to 1024"),
        setting("optimiser.ema-decay", o.ema_decay, share(o.ema_decay), "in [0, 1)"),
        setting("optimiser.ema-half-life", o.ema_half_life, positive(o.ema_half_life), said),
        setting("optimiser.ema-ramp-up", o.ema_ramp_up, positive(o.ema_ramp_up), said),
        setting(
            "optimiser.ema-sigma-rel",
            o.ema_sigma_rel,
            EmaDecay::power(o.ema_sigma_rel).is_some(),
            const {
                assert!(MAX_SIGMA_REL > 0.2886 && MAX_SIGMA_REL < 0.2887);
                "positive, at most 0.2886"
            },
        ),
    ]
}
