//! A round's call of the network, and what it tells.

use super::run::{Mark, PicardRun};
use crate::sampler::{SampleError, recurrence};
use crate::{Batch, Denoiser, Tensor};

impl<F: Tensor> PicardRun<'_, F> {
    /// Calls the network for all rows and takes in what it said, with what it was shown.
    pub(super) fn evaluate<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<usize, SampleError<D::Error>> {
        let rows = self.rows;
        let mut count = 0;
        for place in 0..self.spans.len() {
            for (item, k) in self.nodes_of(place) {
                let Some(read) = self.node(k).and_then(|node| node.evaluate) else { continue };
                self.frames.combine(rows.shown(count), &[(read.input, rows.state(item, k))]);
                count += 1;
            }
        }
        if count == 0 {
            return Ok(0);
        }
        let batch = Batch::new(self.plan.nodes(), self.spans);
        let (shown, out) = (rows.shown(0)..rows.shown(count), rows.out(0)..rows.out(count));
        denoiser.evaluate(&batch, self.frames, shown, out).map_err(SampleError::Denoiser)?;
        self.check(denoiser)?;
        let mut i = 0;
        for place in 0..self.spans.len() {
            for (item, k) in self.nodes_of(place) {
                if self.is_asked(k) {
                    self.take_in(i, item, k);
                    i += 1;
                }
            }
        }
        Ok(count)
    }

    /// The nodes of a span, asked or not.
    fn nodes_of(&self, place: usize) -> impl Iterator<Item = (usize, usize)> + use<F> {
        let span = self.spans.get(place).copied().unwrap_or_default();
        let first = span.first_node.next_multiple_of(span.stride.max(1));
        (first..span.end_node).step_by(span.stride.max(1)).map(move |k| (span.first_item, k))
    }

    /// Reads the outputs. As this can fail, only the rows of the call are written.
    fn check<D: Denoiser<F> + ?Sized>(&mut self, denoiser: &mut D) -> Result<(), SampleError<D::Error>> {
        let rows = self.rows;
        let mut i = 0;
        for place in 0..self.spans.len() {
            for (item, k) in self.nodes_of(place) {
                if !self.is_asked(k) {
                    continue;
                }
                let (state, said, out) = (rows.state(item, k), rows.shown(i), rows.out(i));
                if !self.frames.is_finite(out) {
                    return Err(SampleError::NotFinite { item, node: k });
                }
                recurrence::read(self.frames, self.plan, k, state, out, said);
                if let Some(guard) = denoiser.guard() {
                    self.frames.combine(out, &[(1.0, said)]);
                    recurrence::guard(self.frames, self.plan, guard, (item, k), state, out)?;
                }
                i += 1;
            }
        }
        Ok(())
    }

    /// Row `i` of the call becomes the newest pair of its node.
    fn take_in(&mut self, i: usize, item: usize, k: usize) {
        let rows = self.rows;
        let (state, new) = (rows.state(item, k), rows.shown(i));
        let known = self.mark(item, k).known;
        let seen =
            if known { self.picard.slope.learn(self.frames, &rows, self.plan, (item, k), new) } else { None };
        let mut put = |dst, src| self.frames.combine(dst, &[(1.0, src)]);
        for back in (1..rows.pairs()).rev() {
            // A node that was not evaluated before has no history: no change is none.
            let (base, said) = if known {
                (rows.base(item, back - 1, k), rows.said(item, back - 1, k))
            } else {
                (state, new)
            };
            put(rows.base(item, back, k), base);
            put(rows.said(item, back, k), said);
        }
        put(rows.base(item, 0, k), state);
        put(rows.said(item, 0, k), new);
        if let Some(mark) = self.marks.get_mut(rows.mark(item, k)) {
            let (slope, doubt) = seen.map_or((0.0, f64::INFINITY), |seen| (seen.g, seen.doubt));
            *mark = Mark { slope: slope as f32, doubt: doubt as f32, learnt: seen.is_some(), known: true };
        }
    }
}
