//! The enums of the header. Functions take them as `int32_t`, so that C cannot hand over a value that is none.

use crate::error::picardy_error;
use crate::fault::Fault;
use picardy::{Final, Form, Prediction};

/// What the network's output is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_prediction {
    /// The noise.
    PICARDY_PREDICTION_EPSILON = 0,
    /// The data.
    PICARDY_PREDICTION_SAMPLE = 1,
    /// `v = alpha noise - sigma data`.
    PICARDY_PREDICTION_V = 2,
    /// The velocity of flow matching, `noise - data`.
    PICARDY_PREDICTION_FLOW = 3,
}

/// What the outputs in a plan's recurrence are.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_form {
    /// Estimates of the data.
    PICARDY_FORM_DATA = 0,
    /// Estimates of the noise.
    PICARDY_FORM_NOISE = 1,
}

/// What the noise levels are.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_schedule_kind {
    /// Betas linear from `beta_start` to `beta_end`.
    PICARDY_SCHEDULE_LINEAR = 0,
    /// Their square roots linear.
    PICARDY_SCHEDULE_SCALED_LINEAR = 1,
    /// The cosine schedule (`squaredcos_cap_v2`); no ends.
    PICARDY_SCHEDULE_COSINE = 2,
    /// A sigmoid from `beta_start` to `beta_end`.
    PICARDY_SCHEDULE_SIGMOID = 3,
    /// Sigmas along Karras' curve (EDM): `sigma_min`, `sigma_max`, `rho`.
    PICARDY_SCHEDULE_KARRAS = 4,
    /// Sigmas with equal steps in their logarithm: `sigma_min`, `sigma_max`.
    PICARDY_SCHEDULE_EXPONENTIAL = 5,
    /// Flow matching: `train_steps`, `shift`.
    PICARDY_SCHEDULE_FLOW = 6,
}

/// Which timesteps a run visits, of a schedule of betas.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_spacing {
    /// From the last timestep: right for few steps.
    PICARDY_SPACING_TRAILING = 0,
    /// To timestep `offset`.
    PICARDY_SPACING_LEADING = 1,
    /// Both ends.
    PICARDY_SPACING_LINSPACE = 2,
}

/// Where a run over betas ends.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_final {
    /// At no noise.
    PICARDY_FINAL_DATA = 0,
    /// At the level of timestep 0.
    PICARDY_FINAL_FIRST_TIMESTEP = 1,
}

/// How to step between levels.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_solver_kind {
    /// DDIM; `eta` 0 (none) to 1 (DDPM's noise).
    PICARDY_SOLVER_DDIM = 0,
    /// DDPM, the posterior's variance.
    PICARDY_SOLVER_DDPM = 1,
    /// DPM-Solver++, multistep, of `order` 1 to 3 (2 is "2M").
    PICARDY_SOLVER_DPMPP = 2,
    /// Its SDE, of `order` 1 or 2.
    PICARDY_SOLVER_DPMPP_SDE = 3,
    /// DPM-Solver++, single step, of `order` 1 to 3.
    PICARDY_SOLVER_DPMPP_SINGLE = 4,
    /// UniPC of `order` 1 to 3.
    PICARDY_SOLVER_UNIPC = 5,
    /// DEIS of `order` 1 to 3.
    PICARDY_SOLVER_DEIS = 6,
    /// Linear multistep of `order` 1 to 4.
    PICARDY_SOLVER_LMS = 7,
    /// Euler's method in variance-exploding coordinates.
    PICARDY_SOLVER_EULER = 8,
    /// The same with fresh noise, `eta` 0 to 1.
    PICARDY_SOLVER_EULER_ANCESTRAL = 9,
    /// Heun's method in variance-exploding coordinates.
    PICARDY_SOLVER_HEUN = 10,
    /// Euler's method in flow-matching coordinates.
    PICARDY_SOLVER_FLOW_EULER = 11,
    /// Heun's method in flow-matching coordinates.
    PICARDY_SOLVER_FLOW_HEUN = 12,
    /// Latent consistency models.
    PICARDY_SOLVER_LCM = 13,
}

/// Who is evaluated when.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_sampler_kind {
    /// One node after the other.
    PICARDY_SAMPLER_SEQUENTIAL = 0,
    /// Many nodes at a time: Picard iteration in a sliding window.
    PICARDY_SAMPLER_PICARD = 1,
}

/// How Picard carries outputs to new states.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_slope {
    /// By the secant of the last two evaluations.
    PICARDY_SLOPE_SECANT = 0,
    /// As ParaDiGMS does.
    PICARDY_SLOPE_IDENTITY = 1,
    /// As they are.
    PICARDY_SLOPE_FROZEN = 2,
    /// As if the data were Gaussian.
    PICARDY_SLOPE_GAUSSIAN = 3,
    /// By the last `directions` (1 to 4) evaluations.
    PICARDY_SLOPE_MULTISECANT = 4,
}

/// Which distribution log-SNRs are drawn from.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_log_snrs_kind {
    /// Logistic, of `loc` and `scale`, cut off at `clip`.
    PICARDY_LOG_SNRS_LOGISTIC = 0,
    /// Uniform, from `low` to `high`.
    PICARDY_LOG_SNRS_UNIFORM = 1,
}

/// Makes `fn NAME(value: i32) -> Option<ENUM>` of a list of the enum's values.
macro_rules! from_int {
    ($($function:ident: $of:ty { $($variant:ident),* $(,)? })*) => {
        $(pub(crate) fn $function(value: i32, name: &'static str) -> Result<$of, Fault> {
            match value {
                $(value if value == <$of>::$variant as i32 => Ok(<$of>::$variant),)*
                _ => Err(Fault::new(picardy_error::PICARDY_ERROR_UNKNOWN_VALUE).name(name).value(f64::from(value))),
            }
        })*
    };
}

from_int! {
    schedule: picardy_schedule_kind {
        PICARDY_SCHEDULE_LINEAR, PICARDY_SCHEDULE_SCALED_LINEAR, PICARDY_SCHEDULE_COSINE, PICARDY_SCHEDULE_SIGMOID,
        PICARDY_SCHEDULE_KARRAS, PICARDY_SCHEDULE_EXPONENTIAL, PICARDY_SCHEDULE_FLOW,
    }
    spacing: picardy_spacing { PICARDY_SPACING_TRAILING, PICARDY_SPACING_LEADING, PICARDY_SPACING_LINSPACE }
    solver: picardy_solver_kind {
        PICARDY_SOLVER_DDIM, PICARDY_SOLVER_DDPM, PICARDY_SOLVER_DPMPP, PICARDY_SOLVER_DPMPP_SDE,
        PICARDY_SOLVER_DPMPP_SINGLE, PICARDY_SOLVER_UNIPC, PICARDY_SOLVER_DEIS, PICARDY_SOLVER_LMS,
        PICARDY_SOLVER_EULER, PICARDY_SOLVER_EULER_ANCESTRAL, PICARDY_SOLVER_HEUN, PICARDY_SOLVER_FLOW_EULER,
        PICARDY_SOLVER_FLOW_HEUN, PICARDY_SOLVER_LCM,
    }
    sampler: picardy_sampler_kind { PICARDY_SAMPLER_SEQUENTIAL, PICARDY_SAMPLER_PICARD }
    slope: picardy_slope {
        PICARDY_SLOPE_SECANT, PICARDY_SLOPE_IDENTITY, PICARDY_SLOPE_FROZEN, PICARDY_SLOPE_GAUSSIAN,
        PICARDY_SLOPE_MULTISECANT,
    }
    log_snrs: picardy_log_snrs_kind { PICARDY_LOG_SNRS_LOGISTIC, PICARDY_LOG_SNRS_UNIFORM }
}

pub(crate) fn prediction(value: i32) -> Result<Prediction, Fault> {
    let found = Prediction::ALL.into_iter().find(|known| prediction_value(*known) == Some(value));
    let unknown = Fault::new(picardy_error::PICARDY_ERROR_UNKNOWN_VALUE).name("prediction");
    found.ok_or(unknown.value(f64::from(value)))
}

/// `None` for EDM's, whose parameter has no place here.
pub(crate) const fn prediction_value(prediction: Prediction) -> Option<i32> {
    let value = match prediction {
        Prediction::Epsilon => picardy_prediction::PICARDY_PREDICTION_EPSILON,
        Prediction::Sample => picardy_prediction::PICARDY_PREDICTION_SAMPLE,
        Prediction::V => picardy_prediction::PICARDY_PREDICTION_V,
        Prediction::Flow => picardy_prediction::PICARDY_PREDICTION_FLOW,
        Prediction::Edm { .. } => return None,
    };
    Some(value as i32)
}

pub(crate) fn form(value: i32) -> Result<Form, Fault> {
    let found = [Form::Data, Form::Noise].into_iter().find(|known| form_value(*known) == value);
    let unknown = Fault::new(picardy_error::PICARDY_ERROR_UNKNOWN_VALUE).name("form");
    found.ok_or(unknown.value(f64::from(value)))
}

pub(crate) const fn form_value(form: Form) -> i32 {
    (match form {
        Form::Data => picardy_form::PICARDY_FORM_DATA,
        Form::Noise => picardy_form::PICARDY_FORM_NOISE,
    }) as i32
}

pub(crate) fn last(value: i32) -> Result<Final, Fault> {
    match value {
        0 => Ok(Final::Data),
        1 => Ok(Final::FirstTimestep),
        _ => Err(Fault::new(picardy_error::PICARDY_ERROR_UNKNOWN_VALUE)
            .name("schedule.last")
            .value(f64::from(value))),
    }
}
