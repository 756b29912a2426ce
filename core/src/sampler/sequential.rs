//! One node after the other.

use super::recurrence::Draw;
use super::ring::slot;
use super::{
    Need, Report, Round, Run, SampleError, Sampler, SetupError, Workspace, batch_of, check_start, recurrence,
};
use crate::denoiser::Span;
use crate::{Batch, Denoiser, Noise, Plan, Reach, Tensor};

/// The sequential sampler: one call of the network per evaluated node, for the whole batch.
///
/// ```
/// use picardy::{Betas, Ddim, Level, Mixture, Node, Noise, Prediction, Sampler, Sequential, Solver};
/// use picardy::{SliceFrames, Workspace};
/// // Data: two points. The model: their exact denoiser.
/// let mut denoiser = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 21], [Node::default(); 21]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(20, &mut levels)?;
/// let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
///
/// let noise = Noise::seeded(3);
/// let mut x = [0.0f32; 4]; // four items of dimension 1
/// plan.start(&noise, 1, &mut x);
/// let mut memory = [0.0; 8]; // Sequential.need(&plan, 4): 8 rows
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut []);
/// Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// assert!(x.iter().all(|x| (x.abs() - 1.0).abs() < 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequential;

impl Sequential {
    /// The rows that a run takes, known before there is a plan: for a static array.
    ///
    /// Two per item for a one-step solver: the state and the output.
    pub const fn rows(reach: Reach, batch: usize) -> usize {
        batch.saturating_mul(reach.states + reach.outputs + reach.scaled as usize)
    }
}

impl Sampler for Sequential {
    type Run<'r, F: Tensor + 'r> = SequentialRun<'r, F>;

    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need {
        Need { rows: Self::rows(plan.reach(), batch), ..Need::default() }
    }

    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError> {
        let dim = workspace.frames.dim();
        let batch = batch_of(x.len(), dim)?;
        let need = self.need(plan, batch);
        let given = workspace.size();
        if given.rows < need.rows {
            return Err(SetupError::Workspace { need, given });
        }
        noise.check(plan.last(), batch, dim)?;
        let frames = &mut workspace.frames;
        check_start(x, dim)?;
        frames.begin();
        for (item, x) in x.chunks(dim.max(1)).enumerate() {
            frames.load(item, x);
        }
        Ok(SequentialRun {
            plan,
            noise,
            frames,
            batch,
            node: 0,
            evaluations: 0,
            rounds: 0,
            interrupted: false,
        })
    }
}

/// A sequential run under way.
#[derive(Debug)]
pub struct SequentialRun<'r, F> {
    plan: &'r Plan<'r>,
    noise: &'r Noise<'r>,
    frames: &'r mut F,
    batch: usize,
    /// The node whose state is the newest.
    node: usize,
    evaluations: usize,
    rounds: usize,
    /// A call has begun and not ended well: the outputs before it may be overwritten.
    interrupted: bool,
}

impl<F: Tensor> Run<F> for SequentialRun<'_, F> {
    /// Goes on to the next node that needs the network (or the end), with one call. `None` at the end.
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>> {
        if self.node >= self.plan.last() {
            return Ok(None);
        }
        let rows = self.evaluate(denoiser)?;
        loop {
            self.advance();
            let more = self.plan.nodes().get(self.node).is_some_and(|node| node.evaluate.is_none());
            if !more || self.node >= self.plan.last() {
                break;
            }
        }
        self.rounds += usize::from(rows > 0);
        self.evaluations += rows;
        if self.node == self.plan.last() {
            let first = self.state(self.node, 0);
            if let Some(row) = self.first_spoilt(first) {
                return Err(SampleError::Overflow { item: row - first, node: self.node });
            }
        }
        Ok(Some(Round {
            rounds: self.rounds,
            rows,
            evaluations: self.evaluations,
            done: self.node,
            last: self.plan.last(),
            residual: 0.0,
        }))
    }

    /// Writes the sample (or, before the end, the last estimate of the data; after a failed call, the newest state) and
    /// says what the run cost.
    fn finish(self, x: &mut [F::Scalar]) -> Report {
        let (dim, finished) = (self.frames.dim(), self.node == self.plan.last());
        for (item, x) in x.chunks_mut(dim.max(1)).take(self.batch).enumerate() {
            let mut row = self.state(self.node, item);
            if let (false, Some(before)) = (finished || self.interrupted, self.last_evaluated()) {
                // In data form the last output is the estimate; in noise form the newest state makes it one.
                let dst = self.output(before, item);
                recurrence::data(self.frames, self.plan, self.node, dst, row, dst);
                row = dst;
            }
            self.frames.store(row, x);
        }
        Report { rounds: self.rounds, evaluations: self.evaluations, residual: 0.0, finished }
    }
}

impl<F: Tensor> SequentialRun<'_, F> {
    fn last_evaluated(&self) -> Option<usize> {
        let nodes = self.plan.nodes().get(..self.node)?;
        nodes.iter().rposition(|node| node.evaluate.is_some())
    }

    fn state(&self, node: usize, item: usize) -> usize {
        slots(self.plan.reach(), node).0 * self.batch + item
    }

    fn output(&self, node: usize, item: usize) -> usize {
        slots(self.plan.reach(), node).1 * self.batch + item
    }

    /// The first of a batch's rows that is not finite: one question for all, which a device answers in one trip.
    fn first_spoilt(&mut self, first: usize) -> Option<usize> {
        self.frames.secants(first..first + self.batch, core::iter::empty(), |_, _| {})
    }

    fn evaluate<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<usize, SampleError<D::Error>> {
        let (node, batch, reach) = (self.node, self.batch, self.plan.reach());
        let Some(read) = self.plan.nodes().get(node).and_then(|node| node.evaluate) else { return Ok(0) };
        let (mut x, out) = (self.state(node, 0), self.output(node, 0));
        if reach.scaled {
            let shown = (reach.states + reach.outputs) * batch;
            for item in 0..batch {
                self.frames.combine(shown + item, &[(read.input, x + item)]);
            }
            x = shown;
        }
        let spans =
            [Span { first_item: 0, items: batch, first_node: node, end_node: node + 1, ..Span::default() }];
        let call = Batch::new(self.plan.nodes(), &spans);
        self.interrupted = true;
        denoiser
            .evaluate(&call, self.frames, x..x + batch, out..out + batch)
            .map_err(SampleError::Denoiser)?;
        let spoilt = |row| SampleError::NotFinite { item: row - out, node };
        self.first_spoilt(out).map_or(Ok(()), |row| Err(spoilt(row)))?;
        for item in 0..batch {
            let (state, out) = (self.state(node, item), out + item);
            recurrence::read(self.frames, self.plan, node, state, out, out);
            if let Some(guard) = denoiser.guard() {
                recurrence::past(self.frames, self.plan, guard, (item, node), state, out)
                    .map_err(SampleError::Guard)?;
            }
        }
        if denoiser.guard().is_some() {
            self.first_spoilt(out).map_or(Ok(()), |row| Err(spoilt(row)))?;
        }
        self.interrupted = false;
        Ok(batch)
    }

    fn advance(&mut self) {
        let k = self.node + 1;
        for item in 0..self.batch {
            let (dst, reach, batch) = (self.state(k, item), self.plan.reach(), self.batch);
            recurrence::step(
                self.frames,
                self.plan,
                k,
                dst,
                |j| slots(reach, j).0 * batch + item,
                |j| slots(reach, j).1 * batch + item,
                Draw::New(self.noise, item),
            );
        }
        self.node = k;
    }
}

/// Where the state and the output of a node are, in rows of one item: each in a ring as long as the plan reaches back.
fn slots(reach: Reach, node: usize) -> (usize, usize) {
    (slot(node, reach.states), reach.states + slot(node, reach.outputs))
}
