//! Nodes that are not evaluated: what they take over from those that are.

use super::Start;
use super::run::PicardRun;
use crate::Tensor;
use crate::guard::Guard;
use core::ops::Range;

/// The last evaluated node before those that are not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) node: usize,
    /// The slope that they share with it; gaussian where there is none.
    pub(super) g: Option<f64>,
    /// The next evaluated node.
    pub(super) next: Option<usize>,
}

impl<F: Tensor> PicardRun<'_, F> {
    /// First guesses for the states of nodes that the window takes in, from the last evaluated node on.
    pub(super) fn enter(
        &mut self,
        item: usize,
        nodes: Range<usize>,
        owner: Option<Owner>,
        guard: &mut Option<&mut dyn Guard<F>>,
    ) {
        let dim = self.frames.dim();
        let before = nodes.start.saturating_sub(1);
        for k in nodes.clone() {
            self.open_node(item, k);
        }
        let stepped = self.guess.is_none() && self.picard.start != Start::Constant;
        if stepped && guard.is_none() && self.has_chains() {
            self.chain_on(item, nodes, owner);
            return;
        }
        // Whatever the guess of the states, a run that is stopped is finished from the last output.
        let outputs = if stepped { 0 } else { nodes.end.saturating_sub(1 + self.plan.reach().outputs) };
        for k in nodes {
            let state = self.rows.state(item, k);
            if k > outputs && owner.is_none_or(|owner| owner.node != k - 1) {
                self.hold(item, k - 1, owner, guard);
            }
            let given = self.guess.and_then(|path| {
                let row = item.checked_mul(self.plan.last() + 1)?.checked_add(k)?.checked_mul(dim)?;
                path.get(row..row.checked_add(dim)?)
            });
            match (given, self.picard.start) {
                (Some(values), _) => self.frames.load(state, values),
                (None, Start::Constant) => {
                    self.frames.combine(state, &[(1.0, self.rows.state(item, before))]);
                }
                (None, Start::Gaussian | Start::Coarse(_)) => {
                    let closed = self.spans.get(2 * item).map_or(0, |span| span.done);
                    self.step(item, closed, k);
                }
            }
        }
    }

    /// What nodes after the owner that are not evaluated take over from it: `r_J = m_J - g_J x_J`, and how that bends towards
    /// the next evaluated one.
    pub(super) fn take_over(&mut self, item: usize, owner: Owner) {
        let (rows, j) = (self.rows, owner.node);
        let g = self.known().held_slope(j, owner.g);
        self.frames.combine(rows.held(item), &[(1.0, rows.carried(item, j)), (-g, rows.state(item, j))]);
        if let Some(next) = owner.next {
            let bend = [
                (1.0, rows.said(item, 0, next)),
                (-self.known().held_slope(next, owner.g), rows.base(item, 0, next)),
                (-1.0, rows.said(item, 0, j)),
                (g, rows.base(item, 0, j)),
            ];
            self.frames.combine(rows.bend(item), &bend);
        }
    }

    /// The output at a node that is not evaluated: see [`Picard`].
    pub(super) fn hold(
        &mut self,
        item: usize,
        j: usize,
        owner: Option<Owner>,
        guard: &mut Option<&mut dyn Guard<F>>,
    ) {
        if !self.is_asked(j) {
            return;
        }
        let rows = self.rows;
        let (m, own) = (
            rows.carried(item, j),
            (self.known().held_slope(j, owner.and_then(|owner| owner.g)), rows.state(item, j)),
        );
        for fallback in [false, true] {
            let (held, bend) = ((1.0, rows.held(item)), rows.bend(item));
            match owner {
                Some(Owner { node: before, next: Some(next), .. }) => {
                    let w = (j - before) as f64 / (next - before) as f64;
                    self.frames.combine(m, &[own, held, (w, bend)]);
                }
                Some(Owner { next: None, .. }) => self.frames.combine(m, &[own, held]),
                None => self.frames.combine(m, &[own]),
            }
            // What a guard spoils is left as it was.
            if fallback || self.guard(item, j, guard, None) {
                return;
            }
        }
    }
}
