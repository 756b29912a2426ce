//! How an output is taken to change with its state, before the network has seen the new state.

use super::MAX_HISTORY;
use super::rows::Rows;
use crate::sampler::small;
use crate::{Form, Plan, Real, Tensor};

/// How a sweep carries an output `m` from the state that the network was shown to the new one, `dx` apart.
///
/// ```text
/// m(x new) = m(x old) + g dx                                                      g: the slope
/// m(x new) = m(x old) + g dx + (dM - g dX) c,   c = (dX^T dX + 1e-3 tr I)^-1 dX^T dx    with h directions
/// ```
///
/// with `c` clamped to `[-1, 1]`. `dX`, `dM` (`dim` x `h`) are what the state and the output changed by between the last `h + 1` evaluations of the node.
///
/// Any choice leads to the sequential result, as a node whose state did not change is exact. It decides how many
/// rounds that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slope {
    /// `g` such that `dx_{k+1}/dx_k = 1`: what ParaDiGMS does (arXiv 2305.16317).
    Identity,
    /// `g = 0`: ParaTAA's fixed-point equation of full order (arXiv 2402.09970).
    Frozen,
    /// The exact Jacobian for Gaussian data of variance `v`: `a v/(a^2 v + s^2)` in data form,
    /// `s/(a^2 v + s^2)` in noise form.
    Gaussian,
    /// `<dX, dM>/<dX, dX>` of the last two evaluations, per item and node, clamped to what the posterior mean of
    /// Gaussian data can do (`[0, 1/a]` in data form, `[0, 1/s]` in noise form); gaussian where there is no history.
    Secant,
    /// The secant for most of `dx`, and along the last `h` directions (1 to [`MAX_HISTORY`]) what was seen there.
    Multisecant(usize),
}

impl Default for Slope {
    fn default() -> Self {
        Self::Multisecant(1)
    }
}

/// What the last evaluations of a node tell of its Jacobian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The slope.
    pub(super) g: f64,
    /// The most it left unexplained, `|dM - g dX| / |dX|`; infinite where nothing is known.
    pub(super) doubt: f64,
    /// Whether it was seen at all.
    pub(super) told: bool,
}

/// Along a known direction a sweep goes no further than the network was seen to: where two images part, the output
/// saturates.
const REACH: f64 = 1.0;

/// Of the trace, on the diagonal of `dX^T dX`.
const RIDGE: f64 = 1e-3;

impl Slope {
    /// The evaluations of a node before the last that are wanted.
    pub(super) const fn history(self) -> usize {
        match self {
            Self::Identity | Self::Frozen | Self::Gaussian => 0,
            Self::Secant => 1,
            Self::Multisecant(directions) => directions,
        }
    }

    /// The slope at `(item, j)`: `prior` where it is the secant's to say and there is none.
    pub(super) fn at<F: Tensor>(
        self,
        frames: &mut F,
        rows: &Rows,
        plan: &Plan<'_>,
        (item, j): (usize, usize),
        prior: f64,
    ) -> Seen {
        let told = |g| Seen { g, doubt: f64::INFINITY, told: false };
        match self {
            Self::Identity => told(identity(plan, j)),
            Self::Frozen => told(0.0),
            Self::Gaussian => told(prior),
            Self::Secant | Self::Multisecant(_) => {
                let (base, said) = (|i| rows.base(item, i, j), |i| rows.said(item, i, j));
                let mut products = |i: usize| {
                    let (dx, dm) = ((base(i), base(i + 1)), (said(i), said(i + 1)));
                    let square = frames.dot(dx, dx);
                    (frames.dot(dx, dm) / square, frames.dot(dm, dm) / square)
                };
                let (secant, length) = products(0);
                // A state that did not change has none.
                if !secant.is_finite() {
                    return told(prior);
                }
                let g = clamp(secant, plan, j);
                // No less than what rounding leaves.
                let unexplained = |(secant, length): (f64, f64)| {
                    (length - g * (2.0 * secant - g)).max(length * F::Scalar::EPSILON)
                };
                let mut rest = unexplained((secant, length));
                // An older direction is no better known than it was then.
                for i in 1..rows.bases() - 1 {
                    let older = unexplained(products(i));
                    if older.is_finite() {
                        rest = rest.max(older);
                    }
                }
                Seen { g, doubt: crate::math::sqrt(rest), told: true }
            }
        }
    }

    /// Writes the output at `(item, j)`, carried to the newest state there.
    pub(super) fn carry<F: Tensor>(self, frames: &mut F, rows: &Rows, (item, j): (usize, usize), seen: Seen) {
        let (x, m) = (rows.state(item, j), rows.carried(item, j));
        let (base, said) = (|i| rows.base(item, i, j), |i| rows.said(item, i, j));
        let (g, old, known) = (seen.g, base(0), rows.bases() - 1);
        frames.extrapolate(m, said(0), g, x, old);
        if !(seen.told && matches!(self, Self::Multisecant(_))) {
            return;
        }
        let mut gram = [[0.0; MAX_HISTORY]; MAX_HISTORY];
        let mut c = [0.0; MAX_HISTORY];
        let mut trace = 0.0;
        for (i, (row, c)) in gram.iter_mut().zip(&mut c).enumerate().take(known) {
            let direction = (base(i), base(i + 1));
            *c = frames.dot(direction, (x, old));
            for (l, entry) in row.iter_mut().enumerate().take(i + 1) {
                *entry = frames.dot(direction, (base(l), base(l + 1)));
            }
            trace += row.get(i).copied().unwrap_or(0.0);
        }
        if !small::solve(&mut gram, &mut c, known, RIDGE * trace) {
            return;
        }
        for (i, c) in c.iter().enumerate().take(known) {
            let c = c.clamp(-REACH, REACH);
            if c != 0.0 {
                frames.extrapolate(m, m, c, said(i), said(i + 1));
                frames.extrapolate(m, m, -c * g, base(i), base(i + 1));
            }
        }
    }
}

/// The largest slope that a Gaussian posterior mean can have: its Jacobian's eigenvalues lie in `[0, 1/a]`, the
/// noise's in `[0, 1/s]`.
fn clamp(slope: f64, plan: &Plan<'_>, j: usize) -> f64 {
    let Some(node) = plan.nodes().get(j) else { return 0.0 };
    let most = match plan.form() {
        Form::Data => node.level.alpha,
        Form::Noise => node.level.sigma,
    };
    // A factor of 0 leaves the slope unbounded above.
    if slope > 0.0 { if slope * most > 1.0 { 1.0 / most } else { slope } } else { 0.0 }
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
