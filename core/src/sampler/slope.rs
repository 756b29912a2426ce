//! How an output is taken to change with its state, before the network has seen the new state.

use crate::{Form, Level, Plan};

/// The slope `g` of a sweep: `m(x new) = m(x old) + g (x new - x old)`.
///
/// Any slope leads to the sequential result, as a node whose state did not change is exact. The slope decides
/// how many rounds it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slope {
    /// `g` such that `dx_{k+1}/dx_k = 1`: what ParaDiGMS does (arXiv 2305.16317).
    Identity,
    /// `g = 0`: ParaTAA's fixed-point equation of full order (arXiv 2402.09970).
    Frozen,
    /// The exact Jacobian for Gaussian data of variance `v`: `a v/(a^2 v + s^2)` in data form,
    /// `s/(a^2 v + s^2)` in noise form.
    Gaussian,
    /// `<dx, dm>/<dx, dx>` over the last two rounds, per item and node, clamped to what a posterior mean can
    /// do (`[0, 1/a]` in data form, `[0, 1/s]` in noise form); gaussian where there is no history.
    #[default]
    Secant,
}

impl Slope {
    /// Whether the last round's states and outputs are wanted.
    pub(super) const fn uses_history(self) -> bool {
        matches!(self, Self::Secant)
    }

    /// The slope at node `j` where there is no history.
    pub(super) fn prior(self, plan: &Plan<'_>, j: usize, data_variance: f64) -> f64 {
        match self {
            Self::Identity => identity(plan, j),
            Self::Frozen => 0.0,
            Self::Gaussian | Self::Secant => {
                plan.nodes().get(j).map_or(0.0, |node| gaussian(&node.level, plan.form(), data_variance))
            }
        }
    }

    /// The largest slope that a posterior mean can have: its Jacobian's eigenvalues lie in `[0, 1/a]`, the
    /// noise's in `[0, 1/s]`.
    pub(super) fn clamp(slope: f64, plan: &Plan<'_>, j: usize) -> f64 {
        let Some(node) = plan.nodes().get(j) else { return 0.0 };
        let most = match plan.form() {
            Form::Data => node.level.alpha,
            Form::Noise => node.level.sigma,
        };
        // A factor of 0 leaves the slope unbounded above.
        if slope > 0.0 { if slope * most > 1.0 { 1.0 / most } else { slope } } else { 0.0 }
    }
}

/// The Jacobian of the denoiser for `N(0, v I)`.
pub(super) fn gaussian(level: &Level, form: Form, variance: f64) -> f64 {
    let (a, s) = (level.alpha, level.sigma);
    let norm = a * a * variance + s * s;
    match form {
        Form::Data => a * variance / norm,
        Form::Noise => s / norm,
    }
}

/// `A + B g = 1` at the first node that uses output `j`.
fn identity(plan: &Plan<'_>, j: usize) -> f64 {
    let nodes = plan.nodes().iter().enumerate().skip(j + 1);
    for (k, node) in nodes {
        let Some(output) = node.output_terms().find(|term| k - usize::from(term.back) == j) else { continue };
        let state = node.state_terms().find(|term| k - usize::from(term.back) == j);
        if output.weight != 0.0 {
            return (1.0 - state.map_or(0.0, |term| term.weight)) / output.weight;
        }
    }
    0.0
}
