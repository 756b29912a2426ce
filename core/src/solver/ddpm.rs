//! DDPM's ancestral sampling.

use super::{Solver, one_step};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, math};

/// The variance of DDPM's reverse step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// The posterior's, `beta~`: right where the data is a point.
    #[default]
    FixedSmall,
    /// The forward step's, `beta`: right where the data is a unit Gaussian.
    FixedLarge,
    /// [`FixedLarge`](Self::FixedLarge), and in the step to no noise as well unless that starts at timestep 0:
    /// `fixed_large` as diffusers has it. The samples keep that noise, the more of it the higher the last timestep.
    FixedLargeThroughout,
}

/// DDPM (arXiv 2006.11239, algorithm 2 and eq. 7), data form, for any pair of levels:
///
/// ```text
/// v   = s_c^2 - (a_c/a_n)^2 s_n^2                 forward variance from the next (n) to the current (c) level
/// x_n = (a_c/a_n)(s_n/s_c)^2 x + a_n v/s_c^2 x0 + C z
/// C^2 = v (s_n/s_c)^2 (fixed small)  or  v (fixed large);  0 where s_n = 0, but for `FixedLargeThroughout`
/// ```
///
/// ```
/// use picardy::{Betas, Ddpm, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::cosine(100).trailing(100, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!(plan.evaluations(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ddpm {
    /// Which variance.
    pub variance: Variance,
}

impl Ddpm {
    /// The posterior's variance.
    pub const fn fixed_small() -> Self {
        Self { variance: Variance::FixedSmall }
    }

    /// The forward step's variance.
    pub const fn fixed_large() -> Self {
        Self { variance: Variance::FixedLarge }
    }
}

impl Solver for Ddpm {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        one_step(grid, prediction, Form::Data, nodes, |current, next| {
            let shrink = next.sigma / current.sigma;
            let posterior = next.posterior_variance(current);
            let state = if next.sigma > 0.0 { current.alpha / next.alpha * shrink * shrink } else { 0.0 };
            let data = next.alpha - current.alpha * state;
            let noise = match self.variance {
                Variance::FixedSmall => posterior,
                _ if next.sigma > 0.0 => posterior / (shrink * shrink),
                Variance::FixedLargeThroughout if current.t > 0.0 => current.sigma * current.sigma,
                _ => 0.0,
            };
            [state, data, math::sqrt(noise)]
        })
    }
}
