//! Euler's method with fresh noise.

use super::{Coordinates, Solver, check_eta, level_at, write_steps};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term, math};

/// Ancestral sampling in variance-exploding coordinates, data form: an Euler step down to `s_down`, then noise
/// back up to `s_n`,
///
/// ```text
/// s_up   = min(s_n, eta s_n sqrt(1 - (s_n/s_c)^2)),   s_down = sqrt(s_n^2 - s_up^2)
/// x_n    = (s_down/s_c) x + (1 - s_down/s_c) x0 + s_up z
/// ```
///
/// (arXiv 2011.13456, appendix F, where it is the VE predictor; `eta` scales the noise.) `eta = 1` is DDPM's
/// law with the posterior variance, `eta = 0` is Euler's method. `1 - (s_n/s_c)^2` is taken of the ratio, not of
/// squares of sigmas, which at the start of cosine betas are so large that their difference is lost.
///
/// ```
/// use picardy::{Betas, EulerAncestral, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Betas::cosine(100).trailing(10, &mut levels)?;
/// let plan = EulerAncestral::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert!(plan.nodes()[1].noise > 0.0 && plan.nodes()[10].noise == 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EulerAncestral {
    /// How much of the noise is fresh: 0 to 1.
    pub eta: f64,
}

impl Default for EulerAncestral {
    fn default() -> Self {
        Self { eta: 1.0 }
    }
}

impl Solver for EulerAncestral {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_eta(self.eta)?;
        write_steps(Coordinates::Ve, grid, prediction, Form::Data, nodes, |i, levels, node| {
            let next = node.level.sigma;
            let current = Coordinates::Ve.level(level_at(levels, i)).sigma;
            let ratio = next / current;
            let fresh = self.eta * self.eta * (1.0 - ratio * ratio).max(0.0);
            let down = ratio * math::sqrt(1.0 - fresh);
            node.states[0] = Term::new(1, down);
            node.outputs[0] = Term::new(1, 1.0 - down);
            node.noise = next * math::sqrt(fresh);
        })
    }
}
