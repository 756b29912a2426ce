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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slope {
    /// `g` such that `dx_{k+1}/dx_k = 1`: what ParaDiGMS does (arXiv 2305.16317).
    Identity,
    /// `g = 0`: ParaTAA's fixed-point equation of full order (arXiv 2402.09970).
    Frozen,
    /// The exact Jacobian for Gaussian data of variance `v`: `a v/(a^2 v + s^2)` in data form,
    /// `s/(a^2 v + s^2)` in noise form.
    Gaussian,
    /// `<dX, dM>/<dX, dX>` of the last two evaluations, per item and node, clamped to what the posterior mean of
    /// Gaussian data can do (`[0, 1/a]` in data form, `[0, 1/s]` in noise form). Where there is no history: the slope of the
    /// last node that has one, or gaussian.
    #[default]
    Secant,
    /// The secant for most of `dx`, and along the last `h` directions (1 to [`MAX_HISTORY`]) what was seen there.
    Multisecant(usize),
}

/// What the last evaluations of a node tell of its Jacobian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The slope.
    pub(super) g: f64,
    /// The most it left unexplained, `|dM - g dX| / |dX|`.
    pub(super) doubt: f64,
}

/// Along a known direction a sweep goes no further than the network was seen to: where two images part, the output
/// saturates.
const REACH: f64 = 1.0;

/// Of the trace, on the diagonal of `dX^T dX`.
const RIDGE: f64 = 1e-3;

impl Slope {
    /// The evaluations of a node before the last that are kept.
    pub(super) const fn history(self) -> usize {
        match self {
            Self::Identity | Self::Frozen | Self::Gaussian | Self::Secant => 0,
            Self::Multisecant(directions) => directions,
        }
    }

    /// What a new output in row `new`, of the newest state at `(item, j)`, tells beside the older ones there: `None` where
    /// the slope is not made of that, or the state did not change.
    pub(super) fn learn<F: Tensor>(
        self,
        frames: &mut F,
        rows: &Rows,
        plan: &Plan<'_>,
        (item, j): (usize, usize),
        new: usize,
    ) -> Option<Seen> {
        if !matches!(self, Self::Secant | Self::Multisecant(_)) {
            return None;
        }
        let (base, said) = (|i| rows.base(item, i, j), |i| rows.said(item, i, j));
        let mut products = |x, m| {
            let [square, product, length] = frames.secant(x, m);
            (product / square, length / square)
        };
        let newest = products((rows.state(item, j), base(0)), (new, said(0)));
        if !newest.0.is_finite() {
            return None;
        }
        let g = clamp(newest.0, plan, j);
        // No less than what rounding leaves.
        let unexplained =
            |(secant, length): (f64, f64)| (length - g * (2.0 * secant - g)).max(length * F::Scalar::EPSILON);
        let mut rest = unexplained(newest);
        // An older direction is no better known than it was then. The oldest pair is forgotten now.
        for i in 1..rows.pairs() - 1 {
            let older = unexplained(products((base(i - 1), base(i)), (said(i - 1), said(i))));
            if older.is_finite() {
                rest = rest.max(older);
            }
        }
        Some(Seen { g, doubt: crate::math::sqrt(rest) })
    }

    /// The slope at node `j`, of which nothing was learnt: `prior` where the slope is learnt.
    pub(super) fn unlearnt(self, plan: &Plan<'_>, j: usize, prior: f64) -> f64 {
        match self {
            Self::Identity => identity(plan, j),
            Self::Frozen => 0.0,
            Self::Gaussian | Self::Secant | Self::Multisecant(_) => prior,
        }
    }

    /// Writes the output at `(item, j)`, carried to the newest state there along slope `g`, which was learnt there or not.
    pub(super) fn carry<F: Tensor>(
        self,
        frames: &mut F,
        rows: &Rows,
        (item, j): (usize, usize),
        g: f64,
        learnt: bool,
    ) {
        let (x, m) = (rows.state(item, j), rows.carried(item, j));
        let (base, said) = (|i| rows.base(item, i, j), |i| rows.said(item, i, j));
        let (old, known) = (base(0), rows.pairs() - 1);
        frames.extrapolate(m, said(0), g, x, old);
        if known == 0 || !learnt {
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
