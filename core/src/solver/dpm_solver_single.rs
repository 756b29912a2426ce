//! DPM-Solver++, single step.

use super::multistep::{check_order, lambda, phi2, phi3};
use super::{Solver, level_at, own_node, write_each};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term, math};

/// DPM-Solver++ single-step, 2S and 3S (arXiv 2211.01095, algorithm 1; arXiv 2206.00927, algorithm 2, in data
/// form): stages at levels in between and no memory of earlier steps. The stages lie on the grid: a step of order
/// `p` goes over `p` of its intervals, so `N` intervals cost `N` evaluations, as with every other solver.
///
/// ```text
/// lambda = ln(a/s),  h = lambda_n - lambda_0,  r_i = (lambda_i - lambda_0)/h,  m_i the stages' outputs
/// stage 1    x_1 = (s_1/s_0) x + a_1 (1 - e^(-r_1 h)) m_0
/// 2S end     x_n = (s_n/s_0) x + a_n (1 - e^-h) (m_0 + (m_1 - m_0)/(2 r_1))
/// 3S stage 2 x_2 = (s_2/s_0) x + a_2 (1 - e^(-r_2 h)) m_0 + a_2 (r_2/r_1) (1 - (1 - e^(-r_2 h))/(r_2 h)) (m_1 - m_0)
/// 3S end     x_n = (s_n/s_0) x + a_n (1 - e^-h) m_0 + a_n (1 - (1 - e^-h)/h) D1 + a_n (1/2 - (h - 1 + e^-h)/h^2) D2
///            d_i = (m_i - m_0)/r_i,  D1 = (r_2 d_1 - r_1 d_2)/(r_2 - r_1),  D2 = 2 (d_2 - d_1)/(r_2 - r_1)
/// ```
///
/// The interval to no noise is a step of order 1 by itself; where the rest is no multiple of the order, the last
/// step has a lower one. 3S uses the quadratic through all stages, so that stages anywhere give order 3.
///
/// ```
/// use picardy::{Betas, DpmSolverSingle, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 22], [Node::default(); 22]);
/// let grid = Betas::scaled_linear(1000, 0.00085, 0.012).trailing(21, &mut levels)?;
/// let plan = DpmSolverSingle { order: 3 }.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!((plan.evaluations(), plan.reach().states), (21, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpmSolverSingle {
    /// 1, 2 or 3.
    pub order: usize,
}

impl Default for DpmSolverSingle {
    fn default() -> Self {
        Self { order: 2 }
    }
}

impl Solver for DpmSolverSingle {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_order(self.order, 3)?;
        let steps = grid.steps();
        let at = |i: usize| level_at(grid.levels(), i);
        // Intervals at the ends that allow order 1 alone: from no signal, to no noise, or of no length.
        let first = usize::from(at(0).alpha == 0.0);
        let last = steps - usize::from(at(steps).sigma == 0.0 || at(steps) == at(steps - 1));
        write_each(own_node, grid, prediction, Form::Data, nodes, |i, levels, node| {
            // Which stage of its step this interval ends in, counted from 0.
            let stage = if i < first || i >= last { 0 } else { (i - first) % self.order.max(1) };
            let start = i - stage;
            let (from, next) = (level_at(levels, start), node.level);
            let h = lambda(&next) - lambda(from);
            // A finished step is an end, an unfinished one a stage or the end of a shorter step: the same formulas, but for
            // the rule of the two-stage end.
            let r = |j: usize| (lambda(level_at(levels, start + j)) - lambda(from)) / h;
            let mut weights = [-math::expm1(-h), 0.0, 0.0];
            match stage {
                0 => {}
                1 => {
                    let one = if self.order == 2 { -0.5 * math::expm1(-h) } else { phi2(h) } / r(1);
                    weights[0] -= one;
                    weights[1] = one;
                }
                _ => {
                    let (r1, r2) = (r(1), r(2));
                    let (one, two) = (phi2(h) / (r2 - r1), 2.0 * phi3(h) / (r2 - r1));
                    weights[1] = (one * r2 - two) / r1;
                    weights[2] = (two - one * r1) / r2;
                    weights[0] -= weights[1] + weights[2];
                }
            }
            node.states[0] = Term::new(stage as u8 + 1, next.sigma / from.sigma);
            for (j, weight) in weights.into_iter().enumerate().take(stage + 1) {
                node.outputs[j] = Term::new((stage + 1 - j) as u8, next.alpha * weight);
            }
        })
    }
}
