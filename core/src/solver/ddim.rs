//! DDIM, from the deterministic to DDPM's.

use super::{Solver, check_eta, one_step};
use crate::{Form, Grid, Level, Node, Plan, PlanError, Prediction, math};

/// DDIM (arXiv 2010.02502, eq. 12 and 16), data form:
///
/// ```text
/// C   = eta sqrt(posterior variance)
/// x_n = a_n x0 + sqrt(s_n^2 - C^2) eps + C z,     eps = (x - a_c x0)/s_c
/// ```
///
/// `eta = 0` solves the probability flow ODE to first order, `eta = 1` is DDPM with its small variance. A last step that
/// stands still keeps 2^-30 of its output, so that [`RawNoise`](crate::guard::RawNoise) can act there.
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
        check_eta(self.eta)?;
        one_step(grid, prediction, Form::Data, nodes, |current, next| step(self.eta, current, next))
    }
}

/// What is left of the output's weight in a step that stands still: less than `f32` sees, and more than nothing.
const STILL: f64 = 1.0 / (1u64 << 30) as f64;

/// The factors of the state, the output and the noise from one level to another.
pub(super) fn step(eta: f64, current: &Level, next: &Level) -> [f64; 3] {
    let variance = eta * eta * next.posterior_variance(current);
    let direction = math::sqrt((next.sigma * next.sigma - variance).max(0.0));
    let state = direction / current.sigma;
    let data = next.alpha - current.alpha * state;
    // Standing still leaves the state as it is, but a guard that keeps the noise (`RawNoise`) moves it, through the output.
    let data = if data == 0.0 { next.alpha * STILL } else { data };
    [state, data, math::sqrt(variance)]
}
