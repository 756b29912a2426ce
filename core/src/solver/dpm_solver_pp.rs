//! DPM-Solver++, multistep.

use super::multistep::{check_order, lambda, order_at, phi2, phi3};
use super::{Solver, level_at, own_node, write_each};
use crate::{Form, Grid, Level, Node, Plan, PlanError, Prediction, Term, math};

/// How the differences of outputs enter a step of order 2 or 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// Order 2: half the step's weight, as the midpoint rule has it. Order 3: as public implementations have it, with half
    /// of the curvature, whatever variant they are asked for. That converges with order 2.
    #[default]
    Midpoint,
    /// The exact integral of the extrapolating polynomial: orders 2 and 3.
    Heun,
}

/// DPM-Solver++ multistep (arXiv 2211.01095, algorithm 2 and appendix B), data form. With `lambda = ln(a/s)`,
/// `h = lambda_n - lambda_c`, `r_i` the lengths in lambda of the steps before, in units of `h`:
///
/// ```text
/// order 1   x_n = (s_n/s_c) x + a_n (1 - e^-h) m0
/// order 2   ... + a_n (1 - e^-h)/2 D1  (midpoint)    ... + a_n (1 - (1 - e^-h)/h) D1  (heun)
/// order 3   ... + a_n (1 - (1 - e^-h)/h) D1 + c a_n (1/2 - (h - 1 + e^-h)/h^2) D2,   c = 1 (midpoint), 2 (heun)
/// D1 = (m0 - m1)/r0  (order 2);   D1 = d0 + r0/(r0 + r1) (d0 - d1),  D2 = (d0 - d1)/(r0 + r1)  (order 3)
/// d0 = (m0 - m1)/r0,  d1 = (m1 - m2)/r1
/// ```
///
/// D2 is a second divided difference, half a second derivative, so `c = 2` is the polynomial's integral; the published code
/// has `c = 1`, and so has [`order3`](Self::order3), for the same pictures as elsewhere.
///
/// The first steps have the order that their history allows, and the step to no noise has order 1, its only limit.
/// [`sde`](Self::sde) solves the reverse SDE (its appendix; 2M): `s_n e^-h/s_c` in place of `s_n/s_c`, `1 - e^-2h` in
/// place of `1 - e^-h`, and the noise `s_n sqrt(1 - e^-2h) z`.
///
/// ```
/// use picardy::{Betas, DpmSolverPp, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 21], [Node::default(); 21]);
/// let grid = Betas::scaled_linear(1000, 0.00085, 0.012).trailing(20, &mut levels)?;
/// let plan = DpmSolverPp::order2().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!((plan.evaluations(), plan.reach().outputs), (20, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpmSolverPp {
    /// 1, 2 or 3; the SDE has 1 and 2.
    pub order: usize,
    /// The rule of orders 2 and 3.
    pub variant: Variant,
    /// Solve the reverse SDE, not the probability flow.
    pub sde: bool,
    /// Lower the order of the last two steps in runs of fewer than 15.
    pub lower_order_final: bool,
}

impl Default for DpmSolverPp {
    fn default() -> Self {
        Self::order2()
    }
}

impl DpmSolverPp {
    const fn new(order: usize) -> Self {
        Self { order, variant: Variant::Midpoint, sde: false, lower_order_final: true }
    }

    /// Order 1: DDIM.
    pub const fn order1() -> Self {
        Self::new(1)
    }

    /// Order 2, midpoint: "2M".
    pub const fn order2() -> Self {
        Self::new(2)
    }

    /// Order 3: "3M", as public implementations have it; [`Variant::Heun`] is of third order indeed.
    pub const fn order3() -> Self {
        Self::new(3)
    }

    /// Order 2 on the reverse SDE: "SDE-DPM-Solver++(2M)".
    pub const fn sde() -> Self {
        Self { sde: true, ..Self::new(2) }
    }

    /// Weights of D1 and of D2, in units of `a_n`, `h` the (doubled, for the SDE) step.
    fn differences(&self, order: usize, h: f64) -> [f64; 2] {
        match (order, self.variant) {
            (1, _) => [0.0, 0.0],
            (2, Variant::Midpoint) => [-0.5 * math::expm1(-h), 0.0],
            (2, Variant::Heun) => [phi2(h), 0.0],
            (_, Variant::Midpoint) => [phi2(h), phi3(h)],
            (_, Variant::Heun) => [phi2(h), 2.0 * phi3(h)],
        }
    }
}

impl Solver for DpmSolverPp {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_order(self.order, if self.sde { 2 } else { 3 })?;
        write_each(own_node, grid, prediction, Form::Data, nodes, |i, levels, node| {
            let (current, next) = (level_at(levels, i), node.level);
            let order = order_at(grid, i, self.order, self.lower_order_final);
            let (state, h) = first_order(current, &next, self.sde, node);
            let [one, two] = self.differences(order, h);
            let past = |j: usize| lambda(level_at(levels, i - j)) - lambda(level_at(levels, i - j - 1));
            let step = lambda(&next) - lambda(current);
            // 1/r rather than r: at zero terminal SNR a past step is infinitely long, and 1/r is 0.
            let mut weights = [-math::expm1(-h), 0.0, 0.0];
            if order > 1 {
                let inverse0 = step / past(0);
                let mut d0 = one;
                if order > 2 {
                    let inverse1 = step / past(1);
                    // D1 = d0 + c (d0 - d1), c = r0/(r0 + r1);  D2 = (d0 - d1)/(r0 + r1)
                    let sum = past(0) + past(1);
                    let difference =
                        if sum.is_finite() { one * past(0) / sum + two * step / sum } else { 0.0 };
                    d0 += difference;
                    weights[1] -= difference * inverse1;
                    weights[2] += difference * inverse1;
                }
                weights[0] += d0 * inverse0;
                weights[1] -= d0 * inverse0;
            }
            node.states[0] = Term::new(1, state);
            for (j, weight) in weights.into_iter().enumerate().take(order) {
                node.outputs[j] = Term::new(j as u8 + 1, next.alpha * weight);
            }
        })
    }
}

/// The state's factor and the length `h` of the step (doubled for the SDE) from one level to the next; the SDE's noise
/// goes into the node. `e^-h` is taken as a product, which has its limits at both ends.
fn first_order(current: &Level, next: &Level, sde: bool, node: &mut Node) -> (f64, f64) {
    let ratio = next.sigma / current.sigma;
    let h = lambda(next) - lambda(current);
    if !sde {
        return (ratio, h);
    }
    let decay = ratio * current.alpha / next.alpha;
    node.noise = next.sigma * math::sqrt((-math::expm1(-2.0 * h)).max(0.0));
    (ratio * decay, 2.0 * h)
}
