//! DDIM, from the deterministic to DDPM's.

use super::{Solver, one_step};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, math};

/// DDIM (arXiv 2010.02502, eq. 12 and 16), data form:
///
/// ```text
/// C   = eta sqrt(posterior variance)
/// x_n = a_n x0 + sqrt(s_n^2 - C^2) eps + C z,     eps = (x - a_c x0)/s_c
/// ```
///
/// `eta = 0` solves the probability flow ODE to first order, `eta = 1` is DDPM with its small variance.
///
/// ```
/// use picardy::{Betas, Ddim, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
/// let plan = Ddim { eta: 0.0 }.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert!(plan.nodes()[1..].iter().all(|node| node.noise == 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ddim {
    /// How much of DDPM's noise is added: 0 to 1.
    pub eta: f64,
}

impl Solver for Ddim {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        if !(0.0..=1.0).contains(&self.eta) {
            return Err(PlanError::Eta(self.eta));
        }
        one_step(grid, prediction, Form::Data, nodes, |current, next| {
            let variance = self.eta * self.eta * next.posterior_variance(current);
            let direction = math::sqrt((next.sigma * next.sigma - variance).max(0.0));
            let state = direction / current.sigma;
            [state, next.alpha - current.alpha * state, math::sqrt(variance)]
        })
    }
}
