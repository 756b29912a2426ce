//! diffusers' `scheduler_config.json`, taken as it is (feature `config`).
//!
//! What comes out are this crate's own terms: a schedule, a solver, a prediction, a guard. Keys that a class does not
//! know are ignored, as there. A key that it knows and that asks for something else than this crate does is an error:
//! no configuration gives other samples in silence, with two exceptions.
//!
//! - A run of one step under `linspace` starts at the last timestep. diffusers starts it at timestep 0, where it tells the
//!   network that pure noise has no noise; DPM-Solver++, UniPC and DEIS start at the last one there too.
//! - Runs have as many steps as were asked for. diffusers' `trailing` counts with floats, and for some numbers of steps runs
//!   one more.

mod error;
mod fields;
mod guard;
mod json;
mod solver;

pub use error::ConfigError;
pub use guard::{ConfigGuard, RunGuard};

use crate::guard::RawNoise;
use crate::{
    AnySolver, BetaKind, Betas, Curve, DdimStride, Final, FlowShift, Grid, GuardError, Guarded, Level, Node,
    Plan, Pndm, Prediction, ScheduleError, SigmaShape, Solver, Spacing, Tcd, Told,
};
use core::str::FromStr;
use fields::Fields;
use guard::{Applied, guard};
use solver::{Class, End, Walk};

/// A scheduler's configuration: [`plan`](Self::plan) is what it runs.
///
/// ```
/// use picardy::config::SchedulerConfig;
/// use picardy::{AnySolver, Level, Node, Prediction};
/// let config: SchedulerConfig = r#"{
///     "_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
///     "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1, "skip_prk_steps": true
/// }"#
/// .parse()?;
/// assert!(matches!(config.solver, AnySolver::DdimStride(ddim) if ddim.eta == 0.0));
/// assert_eq!(config.prediction, Prediction::Epsilon);
///
/// let (mut levels, mut nodes) = (vec![Level::default(); config.levels(50)], vec![Node::default(); config.nodes(50)]);
/// let plan = config.plan(50, &mut levels, &mut nodes)?;
/// assert_eq!((plan.evaluations(), plan.nodes()[0].level.t), (50, 981.0));
/// # Ok::<(), picardy::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// How to step between levels.
    pub solver: AnySolver,
    /// Which noise levels there are, and which a run visits.
    pub schedule: ScheduleConfig,
    /// What the network returns.
    pub prediction: Prediction,
    /// What `clip_sample` or `thresholding` mean.
    pub guard: Option<ConfigGuard>,
    /// The step's direction keeps the network's own noise when the guard moves the data estimate (diffusers' DDIM).
    /// [`guarded`](Self::guarded) sees to it, by a [`RawNoise`].
    pub keeps_noise: bool,
}

/// The schedule that a configuration asks for, and how its class walks it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScheduleConfig {
    /// [`Betas::grid`].
    Spaced {
        /// The table.
        betas: Betas,
        /// `timestep_spacing`, with `steps_offset`, as the class has it.
        spacing: Spacing,
        /// Where a run ends.
        last: Final,
    },
    /// [`Betas::respaced`]: `use_karras_sigmas`, `use_exponential_sigmas`, `use_beta_sigmas`.
    Curved {
        /// The table.
        betas: Betas,
        /// The curve.
        curve: Curve,
        /// Where a run ends.
        last: Final,
    },
    /// [`FlowShift::grid`]: the classes of flow matching.
    Flow(FlowShift),
    /// [`FlowShift::open_grid`]: `use_flow_sigmas` with the multistep classes.
    FlowOpen {
        /// The shift.
        flow: FlowShift,
        /// Where the sigmas start, before the shift.
        top: f64,
        /// What lies a step below the last of them.
        bottom: f64,
    },
}

impl SchedulerConfig {
    /// How many levels a run of so many steps has.
    pub const fn levels(&self, steps: usize) -> usize {
        steps.saturating_add(1)
    }

    /// How many nodes its plan has.
    pub fn nodes(&self, steps: usize) -> usize {
        self.solver.nodes(steps)
    }

    /// The levels of a run, in the front of `levels`. [`DdimStride`] goes to levels of its own between them.
    ///
    /// # Errors
    /// As the schedule's own `grid`.
    ///
    /// ```
    /// use picardy::Level;
    /// let config: picardy::config::SchedulerConfig =
    ///     r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}"#.parse()?;
    /// let mut levels = [Level::default(); 29];
    /// assert_eq!(config.grid(28, &mut levels)?.levels()[0].t, 1000.0);
    /// # Ok::<(), picardy::config::ConfigError>(())
    /// ```
    pub fn grid<'a>(&self, steps: usize, levels: &'a mut [Level]) -> Result<Grid<'a>, ScheduleError> {
        match &self.schedule {
            ScheduleConfig::Spaced { betas, spacing, last } => betas.grid(steps, *spacing, *last, levels),
            ScheduleConfig::Curved { betas, curve, last } => betas.respaced(steps, curve, *last, levels),
            ScheduleConfig::Flow(flow) => flow.grid(steps, levels),
            ScheduleConfig::FlowOpen { flow, top, bottom } => flow.open_grid(steps, *top, *bottom, levels),
        }
    }

    /// The plan of a run; its levels and nodes lie in the front of the caller's.
    ///
    /// # Errors
    /// [`ConfigError::Schedule`] as [`grid`](Self::grid), [`ConfigError::Plan`] as [`Solver::plan`].
    pub fn plan<'a>(
        &self,
        steps: usize,
        levels: &mut [Level],
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, ConfigError> {
        let grid = self.grid(steps, levels)?;
        Ok(self.solver.plan(&grid, self.prediction, nodes)?)
    }

    /// `denoiser` behind the configuration's guard, if it has one, as its class applies it. `plan` is [`plan`](Self::plan)'s;
    /// `scratch` holds one state (unused without a guard).
    ///
    /// # Errors
    /// [`GuardError::Plan`] for another plan under `keeps_noise`.
    ///
    /// ```
    /// use picardy::config::SchedulerConfig;
    /// use picardy::{Level, Memory, Mixture, Node, Noise, Sampler, Sequential};
    /// let config: SchedulerConfig = r#"{"_class_name": "DDIMScheduler", "set_alpha_to_one": false}"#.parse()?; // clips
    /// let (mut levels, mut nodes) = (vec![Level::default(); config.levels(20)], vec![Node::default(); config.nodes(20)]);
    /// let plan = config.plan(20, &mut levels, &mut nodes)?;
    /// let model = Mixture::new(&[-3.0, 3.0], &[0.5, 0.5], 0.1, 1)?.predicting(config.prediction);
    /// let mut scratch = [0.0f32];
    /// let mut model = config.guarded(model, &plan, &mut scratch)?;
    ///
    /// let (noise, mut x, mut memory) = (Noise::seeded(7), [0.0f32; 8], Memory::new());
    /// plan.start(&noise, 1, &mut x);
    /// let mut workspace = memory.workspace(Sequential.need(&plan, 8), 1);
    /// Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace)?;
    /// assert!(x.iter().all(|x| x.abs() < 1.1)); // not at -3 or 3
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn guarded<'a, D, T>(
        &self,
        denoiser: D,
        plan: &Plan<'a>,
        scratch: &'a mut [T],
    ) -> Result<Guarded<D, RunGuard<'a, T>>, GuardError> {
        let guard = match self.guard {
            None => RunGuard(Applied::None),
            Some(guard) if self.keeps_noise => {
                RunGuard(Applied::KeepingNoise(RawNoise::new(guard, plan, scratch)?))
            }
            Some(guard) => RunGuard(Applied::Plain(guard)),
        };
        Ok(Guarded::new(denoiser, guard))
    }
}

impl FromStr for SchedulerConfig {
    type Err = ConfigError;

    /// Reads a configuration's text. `null` is absent. `Infinity`, which Python writes, is no bound for a guard and none for
    /// `lambda_min_clipped`; it and `NaN` are errors at every other key that the class knows.
    ///
    /// # Errors
    /// Text that is no JSON object; a class or a value that is not known, named with its key and what is allowed.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let fields = Fields::parse(text)?;
        let class = Class::read(&fields)?;
        let mut solver = class.solver(&fields)?;
        let schedule = schedule(&fields, &class)?;
        if let ScheduleConfig::Spaced { betas, last, .. } = schedule {
            solver = match solver {
                AnySolver::Tcd(tcd) => Tcd { betas, ..tcd }.into(),
                AnySolver::Pndm(_) => Pndm { betas, last }.into(),
                AnySolver::DdimStride(ddim) => DdimStride { betas, last, ..ddim }.into(),
                other => other,
            };
        }
        let flow = matches!(schedule, ScheduleConfig::Flow(_) | ScheduleConfig::FlowOpen { .. });
        Ok(Self {
            solver,
            schedule,
            prediction: prediction(&fields, flow)?,
            guard: guard(&fields, &class)?,
            keeps_noise: matches!(solver, AnySolver::DdimStride(_)),
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

fn schedule(fields: &Fields, class: &Class) -> Result<ScheduleConfig, ConfigError> {
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
    let spacing = match (class.walk, name) {
        (Walk::Distilled, _) => {
            Spacing::Distilled { original: fields.count("original_inference_steps", 50)? }
        }
        (_, "trailing") => Spacing::Trailing,
        (Walk::Open, "leading") => Spacing::LeadingOpen { offset },
        (_, "leading") => Spacing::Leading { offset },
        (Walk::Open, "linspace") => Spacing::LinspaceOpen,
        (Walk::Fractional, "linspace") => Spacing::LinspaceFractional,
        (Walk::Whole, "linspace") => Spacing::Linspace,
        _ => return Err(fields.refuse("timestep_spacing", "allowed are leading, trailing, linspace")),
    };
    let last = last(fields, class)?;
    let betas = match class.zero_snr {
        Some(least) if fields.flag("rescale_betas_zero_snr", false)? => betas.zero_snr().ending_at(least),
        _ => betas,
    };
    Ok(match curve(fields, class, spacing, &betas)? {
        Some(curve) => ScheduleConfig::Curved { betas, curve, last },
        None => ScheduleConfig::Spaced { betas, spacing, last },
    })
}

fn last(fields: &Fields, class: &Class) -> Result<Final, ConfigError> {
    let data = match class.end {
        End::Data => true,
        End::FirstTimestep => false,
        End::AlphaToOne(default) => fields.flag("set_alpha_to_one", default)?,
        End::FinalSigmas => match fields.text("final_sigmas_type", "zero")? {
            "zero" => true,
            "sigma_min" => false,
            _ => return Err(fields.refuse("final_sigmas_type", "allowed are zero, sigma_min")),
        },
    };
    Ok(if data { Final::Data } else { Final::FirstTimestep })
}

fn curve(
    fields: &Fields,
    class: &Class,
    spacing: Spacing,
    betas: &Betas,
) -> Result<Option<Curve>, ConfigError> {
    let mut found = None;
    if !class.curves {
        return Ok(None);
    }
    for (key, shape) in [
        ("use_karras_sigmas", SigmaShape::Karras { rho: 7.0 }),
        ("use_exponential_sigmas", SigmaShape::Exponential),
        ("use_beta_sigmas", SigmaShape::Beta { alpha: 0.6, beta: 0.6 }),
    ] {
        if fields.flag(key, false)? && found.replace(shape).is_some() {
            return Err(fields.refuse(key, "only one of the three curves of sigmas may be true"));
        }
    }
    Ok(found.map(|shape| {
        if class.walk == Walk::Fractional {
            return Curve { shape, between: Some(spacing), told: Told::Fractional };
        }
        // They all cut a timestep; most of them round it before, with Karras' curve.
        let cut = class.cuts_cosine && betas.kind == BetaKind::Cosine;
        let rounded = matches!(shape, SigmaShape::Karras { .. }) && !cut;
        Curve { shape, between: None, told: if rounded { Told::Rounded } else { Told::Truncated } }
    }))
}

fn flow(fields: &Fields, class: &Class, train_steps: usize) -> Result<ScheduleConfig, ConfigError> {
    let mend = "not taken; give false, and as shift the exponential of the dynamic one";
    fields.must_be_false("use_dynamic_shifting", mend)?;
    for key in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
        fields
            .must_be_false(key, "not taken with flow matching, whose sigmas the shift spaces; give false")?;
    }
    let key = if class.flow { "shift" } else { "flow_shift" };
    let shift = fields.number(key, 1.0)?;
    if !(shift > 0.0 && shift.is_finite()) {
        return Err(fields.refuse(key, "give a positive number, 1 for none"));
    }
    let flow = FlowShift { train_steps, shift };
    if class.flow {
        return Ok(ScheduleConfig::Flow(flow));
    }
    let zero = ["zero"];
    fields.must_be_one_of("final_sigmas_type", &zero, "with flow matching only zero is taken")?;
    let least = 1.0 / train_steps as f64;
    let (top, bottom) = if class.flow_from_one { (1.0, least) } else { (1.0 - least, 0.0) };
    Ok(ScheduleConfig::FlowOpen { flow, top, bottom })
}
