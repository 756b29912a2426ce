//! A round's call of the network, and what it tells.

use super::known::is_asked;
use super::run::PicardRun;
use super::slope::Slope;
use crate::denoiser::Span;
use crate::sampler::{SampleError, recurrence};
use crate::{Batch, Denoiser, Plan, Tensor};

/// The rows of a call in their order: (item, node).
pub(super) fn rows_of<'a>(plan: &'a Plan<'a>, spans: &'a [Span]) -> CallRows<'a> {
    CallRows { plan, spans: spans.iter(), item: 0, node: 0, end: 0, stride: 1 }
}

/// What [`rows_of`] gives. A type of its own, as nested adapters would be compiled anew, and large, at each of its uses.
#[derive(Clone)]
pub(super) struct CallRows<'a> {
    plan: &'a Plan<'a>,
    spans: core::slice::Iter<'a, Span>,
    item: usize,
    node: usize,
    end: usize,
    stride: usize,
}

impl Iterator for CallRows<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            while self.node < self.end {
                let node = self.node;
                self.node = node.saturating_add(self.stride);
                if is_asked(self.plan, node) {
                    return Some((self.item, node));
                }
            }
            let span = self.spans.next()?;
            (self.item, self.end, self.stride) = (span.first_item, span.end_node, span.stride.max(1));
            self.node = span.first_node.next_multiple_of(self.stride);
        }
    }
}

impl<F: Tensor> PicardRun<'_, F> {
    /// Calls the network for all rows and takes in what it said, with what it was shown.
    pub(super) fn evaluate<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<usize, SampleError<D::Error>> {
        let rows = self.rows;
        let mut count = 0;
        for (item, k) in rows_of(self.plan, self.spans) {
            let scale =
                self.plan.nodes().get(k).and_then(|node| node.evaluate).map_or(1.0, |read| read.input);
            self.frames.combine(rows.shown(count), &[(scale, rows.state(item, k))]);
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        let batch = Batch::new(self.plan.nodes(), self.spans);
        let (shown, out) = (rows.shown(0)..rows.shown(count), rows.out(0)..rows.out(count));
        denoiser.evaluate(&batch, self.frames, shown, out).map_err(SampleError::Denoiser)?;
        // Up to here, and as long as anything can fail, only the rows of the call are written.
        for (i, (item, k)) in rows_of(self.plan, self.spans).enumerate() {
            recurrence::read(self.frames, self.plan, k, rows.state(item, k), rows.out(i), rows.shown(i));
        }
        if denoiser.guard().is_some() {
            self.guard_outputs(denoiser)?;
        }
        self.learn(count)?;
        self.doubt_older();
        self.keep_pairs();
        Ok(count)
    }

    /// What a sweep falls back to where its own estimate is spoilt: the outputs, past the guard.
    fn guard_outputs<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<(), SampleError<D::Error>> {
        let rows = self.rows;
        let count = rows_of(self.plan, self.spans).count();
        // One question for all rows, which a device answers in one trip.
        let spoilt = self.frames.secants(rows.shown(0)..rows.shown(count), core::iter::empty(), |_, _| {});
        for (i, (item, node)) in rows_of(self.plan, self.spans).enumerate() {
            let (said, out) = (rows.shown(i), rows.out(i));
            if spoilt == Some(said) {
                return Err(SampleError::NotFinite { item, node });
            }
            self.frames.combine(out, &[(1.0, said)]);
            if let Some(guard) = denoiser.guard() {
                let state = rows.state(item, node);
                recurrence::guard(self.frames, self.plan, guard, (item, node), state, out)?;
            }
        }
        Ok(())
    }

    /// Sees that what was said is finite, and learns slopes from what changed since the last time.
    fn learn<E>(&mut self, count: usize) -> Result<(), SampleError<E>> {
        let (rows, plan, slope) = (self.rows, self.plan, self.picard.slope);
        let nodes = rows_of(plan, self.spans);
        // Of a node that was not evaluated before, the answer means nothing.
        let asked = if slope.is_learnt() { count } else { 0 };
        let asks = nodes.clone().enumerate().take(asked).map(|(i, (item, k))| {
            let (base, said) = (rows.base(item, 0, k), rows.said(item, 0, k));
            [(rows.state(item, k), base), (rows.shown(i), said)]
        });
        let (marks, mut answered) = (&mut *self.marks, nodes.clone());
        let spoilt = self.frames.secants(rows.shown(0)..rows.shown(count), asks, |_, products| {
            let Some((item, k)) = answered.next() else { return };
            if let Some(mark) = marks.get_mut(rows.mark(item, k)) {
                let seen = if mark.known { Slope::learn::<F>(plan, k, products) } else { None };
                mark.learn(seen);
            }
        });
        if let Some(row) = spoilt {
            let (item, node) = nodes.clone().nth(row - rows.shown(0)).unwrap_or_default();
            return Err(SampleError::NotFinite { item, node });
        }
        Ok(())
    }

    /// The rows of the call become the newest pairs of their nodes.
    fn keep_pairs(&mut self) {
        let rows = self.rows;
        for (i, (item, k)) in rows_of(self.plan, self.spans).enumerate() {
            let (state, new) = (rows.state(item, k), rows.shown(i));
            let Some(mark) = self.marks.get_mut(rows.mark(item, k)) else { continue };
            let mut put = |dst, src| self.frames.combine(dst, &[(1.0, src)]);
            for back in (1..rows.pairs()).rev() {
                // A node that was not evaluated before has no history: no change is none.
                let (base, said) = if mark.known {
                    (rows.base(item, back - 1, k), rows.said(item, back - 1, k))
                } else {
                    (state, new)
                };
                put(rows.base(item, back, k), base);
                put(rows.said(item, back, k), said);
            }
            put(rows.base(item, 0, k), state);
            put(rows.said(item, 0, k), new);
            mark.known = true;
        }
    }

    /// The doubts of what was just learnt, as older directions see it too. (Rows still hold the older pairs, of which the oldest
    /// is forgotten next.)
    fn doubt_older(&mut self) {
        let rows = self.rows;
        if rows.pairs() < 3 {
            return;
        }
        // Of a node that has not learnt, the answer means nothing.
        let older = rows_of(self.plan, self.spans).flat_map(|at| (1..rows.pairs() - 1).map(move |i| (at, i)));
        let asks = older.clone().map(|((item, k), i)| {
            let (base, said) = (|i| rows.base(item, i, k), |i| rows.said(item, i, k));
            [(base(i - 1), base(i)), (said(i - 1), said(i))]
        });
        let (marks, mut answered) = (&mut *self.marks, older);
        self.frames.secants(0..0, asks, |_, products| {
            let Some(((item, k), _)) = answered.next() else { return };
            let Some(mark) = marks.get_mut(rows.mark(item, k)).filter(|mark| mark.learnt) else { return };
            let older = Slope::older_doubt::<F>(products, f64::from(mark.slope));
            if older.is_finite() {
                mark.doubt = mark.doubt.max(older as f32);
            }
        });
    }
}
