//! Nodes written one after the other into the caller's slice.

use super::room;
use crate::{Form, Node, Plan, PlanError};

/// A plan being written.
pub(super) struct Writer<'a> {
    nodes: &'a mut [Node],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Room for exactly `needed` nodes.
    pub(super) fn new(nodes: &'a mut [Node], needed: usize) -> Result<Self, PlanError> {
        Ok(Self { nodes: room(nodes, needed)?, len: 0 })
    }

    /// The index that the next node gets.
    pub(super) const fn next(&self) -> usize {
        self.len
    }

    /// Appends a node.
    pub(super) fn push(&mut self, node: Node) -> Result<(), PlanError> {
        let given = self.nodes.len();
        let slot = self.nodes.get_mut(self.len).ok_or(PlanError::Buffer { needed: self.len + 1, given })?;
        *slot = node;
        self.len += 1;
        Ok(())
    }

    /// The plan of what was written.
    pub(super) fn finish(self, form: Form) -> Result<Plan<'a>, PlanError> {
        let nodes: &'a [Node] = self.nodes;
        Plan::new(nodes.get(..self.len).unwrap_or(nodes), form)
    }
}
