//! UniPC: predictor and corrector.

use super::multistep::{check_order, lambda, tail};
use super::{Solver, Writer, level_at, own_node};
use crate::{Form, Grid, Level, MAX_OUTPUTS, Node, Plan, PlanError, Prediction, Term, math};

/// The function `B(h)` by which UniPC weighs differences of outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bh {
    /// `B(h) = h`: better for unguided sampling with few steps.
    B1,
    /// `B(h) = e^h - 1`.
    #[default]
    B2,
}

/// UniPC (arXiv 2302.04867, algorithms 5 to 8), data form. With `lambda = ln(a/s)`, `h = lambda_n - lambda_c`,
/// `r_j = (lambda_(c-j) - lambda_c)/h`, `B = B(-h)`:
///
/// ```text
/// predictor p_n = (s_n/s_c) x_c + a_n (1 - e^-h) m_0 - a_n B sum_(j < order) rho_j (m_j - m_0)/r_j
/// corrector x_n = the same sum with rho' and one term more, rho'_order (m(p_n) - m_0)
/// sum_j rho_j r_j^(i-1) = i! sum_(n > 0) (-h)^n/(n + i)! / B      i = 1 ..     with r_order = 1 in the corrector
/// ```
///
/// (With one unknown, rho = 1/2, as the paper's section 3.3 has it.) The predicted state is evaluated, the corrected
/// one is not: it stands in the plan as a node of its own, from which the next prediction starts, so the corrector costs
/// no evaluation. The last step has no corrector. Orders rise from 1 at the start and fall to 1 at the end.
///
/// ```
/// use picardy::{Betas, Level, Node, Prediction, Solver, UniPc};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 21]);
/// let grid = Betas::scaled_linear(1000, 0.00085, 0.012).trailing(10, &mut levels)?;
/// let plan = UniPc::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!((plan.nodes().len(), plan.evaluations()), (20, 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniPc {
    /// 1, 2 or 3; with the corrector the order of accuracy is one more.
    pub order: usize,
    /// `B(h)`.
    pub variant: Bh,
    /// Let the order fall at the end of the run: 3, 2, 1.
    pub lower_order_final: bool,
}

impl Default for UniPc {
    fn default() -> Self {
        Self { order: 2, variant: Bh::B2, lower_order_final: true }
    }
}

/// The node of the plan whose output belongs to level `i` of the grid.
const fn evaluated(i: usize) -> usize {
    if i == 0 { 0 } else { 2 * i - 1 }
}

impl UniPc {
    /// The order of the step from level `i`.
    fn order_at(&self, grid: &Grid<'_>, i: usize) -> usize {
        let (steps, levels) = (grid.steps(), grid.levels());
        let left = if self.lower_order_final { steps - i } else { self.order };
        // A level without any signal (only the first can be one) lies at lambda = -infinity: no polynomial has it.
        let known = i + 1 - usize::from(level_at(levels, 0).alpha == 0.0 && i > 0);
        // To no noise and on the spot, lambda gives no polynomial either.
        let limit = level_at(levels, i + 1).sigma == 0.0 || level_at(levels, i + 1) == level_at(levels, i);
        if limit { 1 } else { self.order.min(known).min(left) }
    }

    /// `rho_j/r_j B` for the terms of a step of length `h`: the weights of `m_j - m_0`, `r` the nodes' places.
    fn weights(&self, r: &[f64], h: f64, simple: bool) -> [f64; 3] {
        let b = match self.variant {
            Bh::B1 => -h,
            Bh::B2 => math::expm1(-h),
        };
        let mut weights = [0.0; 3];
        if simple {
            if let Some(first) = r.first() {
                weights[0] = 0.5 * b / first;
            }
            return weights;
        }
        // Both sides multiplied by B, which so falls out: it matters only to the simple rule.
        let mut rows = [[0.0; 4]; 3];
        let mut factorial = 1.0;
        for (i, row) in rows.iter_mut().take(r.len()).enumerate() {
            for (entry, r) in row.iter_mut().zip(r) {
                *entry = power(*r, i);
            }
            factorial *= (i + 1) as f64;
            row[3] = factorial * tail(-h, i + 1);
        }
        let solved = solve(rows, r.len());
        for ((weight, rho), r) in weights.iter_mut().zip(solved).zip(r) {
            *weight = rho / r;
        }
        weights
    }
}

fn power(base: f64, exponent: usize) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

/// Gauss elimination of the first `n` rows and columns, right side in column 3. The rows are Vandermonde's with
/// distinct places, so no pivot is 0.
fn solve(mut rows: [[f64; 4]; 3], n: usize) -> [f64; 3] {
    let n = n.min(rows.len());
    for pivot in 0..n {
        let by = rows[pivot];
        for (_, row) in rows.iter_mut().enumerate().take(n).filter(|(i, _)| *i != pivot) {
            let factor = row[pivot] / by[pivot];
            for (entry, by) in row.iter_mut().zip(by) {
                *entry -= factor * by;
            }
        }
    }
    let mut x = [0.0; 3];
    for (i, x) in x.iter_mut().take(n).enumerate() {
        *x = rows[i][3] / rows[i][i];
    }
    x
}

/// The part that predictor and corrector share: state `back` nodes earlier, output `m_0`.
fn base(node: &mut Node, current: &Level, back: usize, back_m0: usize) {
    let next = node.level;
    let h = lambda(&next) - lambda(current);
    node.states[0] = Term::new(back as u8, next.sigma / current.sigma);
    node.outputs[0] = Term::new(back_m0 as u8, next.alpha * -math::expm1(-h));
}

/// Adds `-a_n weight (m - m_0)`, `m` the output `back` nodes earlier, as term `slot`.
fn difference(node: &mut Node, slot: usize, back: usize, weight: f64) {
    let weight = -node.level.alpha * weight;
    if let Some(term) = node.outputs.get_mut(slot) {
        *term = Term::new(back as u8, weight);
    }
    node.outputs[0].weight -= weight;
}

impl Solver for UniPc {
    fn nodes(&self, steps: usize) -> usize {
        steps.saturating_mul(2)
    }

    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_order(self.order, MAX_OUTPUTS - 1)?;
        let (steps, levels, read) = (grid.steps(), grid.levels(), Some((prediction, Form::Data)));
        let mut writer = Writer::new(nodes, 2 * steps)?;
        let mut start = own_node(0, level_at(levels, 0), read)?;
        start.noise = level_at(levels, 0).sigma;
        writer.push(start)?;
        for i in 0..steps {
            let (current, level) = (level_at(levels, i), level_at(levels, i + 1));
            let order = self.order_at(grid, i);
            let h = lambda(level) - lambda(current);
            let mut r = [1.0; 3];
            for (j, r) in r.iter_mut().enumerate().take(order - 1) {
                *r = (lambda(level_at(levels, i - j - 1)) - lambda(current)) / h;
            }

            let k = writer.next();
            let mut node = own_node(k, level, if i + 1 < steps { read } else { None })?;
            base(&mut node, current, 1, k - evaluated(i));
            let weights = self.weights(r.get(..order - 1).unwrap_or(&r), h, order == 2);
            for (j, weight) in weights.into_iter().enumerate().take(order - 1) {
                difference(&mut node, j + 1, k - evaluated(i - j - 1), weight);
            }
            writer.push(node)?;
            if i + 1 == steps {
                break;
            }

            let k = writer.next();
            let mut node = own_node(k, level, None)?;
            base(&mut node, current, 2, k - evaluated(i));
            // A step from no signal at all (h infinite) has nothing to correct by: what is predicted stands.
            if h.is_finite() && h > 0.0 {
                if let Some(here) = r.get_mut(order - 1) {
                    *here = 1.0;
                }
                let weights = self.weights(r.get(..order).unwrap_or(&r), h, order == 1);
                for (j, weight) in weights.into_iter().enumerate().take(order) {
                    let back = if j + 1 == order { 1 } else { k - evaluated(i - j - 1) };
                    difference(&mut node, j + 1, back, weight);
                }
            }
            writer.push(node)?;
        }
        writer.finish(Form::Data)
    }
}
