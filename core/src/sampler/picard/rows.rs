//! Where a Picard run's rows are.

use super::{MAX_HISTORY, Picard};
use crate::Plan;
use crate::sampler::ring::slot;

/// Where a run's rows are. Per item, over the nodes of the window (rings, as the window moves):
///
/// ```text
/// states         the newest guess of each
/// noise          C[k] z_k, where the plan has noise: made once, used in every round
/// pairs          what the network was shown last (and the times before, for multisecants), and what it said
/// mixed          with Anderson mixing: paths and residuals of the last rounds
/// ```
///
/// then the outputs that a sweep has carried to its states, as far back as the plan reaches, and those of the closed
/// nodes before the window; then, for all items, the rows that the network is shown and those that it writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    ring: usize,
    noise: usize,
    pairs: usize,
    mixed: usize,
    /// The carried outputs that are kept, less one: a power of two, less one, so that a place is a mask away.
    tail: usize,
    batch: usize,
    /// The most rows of a call.
    call: usize,
}

impl Rows {
    pub(super) fn new(picard: &Picard, plan: &Plan<'_>, batch: usize) -> Self {
        let window = picard.window.min(plan.last());
        let reach = plan.reach();
        let all = batch.saturating_mul(window.min(plan.evaluations()));
        Self {
            ring: window + reach.states,
            noise: usize::from(plan.nodes().iter().skip(1).any(|node| node.noise != 0.0)),
            pairs: 1 + picard.slope.history().min(MAX_HISTORY),
            mixed: if picard.anderson == 0 { 0 } else { 1 + picard.anderson },
            tail: (reach.outputs + 1).next_power_of_two() - 1,
            batch,
            call: all.min(picard.rows.max(1)),
        }
    }

    #[inline]
    const fn rings(&self) -> usize {
        1 + self.noise + 2 * (self.pairs + self.mixed)
    }

    #[inline]
    const fn item(&self) -> usize {
        self.ring.saturating_mul(self.rings()).saturating_add(2 * self.tail + 4)
    }

    pub(super) const fn len(&self) -> usize {
        self.shown(0).saturating_add(self.call.saturating_mul(2))
    }

    /// The marks of a run: one for each node of a ring.
    pub(super) const fn marks(&self) -> usize {
        self.batch.saturating_mul(self.ring)
    }

    /// A node's mark.
    #[inline]
    pub(super) const fn mark(&self, item: usize, node: usize) -> usize {
        item * self.ring + slot(node, self.ring)
    }

    #[inline]
    const fn in_ring(&self, item: usize, ring: usize, node: usize) -> usize {
        item * self.item() + ring * self.ring + slot(node, self.ring)
    }

    /// How many nodes back a state is still there.
    pub(super) const fn kept(&self) -> usize {
        self.ring
    }

    /// The newest state.
    #[inline]
    pub(super) const fn state(&self, item: usize, node: usize) -> usize {
        self.in_ring(item, 0, node)
    }

    /// The noise that comes to it.
    #[inline]
    pub(super) const fn noise(&self, item: usize, node: usize) -> usize {
        self.in_ring(item, 1, node)
    }

    /// The state that the network was shown `back` evaluations ago; 0 is the last.
    #[inline]
    pub(super) const fn base(&self, item: usize, back: usize, node: usize) -> usize {
        self.in_ring(item, 1 + self.noise + 2 * back, node)
    }

    /// What the network said of it, in the plan's form, before any guard.
    #[inline]
    pub(super) const fn said(&self, item: usize, back: usize, node: usize) -> usize {
        self.in_ring(item, 2 + self.noise + 2 * back, node)
    }

    /// The evaluations of a node that are kept.
    #[inline]
    pub(super) const fn pairs(&self) -> usize {
        self.pairs
    }

    /// The path that a sweep of `back` rounds ago began with.
    pub(super) const fn path(&self, item: usize, back: usize, node: usize) -> usize {
        self.in_ring(item, 1 + self.noise + 2 * (self.pairs + back), node)
    }

    /// What that sweep changed.
    pub(super) const fn change(&self, item: usize, back: usize, node: usize) -> usize {
        self.in_ring(item, 2 + self.noise + 2 * (self.pairs + back), node)
    }

    #[inline]
    const fn after_rings(&self, item: usize) -> usize {
        item * self.item() + self.ring * self.rings()
    }

    /// The output that the sweep under way has carried to its state.
    #[inline]
    pub(super) const fn carried(&self, item: usize, node: usize) -> usize {
        self.after_rings(item) + (node & self.tail)
    }

    /// The output of a node that the window has passed.
    #[inline]
    pub(super) const fn closed(&self, item: usize, node: usize) -> usize {
        self.after_rings(item) + self.tail + 1 + (node & self.tail)
    }

    /// What nodes that are not evaluated take over from the last one that is.
    #[inline]
    pub(super) const fn held(&self, item: usize) -> usize {
        self.after_rings(item) + 2 * self.tail + 2
    }

    /// How that changes on the way to the next one.
    #[inline]
    pub(super) const fn bend(&self, item: usize) -> usize {
        self.held(item) + 1
    }

    #[inline]
    pub(super) const fn shown(&self, row: usize) -> usize {
        self.batch.saturating_mul(self.item()).saturating_add(row)
    }

    #[inline]
    pub(super) const fn out(&self, row: usize) -> usize {
        self.shown(self.call).saturating_add(row)
    }
}
