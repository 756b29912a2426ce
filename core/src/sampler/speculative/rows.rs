//! Where a speculative run's rows are.

use crate::Plan;
use crate::sampler::ring::slot;

/// Generations of states and outputs: the last two rounds'.
pub(super) const GENERATIONS: usize = 2;
/// A node's true mean less the drafted one.
pub(super) const DELTA: usize = 0;
/// A node's unit noise.
pub(super) const UNIT: usize = 1;
/// Zeros.
pub(super) const ZERO: usize = 2;
const SCRATCH: usize = 3;

/// Where a run's rows are: per item the generations of states and outputs, and the estimates that the drafts were made
/// with, each a ring over the nodes; then scratch; then the rows that the network is shown, and those that it writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    ring: usize,
    batch: usize,
    /// The most rows of a call.
    call: usize,
}

impl Rows {
    pub(super) fn new(draft: usize, plan: &Plan<'_>, batch: usize) -> Self {
        let draft = draft.min(plan.last());
        let reach = plan.reach().states.max(plan.reach().outputs);
        Self { ring: draft + reach, batch, call: batch.saturating_mul(draft.min(plan.evaluations())) }
    }

    pub(super) const fn len(&self) -> usize {
        self.shown(0).saturating_add(self.call.saturating_mul(2))
    }

    /// The first row of an item's ring: states, then outputs, by generation, then the drafts' estimates.
    const fn at(&self, item: usize, ring: usize, node: usize) -> usize {
        (item * (2 * GENERATIONS + 1) + ring) * self.ring + slot(node, self.ring)
    }

    pub(super) const fn state(&self, item: usize, generation: usize, node: usize) -> usize {
        self.at(item, generation, node)
    }

    pub(super) const fn output(&self, item: usize, generation: usize, node: usize) -> usize {
        self.at(item, GENERATIONS + generation, node)
    }

    pub(super) const fn hat(&self, item: usize, node: usize) -> usize {
        self.at(item, 2 * GENERATIONS, node)
    }

    pub(super) const fn scratch(&self, row: usize) -> usize {
        let rings = (2 * GENERATIONS + 1) * self.ring;
        self.batch.saturating_mul(rings).saturating_add(row)
    }

    pub(super) const fn shown(&self, row: usize) -> usize {
        self.scratch(SCRATCH).saturating_add(row)
    }

    pub(super) const fn out(&self, row: usize) -> usize {
        self.shown(self.call).saturating_add(row)
    }
}
