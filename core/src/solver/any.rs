//! Solvers by name, chosen at run time.

use super::{
    Bh, Coordinates, Ddim, DdimStride, Ddpm, Deis, DpmSolverPp, DpmSolverSingle, Edm, Euler, EulerAncestral,
    GradientEstimation, Heun, Lcm, Lms, Pinned, Pndm, Solver, Tcd, UniPc,
};
use crate::{Betas, Final, Grid, Name, Node, Plan, PlanError, Prediction};
use core::fmt;
use core::str::FromStr;

/// The enum, its solvers' `From`, and the calls that go through to them.
macro_rules! solvers {
    ($(#[$enum_doc:meta])* pub enum AnySolver { $($(#[$doc:meta])* $variant:ident($solver:ty),)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum AnySolver {
            $($(#[$doc])* $variant($solver),)*
        }

        $(impl From<$solver> for AnySolver {
            fn from(solver: $solver) -> Self {
                Self::$variant(solver)
            }
        })*

        impl Solver for AnySolver {
            fn nodes(&self, steps: usize) -> usize {
                match self {
                    $(Self::$variant(solver) => solver.nodes(steps),)*
                }
            }

            fn plan<'a>(
                &self,
                grid: &Grid<'_>,
                prediction: Prediction,
                nodes: &'a mut [Node],
            ) -> Result<Plan<'a>, PlanError> {
                match self {
                    $(Self::$variant(solver) => solver.plan(grid, prediction, nodes),)*
                }
            }
        }
    };
}

solvers! {
    /// Any solver: a value that a configuration can name, without a box.
    ///
    /// ```
    /// use picardy::{AnySolver, Betas, Level, Node, Prediction, Solver};
    /// let solver: AnySolver = "dpmsolver++".parse()?;
    /// let (mut levels, mut nodes) = (vec![Level::default(); 21], vec![Node::default(); solver.nodes(20)]);
    /// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(20, &mut levels)?;
    /// assert_eq!(solver.plan(&grid, Prediction::Epsilon, &mut nodes)?.evaluations(), 20);
    ///
    /// let error = "dpm".parse::<AnySolver>().unwrap_err();
    /// assert!(error.to_string().contains("dpmsolver++3, sde-dpmsolver++"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub enum AnySolver {
        /// DDPM.
        Ddpm(Ddpm),
        /// DDIM.
        Ddim(Ddim),
        /// DDIM as diffusers steps it.
        DdimStride(DdimStride),
        /// Euler's method.
        Euler(Euler),
        /// Euler's method with fresh noise.
        EulerAncestral(EulerAncestral),
        /// Heun's method.
        Heun(Heun),
        /// EDM's stochastic sampler.
        Edm(Edm),
        /// DPM-Solver++, multistep, and its SDE.
        DpmSolverPp(DpmSolverPp),
        /// DPM-Solver++, single step.
        DpmSolverSingle(DpmSolverSingle),
        /// UniPC.
        UniPc(UniPc),
        /// DEIS.
        Deis(Deis),
        /// Linear multistep.
        Lms(Lms),
        /// Pseudo linear multistep.
        Pndm(Pndm),
        /// Gradient estimation.
        GradientEstimation(GradientEstimation),
        /// Latent consistency.
        Lcm(Lcm),
        /// Trajectory consistency.
        Tcd(Tcd),
        /// The pinned process.
        Pinned(Pinned),
    }
}

/// Every name and what it stands for.
const NAMED: [(&str, AnySolver); 25] = [
    ("ddpm", AnySolver::Ddpm(Ddpm::fixed_small())),
    ("ddim", AnySolver::Ddim(Ddim { eta: 0.0 })),
    (
        "ddim_stride",
        AnySolver::DdimStride(DdimStride {
            eta: 0.0,
            betas: Betas::scaled_linear(1000, 0.00085, 0.012),
            last: Final::FirstTimestep,
        }),
    ),
    ("euler", AnySolver::Euler(Euler::ve())),
    ("euler_ancestral", AnySolver::EulerAncestral(EulerAncestral { eta: 1.0 })),
    ("heun", AnySolver::Heun(Heun::ve())),
    ("edm_heun", AnySolver::Edm(Edm { s_churn: 0.0, s_min: 0.0, s_max: f64::INFINITY, s_noise: 1.0 })),
    ("dpmsolver++", AnySolver::DpmSolverPp(DpmSolverPp::order2())),
    ("dpmsolver++1", AnySolver::DpmSolverPp(DpmSolverPp::order1())),
    ("dpmsolver++3", AnySolver::DpmSolverPp(DpmSolverPp::order3())),
    ("sde-dpmsolver++", AnySolver::DpmSolverPp(DpmSolverPp::sde())),
    ("dpmsolver++2s", AnySolver::DpmSolverSingle(DpmSolverSingle { order: 2 })),
    ("dpmsolver++3s", AnySolver::DpmSolverSingle(DpmSolverSingle { order: 3 })),
    ("unipc", AnySolver::UniPc(UniPc { order: 2, variant: Bh::B2, lower_order_final: true })),
    ("unipc3", AnySolver::UniPc(UniPc { order: 3, variant: Bh::B2, lower_order_final: true })),
    ("deis", AnySolver::Deis(Deis { order: 3, lower_order_final: true })),
    ("deis2", AnySolver::Deis(Deis { order: 2, lower_order_final: true })),
    ("lms", AnySolver::Lms(Lms { order: 4 })),
    (
        "pndm",
        AnySolver::Pndm(Pndm {
            betas: Betas::scaled_linear(1000, 0.00085, 0.012),
            last: Final::FirstTimestep,
        }),
    ),
    ("gradient_estimation", AnySolver::GradientEstimation(GradientEstimation { gamma: 2.0, mu: 0.0 })),
    ("flow_euler", AnySolver::Euler(Euler::flow())),
    ("flow_heun", AnySolver::Heun(Heun::flow())),
    ("lcm", AnySolver::Lcm(Lcm { sigma_data: 0.5, timestep_scaling: 10.0 })),
    ("tcd", AnySolver::Tcd(Tcd { eta: 0.3, betas: Betas::scaled_linear(1000, 0.00085, 0.012) })),
    ("pinned", AnySolver::Pinned(Pinned { variance: 1.0 })),
];

impl AnySolver {
    /// Every name and the solver that it stands for, with the settings its papers recommend. `ddim_stride`,
    /// `pndm` and `tcd` have the betas of Stable Diffusion.
    ///
    /// ```
    /// assert!(picardy::AnySolver::list().any(|(name, _)| name == "unipc3"));
    /// ```
    pub fn list() -> impl Iterator<Item = (&'static str, Self)> {
        NAMED.into_iter()
    }

    /// The name in [`list`](Self::list) of the solver that this one is up to its settings.
    ///
    /// ```
    /// use picardy::{AnySolver, Ddim};
    /// assert_eq!(AnySolver::from(Ddim { eta: 0.5 }).name(), "ddim");
    /// ```
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ddpm(_) => "ddpm",
            Self::Ddim(_) => "ddim",
            Self::DdimStride(_) => "ddim_stride",
            Self::Euler(Euler { coordinates: Coordinates::Ve }) => "euler",
            Self::Euler(Euler { coordinates: Coordinates::Flow }) => "flow_euler",
            Self::EulerAncestral(_) => "euler_ancestral",
            Self::Heun(Heun { coordinates: Coordinates::Ve }) => "heun",
            Self::Heun(Heun { coordinates: Coordinates::Flow }) => "flow_heun",
            Self::Edm(_) => "edm_heun",
            Self::DpmSolverPp(DpmSolverPp { sde: true, .. }) => "sde-dpmsolver++",
            Self::DpmSolverPp(DpmSolverPp { order: 1, .. }) => "dpmsolver++1",
            Self::DpmSolverPp(DpmSolverPp { order: 3, .. }) => "dpmsolver++3",
            Self::DpmSolverPp(_) => "dpmsolver++",
            Self::DpmSolverSingle(DpmSolverSingle { order: 3 }) => "dpmsolver++3s",
            Self::DpmSolverSingle(_) => "dpmsolver++2s",
            Self::UniPc(UniPc { order: 3, .. }) => "unipc3",
            Self::UniPc(_) => "unipc",
            Self::Deis(Deis { order: 2, .. }) => "deis2",
            Self::Deis(_) => "deis",
            Self::Lms(_) => "lms",
            Self::Pndm(_) => "pndm",
            Self::GradientEstimation(_) => "gradient_estimation",
            Self::Lcm(_) => "lcm",
            Self::Tcd(_) => "tcd",
            Self::Pinned(_) => "pinned",
        }
    }
}

impl fmt::Display for AnySolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AnySolver {
    type Err = UnknownSolver;

    fn from_str(name: &str) -> Result<Self, UnknownSolver> {
        Self::list()
            .find(|(known, _)| *known == name)
            .map(|(_, solver)| solver)
            .ok_or(UnknownSolver { name: Name::new(format_args!("{name}")) })
    }
}

/// A name that is no solver's; the message lists those that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSolver {
    /// The name, or the front of a long one.
    pub name: Name,
}

impl fmt::Display for UnknownSolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no solver `{}`; there are ", self.name)?;
        for (i, (name, _)) in AnySolver::list().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownSolver {}
