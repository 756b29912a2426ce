//! PNDM without its Runge-Kutta start: PLMS.

use super::{Solver, check_start, level_at, own_node, room, start_error, stride_to};
use crate::schedule::Table;
use crate::{Betas, Final, Form, Grid, Level, Node, Plan, PlanError, Prediction, Term};

/// Pseudo linear multistep (PNDM, arXiv 2202.09778, eq. 9 and 12) with a start of its own in place of Runge-Kutta's: PLMS, as
/// Stable Diffusion 1 ships it (`skip_prk_steps` in diffusers). Noise form, `T` training timesteps, `N` steps, `r = floor(T/N)`:
///
/// ```text
/// step(x, t -> u, e) = (a_u/a_t) x + (s_u - a_u s_t/a_t) e                   DDIM's
/// start   y   = step(x_0, t_0 -> t_0 - r, m_0)                               evaluated at t_1: m_y
///         x_1 = step(x_0, t_1 + r -> t_1, (m_0 + m_y)/2)                     evaluated at t_1 again: m_1
/// then    x_n = step(x, t -> t - r, e),  e = sum_j w_j m_(c-j),   w = (3, -1)/2, (23, -16, 5)/12, (55, -59, 37, -9)/24
/// ```
///
/// Adams and Bashforth's weights are those of equal steps. A step below timestep 0 goes to `last`. The levels that steps go to
/// need not be on the grid (see [`DdimStride`](super::DdimStride)), so the solver has the betas. `N + 1` evaluations, but for
/// `N = 1`, which is DDIM.
///
/// ```
/// use picardy::{Level, Node, Pndm, Prediction, Solver, Spacing};
/// let (mut levels, mut nodes) = ([Level::default(); 51], [Node::default(); 52]);
/// let pndm = Pndm::default();
/// let grid = pndm.betas.grid(50, Spacing::Leading { offset: 1 }, pndm.last, &mut levels)?;
/// let plan = pndm.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!((plan.evaluations(), plan.nodes()[1].level.t, plan.nodes()[2].level.t), (51, 961.0, 961.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pndm {
    /// The schedule that the grid was made from.
    pub betas: Betas,
    /// Where a step below timestep 0 goes.
    pub last: Final,
}

impl Default for Pndm {
    /// To the first timestep, on the betas of Stable Diffusion.
    fn default() -> Self {
        Self { betas: Betas::scaled_linear(1000, 0.00085, 0.012), last: Final::FirstTimestep }
    }
}

/// Adams and Bashforth's weights of equal steps, the newest output first.
const WEIGHTS: [&[f64]; 4] = [
    &[1.0],
    &[1.5, -0.5],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// The factors of the state and of the noise estimate from one level to another.
fn step(from: &Level, to: &Level) -> [f64; 2] {
    let state = to.alpha / from.alpha;
    [state, to.sigma - state * from.sigma]
}

/// The node whose output belongs to step `i`: that of step 1 is its second.
const fn evaluated(i: usize) -> usize {
    if i == 0 { 0 } else { i + 1 }
}

impl Solver for Pndm {
    fn nodes(&self, steps: usize) -> usize {
        steps.saturating_add(2)
    }

    /// # Errors
    /// No signal at the start; a grid that does not start at a timestep of the betas.
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        let (levels, steps) = (grid.levels(), grid.steps());
        let read = Some((prediction, Form::Noise));
        if level_at(levels, 0).alpha == 0.0 {
            // eps-hat alone says nothing of the data there, whatever the network predicts.
            return Err(PlanError::Singular {
                node: 0,
                alpha: level_at(levels, 0).alpha,
                sigma: level_at(levels, 0).sigma,
            });
        }
        check_start(grid, &self.betas)?;
        let stride = (self.betas.train_steps / steps.max(1)) as f64;
        let nodes = room(nodes, if steps == 1 { 2 } else { steps + 2 })?;
        let (last, no_level) = (nodes.len() - 1, |_| start_error(grid));
        // From the last node to the first the timesteps rise, so one walk over the betas meets them all.
        let mut table = Table::new(&self.betas).map_err(no_level)?;
        for (k, node) in nodes.iter_mut().enumerate().rev() {
            let level = level_at(levels, if k < 2 { k } else { k - 1 });
            *node = own_node(k, level, if k < last { read } else { None })?;
            if k == 0 {
                node.noise = level.sigma;
                continue;
            }
            if k == 2 {
                // Not above the start: grids of other spacings would lead past the table's end.
                let t = (level.t + stride).min(level_at(levels, 0).t);
                let above = Table::new(&self.betas).and_then(|mut table| table.level(t));
                let [state, output] = step(&above.map_err(no_level)?, level);
                node.states[0] = Term::new(2, state);
                node.outputs[..2].copy_from_slice(&[Term::new(1, output / 2.0), Term::new(2, output / 2.0)]);
                continue;
            }
            let i = k.saturating_sub(2);
            let to = stride_to(&mut table, self.last, level_at(levels, i).t - stride).map_err(no_level)?;
            let [state, output] = step(level_at(levels, i), &to);
            node.states[0] = Term::new(1, state);
            // The first step has one output, the one after it two, and so on.
            let weights = if k == 1 { WEIGHTS[0] } else { WEIGHTS[i.min(3)] };
            for (j, (term, weight)) in node.outputs.iter_mut().zip(weights).enumerate() {
                *term = Term::new((k - evaluated(i - j)) as u8, output * weight);
            }
            if k == last {
                node.level = to;
            }
        }
        Plan::new(nodes, Form::Noise)
    }
}
