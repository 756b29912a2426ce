//! A parareal run.

use super::Parareal;
use super::blocks::Block;
use super::lanes::{At, Lane, Lanes, Stage};
use super::rows::Rows;
use crate::guard::Guard;
use crate::sampler::gaussian::gaussian;
use crate::sampler::recurrence::{self, Draw};
use crate::sampler::{Report, Round, Run, SampleError};
use crate::{Batch, Denoiser, Form, Level, Noise, Plan, Tensor, math};

/// A parareal run under way.
#[derive(Debug)]
pub struct PararealRun<'r, F> {
    pub(super) parareal: Parareal,
    pub(super) plan: &'r Plan<'r>,
    pub(super) noise: &'r Noise<'r>,
    pub(super) frames: &'r mut F,
    pub(super) lanes: Lanes<'r>,
    pub(super) rows: Rows,
    pub(super) rounds: usize,
    pub(super) evaluations: usize,
    pub(super) residual: f64,
}

impl<F: Tensor> Run<F> for PararealRun<'_, F> {
    /// One round: a call of the network for all rows that are due, over items and blocks. `None` at the end.
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>> {
        let last = self.plan.last();
        let items = self.lanes.items();
        if (0..items).all(|item| self.lanes.is_done(item)) {
            return Ok(None);
        }
        for item in 0..items {
            let fine = self.parareal.pipelined || !self.is_coarse(item);
            self.lanes.ask(item, fine);
        }
        let rows = self.evaluate(denoiser)?;
        self.rounds += usize::from(rows > 0);
        self.evaluations += rows;
        self.take();
        let (mut change, mut overflow) = (None, None);
        for item in 0..items {
            if self.lanes.is_done(item) {
                continue;
            }
            self.pass_on(item, denoiser.guard().is_some(), &mut change);
            if self.lanes.is_done(item) && !self.frames.is_finite(self.rows.end(item)) {
                overflow = overflow.or(Some(item));
            }
        }
        self.residual = change.unwrap_or(self.residual);
        if let Some(item) = overflow {
            return Err(SampleError::Overflow { item, node: last });
        }
        Ok(Some(Round {
            rounds: self.rounds,
            rows,
            evaluations: self.evaluations,
            done: (0..items).map(|item| self.lanes.done(item)).min().unwrap_or(last),
            last,
            residual: self.residual,
        }))
    }

    /// Writes the samples (of items that are not done, the newest guess of the last state, or the last estimate of the
    /// data where the coarse solver has not come that far) and says what the run cost.
    fn finish(mut self, x: &mut [F::Scalar]) -> Report {
        let (dim, items) = (self.frames.dim(), self.lanes.items());
        let finished = (0..items).all(|item| self.lanes.is_done(item));
        for (item, x) in x.chunks_mut(dim.max(1)).take(items).enumerate() {
            let row = if self.lanes.get(item, At::End).stage == Stage::Ready {
                self.rows.end(item)
            } else {
                self.estimate(item)
            };
            self.frames.store(row, x);
        }
        Report { rounds: self.rounds, evaluations: self.evaluations, residual: self.residual, finished }
    }
}

impl<F: Tensor> PararealRun<'_, F> {
    /// The newest estimate of the data, where the coarse solver has not come to the end; the start before it has begun.
    fn estimate(&mut self, item: usize) -> usize {
        let begun = |block: &usize| self.lanes.get(item, At::Fine(*block)).stage != Stage::Empty;
        let Some(block) = (0..self.lanes.blocks()).rev().find(begun) else {
            return self.rows.next_start(item, 0);
        };
        let (node, from) = (self.lanes.get(item, At::Fine(block)).node, self.lanes.block(block).asked);
        let before = (from..node).rev().find(|node| self.is_evaluated(*node)).unwrap_or(from);
        let (state, output) = (self.rows.state(item, block, node), self.rows.output(item, block, before));
        recurrence::data(self.frames, self.plan, node, output, state, output);
        output
    }

    /// Whether an item is in the coarse half of a sweep: a new start is there.
    fn is_coarse(&self, item: usize) -> bool {
        self.lanes.any(item, At::Next, |next| next.stage != Stage::Empty)
    }

    fn is_evaluated(&self, node: usize) -> bool {
        self.plan.nodes().get(node).is_some_and(|node| node.evaluate.is_some())
    }

    /// Calls the network for the rows that are asked for, reads its outputs, and runs the coarse solver from new starts.
    /// Nothing that the round before has left is overwritten: after an error it can be asked for again.
    fn evaluate<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<usize, SampleError<D::Error>> {
        let (rows, spans) = (self.rows, self.lanes.spans().len());
        let mut call = 0;
        for i in 0..spans {
            let Some((item, at)) = self.lanes.asked(i) else { continue };
            let (node, state) = self.shown(item, at);
            if let Some(read) = self.plan.nodes().get(node).and_then(|node| node.evaluate) {
                self.frames.combine(rows.shown(call), &[(read.input, state)]);
            }
            call += 1;
        }
        if call > 0 {
            let batch = Batch::new(self.plan.nodes(), self.lanes.spans());
            let (shown, out) = (rows.shown(0)..rows.shown(call), rows.out(0)..rows.out(call));
            denoiser.evaluate(&batch, self.frames, shown, out).map_err(SampleError::Denoiser)?;
        }
        // One question for all rows, which a device answers in one trip.
        let spoilt = self.frames.secants(rows.out(0)..rows.out(call), core::iter::empty(), |_, _| {});
        let mut row = 0;
        for i in 0..spans {
            let Some((item, at)) = self.lanes.asked(i) else { continue };
            let (node, state) = self.shown(item, at);
            let m = rows.out(row);
            if spoilt == Some(m) {
                return Err(SampleError::NotFinite { item, node });
            }
            recurrence::read(self.frames, self.plan, node, state, m, m);
            if matches!(at, At::Next(_)) {
                // Before the guard: what it has mended would leave its range on the way.
                self.frames.combine(rows.sum(), &[(1.0, m), (-self.slope(node), state)]);
            }
            if let Some(guard) = denoiser.guard() {
                recurrence::guard(self.frames, self.plan, guard, (item, node), state, m)?;
            }
            if let At::Next(block) = at {
                self.frames.combine(rows.next_output(item, block), &[(1.0, m)]);
                self.coarse(item, block, denoiser.guard())?;
            }
            row += 1;
        }
        Ok(call)
    }

    /// The node of a lane that is asked for, and the row of its state. A next start is run on to the first evaluated node of
    /// its block, in the coarse solver's rows.
    fn shown(&mut self, item: usize, at: At) -> (usize, usize) {
        let rows = self.rows;
        match at {
            At::Next(i) => {
                let block = self.lanes.block(i);
                let start = rows.next_start(item, i);
                self.frames.combine(rows.coarse_state(block.nodes.start), &[(1.0, start)]);
                for k in block.nodes.start + 1..=block.asked {
                    self.coarse_step(item, k);
                }
                (block.asked, rows.coarse_state(block.asked))
            }
            At::Fine(i) => {
                let node = self.lanes.get(item, at).node;
                (node, rows.state(item, i, node))
            }
            At::End => (self.plan.last(), rows.end(item)),
        }
    }

    /// The coarse solver from a block's first evaluated node to its end: the state there is in its rows, the constant part
    /// of the output in the row for sums, the output at the next start in its own.
    fn coarse<E>(
        &mut self,
        item: usize,
        block: usize,
        mut guard: Option<&mut dyn Guard<F>>,
    ) -> Result<(), SampleError<E>> {
        let (rows, Block { nodes, asked }) = (self.rows, self.lanes.block(block));
        self.frames.combine(rows.coarse_output(asked), &[(1.0, rows.next_output(item, block))]);
        for k in asked + 1..=nodes.end {
            self.coarse_step(item, k);
            if k == nodes.end || !self.is_evaluated(k) {
                continue;
            }
            let (slope, state, output) = (self.slope(k), rows.coarse_state(k), rows.coarse_output(k));
            self.frames.combine(output, &[(slope, state), (self.carried(asked, k), rows.sum())]);
            if let Some(guard) = guard.as_deref_mut() {
                recurrence::guard(self.frames, self.plan, guard, (item, k), state, output)?;
            }
        }
        self.frames.combine(rows.next_coarse(item, block), &[(1.0, rows.coarse_state(nodes.end))]);
        Ok(())
    }

    fn coarse_step(&mut self, item: usize, k: usize) {
        let (rows, noise) = (self.rows, Draw::New(self.noise, item));
        let (state, output) = (|j| rows.coarse_state(j), |j| rows.coarse_output(j));
        recurrence::step(self.frames, self.plan, k, rows.coarse_state(k), state, output, noise);
    }

    fn slope(&self, node: usize) -> f64 {
        let level = self.plan.nodes().get(node).map(|node| node.level);
        level.map_or(0.0, |level| gaussian(&level, self.plan.form(), self.parareal.data_variance))
    }

    /// `c_to / c_from`, where `m = g x + c mean`: what the constant part of an output is carried with.
    fn carried(&self, from: usize, to: usize) -> f64 {
        let share = |node: usize| {
            let level = self.plan.nodes().get(node).map_or(Level::DATA, |node| node.level);
            let noise = match self.plan.form() {
                Form::Data => level.sigma,
                Form::Noise => level.alpha,
            };
            noise * level.sigma / self.variance(node)
        };
        let ratio = share(to) / share(from);
        // Where the output says nothing of the mean, what is left of it is carried as it is.
        if ratio.is_finite() { ratio } else { 1.0 }
    }

    /// Takes what the call has brought: next starts are ready, fine runs go on.
    fn take(&mut self) {
        let mut row = 0;
        for i in 0..self.lanes.spans().len() {
            let Some((item, at)) = self.lanes.asked(i) else { continue };
            let lane = self.lanes.get(item, at);
            if let At::Fine(block) = at {
                let output = self.rows.output(item, block, lane.node);
                self.frames.combine(output, &[(1.0, self.rows.out(row))]);
                self.advance(item, block, lane);
            } else {
                self.lanes.set(item, at, Lane { stage: Stage::Ready, ..lane });
            }
            row += 1;
        }
    }

    /// Runs the fine solver on to the next node that needs the network, or to its block's end.
    fn advance(&mut self, item: usize, block: usize, mut lane: Lane) {
        let end = self.lanes.block(block).nodes.end;
        loop {
            lane.node += 1;
            self.fine_step(item, block, lane.node);
            if lane.node >= end || self.is_evaluated(lane.node) {
                break;
            }
        }
        lane.stage = if lane.node >= end { Stage::Ready } else { Stage::Due };
        self.lanes.set(item, At::Fine(block), lane);
    }

    fn fine_step(&mut self, item: usize, block: usize, k: usize) {
        let (rows, noise) = (self.rows, Draw::New(self.noise, item));
        let (state, output) = (|j| rows.state(item, block, j), |j| rows.output(item, block, j));
        recurrence::step(self.frames, self.plan, k, rows.state(item, block, k), state, output, noise);
    }

    /// Lets an item's blocks hand over what they have, until nothing moves. The largest change of a start comes to `change`.
    fn pass_on(&mut self, item: usize, guarded: bool, change: &mut Option<f64>) {
        let mut moves = true;
        while moves {
            moves = false;
            for block in 0..self.lanes.blocks() {
                moves |= self.hand_over(item, block, guarded, change);
            }
        }
    }

    /// Gives the block behind `block` its next start where that can be made, and begins the fine run from this block's own.
    fn hand_over(&mut self, item: usize, block: usize, guarded: bool, change: &mut Option<f64>) -> bool {
        let (rows, lanes) = (self.rows, &self.lanes);
        let (next, fine) = (lanes.get(item, At::Next(block)), lanes.get(item, At::Fine(block)));
        let (to, is_last) = (block + 1, block + 1 == lanes.blocks());
        if !is_last && lanes.get(item, At::Next(to)).stage != Stage::Empty {
            return false;
        }
        let exact = rows.state(item, block, lanes.block(block).nodes.end);
        if fine.stage == Stage::Ready && fine.settled {
            // This begins a sweep, which in the barrier order waits for the one before it.
            let waits = || self.is_coarse(item) || lanes.any(item, At::Fine, |fine| fine.stage == Stage::Due);
            if !self.parareal.pipelined && waits() {
                return false;
            }
            self.frames.combine(rows.sum(), &[(1.0, exact)]);
            self.deliver(item, to, Lane { settled: true, calm: true, ..next }, change);
            self.lanes.retire(item, to);
            return true;
        }
        match (next.stage, fine.stage) {
            (Stage::Ready, Stage::Empty) => {
                self.frames.combine(rows.sum(), &[(1.0, rows.next_coarse(item, block))]);
            }
            // A sum of samples that keep what the guard promises need not keep it.
            (Stage::Ready, Stage::Ready) if is_last && guarded => {
                self.frames.combine(rows.sum(), &[(1.0, exact)]);
            }
            (Stage::Ready, Stage::Ready) => {
                let (new, old) = (rows.next_coarse(item, block), rows.coarse(item, block));
                self.frames.extrapolate(rows.sum(), exact, 1.0, new, old);
            }
            _ => return false,
        }
        self.deliver(item, to, Lane { settled: false, ..next }, change);
        if self.lanes.get(item, At::Next(block)).stage == Stage::Ready {
            self.begin_fine(item, block, next);
        }
        true
    }

    /// The state in the row for sums becomes the next start of block `to`, or the guess of the end. It is calm where `lane`
    /// is and it has not changed by more than the tolerance.
    fn deliver(&mut self, item: usize, to: usize, lane: Lane, change: &mut Option<f64>) {
        let (rows, lanes) = (self.rows, &self.lanes);
        let is_end = to == lanes.blocks();
        let (at, row, before, stage) = if is_end {
            (At::End, rows.end(item), rows.end(item), lanes.get(item, At::End).stage)
        } else {
            let fine = lanes.get(item, At::Fine(to)).stage;
            (At::Next(to), rows.next_start(item, to), rows.start(item, to), fine)
        };
        let mut calm = false;
        if stage != Stage::Empty {
            let node = if is_end { self.plan.last() } else { lanes.block(to).nodes.start };
            let difference = (rows.sum(), before);
            let mean = self.frames.dot(difference, difference) / self.frames.dim() as f64;
            let residual = math::sqrt(mean / self.variance(node));
            *change = Some(change.map_or(residual, |most| most.max(residual)));
            let tolerance = self.parareal.tolerance;
            calm = lane.calm && tolerance > 0.0 && residual <= tolerance;
        }
        self.frames.combine(row, &[(1.0, rows.sum())]);
        let settled = lane.settled || calm;
        if is_end {
            self.lanes.set(item, at, Lane { stage: Stage::Ready, node: self.plan.last(), settled, calm });
        } else {
            let node = self.lanes.block(to).asked;
            self.lanes.set(item, at, Lane { stage: Stage::Due, node, settled, calm });
        }
        if settled {
            self.lanes.retire(item, to);
        }
    }

    /// The variance of a state.
    fn variance(&self, node: usize) -> f64 {
        self.plan.nodes().get(node).map_or(1.0, |node| {
            let (a, s) = (node.level.alpha, node.level.sigma);
            a * a * self.parareal.data_variance + s * s
        })
    }

    /// A block's next start becomes the one that its fine run begins with.
    fn begin_fine(&mut self, item: usize, i: usize, next: Lane) {
        let (rows, block) = (self.rows, self.lanes.block(i));
        for (to, from) in [
            (rows.start(item, i), rows.next_start(item, i)),
            (rows.coarse(item, i), rows.next_coarse(item, i)),
            (rows.state(item, i, block.nodes.start), rows.next_start(item, i)),
        ] {
            self.frames.combine(to, &[(1.0, from)]);
        }
        for k in block.nodes.start + 1..=block.asked {
            self.fine_step(item, i, k);
        }
        self.frames.combine(rows.output(item, i, block.asked), &[(1.0, rows.next_output(item, i))]);
        self.lanes.set(item, At::Next(i), Lane::default());
        self.advance(item, i, Lane { node: block.asked, ..next });
    }
}
