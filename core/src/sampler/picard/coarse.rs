//! The rounds of a coarse start: a few evaluations, one after the other, and what lies between held.

use super::Start;
use super::held::Owner;
use super::run::PicardRun;
use crate::Tensor;
use crate::guard::Guard;

impl<F: Tensor> PicardRun<'_, F> {
    /// A round of a coarse start: goes on from the one node that was evaluated.
    pub(super) fn lead(&mut self, item: usize, mut guard: Option<&mut dyn Guard<F>>) -> usize {
        let Some(node) = self.leading else { return 0 };
        self.frames.combine(self.rows.carried(item, node), &[(1.0, self.rows.said(item, 0, node))]);
        let owner = Owner { node, g: None, next: None };
        self.take_over(item, owner);
        let to = self.after_leading(node).unwrap_or_else(|| self.end(0));
        self.enter(item, node + 1..to + 1, Some(owner), &mut guard);
        1
    }

    /// The node that a coarse start evaluates after this one.
    pub(super) fn after_leading(&self, node: usize) -> Option<usize> {
        let Start::Coarse(evaluations) = self.picard.start else { return None };
        let end = self.end(0);
        // More evaluations than nodes are one for each.
        let evaluations = evaluations.min(end);
        let places = (1..evaluations).map(|i| (end as u128 * i as u128 / evaluations as u128) as usize);
        places.filter_map(|place| (place..end).find(|k| self.is_asked(*k))).find(|k| *k > node)
    }
}
