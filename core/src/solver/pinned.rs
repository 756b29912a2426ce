//! The pinned (Foellmer) process.

use super::{Solver, level_at, placed, write_each};
use crate::{Form, Grid, Level, Node, Plan, PlanError, Prediction, Term, math};

/// The pinned, or Foellmer, process (arXiv 2305.09605): it starts from a point, at time `tau = 0`, and ends at the data, at
/// `tau = 1`. Marginals `N(tau x1, v tau (1 - tau) I)`, drift `(x1_hat - x)/(1 - tau)`, data form:
///
/// ```text
/// x_n = ((1 - tau_n) x + (tau_n - tau_c) x1_hat)/(1 - tau_c) + sqrt(v (tau_n - tau_c)(1 - tau_n)/(1 - tau_c)) z
/// ```
///
/// Networks of any process serve, by signal-to-noise ratio `snr = a^2/s^2`:
///
/// ```text
/// tau = v snr/(1 + v snr),     the network is shown (a/tau) x      (v = 1, variance preserving: tau = a^2, x/sqrt(tau))
/// ```
///
/// So with `v = 1` a step is DDPM's, in other coordinates. Node 0 stands at the grid's first level, where all but
/// `tau_0` of the way from the point lies ahead: its start is `sqrt(v tau_0 (1 - tau_0)) z`, small. At zero
/// terminal SNR (`tau = 0`) state and network share no scale: an error.
///
/// ```
/// use picardy::{Betas, Level, Node, Pinned, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 51], [Node::default(); 51]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(50, &mut levels)?;
/// let plan = Pinned::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// assert!(plan.nodes()[0].noise < 0.01); // nearly a point
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pinned {
    /// `v`, the variance of the noise per unit of time.
    pub variance: f64,
}

impl Default for Pinned {
    fn default() -> Self {
        Self { variance: 1.0 }
    }
}

impl Pinned {
    /// `tau` and `1 - tau` at a network's level.
    fn time(&self, level: &Level) -> (f64, f64) {
        let (signal, noise) = (self.variance * level.alpha * level.alpha, level.sigma * level.sigma);
        (signal / (signal + noise), noise / (signal + noise))
    }
}

impl Solver for Pinned {
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        if !(self.variance > 0.0 && self.variance.is_finite()) {
            return Err(PlanError::Parameter { name: "variance", value: self.variance });
        }
        let place = |index: usize, level: &Level, read: Option<(Prediction, Form)>| {
            let (tau, left) = self.time(level);
            let own = Level { alpha: tau, sigma: math::sqrt(self.variance * tau * left), t: level.t };
            // Where tau is 0 so is alpha: no number.
            placed(index, level, own, level.alpha / tau, read)
        };
        write_each(place, grid, prediction, Form::Data, nodes, |i, levels, node| {
            let ((tau, left), (_, left_next)) =
                (self.time(level_at(levels, i)), self.time(level_at(levels, i + 1)));
            let forward = node.level.alpha - tau;
            node.states[0] = Term::new(1, left_next / left);
            node.outputs[0] = Term::new(1, forward / left);
            node.noise = math::sqrt((self.variance * forward * left_next / left).max(0.0));
        })
    }
}
