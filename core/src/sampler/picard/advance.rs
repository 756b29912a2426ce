//! How far an item's window moves after a sweep.

use super::held::Owner;
use super::run::PicardRun;
use super::sweep::Places;
use crate::Tensor;
use crate::denoiser::Span;
use crate::guard::Guard;

impl<F: Tensor> PicardRun<'_, F> {
    /// Judges what the sweep moved, and moves the window. The item's rows of the call begin at `call`; their number is
    /// returned.
    pub(super) fn advance(
        &mut self,
        item: usize,
        a: &Span,
        b: &Span,
        call: usize,
        guard: &mut Option<&mut dyn Guard<F>>,
    ) -> usize {
        let (first, last) = (a.done, self.plan.last());
        let end = self.end(first);
        let (mut passed, mut front) = (first + 1, a.front);
        let (mut passing, mut near, mut still) = (true, true, end == last);
        let (mut evaluated, mut owner, mut local) = (0, None, None);
        let mut places = Places::new(a, b);
        for k in first..end {
            let asked = self.is_asked(k);
            if places.has(k) && asked {
                local = self.known().learnt(item, k, local);
                owner = Some(Owner { node: k, g: local, next: None });
                evaluated += 1;
                if k == first {
                    continue;
                }
                let mark = self.known().mark(item, k);
                let moved = f64::from(mark.moved);
                let change = self.limits.measure(self.plan, k, moved);
                self.residual = self.residual.max(change);
                still &= self.limits.is_done(change);
                // Mixing takes states elsewhere than a sweep does, where the slope was not seen.
                let doubt = if self.picard.anderson > 0 { f64::INFINITY } else { f64::from(mark.doubt) };
                passing = passing && self.limits.is_closed(change, doubt * self.plan.weight(k));
                near = near && !self.limits.is_far(self.plan, k, moved);
                if near {
                    front = front.max(k + 1);
                }
            } else if k == first {
                continue;
            } else if asked {
                (passing, still) = (false, false);
            }
            passed += usize::from(passing);
        }
        let done = if still { last } else { passed };
        self.close(item, first, passed.min(done), call, guard);
        if let (Some(mixing), false) = (self.mixing(item), still) {
            // What is closed keeps its state, and the noisiest open node has taken the plain step: the bound of rounds stays.
            mixing.mix(self.frames, first + 1..=end, passed + 1, a.swept);
        }
        self.enter(item, end + 1..self.end(done) + 1, owner, guard);
        if let Some(a) = self.spans.get_mut(2 * item) {
            (a.done, a.front, a.swept) = (done, front, end);
        }
        evaluated
    }

    /// Keeps the outputs that the states up to `passed` were made with, as far back as the plan asks for them: all closed nodes
    /// that are asked were evaluated. They are carried again, which gives the same again.
    fn close(
        &mut self,
        item: usize,
        first: usize,
        passed: usize,
        call: usize,
        guard: &mut Option<&mut dyn Guard<F>>,
    ) {
        // The next sweep makes the output at `passed` anew.
        let kept = passed.saturating_sub(self.plan.reach().outputs - 1).max(first);
        let (mut evaluated, mut local) = (0, None);
        for j in first..passed {
            if !self.is_asked(j) {
                continue;
            }
            local = self.known().learnt(item, j, local);
            if j >= kept {
                let closed = self.rows.closed(item, j);
                self.carry(item, j, first, local, closed);
                self.guard_row(item, j, guard, Some(self.rows.out(call + evaluated)), closed);
            }
            evaluated += 1;
        }
    }
}
