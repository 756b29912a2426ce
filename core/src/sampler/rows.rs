//! Where a Picard run's rows are.

use crate::Plan;

/// Generations of states and outputs that are kept: the one that was evaluated and the one before it, whose
/// rows the sweep overwrites with the next, each after its slope has been taken. A slope that looks further
/// back has more.
pub(super) const GENERATIONS: usize = 2;

/// Where a run's rows are: per item the generations of states and outputs, each a ring over the nodes; then
/// the rows that the network is shown, and those that it writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    ring: usize,
    batch: usize,
    /// The most rows of a call.
    call: usize,
}

impl Rows {
    pub(super) fn new(window: usize, plan: &Plan<'_>, batch: usize) -> Self {
        let window = window.min(plan.last());
        let reach = plan.reach().states.max(plan.reach().outputs);
        Self { ring: window + reach, batch, call: batch.saturating_mul(window.min(plan.evaluations())) }
    }

    pub(super) const fn len(&self) -> usize {
        self.shown(0).saturating_add(self.call.saturating_mul(2))
    }

    pub(super) const fn state(&self, item: usize, generation: usize, node: usize) -> usize {
        (item * GENERATIONS + generation) * 2 * self.ring + self.slot(node)
    }

    /// A node's place in its ring. A window of the whole run never wraps, and a division would be dear there.
    const fn slot(&self, node: usize) -> usize {
        if node < self.ring { node } else { node % self.ring }
    }

    pub(super) const fn output(&self, item: usize, generation: usize, node: usize) -> usize {
        self.state(item, generation, node) + self.ring
    }

    pub(super) const fn shown(&self, row: usize) -> usize {
        self.batch.saturating_mul(GENERATIONS * 2 * self.ring) + row
    }

    pub(super) const fn out(&self, row: usize) -> usize {
        self.shown(self.call) + row
    }
}
