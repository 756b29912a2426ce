//! Euler's method on the probability flow.

use super::{Coordinates, Solver, level_at, write_steps};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term};

/// Euler's method on `dx/ds = (x - x0)/s`, in variance-exploding or flow coordinates, data form:
///
/// ```text
/// x_n = (s_n/s_c) x + (1 - s_n/s_c) x0
/// ```
///
/// (arXiv 2206.00364, eq. 3 with `s = sigma`, algorithm 1 without its correction; arXiv 2210.02747 for flow
/// matching.) First order; DDIM in another coordinate. Data form, so that the last step to `s = 0` divides by
/// nothing small.
///
/// ```
/// use picardy::{Euler, FlowShift, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 9], [Node::default(); 9]);
/// let grid = FlowShift { train_steps: 1000, shift: 3.0 }.grid(8, &mut levels)?;
/// let plan = Euler::flow().plan(&grid, Prediction::Flow, &mut nodes)?;
/// assert_eq!(plan.evaluations(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Euler {
    /// Where the states live.
    pub coordinates: Coordinates,
}

impl Euler {
    /// In variance-exploding coordinates.
    pub const fn ve() -> Self {
        Self { coordinates: Coordinates::Ve }
    }

    /// In flow-matching coordinates.
    pub const fn flow() -> Self {
        Self { coordinates: Coordinates::Flow }
    }
}

impl Solver for Euler {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        write_steps(self.coordinates, grid, prediction, Form::Data, nodes, |i, levels, node| {
            let ratio = node.level.sigma / self.coordinates.level(level_at(levels, i)).sigma;
            node.states[0] = Term::new(1, ratio);
            node.outputs[0] = Term::new(1, 1.0 - ratio);
        })
    }
}
