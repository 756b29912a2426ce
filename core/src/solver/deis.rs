//! DEIS: exponential integrator, polynomials in log rho.

use super::multistep::{check_order, order_at};
use super::{Solver, level_at, own_node, write_each};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term, math};

/// DEIS (arXiv 2204.13902, "rho AB" with polynomials in `ln rho`, its eq. 15 and appendix), noise form. With
/// `rho = s/a` and `L_j` the Lagrange polynomials through the newest outputs' `ln rho`:
///
/// ```text
/// x_n = (a_n/a_c) x + a_n sum_(j < order) m_j integral_(rho_c)^(rho_n) L_j(ln rho) d rho
/// ```
///
/// The integrals are in closed form: `rho (u - 1)` is that of `u = ln rho`, `rho (u^2 - 2u + 2)` that of `u^2`. Order 1 is
/// DDIM. The step to no noise (`ln rho` infinite) has order 1. Public implementations end at the
/// level of timestep 0 instead ([`Final::FirstTimestep`](crate::Final)); both are possible here.
///
/// ```
/// use picardy::{Betas, Deis, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
/// let plan = Deis::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!(plan.reach().outputs, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deis {
    /// 1, 2 or 3.
    pub order: usize,
    /// Lower the order of the last two steps in runs of fewer than 15.
    pub lower_order_final: bool,
}

impl Default for Deis {
    fn default() -> Self {
        Self { order: 3, lower_order_final: true }
    }
}

/// `integral of prod_(l != j) (ln rho - u_l)/(u_j - u_l)` from `rho_0` to `rho_n`, `u_l` the logarithms of `at`.
fn integral(at: &[f64], j: usize, rho: f64) -> f64 {
    // In v = ln(rho/rho_0), so that nothing large cancels: integral = rho_0 [F(v)], F'(v) = e^v p(v).
    let (Some(start), Some(here)) = (at.first(), at.get(j)) else { return 0.0 };
    let v = |rho: f64| math::ln(rho) - math::ln(*start);
    let mut others = at.iter().enumerate().filter(|(l, _)| *l != j).map(|(_, rho)| v(*rho));
    let here = v(*here);
    let end = v(rho);
    let zeroth = math::expm1(end);
    let (grown, first) = (zeroth + 1.0, (zeroth + 1.0) * end - zeroth);
    match (others.next(), others.next()) {
        (None, _) => start * zeroth,
        (Some(b), None) => start * (first - b * zeroth) / (here - b),
        (Some(b), Some(c)) => {
            let second = grown * end * end - 2.0 * first;
            start * (second - (b + c) * first + b * c * zeroth) / ((here - b) * (here - c))
        }
    }
}

impl Solver for Deis {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_order(self.order, 3)?;
        let start = *level_at(grid.levels(), 0);
        if start.alpha == 0.0 {
            // eps-hat alone says nothing of the data there, whatever the network predicts.
            return Err(PlanError::Singular { node: 0, alpha: start.alpha, sigma: start.sigma });
        }
        write_each(own_node, grid, prediction, Form::Noise, nodes, |i, levels, node| {
            let (current, next) = (level_at(levels, i), node.level);
            let order = order_at(grid, i, self.order, self.lower_order_final);
            node.states[0] = Term::new(1, next.alpha / current.alpha);
            if order == 1 {
                let weight = next.sigma - next.alpha * current.sigma / current.alpha;
                node.outputs[0] = Term::new(1, weight);
                return;
            }
            let mut at = [0.0; 3];
            for (j, rho) in at.iter_mut().enumerate().take(order) {
                *rho = level_at(levels, i - j).sigma / level_at(levels, i - j).alpha;
            }
            let at = at.get(..order).unwrap_or(&at);
            for (j, term) in node.outputs.iter_mut().enumerate().take(order) {
                let weight = next.alpha * integral(at, j, next.sigma / next.alpha);
                *term = Term::new(j as u8 + 1, weight);
            }
        })
    }
}
