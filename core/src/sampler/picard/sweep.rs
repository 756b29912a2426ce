//! The sweep of a round: the recurrence over every item's window, in order.

use super::anderson::Mixing;
use super::call::rows_of;
use super::held::Owner;
use super::run::PicardRun;
use super::slope::Slope;
use crate::Tensor;
use crate::denoiser::Span;
use crate::guard::Guard;
use crate::math;

impl<F: Tensor> PicardRun<'_, F> {
    /// Sweeps all items, measures what that moved, and moves the windows.
    pub(super) fn sweep(&mut self, mut guard: Option<&mut dyn Guard<F>>) {
        let items = self.spans.len() / 2;
        let chains = guard.is_none() && self.has_chains();
        let mut call = 0;
        for item in 0..items {
            let Some((a, b)) = self.open_spans(item) else { continue };
            if let Some(mixing) = self.mixing(item) {
                mixing.remember(self.frames, a.done + 1..=self.end(a.done));
            }
            if chains {
                self.chain(item, &a, &b);
            } else {
                call += self.walk(item, &a, &b, call, &mut guard);
            }
        }
        self.measure();
        call = 0;
        for item in 0..items {
            let Some((a, b)) = self.open_spans(item) else { continue };
            call += self.advance(item, &a, &b, call, &mut guard);
        }
    }

    /// An item's two spans, where it is not done.
    fn open_spans(&self, item: usize) -> Option<(Span, Span)> {
        let &[a, b] = self.spans.get(2 * item..2 * item + 2).and_then(<[Span]>::first_chunk)?;
        (a.done < self.plan.last()).then_some((a, b))
    }

    pub(super) fn mixing(&self, item: usize) -> Option<Mixing> {
        let (rows, history, round) = (self.rows, self.picard.anderson, self.rounds);
        (history > 0).then_some(Mixing { rows, item, history, round })
    }

    /// Runs the recurrence over an item's window, every output carried to its state. The item's rows of the call begin at
    /// `call`; their number is returned.
    fn walk(
        &mut self,
        item: usize,
        a: &Span,
        b: &Span,
        call: usize,
        guard: &mut Option<&mut dyn Guard<F>>,
    ) -> usize {
        let (first, end) = (a.done, self.end(a.done));
        let (mut evaluated, mut owner, mut local) = (0, None, None);
        let mut places = Places::new(a, b);
        let mut there = places.has(first) && self.is_asked(first);
        for k in first + 1..=end {
            let (j, here) = (k - 1, there);
            there = places.has(k) && self.is_asked(k);
            if here {
                local = self.known().learnt(item, j, local);
                self.carry(item, j, first, local, self.rows.carried(item, j));
                let mut here = Owner { node: j, g: local, next: None };
                if !there {
                    here.next = places.next(k, |node| self.is_asked(node));
                    self.take_over(item, here);
                }
                owner = Some(here);
                self.guard(item, j, guard, Some(self.rows.out(call + evaluated)));
                evaluated += 1;
            } else {
                self.hold(item, j, owner, guard);
            }
            self.step(item, first, k);
        }
        evaluated
    }

    /// The output at an evaluated node, to row `m`. At the first open node the state is the one that was shown.
    pub(super) fn carry(&mut self, item: usize, j: usize, first: usize, local: Option<f64>, m: usize) {
        if j == first {
            self.frames.combine(m, &[(1.0, self.rows.said(item, 0, j))]);
        } else {
            let (g, learnt) = (self.known().slope(j, local), self.known().mark(item, j).learnt);
            Slope::carry(self.frames, &self.rows, (item, j), (g, learnt), m);
        }
    }

    /// What the sweep moved the evaluated states by.
    fn measure(&mut self) {
        let (rows, dim) = (self.rows, self.frames.dim() as f64);
        // The first open state never moves.
        let spans = &*self.spans;
        let moves = |(item, k): &(usize, usize)| spans.get(2 * item).is_some_and(|span| *k > span.done);
        let nodes = rows_of(self.plan, spans).filter(moves);
        let asks = nodes.clone().map(|(item, k)| (rows.state(item, k), rows.base(item, 0, k)));
        let (marks, mut answered) = (&mut *self.marks, nodes.clone());
        self.frames.squares(asks, |_, square| {
            if let Some(mark) = answered.next().and_then(|(item, k)| marks.get_mut(rows.mark(item, k))) {
                mark.moved = math::sqrt(square / dim) as f32;
            }
        });
    }
}

/// The nodes that a round's call has, as far as the spans say: asked for in ascending order.
pub(super) struct Places {
    dense: usize,
    sparse: usize,
    stride: usize,
    end: usize,
}

impl Places {
    pub(super) fn new(dense: &Span, sparse: &Span) -> Self {
        let stride = sparse.stride.max(1);
        let first = sparse.first_node.next_multiple_of(stride);
        Self { dense: dense.end_node, sparse: first, stride, end: sparse.end_node }
    }

    pub(super) fn has(&mut self, node: usize) -> bool {
        if node < self.dense {
            return true;
        }
        while self.sparse < node {
            self.sparse += self.stride;
        }
        node == self.sparse && node < self.end
    }

    /// The next of the sparse nodes, from `node` on, which is good.
    pub(super) fn next(&self, node: usize, good: impl Fn(usize) -> bool) -> Option<usize> {
        let mut places = (self.sparse..self.end).step_by(self.stride);
        places.find(|place| *place >= node && good(*place))
    }
}
