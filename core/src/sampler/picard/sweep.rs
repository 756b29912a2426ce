//! The sweep of a round: the recurrence over an item's window, and how far the window moves.

use super::anderson::Mixing;
use super::held::Owner;
use super::run::PicardRun;
use crate::Tensor;
use crate::denoiser::Span;
use crate::guard::Guard;

impl<F: Tensor> PicardRun<'_, F> {
    /// Runs the recurrence over an item's window and moves the window. The item's rows of the call begin at `call`; their
    /// number is returned.
    pub(super) fn sweep(&mut self, item: usize, call: usize, mut guard: Option<&mut dyn Guard<F>>) -> usize {
        let Some(&[a, b]) = self.spans.get(2 * item..2 * item + 2).and_then(<[Span]>::first_chunk) else {
            return 0;
        };
        let (first, last) = (a.done, self.plan.last());
        if first == last {
            return 0;
        }
        let end = self.end(first);
        let (mut passed, mut front) = (first + 1, a.front);
        let (mut passing, mut near, mut still) = (true, true, end == last);
        let (mut evaluated, mut owner, mut local) = (0, None, None);
        let (rows, history, round) = (self.rows, self.picard.anderson, self.rounds);
        let mixing = (history > 0).then_some(Mixing { rows: &rows, item, history, round });
        if let Some(mixing) = mixing {
            mixing.remember(self.frames, first + 1..=end);
        }
        let mut places = Places::new(&a, &b);
        let mut there = places.has(first) && self.is_asked(first);
        for k in first + 1..=end {
            let j = k - 1;
            let here = there;
            let asked = self.is_asked(k);
            there = places.has(k) && asked;
            if here {
                if j == first {
                    // Its state is the one that was shown.
                    local = self.learnt(item, j, local);
                    self.frames.combine(rows.carried(item, j), &[(1.0, rows.said(item, 0, j))]);
                } else {
                    let mark = self.mark(item, j);
                    local = self.learnt(item, j, local);
                    let g = match local {
                        Some(g) if mark.learnt => g,
                        _ => self.picard.slope.unlearnt(
                            self.plan,
                            j,
                            local.unwrap_or_else(|| self.gaussian(j)),
                        ),
                    };
                    self.picard.slope.carry(self.frames, &rows, (item, j), g, mark.learnt);
                }
                let mut here = Owner { node: j, g: local, next: None };
                if !there {
                    here.next = places.next(k, |node| self.is_asked(node));
                    self.take_over(item, here);
                }
                owner = Some(here);
                self.guard(item, j, &mut guard, Some(rows.out(call + evaluated)));
                evaluated += 1;
            } else {
                self.hold(item, j, owner, &mut guard);
            }
            if j < passed {
                let (closed, carried) = (rows.closed(item, j), rows.carried(item, j));
                self.frames.combine(closed, &[(1.0, carried)]);
            }
            self.step(item, first, k);
            if k == end {
                break;
            }
            if there {
                let moved = (rows.state(item, k), rows.base(item, 0, k));
                let mean_square = self.frames.dot(moved, moved) / self.frames.dim() as f64;
                let change = self.limits.measure(self.plan, k, mean_square);
                self.residual = self.residual.max(change);
                still &= self.limits.is_done(change);
                passing = passing && {
                    let doubt = f64::from(self.mark(item, k).doubt);
                    self.limits.is_closed(change, doubt * self.plan.weight(k))
                };
                passed += usize::from(passing);
                near = near && !self.limits.is_far(self.plan, k, mean_square);
                if near {
                    front = front.max(k + 1);
                }
            } else if asked {
                (passing, still) = (false, false);
            } else {
                passed += usize::from(passing);
            }
        }
        if let (Some(mixing), false) = (mixing, still) {
            // What is closed keeps its state, and the noisiest open node has taken the plain step: the bound of rounds stays.
            mixing.mix(self.frames, first + 1..=end, passed + 1, a.swept);
        }
        let done = if still { last } else { passed };
        let owner = owner.map(|owner| Owner { next: None, ..owner });
        self.enter(item, end + 1..self.end(done) + 1, owner, &mut guard);
        if let Some(a) = self.spans.get_mut(2 * item) {
            (a.done, a.front, a.swept) = (done, front, end);
        }
        evaluated
    }

    /// The slope that node `j` told, or else the last that one before it did.
    fn learnt(&self, item: usize, j: usize, local: Option<f64>) -> Option<f64> {
        let mark = self.mark(item, j);
        if mark.learnt { Some(f64::from(mark.slope)) } else { local }
    }
}

/// The nodes that a round's call has, as far as the spans say: asked for in ascending order.
struct Places {
    dense: usize,
    sparse: usize,
    stride: usize,
    end: usize,
}

impl Places {
    fn new(dense: &Span, sparse: &Span) -> Self {
        let stride = sparse.stride.max(1);
        let first = sparse.first_node.next_multiple_of(stride);
        Self { dense: dense.end_node, sparse: first, stride, end: sparse.end_node }
    }

    fn has(&mut self, node: usize) -> bool {
        if node < self.dense {
            return true;
        }
        while self.sparse < node {
            self.sparse += self.stride;
        }
        node == self.sparse && node < self.end
    }

    /// The next of the sparse nodes, from `node` on, which is good.
    fn next(&self, node: usize, good: impl Fn(usize) -> bool) -> Option<usize> {
        let mut places = (self.sparse..self.end).step_by(self.stride);
        places.find(|place| *place >= node && good(*place))
    }
}
