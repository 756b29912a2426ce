//! Heun's method with churn.

use super::{Coordinates, Solver, Writer, heun, level_at};
use crate::{Form, Grid, Level, Node, Plan, PlanError, Prediction, Term, math};

/// EDM's stochastic sampler (arXiv 2206.00364, algorithm 2), variance-exploding coordinates, data form. Before
/// Heun's step from a sigma in `[s_min, s_max]`, noise is added:
///
/// ```text
/// gamma = min(s_churn/N, sqrt 2 - 1),   s_hat = (1 + gamma) s_c
/// x_hat = x + s_noise sqrt(s_hat^2 - s_c^2) z
/// y     = x_hat + h d,          d  = (x_hat - x0(x_hat))/s_hat,  h = s_n - s_hat
/// x_n   = x_hat + h (d + d')/2, d' = (y - x0(y))/s_n;            x_n = y where s_n = 0
/// ```
///
/// `x_hat` is a node of its own: the plan's one place where a state is noisier than the one before. `s_churn = 0`
/// is [`Heun`](super::Heun). Networks that are told sigma are told `s_hat`; those that are told another number are
/// told the one between the grid's two neighbours, linear in `ln sigma` (and never more than the first level's).
///
/// ```
/// use picardy::{Edm, Level, Node, Prediction, Sigmas, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 19], [Node::default(); 55]);
/// let grid = Sigmas::karras(0.002, 80.0, 7.0).grid(18, 0.0, &mut levels)?;
/// let churn = Edm { s_churn: 40.0, s_min: 0.05, s_max: 50.0, s_noise: 1.003 };
/// let plan = churn.plan(&grid, Prediction::Sample, &mut nodes)?;
/// assert_eq!(plan.evaluations(), 35);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edm {
    /// How much noise is added over the whole run; 0 for none.
    pub s_churn: f64,
    /// The least sigma at which noise is added.
    pub s_min: f64,
    /// The largest, at least `s_min`; infinity for no bound.
    pub s_max: f64,
    /// The standard deviation of what is added, relative to what the level calls for; a little over 1.
    pub s_noise: f64,
}

impl Default for Edm {
    fn default() -> Self {
        Self { s_churn: 0.0, s_min: 0.0, s_max: f64::INFINITY, s_noise: 1.0 }
    }
}

impl Edm {
    /// gamma at a sigma; 0 where nothing is added.
    fn gamma(&self, sigma: f64, steps: usize) -> f64 {
        let most = core::f64::consts::SQRT_2 - 1.0;
        if (self.s_min..=self.s_max).contains(&sigma) { (self.s_churn / steps as f64).min(most) } else { 0.0 }
    }
}

/// What the network is told at `ratio`, a sigma between those of `levels[i]` and `levels[i - 1]` or above.
fn told(levels: &[Level], i: usize, ratio: f64) -> f64 {
    let here = *level_at(levels, i);
    if here.alpha == 1.0 && here.t == here.sigma {
        return ratio; // a network that is told sigma
    }
    let Some(above) = i.checked_sub(1).map(|j| *level_at(levels, j)) else { return here.t };
    let ln = |level: &Level| math::ln(level.sigma) - math::ln(level.alpha);
    let t = here.t + (above.t - here.t) * (math::ln(ratio) - ln(&here)) / (ln(&above) - ln(&here));
    if above.t > here.t { t.min(level_at(levels, 0).t) } else { t.max(level_at(levels, 0).t) }
}

impl Solver for Edm {
    fn nodes(&self, steps: usize) -> usize {
        steps.saturating_mul(3).saturating_add(1)
    }

    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        let churn = [("s_churn", self.s_churn), ("s_min", self.s_min), ("s_noise", self.s_noise)];
        if let Some((name, value)) =
            churn.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite()))
        {
            return Err(PlanError::Parameter { name, value });
        }
        // Also NaN. Infinity is no bound.
        if self.s_max.is_nan() || self.s_max < self.s_min {
            return Err(PlanError::Parameter { name: "s_max", value: self.s_max });
        }
        let (steps, read, ve) = (grid.steps(), (prediction, Form::Data), Coordinates::Ve);
        let levels = grid.levels();
        let sigma = |i: usize| ve.level(level_at(levels, i)).sigma;
        let churned = (0..steps).filter(|i| self.gamma(sigma(*i), steps) > 0.0).count();
        let mut writer = Writer::new(nodes, heun::count(grid) + churned)?;
        // The state before churn is not evaluated, the one after it is.
        let is_churned = |i: usize| i < steps && self.gamma(sigma(i), steps) > 0.0;
        let mut start = ve.node(0, level_at(levels, 0), if is_churned(0) { None } else { Some(read) })?;
        start.noise = start.level.sigma;
        writer.push(start)?;
        for i in 0..steps {
            let mut from = sigma(i);
            if is_churned(i) {
                let hat = from * (1.0 + self.gamma(from, steps));
                let level = level_at(levels, i).with_ratio(hat, told(levels, i, hat));
                let mut node = ve.node(writer.next(), &level, Some(read))?;
                node.states[0] = Term::new(1, 1.0);
                node.noise = self.s_noise * math::sqrt((hat * hat - from * from).max(0.0));
                writer.push(node)?;
                from = hat;
            }
            let no_call_after = i + 1 == steps || is_churned(i + 1);
            heun::write_step(&mut writer, ve, from, level_at(levels, i + 1), no_call_after, read)?;
        }
        writer.finish(Form::Data)
    }
}
