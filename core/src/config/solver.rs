//! Which solver a class of diffusers is, and what else its configuration knows.

use super::ConfigError;
use super::fields::Fields;
use crate::Variance;

/// The solver that a configuration asks for, with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SolverConfig {
    /// DDPM.
    Ddpm {
        /// Which variance.
        variance: Variance,
    },
    /// DDIM.
    Ddim {
        /// How much noise; a configuration seldom says.
        eta: f64,
    },
    /// Euler's method in sigma.
    Euler,
    /// Euler's method with fresh noise.
    EulerAncestral,
    /// Heun's method in sigma.
    Heun,
    /// DPM-Solver++, multistep.
    DpmSolverPp {
        /// 1 to 3.
        order: usize,
        /// The form of the second order.
        step: Step,
        /// The stochastic one.
        sde: bool,
        /// Lower orders at the end of runs of less than 15 steps.
        lower_order_final: bool,
        /// First order at the last step.
        euler_at_final: bool,
    },
    /// DPM-Solver++, single step.
    DpmSolverSingle {
        /// 1 to 3.
        order: usize,
    },
    /// UniPC.
    UniPc {
        /// 1 to 3.
        order: usize,
        /// `B(h) = e^h - 1` (`bh2`) in place of `h` (`bh1`).
        bh2: bool,
        /// Lower orders at the end.
        lower_order_final: bool,
    },
    /// DEIS.
    Deis {
        /// 1 to 3.
        order: usize,
        /// Lower orders at the end of runs of less than 15 steps.
        lower_order_final: bool,
    },
    /// Linear multistep in sigma.
    Lms,
    /// Latent consistency.
    Lcm {
        /// The steps that the model was distilled on.
        original_steps: usize,
        /// What timesteps are multiplied by in the boundary condition.
        timestep_scaling: f64,
    },
    /// Trajectory consistency.
    Tcd {
        /// The steps that the model was distilled on.
        original_steps: usize,
    },
    /// Euler's method for flow matching.
    FlowEuler,
    /// Heun's method for flow matching.
    FlowHeun,
}

/// The two forms of DPM-Solver++'s second order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// `midpoint`.
    #[default]
    Midpoint,
    /// `heun`.
    Heun,
}

impl SolverConfig {
    /// The solver's name: what [`Solver`](crate::Solver)s are called at run time, but for orders and variants.
    ///
    /// ```
    /// use picardy::config::SolverConfig;
    /// assert_eq!(SolverConfig::Ddim { eta: 0.0 }.name(), "ddim");
    /// ```
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ddpm { .. } => "ddpm",
            Self::Ddim { .. } => "ddim",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler_ancestral",
            Self::Heun => "heun",
            Self::DpmSolverPp { sde: false, .. } => "dpmsolver++",
            Self::DpmSolverPp { sde: true, .. } => "sde-dpmsolver++",
            Self::DpmSolverSingle { .. } => "dpmsolver++2s",
            Self::UniPc { .. } => "unipc",
            Self::Deis { .. } => "deis",
            Self::Lms => "lms",
            Self::Lcm { .. } => "lcm",
            Self::Tcd { .. } => "tcd",
            Self::FlowEuler => "flow_euler",
            Self::FlowHeun => "flow_heun",
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ddpm,
    Ddim,
    Euler,
    EulerAncestral,
    Heun,
    DpmMulti,
    DpmSingle,
    UniPc,
    Deis,
    Lms,
    Lcm,
    Tcd,
    FlowEuler,
    FlowHeun,
}

/// What a class's configuration knows, and its defaults (diffusers 0.42.1).
#[derive(Clone, Copy)]
pub(super) struct Class {
    kind: Kind,
    /// Flow matching and nothing else.
    pub(super) flow: bool,
    /// Knows `use_flow_sigmas`.
    pub(super) flow_sigmas: bool,
    pub(super) betas: (f64, f64),
    pub(super) beta_schedule: &'static str,
    pub(super) spacing: &'static str,
    /// Knows `timestep_spacing` and `steps_offset`.
    pub(super) spaces: bool,
    /// Knows `set_alpha_to_one`.
    pub(super) alpha_to_one: bool,
    /// Knows `final_sigmas_type`.
    pub(super) final_sigmas: bool,
    /// Knows `rescale_betas_zero_snr`.
    pub(super) zero_snr: bool,
    /// Knows the curves of sigmas.
    pub(super) curves: bool,
    /// The default of `clip_sample`; `None` where it is not known, or not used.
    pub(super) clips: Option<bool>,
    /// Knows `thresholding`.
    pub(super) thresholds: bool,
}

/// The classes that are taken.
const ALLOWED: &str = "allowed are DDPMScheduler, DDIMScheduler (and their Parallel forms), EulerDiscreteScheduler, \
     EulerAncestralDiscreteScheduler, HeunDiscreteScheduler, DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, \
     UniPCMultistepScheduler, DEISMultistepScheduler, LMSDiscreteScheduler, LCMScheduler, TCDScheduler, \
     FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler";

impl Class {
    pub(super) fn read(fields: &Fields) -> Result<Self, ConfigError> {
        const DDPM: Class = Class {
            kind: Kind::Ddpm,
            flow: false,
            flow_sigmas: false,
            betas: (1e-4, 2e-2),
            beta_schedule: "linear",
            spacing: "leading",
            spaces: true,
            alpha_to_one: false,
            final_sigmas: false,
            zero_snr: true,
            curves: false,
            clips: Some(true),
            thresholds: true,
        };
        const EULER: Class = Class {
            kind: Kind::Euler,
            spacing: "linspace",
            final_sigmas: true,
            curves: true,
            clips: None,
            thresholds: false,
            ..DDPM
        };
        const DPM: Class = Class { kind: Kind::DpmMulti, flow_sigmas: true, thresholds: true, ..EULER };
        const LCM: Class = Class {
            kind: Kind::Lcm,
            betas: (0.00085, 0.012),
            beta_schedule: "scaled_linear",
            alpha_to_one: true,
            clips: Some(false),
            ..DDPM
        };
        const FLOW: Class = Class { kind: Kind::FlowEuler, flow: true, ..EULER };
        Ok(match fields.text("_class_name", "")? {
            "DDPMScheduler" | "DDPMParallelScheduler" => DDPM,
            "DDIMScheduler" | "DDIMParallelScheduler" => {
                Class { kind: Kind::Ddim, alpha_to_one: true, ..DDPM }
            }
            "EulerDiscreteScheduler" => EULER,
            "EulerAncestralDiscreteScheduler" => {
                Class { kind: Kind::EulerAncestral, curves: false, final_sigmas: false, ..EULER }
            }
            "HeunDiscreteScheduler" => Class {
                kind: Kind::Heun,
                betas: (0.00085, 0.012),
                final_sigmas: false,
                zero_snr: false,
                clips: Some(false),
                ..EULER
            },
            "LMSDiscreteScheduler" => {
                Class { kind: Kind::Lms, final_sigmas: false, zero_snr: false, ..EULER }
            }
            "DPMSolverMultistepScheduler" => DPM,
            "DPMSolverSinglestepScheduler" => {
                Class { kind: Kind::DpmSingle, spaces: false, zero_snr: false, ..DPM }
            }
            "UniPCMultistepScheduler" => Class { kind: Kind::UniPc, ..DPM },
            "DEISMultistepScheduler" => {
                Class { kind: Kind::Deis, final_sigmas: false, zero_snr: false, ..DPM }
            }
            "LCMScheduler" => LCM,
            // It knows the keys of clipping and thresholding, and does neither.
            "TCDScheduler" => Class { kind: Kind::Tcd, clips: None, thresholds: false, ..LCM },
            "FlowMatchEulerDiscreteScheduler" => FLOW,
            "FlowMatchHeunDiscreteScheduler" => Class { kind: Kind::FlowHeun, ..FLOW },
            _ => return Err(fields.refuse("_class_name", ALLOWED)),
        })
    }

    pub(super) fn solver(&self, fields: &Fields) -> Result<SolverConfig, ConfigError> {
        self.refuse_what_is_not_here(fields)?;
        let order = || {
            fields
                .whole("solver_order", 2, 1, 3)
                .map_err(|_| fields.refuse("solver_order", "allowed are 1, 2, 3"))
        };
        let lower = |default| fields.flag("lower_order_final", default);
        Ok(match self.kind {
            Kind::Ddpm => SolverConfig::Ddpm {
                variance: match fields.text("variance_type", "fixed_small")? {
                    "fixed_small" | "fixed_small_log" => Variance::FixedSmall,
                    "fixed_large" | "fixed_large_log" => Variance::FixedLarge,
                    _ => return Err(fields.refuse("variance_type", "allowed are fixed_small, fixed_large")),
                },
            },
            Kind::Ddim => {
                let eta = fields.number("eta", 0.0)?;
                if !(0.0..=1.0).contains(&eta) {
                    return Err(fields.refuse("eta", "give a number in [0, 1]"));
                }
                SolverConfig::Ddim { eta }
            }
            Kind::Euler => SolverConfig::Euler,
            Kind::EulerAncestral => SolverConfig::EulerAncestral,
            Kind::Heun => SolverConfig::Heun,
            Kind::DpmMulti => SolverConfig::DpmSolverPp {
                order: order()?,
                step: match fields.text("solver_type", "midpoint")? {
                    // The names of other classes' types mean the default, as there.
                    "midpoint" | "logrho" | "bh1" | "bh2" => Step::Midpoint,
                    "heun" => Step::Heun,
                    _ => return Err(fields.refuse("solver_type", "allowed are midpoint, heun")),
                },
                sde: match fields.text("algorithm_type", "dpmsolver++")? {
                    "dpmsolver++" => false,
                    "sde-dpmsolver++" => true,
                    _ => {
                        return Err(
                            fields.refuse("algorithm_type", "allowed are dpmsolver++, sde-dpmsolver++")
                        );
                    }
                },
                lower_order_final: lower(true)?,
                euler_at_final: fields.flag("euler_at_final", false)?,
            },
            Kind::DpmSingle => {
                fields.must_be_one_of("algorithm_type", &["dpmsolver++"], "allowed is dpmsolver++")?;
                let types = ["midpoint", "logrho", "bh1", "bh2"];
                fields.must_be_one_of("solver_type", &types, "allowed is midpoint")?;
                SolverConfig::DpmSolverSingle { order: order()? }
            }
            Kind::UniPc => SolverConfig::UniPc {
                order: order()?,
                bh2: match fields.text("solver_type", "bh2")? {
                    "bh2" | "midpoint" | "heun" | "logrho" => true,
                    "bh1" => false,
                    _ => return Err(fields.refuse("solver_type", "allowed are bh1, bh2")),
                },
                lower_order_final: lower(true)?,
            },
            Kind::Deis => {
                let types = ["deis", "dpmsolver", "dpmsolver++"];
                fields.must_be_one_of("algorithm_type", &types, "allowed is deis")?;
                let types = ["logrho", "midpoint", "heun", "bh1", "bh2"];
                fields.must_be_one_of("solver_type", &types, "allowed is logrho")?;
                SolverConfig::Deis { order: order()?, lower_order_final: lower(true)? }
            }
            Kind::Lms => SolverConfig::Lms,
            Kind::Lcm => SolverConfig::Lcm {
                original_steps: fields.count("original_inference_steps", 50)?,
                timestep_scaling: fields.number("timestep_scaling", 10.0)?,
            },
            Kind::Tcd => SolverConfig::Tcd { original_steps: fields.count("original_inference_steps", 50)? },
            Kind::FlowEuler => SolverConfig::FlowEuler,
            Kind::FlowHeun => SolverConfig::FlowHeun,
        })
    }

    /// Settings that a class knows and this crate does not have: ignoring them would change the samples.
    fn refuse_what_is_not_here(&self, fields: &Fields) -> Result<(), ConfigError> {
        match self.kind {
            Kind::Euler => {
                let mend = "only discrete timesteps are taken";
                fields.must_be_one_of("timestep_type", &["discrete"], mend)?;
                let mend = "only linear is taken";
                fields.must_be_one_of("interpolation_type", &["linear"], mend)?;
                fields.must_be_absent("sigma_min", "only null is taken")?;
                fields.must_be_absent("sigma_max", "only null is taken")?;
            }
            Kind::DpmMulti | Kind::DpmSingle => {
                fields.must_be_false("use_lu_lambdas", "only false is taken")?;
                let mend = "only minus infinity is taken; to stay clear of a cosine schedule's end, use karras sigmas";
                fields.must_be_absent("lambda_min_clipped", mend)?;
                fields.must_be_absent(
                    "variance_type",
                    "networks that return a variance are not taken; give null",
                )?;
            }
            Kind::UniPc => {
                if !fields.flag("predict_x0", true)? {
                    return Err(fields.refuse("predict_x0", "only true is taken"));
                }
                fields.must_be_absent("solver_p", "only null is taken")?;
                fields.must_be_empty("disable_corrector", "only [] is taken")?;
                fields.must_be_absent("sigma_min", "only null is taken")?;
                fields.must_be_absent("sigma_max", "only null is taken")?;
                fields.must_be_absent("shift_terminal", "only null is taken")?;
            }
            Kind::FlowEuler => {
                fields.must_be_false("stochastic_sampling", "only false is taken")?;
                fields.must_be_false("invert_sigmas", "only false is taken")?;
                fields.must_be_absent("shift_terminal", "only null is taken")?;
            }
            _ => {}
        }
        Ok(())
    }
}
