//! Which solver a class of diffusers is, and what else its configuration knows.

use super::ConfigError;
use super::fields::Fields;
use crate::{
    AnySolver, Bh, DdimStride, Ddpm, Deis, DpmSolverPp, DpmSolverSingle, Euler, EulerAncestral, Heun, Lcm,
    Lms, Pndm, Tcd, UniPc, Variance, Variant,
};

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
    Pndm,
    Lcm,
    Tcd,
    FlowEuler,
    FlowHeun,
}

/// What a class makes of a spacing's name.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Walk {
    /// Whole timesteps, from the last to the first.
    Whole,
    /// One interval left to the last step.
    Open,
    /// Fractions of timesteps.
    Fractional,
    /// Some of the steps that the model was distilled on, whatever the name.
    Distilled,
}

/// What says where a run ends.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Data,
    FirstTimestep,
    /// `set_alpha_to_one`, with its default.
    AlphaToOne(bool),
    /// `final_sigmas_type`.
    FinalSigmas,
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
    pub(super) walk: Walk,
    pub(super) end: End,
    /// Its flow sigmas start at 1, not one timestep below.
    pub(super) flow_from_one: bool,
    /// Does not round Karras' timesteps with cosine betas.
    pub(super) cuts_cosine: bool,
    /// Knows `rescale_betas_zero_snr`, and the `alpha_bar` that the last timestep then has.
    pub(super) zero_snr: Option<f64>,
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
     UniPCMultistepScheduler, DEISMultistepScheduler, LMSDiscreteScheduler, PNDMScheduler, LCMScheduler, TCDScheduler, \
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
            walk: Walk::Whole,
            end: End::Data,
            flow_from_one: false,
            cuts_cosine: false,
            zero_snr: Some(0.0),
            curves: false,
            clips: Some(true),
            thresholds: true,
        };
        const EULER: Class = Class {
            kind: Kind::Euler,
            spacing: "linspace",
            walk: Walk::Fractional,
            end: End::FinalSigmas,
            curves: true,
            // So that its sigma stays finite: 4096.
            zero_snr: Some(1.0 / (1 << 24) as f64),
            clips: None,
            thresholds: false,
            ..DDPM
        };
        const DPM: Class =
            Class { kind: Kind::DpmMulti, flow_sigmas: true, walk: Walk::Open, thresholds: true, ..EULER };
        const LCM: Class = Class {
            kind: Kind::Lcm,
            betas: (0.00085, 0.012),
            beta_schedule: "scaled_linear",
            walk: Walk::Distilled,
            clips: Some(false),
            ..DDPM
        };
        const FLOW: Class = Class { kind: Kind::FlowEuler, flow: true, ..EULER };
        Ok(match fields.text("_class_name", "")? {
            "DDPMScheduler" | "DDPMParallelScheduler" => DDPM,
            "DDIMScheduler" | "DDIMParallelScheduler" => {
                Class { kind: Kind::Ddim, end: End::AlphaToOne(true), ..DDPM }
            }
            "EulerDiscreteScheduler" => EULER,
            "EulerAncestralDiscreteScheduler" => {
                Class { kind: Kind::EulerAncestral, curves: false, end: End::Data, ..EULER }
            }
            "HeunDiscreteScheduler" => Class {
                kind: Kind::Heun,
                betas: (0.00085, 0.012),
                end: End::Data,
                zero_snr: None,
                clips: Some(false),
                ..EULER
            },
            "LMSDiscreteScheduler" => Class { kind: Kind::Lms, end: End::Data, zero_snr: None, ..EULER },
            "PNDMScheduler" => Class {
                kind: Kind::Pndm,
                end: End::AlphaToOne(false),
                zero_snr: None,
                clips: None,
                thresholds: false,
                ..DDPM
            },
            "DPMSolverMultistepScheduler" => Class { cuts_cosine: true, ..DPM },
            "DPMSolverSinglestepScheduler" => {
                Class { kind: Kind::DpmSingle, spaces: false, zero_snr: None, ..DPM }
            }
            "UniPCMultistepScheduler" => Class { kind: Kind::UniPc, flow_from_one: true, ..DPM },
            "DEISMultistepScheduler" => {
                Class { kind: Kind::Deis, flow_sigmas: false, end: End::FirstTimestep, zero_snr: None, ..DPM }
            }
            "LCMScheduler" => LCM,
            // It knows the keys of clipping and thresholding, and does neither.
            "TCDScheduler" => {
                Class { kind: Kind::Tcd, end: End::FirstTimestep, clips: None, thresholds: false, ..LCM }
            }
            "FlowMatchEulerDiscreteScheduler" => FLOW,
            "FlowMatchHeunDiscreteScheduler" => Class { kind: Kind::FlowHeun, ..FLOW },
            _ => return Err(fields.refuse("_class_name", ALLOWED)),
        })
    }

    pub(super) fn solver(&self, fields: &Fields) -> Result<AnySolver, ConfigError> {
        self.refuse_what_is_not_here(fields)?;
        let order = || {
            fields
                .whole("solver_order", 2, 1, 3)
                .map_err(|_| fields.refuse("solver_order", "allowed are 1, 2, 3"))
        };
        let lower = || fields.flag("lower_order_final", true);
        Ok(match self.kind {
            Kind::Ddpm => Ddpm {
                variance: match fields.text("variance_type", "fixed_small")? {
                    "fixed_small" | "fixed_small_log" => Variance::FixedSmall,
                    "fixed_large" | "fixed_large_log" => Variance::FixedLargeThroughout,
                    _ => return Err(fields.refuse("variance_type", "allowed are fixed_small, fixed_large")),
                },
            }
            .into(),
            Kind::Ddim => {
                let eta = fields.number("eta", 0.0)?;
                if !(0.0..=1.0).contains(&eta) {
                    return Err(fields.refuse("eta", "give a number in [0, 1]"));
                }
                // The betas come with the schedule.
                DdimStride { eta, ..DdimStride::default() }.into()
            }
            Kind::Euler => Euler::ve().into(),
            Kind::EulerAncestral => EulerAncestral::default().into(),
            Kind::Heun => Heun::ve().into(),
            Kind::DpmMulti => dpm_multistep(fields, order()?, lower()?)?.into(),
            Kind::DpmSingle => {
                fields.must_be_one_of("algorithm_type", &["dpmsolver++"], "allowed is dpmsolver++")?;
                fields.must_be_one_of("final_sigmas_type", &["zero"], "allowed is zero")?;
                let order = order()?;
                let heun = fields.text("solver_type", "midpoint")? == "heun";
                if heun != (order == 3) && order != 1 {
                    let allowed = "allowed are midpoint with solver_order 2, heun with solver_order 3";
                    return Err(fields.refuse("solver_type", allowed));
                }
                let types = ["midpoint", "heun", "logrho", "bh1", "bh2"];
                fields.must_be_one_of("solver_type", &types, "allowed are midpoint, heun")?;
                DpmSolverSingle { order }.into()
            }
            Kind::UniPc => UniPc {
                order: order()?,
                variant: match fields.text("solver_type", "bh2")? {
                    "bh2" | "midpoint" | "heun" | "logrho" => Bh::B2,
                    "bh1" => Bh::B1,
                    _ => return Err(fields.refuse("solver_type", "allowed are bh1, bh2")),
                },
                lower_order_final: lower()?,
            }
            .into(),
            Kind::Deis => {
                let types = ["deis", "dpmsolver", "dpmsolver++"];
                fields.must_be_one_of("algorithm_type", &types, "allowed is deis")?;
                let types = ["logrho", "midpoint", "heun", "bh1", "bh2"];
                fields.must_be_one_of("solver_type", &types, "allowed is logrho")?;
                fields.must_be_false("use_flow_sigmas", "only false is taken with this class")?;
                Deis { order: order()?, lower_order_final: lower()? }.into()
            }
            Kind::Lms => Lms::default().into(),
            // The betas come with the schedule.
            Kind::Pndm => Pndm::default().into(),
            Kind::Lcm => {
                let timestep_scaling = fields.number("timestep_scaling", 10.0)?;
                if timestep_scaling <= 0.0 {
                    return Err(fields.refuse("timestep_scaling", "give a positive number, 10 is usual"));
                }
                Lcm { timestep_scaling, ..Lcm::default() }.into()
            }
            // The betas come with the schedule.
            Kind::Tcd => Tcd::default().into(),
            Kind::FlowEuler => Euler::flow().into(),
            Kind::FlowHeun => Heun::flow().into(),
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
                if !fields.is_word("lambda_min_clipped", "-Infinity") {
                    fields.must_be_absent("lambda_min_clipped", mend)?;
                }
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
            Kind::Pndm => {
                if !fields.flag("skip_prk_steps", false)? {
                    return Err(
                        fields.refuse("skip_prk_steps", "the Runge-Kutta start is not taken; give true")
                    );
                }
                // It combines the network's outputs before it converts them.
                let mend = "with PNDMScheduler only epsilon is taken";
                fields.must_be_one_of("prediction_type", &["epsilon"], mend)?;
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

fn dpm_multistep(fields: &Fields, order: usize, lower_order_final: bool) -> Result<DpmSolverPp, ConfigError> {
    let variant = match fields.text("solver_type", "midpoint")? {
        // The names of other classes' types mean the default, as there.
        "midpoint" | "logrho" | "bh1" | "bh2" => Variant::Midpoint,
        "heun" if order < 3 => Variant::Heun,
        "heun" => return Err(fields.refuse("solver_type", "with solver_order 3 only midpoint is taken")),
        _ => return Err(fields.refuse("solver_type", "allowed are midpoint, heun")),
    };
    let sde = match fields.text("algorithm_type", "dpmsolver++")? {
        "dpmsolver++" => false,
        "sde-dpmsolver++" if order < 3 => true,
        "sde-dpmsolver++" => {
            return Err(fields.refuse("solver_order", "with sde-dpmsolver++ allowed are 1, 2"));
        }
        _ => {
            return Err(fields.refuse("algorithm_type", "allowed are dpmsolver++, sde-dpmsolver++"));
        }
    };
    // A step to no noise has order 1 in any case.
    if order > 1 && fields.text("final_sigmas_type", "zero")? != "zero" {
        fields.must_be_false("euler_at_final", "true is taken with final_sigmas_type zero alone")?;
    }
    Ok(DpmSolverPp { order, variant, sde, lower_order_final })
}
