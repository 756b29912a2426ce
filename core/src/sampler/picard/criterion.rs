//! When a state counts as converged.

use crate::{Level, Plan, Real, math};

/// What a sweep's change of a state is measured against, and what follows from it.
///
/// # What ParaDiGMS's rule does wrong
///
/// It closes a node for good once it moved by less than a part of its *step's* noise. But a closed node's small error is
/// multiplied by everything after it, and where a sample decides between two modes that is a factor of thousands: one item
/// in a few ends in another mode, at any tolerance that is of use. And the unit shrinks with the number of steps, so the same
/// tolerance means another error for each plan. `Change` tells the two questions apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Criterion {
    /// The unit is the standard deviation of the state's level, `sqrt(a^2 v + s^2)`: at the end, that of the data.
    ///
    /// An item is done when a sweep moved none of its open states by more than 0.03 of the tolerance (root mean square over the
    /// coordinates): the sweep has then carried every known error to the end, and what is left is of second order.
    ///
    /// A node is closed before that, to save evaluations, where it moved by a ten-thousandth of the tolerance; or where
    /// the error that its output may have, the move times what the slope left unexplained in the last two evaluations
    /// (`|dM - g dX| / |dX|`), times the weight of the output in later states, is at most 0.03 of the tolerance over all nodes.
    #[default]
    Change,
    /// ParaDiGMS's (arXiv 2305.16317, algorithm 1): a node is closed when it moved by at most the tolerance times the
    /// standard deviation of the DDPM posterior of its step, and all before it have.
    StepVariance,
}

/// A run is done when nothing moved by more than this part of the tolerance.
const DONE: f64 = 0.03;
/// A node is closed when it moved by at most this part of the tolerance,
const CLOSED: f64 = 1e-4;
/// or when its output's error is at most this part of the tolerance, over all nodes.
const DOUBT: f64 = 0.03;
/// States that moved by more than this (in standard deviations of their level) are not worth to be evaluated all.
const FAR: f64 = 0.3;

/// A change, measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    criterion: Criterion,
    /// In the criterion's unit.
    closed: f64,
    done: f64,
    doubtful: f64,
    data_variance: f64,
}

impl Limits {
    pub(super) fn new<T: Real>(
        criterion: Criterion,
        tolerance: f64,
        data_variance: f64,
        evaluations: usize,
    ) -> Self {
        // Changes as small as rounding decide nothing; only a tolerance of 0 waits for them to vanish.
        let rounding = if tolerance == 0.0 { 0.0 } else { 4.0 * T::EPSILON };
        let (closed, done) = match criterion {
            Criterion::Change => ((CLOSED * tolerance).max(rounding), (DONE * tolerance).max(rounding)),
            Criterion::StepVariance => (tolerance, 0.0),
        };
        let doubtful =
            if tolerance == 0.0 { f64::NEG_INFINITY } else { tolerance * DOUBT / evaluations as f64 };
        Self { criterion, closed, done, doubtful, data_variance }
    }

    /// A change of state `k`, root mean square, in the criterion's unit.
    #[inline]
    pub(super) fn measure(&self, plan: &Plan<'_>, k: usize, moved: f64) -> f64 {
        let variance = match self.criterion {
            Criterion::Change => self.spread(plan, k),
            Criterion::StepVariance => plan.step_variance(k),
        };
        // Where there is no variance, any change is infinite.
        if moved == 0.0 { 0.0 } else { moved / math::sqrt(variance) }
    }

    /// Whether the node can be closed.
    #[inline]
    pub(super) fn is_closed(&self, change: f64, doubt: f64) -> bool {
        change <= self.closed || (self.criterion == Criterion::Change && change * doubt <= self.doubtful)
    }

    /// Whether the item is done, where that holds for all its states.
    #[inline]
    pub(super) fn is_done(&self, change: f64) -> bool {
        change <= self.done
    }

    /// Whether the state moved so far that its neighbours tell as much as its own output.
    #[inline]
    pub(super) fn is_far(&self, plan: &Plan<'_>, k: usize, moved: f64) -> bool {
        moved * moved > FAR * FAR * self.spread(plan, k)
    }

    #[inline]
    fn spread(&self, plan: &Plan<'_>, k: usize) -> f64 {
        let Level { alpha, sigma, .. } = plan.nodes().get(k).map_or(Level::DATA, |node| node.level);
        alpha * alpha * self.data_variance + sigma * sigma
    }
}
