//! Where a parareal run's rows are.

use super::blocks::Blocks;
use crate::Plan;
use crate::sampler::ring::slot;

/// Where a run's rows are. Per item and block: the start that the fine run began with and the one that came after it, what
/// the coarse solver made of each, the network's output at the newer one, and the rings of the fine run's states and
/// outputs. Per item: the newest guess of the end. Then what all share: the coarse solver's rings, and the rows that the
/// network is shown, and those that it writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    states: usize,
    outputs: usize,
    blocks: usize,
    batch: usize,
    /// The most rows of a call.
    call: usize,
}

/// Rows of a block besides its rings.
const SINGLE: usize = 5;

impl Rows {
    pub(super) const fn new(blocks: &Blocks, plan: &Plan<'_>, batch: usize, pipelined: bool) -> Self {
        let (states, outputs) = (plan.reach().states, plan.reach().outputs);
        // Without overlap a block has one row at a time.
        let call = if pipelined { blocks.rows } else { blocks.count };
        Self { states, outputs, blocks: blocks.count, batch, call: batch.saturating_mul(call) }
    }

    pub(super) const fn len(&self) -> usize {
        self.shown(0).saturating_add(self.call.saturating_mul(2))
    }

    const fn block(&self, item: usize, block: usize) -> usize {
        item * self.item() + block * (SINGLE + self.states + self.outputs)
    }

    const fn item(&self) -> usize {
        self.blocks * (SINGLE + self.states + self.outputs) + 1
    }

    /// The start of the fine run.
    pub(super) const fn start(&self, item: usize, block: usize) -> usize {
        self.block(item, block)
    }

    /// Where the coarse solver came from there.
    pub(super) const fn coarse(&self, item: usize, block: usize) -> usize {
        self.block(item, block) + 1
    }

    /// The next start.
    pub(super) const fn next_start(&self, item: usize, block: usize) -> usize {
        self.block(item, block) + 2
    }

    /// Where the coarse solver came from there.
    pub(super) const fn next_coarse(&self, item: usize, block: usize) -> usize {
        self.block(item, block) + 3
    }

    /// The output at the next start.
    pub(super) const fn next_output(&self, item: usize, block: usize) -> usize {
        self.block(item, block) + 4
    }

    /// The fine run's state at a node.
    pub(super) const fn state(&self, item: usize, block: usize, node: usize) -> usize {
        self.block(item, block) + SINGLE + slot(node, self.states)
    }

    /// The fine run's output at a node.
    pub(super) const fn output(&self, item: usize, block: usize, node: usize) -> usize {
        self.block(item, block) + SINGLE + self.states + slot(node, self.outputs)
    }

    /// The newest guess of the last state.
    pub(super) const fn end(&self, item: usize) -> usize {
        item * self.item() + self.item() - 1
    }

    /// For sums.
    pub(super) const fn sum(&self) -> usize {
        self.batch.saturating_mul(self.item())
    }

    /// The coarse solver's state at a node.
    pub(super) const fn coarse_state(&self, node: usize) -> usize {
        self.sum() + 1 + slot(node, self.states)
    }

    /// The coarse solver's output at a node.
    pub(super) const fn coarse_output(&self, node: usize) -> usize {
        self.sum() + 1 + self.states + slot(node, self.outputs)
    }

    pub(super) const fn shown(&self, row: usize) -> usize {
        self.sum().saturating_add(1 + self.states + self.outputs).saturating_add(row)
    }

    pub(super) const fn out(&self, row: usize) -> usize {
        self.shown(self.call).saturating_add(row)
    }
}
