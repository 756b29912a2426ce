//! The next drafts, by what the network last said.

use super::rows::DELTA;
use super::{SpeculativeRun, Walked, is_evaluated};
use crate::denoiser::Span;
use crate::guard::Guard;
use crate::sampler::gaussian::gaussian;
use crate::sampler::recurrence::{self, Draw};
use crate::{Form, Tensor};

impl<F: Tensor> SpeculativeRun<'_, F> {
    /// Takes what is final over to the next generation and drafts the nodes after it, by what this generation's outputs
    /// say there.
    pub(super) fn redraft(&mut self, item: usize, walked: Walked, mut guard: Option<&mut dyn Guard<F>>) {
        let Some(&span) = self.spans.get(item) else { return };
        let (rows, now, next, reach) =
            (self.rows, self.generation, self.next_generation(), self.plan.reach());
        let first = walked.node;
        let end = first.saturating_add(self.settings.draft).min(self.plan.last());
        // Before the rows of the generation before are overwritten.
        let mut slope = self.secant(item, first, &span);
        for j in (first + 1).saturating_sub(reach.states)..=first {
            self.frames.combine(rows.state(item, next, j), &[(1.0, rows.state(item, now, j))]);
        }
        for j in (first + 1).saturating_sub(reach.outputs)..first {
            self.frames.combine(rows.output(item, next, j), &[(1.0, rows.output(item, now, j))]);
        }
        if let Some(reflect) = walked.reflect {
            let state = rows.state(item, next, first);
            recurrence::step(
                self.frames,
                self.plan,
                first,
                state,
                |j| rows.state(item, now, j),
                |j| rows.output(item, now, j),
                Draw::New(self.noise, item),
            );
            if reflect != 0.0 {
                self.frames.combine(state, &[(1.0, state), (-reflect, rows.scratch(DELTA))]);
            }
        }
        // The last node where the network has been, and its rows of state and output.
        let mut base = (span.first_node..first).rev().find(|j| is_evaluated(self.plan, *j));
        let mut base_rows = base.map(|j| (rows.state(item, now, j), rows.output(item, now, j)));
        for k in first + 1..=end {
            let j = k - 1;
            let (state, hat) = (rows.state(item, next, j), rows.hat(item, j));
            if is_evaluated(self.plan, j) {
                let (g, decay) = self.prior(j);
                if j < span.end_node {
                    let (output, old) = (rows.output(item, now, j), rows.state(item, now, j));
                    self.frames.extrapolate(hat, output, slope.unwrap_or(g), state, old);
                    (base, base_rows) = (Some(j), Some((state, hat)));
                } else if let (Some(p), Some((x, m))) = (base, base_rows) {
                    let (g_p, decay_p) = self.prior(p);
                    let r = if decay_p > 0.0 { decay / decay_p } else { 0.0 };
                    self.frames.combine(hat, &[(g, state), (r, m), (-r * g_p, x)]);
                } else {
                    self.frames.combine(hat, &[(g, state)]);
                }
                if let Some(guard) = guard.as_deref_mut() {
                    let at = (item, j);
                    if recurrence::guard::<_, ()>(self.frames, self.plan, guard, at, state, hat).is_err() {
                        self.frames.combine(hat, &[(g, state)]);
                    }
                }
            }
            slope = self.secant(item, k, &span);
            recurrence::step(
                self.frames,
                self.plan,
                k,
                rows.state(item, next, k),
                |j| rows.state(item, next, j),
                |j| if j < first { rows.output(item, next, j) } else { rows.hat(item, j) },
                Draw::New(self.noise, item),
            );
        }
        if let Some(to) = self.spans.get_mut(item) {
            *to = Span { first_node: first, end_node: end, seen: span.end_node, ..span };
        }
    }

    /// The slope and the constant term's factor at node `j` for Gaussian data: `m = g x + decay mean`.
    fn prior(&self, j: usize) -> (f64, f64) {
        let Some(level) = self.plan.nodes().get(j).map(|node| node.level) else { return (0.0, 0.0) };
        let variance = self.settings.data_variance;
        let norm = level.alpha * level.alpha * variance + level.sigma * level.sigma;
        let decay = match self.plan.form() {
            Form::Data => level.sigma * level.sigma / norm,
            // Up to its sign, which cancels.
            Form::Noise => level.alpha * level.sigma / norm,
        };
        (gaussian(&level, self.plan.form(), variance), decay)
    }

    /// `<dx, dm>/<dx, dx>` over the last two rounds at node `j`, clamped to what a posterior mean can do; `None` where the
    /// node was not in both, or its state did not change.
    fn secant(&mut self, item: usize, j: usize, span: &Span) -> Option<f64> {
        if j < span.first_node || j >= span.seen || !is_evaluated(self.plan, j) {
            return None;
        }
        let (rows, now, before) = (self.rows, self.generation, self.next_generation());
        let dx = (rows.state(item, now, j), rows.state(item, before, j));
        let dm = (rows.output(item, now, j), rows.output(item, before, j));
        let slope = self.frames.dot(dx, dm) / self.frames.dot(dx, dx);
        let node = self.plan.nodes().get(j).filter(|_| slope.is_finite())?;
        let most = match self.plan.form() {
            Form::Data => node.level.alpha,
            Form::Noise => node.level.sigma,
        };
        Some(if slope <= 0.0 {
            0.0
        } else if slope * most > 1.0 {
            1.0 / most
        } else {
            slope
        })
    }
}
