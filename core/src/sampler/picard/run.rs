//! The rounds of a Picard run.

use super::anderson::Mixing;
use super::criterion::Limits;
use super::held::Owner;
use super::rows::Rows;
use super::slope::Seen;
use super::{Picard, Start};
use crate::denoiser::Span;
use crate::guard::Guard;
use crate::sampler::gaussian::gaussian;
use crate::sampler::{Report, Round, Run, SampleError, recurrence};
use crate::{Batch, Denoiser, Node, Noise, Plan, Tensor};
use core::ops::Range;

/// A Picard run under way: an account of its rounds, one at a time.
///
/// Each item has two spans: of the nodes that are all evaluated, which keeps its account too, and of those after them, of which
/// every `stride`-th is.
#[derive(Debug)]
pub struct PicardRun<'r, F: Tensor> {
    pub(super) picard: Picard,
    limits: Limits,
    pub(super) plan: &'r Plan<'r>,
    noise: &'r Noise<'r>,
    pub(super) guess: Option<&'r [F::Scalar]>,
    pub(super) frames: &'r mut F,
    pub(super) spans: &'r mut [Span],
    pub(super) rows: Rows,
    /// The node that a coarse start evaluates next.
    pub(super) leading: Option<usize>,
    rounds: usize,
    evaluations: usize,
    residual: f64,
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
        let mut call = 0;
        self.residual = 0.0;
        for item in 0..self.spans.len() / 2 {
            call += if self.leading.is_some() {
                self.lead(item, denoiser.guard())
            } else {
                self.sweep(item, call, denoiser.guard())
            };
        }
        self.leading = self.leading.and_then(|node| self.after_leading(node));
        // A window of nodes that need no network costs no round.
        self.rounds += usize::from(rows > 0);
        self.evaluations += rows;
        for (item, span) in self.spans.iter().step_by(2).enumerate() {
            if span.done == last && !self.frames.is_finite(self.rows.state(item, last)) {
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
        for ((item, span), x) in self.spans.iter().step_by(2).enumerate().zip(x.chunks_mut(dim)) {
            let end = self.end(span.done);
            // What a sweep has carried last, while it is there.
            let mut swept = end.saturating_sub(self.plan.reach().outputs)..end;
            let row = match swept.rfind(|node| self.is_asked(*node)) {
                Some(node) if end < last && span.swept > 0 => {
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
        spans: &'r mut [Span],
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
            rows,
            leading,
            rounds,
            evaluations,
            residual,
        };
        // A given path is taken to be near: all of it is evaluated.
        let front = if guess.is_some() { plan.last() } else { 0 };
        run.spans.fill(Span { front, ..Span::default() });
        for (item, x) in x.chunks(dim).enumerate() {
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

    fn node(&self, node: usize) -> Option<&'r Node> {
        self.plan.nodes().get(node)
    }

    /// Whether the plan asks for an output there.
    pub(super) fn is_asked(&self, node: usize) -> bool {
        self.node(node).is_some_and(|node| node.evaluate.is_some())
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
                while (end - dense).div_ceil(stride) > rest && stride < end {
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

    /// Calls the network for all rows and takes in what it said, with what it was shown.
    fn evaluate<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<usize, SampleError<D::Error>> {
        let (rows, nodes) = (self.rows, self.plan.nodes());
        let batch = Batch::new(nodes, self.spans);
        for (i, row) in batch.iter().enumerate() {
            let Some(read) = nodes.get(row.node).and_then(|node| node.evaluate) else { continue };
            self.frames.combine(rows.shown(i), &[(read.input, rows.state(row.item, row.node))]);
        }
        let shown = rows.shown(0)..rows.shown(batch.len());
        let out = rows.out(0)..rows.out(batch.len());
        if !batch.is_empty() {
            denoiser.evaluate(&batch, self.frames, shown, out).map_err(SampleError::Denoiser)?;
        }
        // Up to here, and as long as anything can fail, only the rows of the call are written.
        for (i, row) in batch.iter().enumerate() {
            let (state, said, out) = (rows.state(row.item, row.node), rows.shown(i), rows.out(i));
            if !self.frames.is_finite(out) {
                return Err(SampleError::NotFinite { item: row.item, node: row.node });
            }
            recurrence::read(self.frames, self.plan, row.node, state, out, said);
            if let Some(guard) = denoiser.guard() {
                self.frames.combine(out, &[(1.0, said)]);
                recurrence::guard(self.frames, self.plan, guard, (row.item, row.node), state, out)?;
            }
        }
        for (i, row) in batch.iter().enumerate() {
            let (item, k) = (row.item, row.node);
            let again = match self.spans.get(2 * item..2 * item + 2) {
                Some([a, b]) => k < a.seen || (k < b.seen && k % b.seen_stride.max(1) == 0),
                _ => false,
            };
            let mut put = |dst, src| self.frames.combine(dst, &[(1.0, src)]);
            for back in (1..rows.bases()).rev().filter(|_| again) {
                put(rows.base(item, back, k), rows.base(item, back - 1, k));
                put(rows.said(item, back, k), rows.said(item, back - 1, k));
            }
            // A node that was not seen last time has no history: no change is none.
            let depth = if again { 1 } else { rows.bases() };
            for back in 0..depth {
                put(rows.base(item, back, k), rows.state(item, k));
                put(rows.said(item, back, k), rows.shown(i));
            }
        }
        Ok(batch.len())
    }

    /// Runs the recurrence over an item's window and moves the window. The item's rows of the call begin at `call`; their
    /// number is returned.
    fn sweep(&mut self, item: usize, call: usize, mut guard: Option<&mut dyn Guard<F>>) -> usize {
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
        // A node that is past: not looked for yet. `None`: there is none.
        let mut next = Some(first);
        let mut seen = self.seen(item, first, &mut local);
        let (rows, history, round) = (self.rows, self.picard.anderson, self.rounds);
        let mixing = (history > 0).then_some(Mixing { rows: &rows, item, history, round });
        if let Some(mixing) = mixing {
            mixing.remember(self.frames, first + 1..=end);
        }
        for k in first + 1..=end {
            let j = k - 1;
            if has(&a, &b, j) && self.is_asked(j) {
                if j == first {
                    // Its state is the one that was shown.
                    self.frames.combine(rows.carried(item, j), &[(1.0, rows.said(item, 0, j))]);
                } else {
                    self.picard.slope.carry(self.frames, &rows, (item, j), seen);
                }
                owner = Some(Owner { node: j, g: local });
                if !has(&a, &b, k) {
                    self.take_over(item, Owner { node: j, g: local });
                }
                self.guard(item, j, &mut guard, Some(rows.out(call + evaluated)));
                evaluated += 1;
            } else {
                // The same for all nodes up to it: looked for once.
                if next.is_some_and(|node| node < k) {
                    next = (k..b.end_node).find(|node| has(&a, &b, *node) && self.is_asked(*node));
                }
                self.hold(item, j, owner, next, &mut guard);
            }
            if j < passed {
                let (closed, carried) = (rows.closed(item, j), rows.carried(item, j));
                self.frames.combine(closed, &[(1.0, carried)]);
            }
            self.step(item, first, k);
            if k == end {
                break;
            }
            if !self.is_asked(k) {
                passed += usize::from(passing);
            } else if has(&a, &b, k) {
                let moved = (rows.state(item, k), rows.base(item, 0, k));
                let mean_square = self.frames.dot(moved, moved) / self.frames.dim() as f64;
                let change = self.limits.measure(self.plan, k, mean_square);
                seen = self.seen(item, k, &mut local);
                self.residual = self.residual.max(change);
                still &= self.limits.is_done(change);
                passing &= self.limits.is_closed(change, seen.doubt * self.plan.weight(k));
                passed += usize::from(passing);
                near &= !self.limits.is_far(self.plan, k, mean_square);
                if near {
                    front = front.max(k + 1);
                }
            } else {
                (passing, still) = (false, false);
            }
        }
        if let (Some(mixing), false) = (mixing, still) {
            // What is closed keeps its state, and the noisiest open node has taken the plain step: the bound of rounds stays.
            mixing.mix(self.frames, first + 1..=end, passed + 1, a.swept);
        }
        let done = if still { last } else { passed };
        self.enter(item, end + 1..self.end(done) + 1, owner, &mut guard);
        if let Some([a, b]) = self.spans.get_mut(2 * item..2 * item + 2) {
            (a.done, a.front, a.swept) = (done, front, end);
            (a.seen, b.seen, b.seen_stride) = (a.end_node, b.end_node, b.stride);
        }
        evaluated
    }

    /// The slope at a node; one that was not seen there is the last that was (`local`), or the gaussian one.
    fn seen(&mut self, item: usize, j: usize, local: &mut Option<f64>) -> Seen {
        let prior = local.unwrap_or_else(|| self.gaussian(j));
        let seen = self.picard.slope.at(self.frames, &self.rows, self.plan, (item, j), prior);
        if seen.told {
            *local = Some(seen.g);
        }
        seen
    }

    /// Sends an estimate past the guard; what it spoils becomes what is in row `instead`.
    pub(super) fn guard(
        &mut self,
        item: usize,
        j: usize,
        guard: &mut Option<&mut dyn Guard<F>>,
        instead: Option<usize>,
    ) -> bool {
        let Some(guard) = guard.as_deref_mut() else { return true };
        let (x, m) = (self.rows.state(item, j), self.rows.carried(item, j));
        let good = recurrence::guard::<_, ()>(self.frames, self.plan, guard, (item, j), x, m).is_ok();
        if let (false, Some(instead)) = (good, instead) {
            self.frames.combine(m, &[(1.0, instead)]);
        }
        good
    }

    pub(super) fn gaussian(&self, j: usize) -> f64 {
        self.node(j).map_or(0.0, |node| gaussian(&node.level, self.plan.form(), self.picard.data_variance))
    }

    /// State `k`; outputs before node `closed` are those that the closed states were made with.
    pub(super) fn step(&mut self, item: usize, closed: usize, k: usize) {
        let rows = self.rows;
        recurrence::step(
            self.frames,
            self.plan,
            k,
            rows.state(item, k),
            |j| rows.state(item, j),
            |j| if j < closed { rows.closed(item, j) } else { rows.carried(item, j) },
            (self.noise, item),
        );
    }
}

/// Whether the round's call has a node, as far as the spans say: an item's nodes of both.
fn has(dense: &Span, sparse: &Span, node: usize) -> bool {
    node < dense.end_node || (node < sparse.end_node && node % sparse.stride.max(1) == 0)
}
