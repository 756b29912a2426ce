//! Linear multistep in sigma.

use super::{Coordinates, Solver, lagrange, level_at, write_steps};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term};

/// Linear multistep (Adams and Bashforth, for steps of any lengths) on `dx/d sigma = eps`, variance-exploding
/// coordinates, noise form:
///
/// ```text
/// x_n = x + sum_(j < order) eps_j integral_(s_c)^(s_n) L_j(u) du
/// ```
///
/// `L_j` the Lagrange polynomials through the sigmas of the newest outputs (the form that diffusion samplers use
/// is in arXiv 2206.00364's code base; the method is in any textbook). The first steps use what there is.
/// The integrals are exact, not by quadrature.
///
/// ```
/// use picardy::{Betas, Level, Lms, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 21], [Node::default(); 21]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(20, &mut levels)?;
/// let plan = Lms { order: 4 }.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!(plan.reach().outputs, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lms {
    /// How many outputs a step uses: 1 to 4.
    pub order: usize,
}

impl Default for Lms {
    fn default() -> Self {
        Self { order: 4 }
    }
}

impl Solver for Lms {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        if !(1..=lagrange::MAX).contains(&self.order) {
            return Err(PlanError::Order { order: self.order, most: lagrange::MAX });
        }
        write_steps(Coordinates::Ve, grid, prediction, Form::Noise, nodes, |i, levels, node| {
            let order = self.order.min(i + 1);
            let mut at = [0.0; lagrange::MAX];
            for (j, sigma) in at.iter_mut().take(order).enumerate() {
                *sigma = Coordinates::Ve.level(level_at(levels, i - j)).sigma;
            }
            node.states[0] = Term::new(1, 1.0);
            let (from, to) = (at[0], node.level.sigma);
            let at = at.get(..order).unwrap_or(&at);
            for (j, term) in node.outputs.iter_mut().enumerate().take(order) {
                *term = Term::new(j as u8 + 1, lagrange::integral(at, j, from, to));
            }
        })
    }
}
