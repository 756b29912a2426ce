//! Latent consistency models.

use super::{Solver, level_at, own_node, write_each};
use crate::{Form, Grid, Node, Plan, PlanError, Prediction, Term};

/// The multistep sampler of consistency models as latent consistency models use it (arXiv 2310.04378, algorithm 3; arXiv
/// 2303.01469, algorithm 1), data form: estimate the data, add fresh noise to the next level,
///
/// ```text
/// f   = c_skip x + c_out x0,    x_n = a_n f + s_n z
/// c_skip = d^2/((k t)^2 + d^2),  c_out = k t/sqrt((k t)^2 + d^2),   d = sigma_data, k = timestep_scaling
/// ```
///
/// `t` is what the network is told. For distilled networks and few steps; the grid is
/// [`Spacing::Distilled`](crate::Spacing)'s.
///
/// ```
/// use picardy::{Betas, Final, Lcm, Level, Node, Prediction, Solver, Spacing};
/// let (mut levels, mut nodes) = ([Level::default(); 5], [Node::default(); 5]);
/// let betas = Betas::scaled_linear(1000, 0.00085, 0.012);
/// let grid = betas.grid(4, Spacing::Distilled { original: 50 }, Final::Data, &mut levels)?;
/// assert_eq!(grid.levels()[0].t, 999.0);
/// let plan = Lcm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert_eq!(plan.evaluations(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lcm {
    /// The standard deviation of the data in the boundary condition.
    pub sigma_data: f64,
    /// What `t` is multiplied by there.
    pub timestep_scaling: f64,
}

impl Default for Lcm {
    fn default() -> Self {
        Self { sigma_data: 0.5, timestep_scaling: 10.0 }
    }
}

impl Solver for Lcm {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        let settings = [("sigma_data", self.sigma_data), ("timestep_scaling", self.timestep_scaling)];
        if let Some((name, value)) =
            settings.into_iter().find(|(_, value)| !(*value > 0.0 && value.is_finite()))
        {
            return Err(PlanError::Parameter { name, value });
        }
        write_each(own_node, grid, prediction, Form::Data, nodes, |i, levels, node| {
            let (t, d) = (self.timestep_scaling * level_at(levels, i).t, self.sigma_data);
            let norm = t * t + d * d;
            node.states[0] = Term::new(1, node.level.alpha * d * d / norm);
            node.outputs[0] = Term::new(1, node.level.alpha * t / crate::math::sqrt(norm));
            node.noise = node.level.sigma;
        })
    }
}
