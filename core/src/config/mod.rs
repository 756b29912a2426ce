//! diffusers' `scheduler_config.json`, taken as it is (feature `config`).
//!
//! What comes out are this crate's own terms: a schedule, a solver, a prediction, a guard. Keys that a class does not
//! know are ignored, as there. A key that it knows and that asks for something else than this crate does is an error:
//! no configuration gives other samples in silence.

mod error;
mod fields;
mod json;
mod solver;

pub use error::ConfigError;
pub use solver::{SolverConfig, Step};

use crate::guard::{Clamp, DynamicThreshold};
use crate::{Betas, Final, Guard, GuardError, HostTensor, Prediction, Row, Spacing};
use core::str::FromStr;
use fields::Fields;

/// A scheduler's configuration.
///
/// ```
/// use picardy::config::{ScheduleConfig, SchedulerConfig, SolverConfig};
/// use picardy::{Betas, Prediction, Spacing};
/// let config: SchedulerConfig = r#"{
///     "_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
///     "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1, "skip_prk_steps": true
/// }"#
/// .parse()?;
/// assert_eq!(config.solver, SolverConfig::Ddim { eta: 0.0 });
/// assert_eq!(config.prediction, Prediction::Epsilon);
/// let ScheduleConfig::Betas(schedule) = config.schedule else { panic!() };
/// assert_eq!(schedule.betas, Betas::scaled_linear(1000, 0.00085, 0.012));
/// assert_eq!(schedule.spacing, Spacing::Leading { offset: 1 });
/// # Ok::<(), picardy::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// How to step between levels.
    pub solver: SolverConfig,
    /// Which noise levels there are, and which a run visits.
    pub schedule: ScheduleConfig,
    /// What the network returns.
    pub prediction: Prediction,
    /// What `clip_sample` or `thresholding` mean.
    pub guard: Option<ConfigGuard>,
    /// The step's direction keeps the network's own noise when the guard moves the data estimate (diffusers' DDIM): the
    /// guard then goes into a [`RawNoise`](crate::guard::RawNoise).
    pub keeps_noise: bool,
}

/// The schedule that a configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScheduleConfig {
    /// Discrete, variance preserving.
    Betas(BetasConfig),
    /// Flow matching.
    Flow {
        /// The number of training timesteps.
        train_steps: usize,
        /// `sigma <- shift sigma / (1 + (shift - 1) sigma)`; 1 for none.
        shift: f64,
    },
}

/// A discrete schedule and how a run walks it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BetasConfig {
    /// The table.
    pub betas: Betas,
    /// The table is rescaled to end at zero signal (arXiv 2305.08891, algorithm 1).
    pub zero_snr: bool,
    /// `timestep_spacing`, with `steps_offset`. What the class makes of the name is the class's own.
    pub spacing: Spacing,
    /// Where a run ends.
    pub last: Final,
    /// Sigmas along a curve in place of the spacing.
    pub curve: Option<SigmaCurve>,
}

/// `use_karras_sigmas`, `use_exponential_sigmas`, `use_beta_sigmas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigmaCurve {
    /// arXiv 2206.00364, eq. 5, `rho = 7`.
    Karras,
    /// Equal steps in `ln sigma`.
    Exponential,
    /// Quantiles of a beta distribution, both its parameters 0.6.
    Beta,
}

/// A guard that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConfigGuard {
    /// `clip_sample` with `clip_sample_range`.
    Clamp(Clamp),
    /// `thresholding` with `dynamic_thresholding_ratio` and `sample_max_value`.
    DynamicThreshold(DynamicThreshold),
}

impl<F: HostTensor + ?Sized> Guard<F> for ConfigGuard {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        match self {
            Self::Clamp(guard) => guard.apply(at, frames, row),
            Self::DynamicThreshold(guard) => guard.apply(at, frames, row),
        }
    }
}

impl FromStr for SchedulerConfig {
    type Err = ConfigError;

    /// Reads a configuration's text. `Infinity` and `NaN`, which Python writes, are taken as absent; so is `null`.
    ///
    /// # Errors
    /// Text that is no JSON object; a class or a value that is not known, named with its key and what is allowed.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let fields = Fields::parse(text)?;
        let class = solver::Class::read(&fields)?;
        let solver = class.solver(&fields)?;
        let schedule = schedule(&fields, &class)?;
        let flow = matches!(schedule, ScheduleConfig::Flow { .. });
        Ok(Self {
            solver,
            schedule,
            prediction: prediction(&fields, flow)?,
            guard: guard(&fields, &class)?,
            keeps_noise: matches!(solver, SolverConfig::Ddim { .. }),
        })
    }
}

fn prediction(fields: &Fields, flow: bool) -> Result<Prediction, ConfigError> {
    // The flow-matching classes have no such key; the others need it said.
    let default = if flow { "flow_prediction" } else { "epsilon" };
    match fields.text("prediction_type", default)? {
        "epsilon" => Ok(Prediction::Epsilon),
        "sample" => Ok(Prediction::Sample),
        "v_prediction" => Ok(Prediction::V),
        "flow_prediction" => Ok(Prediction::Flow),
        _ => {
            Err(fields
                .refuse("prediction_type", "allowed are epsilon, sample, v_prediction, flow_prediction"))
        }
    }
}

fn schedule(fields: &Fields, class: &solver::Class) -> Result<ScheduleConfig, ConfigError> {
    let train_steps = fields.count("num_train_timesteps", 1000)?;
    if class.flow || (class.flow_sigmas && fields.flag("use_flow_sigmas", false)?) {
        return flow(fields, class, train_steps);
    }
    if fields.is_set("trained_betas") {
        return Err(fields
            .refuse("trained_betas", "tables are not taken; give beta_schedule, beta_start and beta_end"));
    }
    let (start, end) = class.betas;
    let (start, end) = (fields.number("beta_start", start)?, fields.number("beta_end", end)?);
    let betas = match fields.text("beta_schedule", class.beta_schedule)? {
        "linear" => Betas::linear(train_steps, start, end),
        "scaled_linear" => Betas::scaled_linear(train_steps, start, end),
        "squaredcos_cap_v2" => Betas::cosine(train_steps),
        "sigmoid" => Betas::sigmoid(train_steps, start, end),
        _ => {
            let allowed = "allowed are linear, scaled_linear, squaredcos_cap_v2, sigmoid";
            return Err(fields.refuse("beta_schedule", allowed));
        }
    };
    betas.check()?;
    let offset = fields.whole("steps_offset", 0, 0, train_steps - 1)?;
    let name = if class.spaces { fields.text("timestep_spacing", class.spacing)? } else { class.spacing };
    let spacing = match name {
        "leading" => Spacing::Leading { offset },
        "trailing" => Spacing::Trailing,
        "linspace" => Spacing::Linspace,
        _ => return Err(fields.refuse("timestep_spacing", "allowed are leading, trailing, linspace")),
    };
    let last = if class.alpha_to_one {
        if fields.flag("set_alpha_to_one", true)? { Final::Data } else { Final::FirstTimestep }
    } else if class.final_sigmas {
        match fields.text("final_sigmas_type", "zero")? {
            "zero" => Final::Data,
            "sigma_min" => Final::FirstTimestep,
            _ => return Err(fields.refuse("final_sigmas_type", "allowed are zero, sigma_min")),
        }
    } else {
        Final::Data
    };
    let zero_snr = class.zero_snr && fields.flag("rescale_betas_zero_snr", false)?;
    Ok(ScheduleConfig::Betas(BetasConfig { betas, zero_snr, spacing, last, curve: curve(fields, class)? }))
}

fn curve(fields: &Fields, class: &solver::Class) -> Result<Option<SigmaCurve>, ConfigError> {
    let mut found = None;
    if !class.curves {
        return Ok(None);
    }
    for (key, curve) in [
        ("use_karras_sigmas", SigmaCurve::Karras),
        ("use_exponential_sigmas", SigmaCurve::Exponential),
        ("use_beta_sigmas", SigmaCurve::Beta),
    ] {
        if fields.flag(key, false)? && found.replace(curve).is_some() {
            return Err(fields.refuse(key, "only one of the three curves of sigmas may be true"));
        }
    }
    Ok(found)
}

fn flow(fields: &Fields, class: &solver::Class, train_steps: usize) -> Result<ScheduleConfig, ConfigError> {
    for key in ["use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        let mend = "not taken with flow matching; give false, and as shift the exponential of a dynamic one";
        fields.must_be_false(key, mend)?;
    }
    let key = if class.flow { "shift" } else { "flow_shift" };
    let shift = fields.number(key, 1.0)?;
    if !(shift > 0.0 && shift.is_finite()) {
        return Err(fields.refuse(key, "give a positive number, 1 for none"));
    }
    Ok(ScheduleConfig::Flow { train_steps, shift })
}

fn guard(fields: &Fields, class: &solver::Class) -> Result<Option<ConfigGuard>, ConfigError> {
    if class.thresholds && fields.flag("thresholding", false)? {
        let ratio = fields.number("dynamic_thresholding_ratio", 0.995)?;
        let most = fields.number("sample_max_value", 1.0)?;
        return match DynamicThreshold::within(ratio, 1.0, most) {
            Ok(guard) => Ok(Some(ConfigGuard::DynamicThreshold(guard))),
            Err(GuardError::Quantile(_)) => {
                Err(fields.refuse("dynamic_thresholding_ratio", "give a number in (0, 1], 0.995 is usual"))
            }
            Err(_) => Err(fields.refuse("sample_max_value", "give a number of at least 1")),
        };
    }
    match class.clips {
        Some(clips) if fields.flag("clip_sample", clips)? => {
            let range = fields.number("clip_sample_range", 1.0)?;
            let clamp = Clamp::symmetric(range);
            let clamp = clamp.map_err(|_| fields.refuse("clip_sample_range", "give a positive number"))?;
            Ok(Some(ConfigGuard::Clamp(clamp)))
        }
        _ => Ok(None),
    }
}
