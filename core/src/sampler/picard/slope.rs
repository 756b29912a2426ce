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

/// Of the lower half of `dX^T dX`, and of `dX^T dx`.
const PRODUCTS: usize = MAX_HISTORY * (MAX_HISTORY + 3) / 2;

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

    /// Whether it is made of what the last evaluations told.
    pub(super) const fn is_learnt(self) -> bool {
        matches!(self, Self::Secant | Self::Multisecant(_))
    }

    /// What a new output at node `j` tells: `products` are those of the change of state and output since the last one.
    /// `None` where the state did not change.
    pub(super) fn learn<F: Tensor>(plan: &Plan<'_>, j: usize, products: [f64; 3]) -> Option<Seen> {
        let [square, product, _] = products;
        let secant = product / square;
        if !secant.is_finite() {
            return None;
        }
        let g = clamp(secant, plan, j);
        Some(Seen { g, doubt: crate::math::sqrt(unexplained::<F>(products, g)) })
    }

    /// What the products of an older direction, of changes of state and output, say of a slope that was learnt since: none is
    /// better known than it was then.
    pub(super) fn older_doubt<F: Tensor>(products: [f64; 3], slope: f64) -> f64 {
        crate::math::sqrt(unexplained::<F>(products, slope))
    }

    /// The slope at node `j`: `learnt`, or what there is without learning.
    pub(super) fn or_learnt(self, plan: &Plan<'_>, j: usize, learnt: impl FnOnce() -> f64) -> f64 {
        match self {
            Self::Identity => identity(plan, j),
            Self::Frozen => 0.0,
            Self::Gaussian | Self::Secant | Self::Multisecant(_) => learnt(),
        }
    }

    /// Writes the output at `(item, j)` to row `m`, carried to the newest state there along slope `g`, which was learnt there
    /// or not.
    pub(super) fn carry<F: Tensor>(
        frames: &mut F,
        rows: &Rows,
        (item, j): (usize, usize),
        (g, learnt): (f64, bool),
        m: usize,
    ) {
        let x = rows.state(item, j);
        let (base, said) = (|i| rows.base(item, i, j), |i| rows.said(item, i, j));
        let (old, known) = (base(0), rows.pairs() - 1);
        frames.extrapolate(m, said(0), g, x, old);
        if known == 0 || !learnt {
            return;
        }
        let mut gram = [[0.0; MAX_HISTORY]; MAX_HISTORY];
        let mut c = [0.0; MAX_HISTORY];
        let mut trace = 0.0;
        // Row by row: the product with what the sweep has changed, and those with the directions up to its own.
        let direction = |i| (base(i), base(i + 1));
        let (mut asks, mut count) = ([[(0, 0); 2]; PRODUCTS], 0);
        for i in 0..known {
            let row = core::iter::once((x, old)).chain((0..=i).map(direction));
            for (ask, other) in asks.iter_mut().skip(count).zip(row) {
                *ask = [direction(i), other];
                count += 1;
            }
        }
        let mut products = [0.0; PRODUCTS];
        frames.dots(asks.iter().take(count).copied(), |place, product| {
            if let Some(slot) = products.get_mut(place) {
                *slot = product;
            }
        });
        let mut answers = products.iter().copied();
        for (i, (row, c)) in gram.iter_mut().zip(&mut c).enumerate().take(known) {
            *c = answers.next().unwrap_or_default();
            for entry in row.iter_mut().take(i + 1) {
                *entry = answers.next().unwrap_or_default();
            }
            trace += row.get(i).copied().unwrap_or_default();
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

/// `|dM - g dX|^2 / |dX|^2`, no less than what rounding leaves.
fn unexplained<F: Tensor>([square, product, length]: [f64; 3], g: f64) -> f64 {
    let length = length / square;
    (length - g * (2.0 * product / square - g)).max(length * F::Scalar::EPSILON)
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
