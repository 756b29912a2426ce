//! Trajectory consistency distillation.

use super::{Solver, check_eta, check_start, level_at, own_node, room, start_error};
use crate::schedule::Table;
use crate::{Betas, Form, Grid, Node, Plan, PlanError, Prediction, Term, math};

/// Strategic stochastic sampling of trajectory consistency models (arXiv 2402.19159, algorithm 4), data form: down to
/// timestep `r = floor((1 - eta) t_n)` along the flow, then up to `t_n` with fresh noise,
///
/// ```text
/// y   = a_r x0 + s_r eps,   eps = (x - a_c x0)/s_c
/// x_n = (a_n/a_r) y + sqrt(s_n^2 - (a_n/a_r)^2 s_r^2) z
/// ```
///
/// `eta = 0` is DDIM, `eta = 1` adds noise to an estimate of timestep 0. The level of `r` is not on the grid, so the solver
/// has the betas. The grid is [`Spacing::Distilled`](crate::Spacing)'s.
///
/// ```
/// use picardy::{Betas, Final, Level, Node, Prediction, Solver, Spacing, Tcd};
/// let (mut levels, mut nodes) = ([Level::default(); 5], [Node::default(); 5]);
/// let tcd = Tcd { eta: 0.3, ..Tcd::default() };
/// let grid = tcd.betas.grid(4, Spacing::Distilled { original: 50 }, Final::Data, &mut levels)?;
/// let plan = tcd.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert!(plan.nodes()[1].noise > 0.0 && plan.nodes()[4].noise == 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tcd {
    /// How much noise is fresh: 0 to 1. The paper's gamma.
    pub eta: f64,
    /// The schedule the network was trained on.
    pub betas: Betas,
}

impl Default for Tcd {
    /// The paper's eta, and the betas of Stable Diffusion, whose distillation this is.
    fn default() -> Self {
        Self { eta: 0.3, betas: Betas::scaled_linear(1000, 0.00085, 0.012) }
    }
}

impl Solver for Tcd {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_eta(self.eta)?;
        check_start(grid, &self.betas)?;
        let levels = grid.levels();
        let nodes = room(nodes, levels.len())?;
        // From the last node to the first the timesteps rise, so one walk over the betas meets them all.
        let mut table = Table::new(&self.betas).map_err(|_| start_error(grid))?;
        for (k, (node, level)) in nodes.iter_mut().zip(levels).enumerate().rev() {
            *node = own_node(k, level, if k < grid.steps() { Some((prediction, Form::Data)) } else { None })?;
            let Some(current) = k.checked_sub(1).map(|i| level_at(levels, i)) else {
                node.noise = level.sigma;
                continue;
            };
            // At eta 0 and at no noise there is nothing to come back from.
            let mut below = *level;
            let down = math::floor((1.0 - self.eta) * level.t);
            if level.sigma > 0.0 && down < level.t {
                below = table.level(down).map_err(|_| start_error(grid))?;
            }
            let up = level.alpha / below.alpha;
            let state = below.sigma / current.sigma;
            node.states[0] = Term::new(1, up * state);
            node.outputs[0] = Term::new(1, up * (below.alpha - current.alpha * state));
            let kept = up * below.sigma;
            node.noise = math::sqrt((level.sigma * level.sigma - kept * kept).max(0.0));
        }
        Plan::new(nodes, Form::Data)
    }
}
