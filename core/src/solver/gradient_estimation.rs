//! Gradient estimation.

use super::{Coordinates, Solver, level_at, write_steps};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term, math};

/// Gradient estimation (arXiv 2306.04848, algorithm 1 and eq. 16), variance-exploding coordinates, noise form: the
/// newest outputs are extrapolated, the step goes down to `s_p` and noise leads back up,
///
/// ```text
/// e_bar = gamma eps_k + (1 - gamma) eps_(k-1)                     eps_0 alone in the first step
/// s_p   = (s_n / s_c^mu)^(1/(1 - mu)),   eta^2 = s_n^2 - s_p^2
/// x_n   = x + (s_p - s_c) e_bar + eta z
/// ```
///
/// `gamma = 2, mu = 0` is the paper's choice; `gamma = 1` is DDIM with `mu = 0` and DDPM with `mu = 1/2`. At gamma
/// 2 it is a smoother, not a method of higher order: order 1.
///
/// ```
/// use picardy::{GradientEstimation, Level, Node, Prediction, Sigmas, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Sigmas::log_linear(0.02, 10.0).grid(10, 0.0, &mut levels)?;
/// let plan = GradientEstimation::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert!(plan.nodes()[2].outputs[1].weight > 0.0); // the old output counts against the new one
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientEstimation {
    /// The weight of the newest output.
    pub gamma: f64,
    /// How much noise is added: 0 (none) to below 1.
    pub mu: f64,
}

impl Default for GradientEstimation {
    fn default() -> Self {
        Self { gamma: 2.0, mu: 0.0 }
    }
}

impl Solver for GradientEstimation {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        if !self.gamma.is_finite() {
            return Err(PlanError::Parameter { name: "gamma", value: self.gamma });
        }
        if !(0.0..1.0).contains(&self.mu) {
            return Err(PlanError::Parameter { name: "mu", value: self.mu });
        }
        write_steps(Coordinates::Ve, grid, prediction, Form::Noise, nodes, |i, levels, node| {
            let (current, next) = (Coordinates::Ve.level(level_at(levels, i)).sigma, node.level.sigma);
            // (s_n / s_c^mu)^(1/(1-mu)) = s_n (s_n/s_c)^(mu/(1-mu)): exact at mu = 0, and at s_n = 0.
            let down = next * math::pow(next / current, self.mu / (1.0 - self.mu));
            let step = down - current;
            node.states[0] = Term::new(1, 1.0);
            if i == 0 {
                node.outputs[0] = Term::new(1, step);
            } else {
                node.outputs[0] = Term::new(1, step * self.gamma);
                node.outputs[1] = Term::new(2, step * (1.0 - self.gamma));
            }
            node.noise = math::sqrt((next * next - down * down).max(0.0));
        })
    }
}
