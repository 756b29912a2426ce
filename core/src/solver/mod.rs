//! How to step between levels: each solver is a pure function from a grid to a plan.
//!
//! A solver has no state, no randomness and no tensors. Its formulas stand in one file, in `f64`; what
//! comes out are the coefficients of [`Node`]s, and any sampler runs them.

mod ddim;
mod ddpm;

pub use ddim::Ddim;
pub use ddpm::{Ddpm, Variance};

use crate::{Form, Grid, Level, Node, Plan, PlanError, Prediction};

/// Turns a grid into a plan.
pub trait Solver {
    /// The nodes that a plan of `steps` steps has.
    fn nodes(&self, steps: usize) -> usize {
        steps + 1
    }

    /// Writes the plan into the front of `nodes`.
    ///
    /// # Errors
    /// A slice shorter than [`nodes`](Solver::nodes), or a prediction that says nothing at some level.
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError>;
}

/// The frame that all one-step solvers share: `x_k = A x + B m + C z` with `[A, B, C] = step(from, to)`.
fn one_step<'a>(
    grid: &Grid<'_>,
    prediction: Prediction,
    form: Form,
    nodes: &'a mut [Node],
    step: impl Fn(&Level, &Level) -> [f64; 3],
) -> Result<Plan<'a>, PlanError> {
    let levels = grid.levels();
    let given = nodes.len();
    let nodes = nodes.get_mut(..levels.len()).ok_or(PlanError::Buffer { needed: levels.len(), given })?;
    let mut from = levels[0];
    for (k, (node, to)) in nodes.iter_mut().zip(levels).enumerate() {
        *node = if k == 0 {
            Node { level: *to, noise: to.sigma, ..Node::default() }
        } else {
            let [state, output, noise] = step(&from, to);
            Node::one_step(*to, state, output, noise)
        };
        if k < grid.steps() {
            let singular = PlanError::Singular { node: k, alpha: to.alpha, sigma: to.sigma };
            node.evaluate = Some(prediction.readout(to, form).ok_or(singular)?);
        }
        from = *to;
    }
    Plan::new(nodes, form)
}
