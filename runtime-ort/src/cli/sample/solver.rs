//! The solver that the flags name.

use anyhow::bail;
use clap::ValueEnum;
use picardy::{AnySolver, Ddim, DdimStride, Ddpm, EulerAncestral, Final, NoiseSchedule, Pndm, Spacing, Tcd};

use super::SampleArgs;
use crate::cli::process::{Process, Schedule};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum VarianceFlag {
    Small,
    Large,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum SpacingFlag {
    #[default]
    Trailing,
    Leading,
    Linspace,
}

impl SpacingFlag {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trailing => "trailing",
            Self::Leading => "leading",
            Self::Linspace => "linspace",
        }
    }

    pub(super) const fn of(self) -> Spacing {
        match self {
            Self::Trailing => Spacing::Trailing,
            Self::Leading => Spacing::Leading { offset: 0 },
            Self::Linspace => Spacing::Linspace,
        }
    }
}

/// The solver that the flags name, with their settings and the model's betas.
pub(super) fn of(args: &SampleArgs, process: &Process) -> anyhow::Result<AnySolver> {
    let mut solver = args.solver;
    match (&process.schedule, &mut solver) {
        (Schedule::Trained(NoiseSchedule::Vp(table)), AnySolver::Tcd(Tcd { betas, .. })) => *betas = *table,
        (
            Schedule::Trained(NoiseSchedule::Vp(table)),
            AnySolver::DdimStride(DdimStride { betas, last, .. }) | AnySolver::Pndm(Pndm { betas, last }),
        ) => (*betas, *last) = (*table, Final::Data),
        // They look levels up in a table of betas.
        (
            Schedule::Trained(other),
            named @ (AnySolver::Tcd(_) | AnySolver::DdimStride(_) | AnySolver::Pndm(_)),
        ) => bail!(
            "--solver {named} is for variance-preserving models, and the process of this one is {}: choose another, such as ddim",
            other.process()
        ),
        // Its boundary condition is in timesteps.
        (Schedule::Trained(NoiseSchedule::Ve { .. }), AnySolver::Lcm(_)) => {
            bail!(
                "--solver lcm reckons with timesteps, and this model is told sigma: choose another, such as ddim"
            );
        }
        (Schedule::Trained(NoiseSchedule::Pinned { variance, .. }), AnySolver::Pinned(pinned)) => {
            pinned.variance = *variance;
        }
        _ => {}
    }
    if let Some(given) = args.eta {
        match &mut solver {
            AnySolver::Ddim(Ddim { eta })
            | AnySolver::DdimStride(DdimStride { eta, .. })
            | AnySolver::EulerAncestral(EulerAncestral { eta })
            | AnySolver::Tcd(Tcd { eta, .. }) => *eta = given,
            other => bail!("{other} has no --eta {given}: leave it out, or choose --solver ddim"),
        }
    }
    if let Some(given) = args.variance {
        let AnySolver::Ddpm(ddpm) = &mut solver else {
            bail!("--variance is DDPM's: leave it out, or choose --solver ddpm");
        };
        *ddpm = match given {
            VarianceFlag::Large => Ddpm::fixed_large(),
            VarianceFlag::Small => Ddpm::fixed_small(),
        };
    }
    Ok(solver)
}
