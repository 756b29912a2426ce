//! The rounds of a Picard run.

use super::criterion::Limits;
use super::known::{Known, is_asked};
use super::rows::Rows;
use super::{Mark, Picard, Start};
use crate::denoiser::Span;
use crate::guard::Guard;
use crate::sampler::recurrence::{self, Draw};
use crate::sampler::{Report, Round, Run, SampleError};
use crate::{Denoiser, Noise, Plan, Tensor};
use core::ops::Range;

/// A Picard run under way: an account of its rounds, one at a time.
///
/// Each item has two spans: of the nodes that are all evaluated, which keeps its account too, and of those after them, of which
/// every `stride`-th is.
#[derive(Debug)]
pub struct PicardRun<'r, F: Tensor> {
    pub(super) picard: Picard,
    pub(super) limits: Limits,
    pub(super) plan: &'r Plan<'r>,
    noise: &'r Noise<'r>,
    pub(super) guess: Option<&'r [F::Scalar]>,
    pub(super) frames: &'r mut F,
    pub(super) spans: &'r mut [Span],
    pub(super) marks: &'r mut [Mark],
    pub(super) rows: Rows,
    /// The node that a coarse start evaluates next.
    pub(super) leading: Option<usize>,
    pub(super) rounds: usize,
    evaluations: usize,
    pub(super) residual: f64,
}

impl<F: Tensor> Run<F> for PicardRun<'_, F> {
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>> {
        let last = self.plan.last();
        if self.is_finished() {
            return Ok(None);
        }
        self.allot();
        let rows = self.evaluate(denoiser)?;
        self.residual = 0.0;
        if let Some(node) = self.leading {
            for item in 0..self.spans.len() / 2 {
                self.lead(item, denoiser.guard());
            }
            self.leading = self.after_leading(node);
        } else {
            self.sweep(denoiser.guard());
        }
        // A window of nodes that need no network costs no round.
        self.rounds += usize::from(rows > 0);
        self.evaluations += rows;
        for (item, span) in self.spans.iter().step_by(2).enumerate() {
            // Of items that were done before, the span is empty.
            let finished = span.done == last && span.end_node > span.first_node;
            if finished && !self.frames.is_finite(self.rows.state(item, last)) {
                return Err(SampleError::Overflow { item, node: last });
            }
        }
        Ok(Some(Round {
            rounds: self.rounds,
            rows,
            evaluations: self.evaluations,
            done: self.spans.iter().step_by(2).map(|span| span.done).min().unwrap_or(last),
            last,
            residual: self.residual,
        }))
    }

    /// Writes the samples (of items that are not done: the newest guess of the last state, or of the data where
    /// the window has not come that far) and says what the run cost.
    fn finish(self, x: &mut [F::Scalar]) -> Report {
        let (dim, last) = (self.frames.dim(), self.plan.last());
        let finished = self.is_finished();
        for ((item, span), x) in self.spans.iter().step_by(2).enumerate().zip(x.chunks_mut(dim.max(1))) {
            let end = self.end(span.done);
            // What a sweep has carried last, while it is there.
            let mut swept = end.saturating_sub(self.plan.reach().outputs)..end;
            let row = match swept.rfind(|node| self.is_asked(*node)) {
                Some(node) if end < last && self.rounds > 0 => {
                    let (state, m) = (self.rows.state(item, node), self.rows.carried(item, node));
                    recurrence::data(self.frames, self.plan, node, m, state, m);
                    m
                }
                _ => self.rows.state(item, end),
            };
            self.frames.store(row, x);
        }
        Report { rounds: self.rounds, evaluations: self.evaluations, residual: self.residual, finished }
    }
}

impl<'r, F: Tensor> PicardRun<'r, F> {
    pub(super) fn new(
        picard: &Picard,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        guess: Option<&'r [F::Scalar]>,
        frames: &'r mut F,
        (spans, marks): (&'r mut [Span], &'r mut [Mark]),
    ) -> Self {
        let rows = Rows::new(picard, plan, spans.len() / 2);
        let limits = Limits::new::<F::Scalar>(
            picard.criterion,
            picard.tolerance,
            picard.data_variance,
            plan.evaluations(),
        );
        let dim = frames.dim();
        let leading =
            if guess.is_none() && matches!(picard.start, Start::Coarse(_)) { Some(0) } else { None };
        let (rounds, evaluations, residual) = (0, 0, 0.0);
        let picard = *picard;
        let mut run = Self {
            picard,
            limits,
            plan,
            noise,
            guess,
            frames,
            spans,
            marks,
            rows,
            leading,
            rounds,
            evaluations,
            residual,
        };
        // A given path is taken to be near: all of it is evaluated.
        let front = if guess.is_some() { plan.last() } else { 0 };
        run.spans.fill(Span { front, ..Span::default() });
        // What a run before has left there is of other states.
        run.marks.fill(Mark::default());
        run.leading = run.leading.and_then(|_| (0..run.end(0)).find(|node| run.is_asked(*node)));
        run.frames.begin();
        for (item, x) in x.chunks(dim.max(1)).enumerate() {
            run.frames.load(run.rows.state(item, 0), x);
            let end = run.end(0);
            run.enter(item, 1..end + 1, None, &mut None);
        }
        run
    }

    /// The newest state of an item at a node, for pictures of how a run converges, or as the next run's guess; `None` where
    /// the window is not yet, or too far past it.
    pub fn state(&mut self, item: usize, node: usize, x: &mut [F::Scalar]) -> Option<()> {
        let end = self.end(self.spans.get(item.checked_mul(2)?)?.done);
        if node > end || node + self.rows.kept() <= end {
            return None;
        }
        self.frames.store(self.rows.state(item, node), x);
        Some(())
    }

    /// The nodes of an item that are open: what the next round may evaluate.
    pub fn open(&self, item: usize) -> Range<usize> {
        let span = item.checked_mul(2).and_then(|i| self.spans.get(i));
        span.map_or(0..0, |span| span.done..self.end(span.done))
    }

    fn is_finished(&self) -> bool {
        self.spans.iter().step_by(2).all(|span| span.done == self.plan.last())
    }

    /// One past the window whose first node is this: the state there is guessed, not evaluated.
    pub(super) fn end(&self, first: usize) -> usize {
        first.saturating_add(self.picard.window).min(self.plan.last())
    }

    /// What is known beside the frames.
    pub(super) fn known(&self) -> Known<'_> {
        Known { picard: &self.picard, plan: self.plan, rows: self.rows, marks: self.marks }
    }

    /// Whether the plan asks for an output there.
    pub(super) fn is_asked(&self, node: usize) -> bool {
        is_asked(self.plan, node)
    }

    /// The rows of the next call: the same again, where the last one failed.
    fn allot(&mut self) {
        let last = self.plan.last();
        let open = self.spans.iter().step_by(2).filter(|span| span.done < last).count().max(1);
        let mut before = 0;
        for item in 0..self.spans.len() / 2 {
            let Some(&Span { done: first, front, .. }) = self.spans.get(2 * item) else { return };
            let (mut from, mut dense, mut sparse, mut stride) = (first, first, first, 1);
            if let Some(node) = self.leading {
                (from, dense, sparse) = (node, node + 1, node + 1);
            } else if first < last {
                // Shares differ by one at most; the first items get the more. A quarter is for what lies ahead.
                let share =
                    (self.picard.rows / open).saturating_add(usize::from(before < self.picard.rows % open));
                before += 1;
                let end = self.end(first);
                let head = (first..end).find(|node| self.is_asked(*node)).unwrap_or(first);
                dense = front.min(first.saturating_add(share - share / 4)).max(head + 1).min(end);
                let rest = share.saturating_sub(dense - first);
                stride = self.picard.stride;
                while (end - dense).div_ceil(stride.max(1)) > rest && stride < end {
                    stride *= 2;
                }
                sparse = if rest == 0 { dense } else { end };
            }
            if let Some([a, b]) = self.spans.get_mut(2 * item..2 * item + 2) {
                (a.first_item, a.items, a.first_node, a.end_node, a.stride) = (item, 1, from, dense, 1);
                (b.first_item, b.items, b.first_node, b.end_node, b.stride) =
                    (item, 1, dense, sparse, stride);
            }
        }
    }

    /// Sends the carried estimate past the guard; what it spoils becomes what is in row `instead`.
    pub(super) fn guard(
        &mut self,
        item: usize,
        j: usize,
        guard: &mut Option<&mut dyn Guard<F>>,
        instead: Option<usize>,
    ) -> bool {
        self.guard_row(item, j, guard, instead, self.rows.carried(item, j))
    }

    /// The same of the estimate in row `m`.
    pub(super) fn guard_row(
        &mut self,
        item: usize,
        j: usize,
        guard: &mut Option<&mut dyn Guard<F>>,
        instead: Option<usize>,
        m: usize,
    ) -> bool {
        let Some(guard) = guard.as_deref_mut() else { return true };
        let x = self.rows.state(item, j);
        let good = recurrence::guard::<_, ()>(self.frames, self.plan, guard, (item, j), x, m).is_ok();
        if let (false, Some(instead)) = (good, instead) {
            self.frames.combine(m, &[(1.0, instead)]);
        }
        good
    }

    /// State `k`; outputs before node `closed` are those that the closed states were made with.
    pub(super) fn step(&mut self, item: usize, closed: usize, k: usize) {
        let rows = self.rows;
        let output = |j| if j < closed { rows.closed(item, j) } else { rows.carried(item, j) };
        let (state, draw) = (|j| rows.state(item, j), Draw::Row(rows.noise(item, k)));
        recurrence::step(self.frames, self.plan, k, rows.state(item, k), state, output, draw);
    }

    /// The window takes a node in.
    pub(super) fn open_node(&mut self, item: usize, k: usize) {
        if let Some(mark) = self.marks.get_mut(self.rows.mark(item, k)) {
            *mark = Mark::default();
        }
        match self.plan.nodes().get(k) {
            Some(node) if node.noise != 0.0 => {
                let row = self.rows.noise(item, k);
                self.frames.combine(row, &[]);
                self.frames.add_noise(row, node.noise, self.noise, item, k);
            }
            _ => {}
        }
    }
}
