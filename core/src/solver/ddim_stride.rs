//! DDIM as diffusers steps it.

use super::{Solver, check_eta, check_start, ddim, level_at, own_node, room, start_error, stride_to};
use crate::schedule::Table;
use crate::{Betas, Final, Form, Grid, Node, Plan, PlanError, Prediction};

/// [`Ddim`](super::Ddim) that goes a fixed number of timesteps down, whatever level the grid has next: diffusers'
/// `DDIMScheduler`. With `T` training timesteps and `N` steps, from timestep `t`
///
/// ```text
/// x_n = DDIM's step to the level of timestep t - floor(T/N), or to `last` where that is below 0
/// ```
///
/// and the network is told the grid's next timestep all the same. Under [`Spacing::Leading`](crate::Spacing), and under
/// [`Spacing::Trailing`](crate::Spacing) where `N` divides `T`, the two are one and this is `Ddim`. Elsewhere state and
/// network disagree about the noise, by up to 0.8 of the state under `Linspace`: `Ddim` is the better solver, this one
/// gives the samples that a pipeline's configuration gave before. The levels it goes to are not on the grid, so the solver
/// has the betas.
///
/// ```
/// use picardy::{Betas, DdimStride, Final, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 16], [Node::default(); 16]);
/// let ddim = DdimStride { eta: 0.0, betas: Betas::linear(1000, 1e-4, 2e-2), last: Final::Data };
/// let grid = ddim.betas.trailing(15, &mut levels)?;
/// let plan = ddim.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// // From timestep 66 the last step goes 1000/15 down, to timestep 0, and not to the data.
/// assert_eq!((plan.nodes()[14].level.t, plan.nodes()[15].level), (66.0, ddim.betas.level(0)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DdimStride {
    /// How much of DDPM's noise is added: 0 to 1.
    pub eta: f64,
    /// The schedule that the grid was made from.
    pub betas: Betas,
    /// Where a step below timestep 0 goes.
    pub last: Final,
}

impl Default for DdimStride {
    /// Without noise, to the first timestep, on the betas of Stable Diffusion.
    fn default() -> Self {
        Self { eta: 0.0, betas: Betas::scaled_linear(1000, 0.00085, 0.012), last: Final::FirstTimestep }
    }
}

impl Solver for DdimStride {
    /// # Errors
    /// As [`Ddim`](super::Ddim); a grid that does not start at a timestep of the betas.
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        check_eta(self.eta)?;
        check_start(grid, &self.betas)?;
        let (levels, steps) = (grid.levels(), grid.steps());
        let nodes = room(nodes, levels.len())?;
        let stride = (self.betas.train_steps / steps.max(1)) as f64;
        let start = start_error(grid);
        // From the last node to the first the timesteps rise, so one walk over the betas meets them all.
        let mut table = Table::new(&self.betas).map_err(|_| start)?;
        for (k, node) in nodes.iter_mut().enumerate().rev() {
            let read = (k < steps).then_some((prediction, Form::Data));
            *node = own_node(k, level_at(levels, k), read)?;
            let Some(current) = k.checked_sub(1).map(|i| level_at(levels, i)) else {
                node.noise = level_at(levels, k).sigma;
                continue;
            };
            let t = current.t - stride;
            let to = stride_to(&mut table, self.last, t).map_err(|_| start)?;
            let [state, output, noise] = ddim::step(self.eta, current, &to);
            // The sample lies where the step went; before it, what counts is what the network sees.
            let level = if k == steps { to } else { node.level };
            *node = Node { evaluate: node.evaluate, ..Node::one_step(level, state, output, noise) };
        }
        Plan::new(nodes, Form::Data)
    }
}
