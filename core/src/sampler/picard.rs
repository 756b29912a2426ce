//! Many nodes at a time: Picard iteration in a sliding window.

use super::rows::{GENERATIONS, Rows};
use super::slope::{Slope, gaussian};
use super::{
    Need, Report, Round, Run, SampleError, Sampler, SetupError, Workspace, batch_of, check_start, recurrence,
};
use crate::denoiser::Span;
use crate::guard::Guard;
use crate::{Batch, Denoiser, Noise, Plan, Tensor, math};
use core::ops::Range;

/// The first guess of states that the window takes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The newest state, repeated: what ParaDiGMS does.
    Constant,
    /// The plan run on without the network, as if the data were Gaussian: `m = g x`, `g` the gaussian slope. The
    /// noise of a stochastic solver is then in the path from the first round on.
    #[default]
    Gaussian,
}

/// The Picard sampler (ParaDiGMS, arXiv 2305.16317, algorithm 1), with a choice of slopes.
///
/// Guess all states of a window; evaluate all of them in one call; sweep the recurrence with
///
/// ```text
/// m_j = m_j(x_j old) + g_j (x_j new - x_j old)
/// ```
///
/// move the window past the nodes that have converged; repeat. The first open node is always exact, so a plan
/// of `K` nodes takes at most `K` rounds. Each item of the batch has a window of its own: an item that is done
/// costs no evaluations, and none depends on the others.
///
/// Under a [guard](crate::guard) the sweep guards every estimate that it has carried to a new state, so that samples keep
/// what the guard promises at any tolerance, and so does the guess of a run that is stopped.
///
/// State `k` has converged when the root mean square of its change is at most `tolerance` times the standard
/// deviation of the DDPM posterior of its step, and all states before it have.
///
/// ```
/// use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Picard, Prediction, Sampler, SliceFrames, Solver};
/// # use picardy::{Span, Workspace};
/// let mut denoiser = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(100, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
///
/// let picard = Picard { window: 50, tolerance: 0.1, ..Picard::default() };
/// let noise = Noise::seeded(7);
/// let mut x = [0.0f64; 4];
/// plan.start(&noise, 1, &mut x);
/// let (mut memory, mut spans) = ([0.0; 1216], [Span::default(); 4]); // picard.need(&plan, 4)
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut spans);
/// let report = picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// assert!(report.rounds < 50 && report.finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picard {
    /// The most nodes that are open at a time; `usize::MAX` for the whole run.
    pub window: usize,
    /// How outputs are carried to new states.
    pub slope: Slope,
    /// The first guess.
    pub start: Start,
    /// When a state counts as converged, in standard deviations of its step; 0 runs to the exact end.
    pub tolerance: f64,
    /// The variance of the data per coordinate, for the gaussian slope and start.
    pub data_variance: f64,
}

impl Default for Picard {
    fn default() -> Self {
        Self {
            window: usize::MAX,
            slope: Slope::default(),
            start: Start::default(),
            tolerance: 0.05,
            data_variance: 1.0,
        }
    }
}

impl Sampler for Picard {
    type Run<'r, F: Tensor + 'r> = PicardRun<'r, F>;

    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need {
        Need { rows: Rows::new(self.window, plan, batch).len(), spans: batch }
    }

    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError> {
        if self.window == 0 {
            return Err(SetupError::Window);
        }
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(SetupError::Tolerance(self.tolerance));
        }
        if !(self.data_variance > 0.0 && self.data_variance.is_finite()) {
            return Err(SetupError::DataVariance(self.data_variance));
        }
        let dim = workspace.frames.dim();
        let batch = batch_of(x.len(), dim)?;
        let (need, given) = (self.need(plan, batch), workspace.size());
        let Workspace { frames, spans } = workspace;
        let (true, Some(spans)) = (given.rows >= need.rows, spans.get_mut(..batch)) else {
            return Err(SetupError::Workspace { need, given });
        };
        noise.check(plan.last(), batch, dim)?;
        let rows = Rows::new(self.window, plan, batch);
        let mut run = PicardRun {
            picard: *self,
            plan,
            noise,
            frames,
            spans,
            rows,
            generation: 0,
            rounds: 0,
            evaluations: 0,
            residual: 0.0,
        };
        check_start(x, dim)?;
        for (item, x) in x.chunks(dim).enumerate() {
            let end_node = self.window.min(plan.last());
            if let Some(span) = run.spans.get_mut(item) {
                *span = Span { first_item: item, items: 1, end_node, ..Span::default() };
            }
            run.frames.load(run.rows.state(item, 0, 0), x);
            run.guess(item, 0, 1..end_node + 1);
        }
        Ok(run)
    }
}

/// A Picard run under way: an account of its rounds, one at a time.
#[derive(Debug)]
pub struct PicardRun<'r, F> {
    picard: Picard,
    plan: &'r Plan<'r>,
    noise: &'r Noise<'r>,
    frames: &'r mut F,
    spans: &'r mut [Span],
    rows: Rows,
    /// The generation that holds the newest states.
    generation: usize,
    rounds: usize,
    evaluations: usize,
    residual: f64,
}

impl<F: Tensor> Run<F> for PicardRun<'_, F> {
    /// One round: a call of the network for all open nodes of all items, then the sweep. `None` at the end.
    ///
    /// # Errors
    /// The denoiser's, or an output that is not finite. The states are then those before the round, and it can
    /// be asked for again.
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>> {
        let last = self.plan.last();
        if self.spans.iter().all(|span| span.first_node == last) {
            return Ok(None);
        }
        let rows = self.evaluate(denoiser)?;
        self.residual = 0.0;
        let mut call = 0;
        for item in 0..self.spans.len() {
            call += self.sweep(item, call, denoiser.guard());
        }
        self.generation = self.next_generation();
        // A window of nodes that need no network costs no round.
        self.rounds += usize::from(rows > 0);
        self.evaluations += rows;
        for (item, span) in self.spans.iter().enumerate() {
            let node = span.first_node;
            if node == last && !self.frames.is_finite(self.rows.state(item, self.generation, node)) {
                return Err(SampleError::Overflow { item, node });
            }
        }
        Ok(Some(Round {
            rounds: self.rounds,
            rows,
            evaluations: self.evaluations,
            done: self.spans.iter().map(|span| span.first_node).min().unwrap_or(last),
            last,
            residual: self.residual,
        }))
    }

    /// Writes the samples (of items that are not done: the newest guess of the last state, or of the data where
    /// the window has not come that far) and says what the run cost.
    fn finish(self, x: &mut [F::Scalar]) -> Report {
        let (dim, last) = (self.frames.dim(), self.plan.last());
        let mut finished = true;
        for ((item, span), x) in self.spans.iter().enumerate().zip(x.chunks_mut(dim)) {
            finished &= span.first_node == last;
            let evaluated = |node: &usize| self.plan.nodes().get(*node).is_some_and(|n| n.evaluate.is_some());
            let row = match (0..span.seen).rev().find(evaluated) {
                Some(node) if span.end_node < last => {
                    let state = self.rows.state(item, self.generation, node);
                    let output = self.rows.output(item, self.generation, node);
                    recurrence::data(self.frames, self.plan, node, output, state, output);
                    output
                }
                _ => self.rows.state(item, self.generation, span.end_node),
            };
            self.frames.store(row, x);
        }
        Report { rounds: self.rounds, evaluations: self.evaluations, residual: self.residual, finished }
    }
}

impl<F: Tensor> PicardRun<'_, F> {
    /// The newest state of an item at a node of its window, for pictures of how a run converges; `None` outside.
    pub fn state(&mut self, item: usize, node: usize, x: &mut [F::Scalar]) -> Option<()> {
        let span = self.spans.get(item)?;
        if node < span.first_node || node > span.end_node {
            return None;
        }
        self.frames.store(self.rows.state(item, self.generation, node), x);
        Some(())
    }

    /// The nodes of an item that are open: what the next round evaluates.
    pub fn open(&self, item: usize) -> Range<usize> {
        self.spans.get(item).map_or(0..0, |span| span.first_node..span.end_node)
    }

    const fn next_generation(&self) -> usize {
        (self.generation + 1) % GENERATIONS
    }

    /// Calls the network for all open rows and reads its outputs into the current generation.
    fn evaluate<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<usize, SampleError<D::Error>> {
        let (rows, generation, nodes) = (self.rows, self.generation, self.plan.nodes());
        let batch = Batch::new(nodes, self.spans);
        for (i, row) in batch.iter().enumerate() {
            let Some(read) = nodes.get(row.node).and_then(|node| node.evaluate) else { continue };
            let state = rows.state(row.item, generation, row.node);
            self.frames.combine(rows.shown(i), &[(read.input, state)]);
        }
        let shown = rows.shown(0)..rows.shown(batch.len());
        let out = rows.out(0)..rows.out(batch.len());
        if !batch.is_empty() {
            denoiser.evaluate(&batch, self.frames, shown, out).map_err(SampleError::Denoiser)?;
        }
        // An error leaves the states as they were; the outputs are written anew when the round is asked for again.
        for (i, row) in batch.iter().enumerate() {
            if !self.frames.is_finite(rows.out(i)) {
                return Err(SampleError::NotFinite { item: row.item, node: row.node });
            }
            let state = rows.state(row.item, generation, row.node);
            let output = rows.output(row.item, generation, row.node);
            recurrence::read(self.frames, self.plan, row.node, state, rows.out(i), output);
            if let Some(guard) = denoiser.guard() {
                let at = (row.item, row.node);
                let guarded = recurrence::guard(self.frames, self.plan, guard, at, state, output);
                if guarded.is_err() {
                    // As the network left it: finite, where the run is finished here.
                    recurrence::read(self.frames, self.plan, row.node, state, rows.out(i), output);
                    return guarded.map(|()| 0);
                }
            }
        }
        Ok(batch.len())
    }

    /// Runs the recurrence over an item's window into the next generation, and moves the window. The item's rows of
    /// the call begin at `call`; their number is returned.
    fn sweep(&mut self, item: usize, call: usize, mut guard: Option<&mut dyn Guard<F>>) -> usize {
        let Some(&span) = self.spans.get(item) else { return 0 };
        let (first, end) = (span.first_node, span.end_node);
        let last = self.plan.last();
        if first == last {
            self.carry(item, last);
            return 0;
        }
        self.carry(item, first);
        let (rows, now, next) = (self.rows, self.generation, self.next_generation());
        let mut passed = first + 1;
        let mut all_pass = true;
        let mut slope = 0.0;
        let mut evaluated = 0;
        for k in first + 1..=end {
            let j = k - 1;
            if self.is_evaluated(j) {
                // At the first node the state is the old one, and so the output.
                let g = if j == first { 0.0 } else { slope };
                let (old, new) = (rows.state(item, now, j), rows.state(item, next, j));
                let (output, before) = (rows.output(item, next, j), rows.output(item, now, j));
                self.frames.extrapolate(output, before, g, new, old);
                if let (Some(guard), true) = (guard.as_deref_mut(), g != 0.0) {
                    // What the guard has mended would leave its range on the way: the network's own estimate is
                    // carried to the new state, and guarded there.
                    recurrence::read(self.frames, self.plan, j, old, rows.out(call + evaluated), output);
                    self.frames.extrapolate(output, output, g, new, old);
                    let guarded =
                        recurrence::guard::<_, ()>(self.frames, self.plan, guard, (item, j), new, output);
                    if guarded.is_err() {
                        self.frames.combine(output, &[(1.0, before)]);
                    }
                }
                evaluated += 1;
            }
            // Before the rows of the generation before are overwritten.
            slope = if k < end { self.slope(item, k, span.seen) } else { 0.0 };
            self.step(item, next, k);
            let change = (rows.state(item, next, k), rows.state(item, now, k));
            // The end's own change decides nothing: where all before it stand still, it is done.
            if all_pass && k < end {
                let mean = self.frames.dot(change, change) / self.frames.dim() as f64;
                let residual = relative(mean, self.plan.step_variance(k));
                all_pass = residual <= self.picard.tolerance;
                passed += usize::from(all_pass);
                self.residual = self.residual.max(residual);
            }
        }
        let end_node = passed.saturating_add(self.picard.window).min(last);
        self.guess(item, next, end + 1..end_node + 1);
        if let Some(span) = self.spans.get_mut(item) {
            *span = Span { first_node: passed, end_node, seen: end, ..*span };
        }
        evaluated
    }

    /// Takes the states up to node `first`, and the outputs before it, over to the next generation, as far back
    /// as the plan reaches.
    fn carry(&mut self, item: usize, first: usize) {
        let (rows, now, next, reach) =
            (self.rows, self.generation, self.next_generation(), self.plan.reach());
        for j in (first + 1).saturating_sub(reach.states)..=first {
            self.frames.combine(rows.state(item, next, j), &[(1.0, rows.state(item, now, j))]);
        }
        for j in (first + 1).saturating_sub(reach.outputs)..first {
            self.frames.combine(rows.output(item, next, j), &[(1.0, rows.output(item, now, j))]);
        }
    }

    /// First guesses for the states of nodes that the window takes in.
    fn guess(&mut self, item: usize, generation: usize, nodes: Range<usize>) {
        let rows = self.rows;
        for k in nodes {
            let (before, state) = (rows.state(item, generation, k - 1), rows.state(item, generation, k));
            match self.picard.start {
                Start::Constant => self.frames.combine(state, &[(1.0, before)]),
                Start::Gaussian => {
                    if let Some(node) = self.plan.nodes().get(k - 1).filter(|node| node.evaluate.is_some()) {
                        let slope = gaussian(&node.level, self.plan.form(), self.picard.data_variance);
                        self.frames.combine(rows.output(item, generation, k - 1), &[(slope, before)]);
                    }
                    self.step(item, generation, k);
                }
            }
        }
    }

    fn step(&mut self, item: usize, generation: usize, k: usize) {
        let rows = self.rows;
        recurrence::step(
            self.frames,
            self.plan,
            k,
            rows.state(item, generation, k),
            |j| rows.state(item, generation, j),
            |j| rows.output(item, generation, j),
            (self.noise, item),
        );
    }

    fn is_evaluated(&self, node: usize) -> bool {
        self.plan.nodes().get(node).is_some_and(|node| node.evaluate.is_some())
    }

    /// The slope at node `j`: from the last two rounds where the choice asks for that and both are there.
    fn slope(&mut self, item: usize, j: usize, seen: usize) -> f64 {
        if self.picard.slope.uses_history() && j < seen && self.is_evaluated(j) {
            let (rows, now, before) = (self.rows, self.generation, self.next_generation());
            let dx = (rows.state(item, now, j), rows.state(item, before, j));
            let dm = (rows.output(item, now, j), rows.output(item, before, j));
            let secant = self.frames.dot(dx, dm) / self.frames.dot(dx, dx);
            // A state that did not change has no secant.
            if secant.is_finite() {
                return Slope::clamp(secant, self.plan, j);
            }
        }
        self.picard.slope.prior(self.plan, j, self.picard.data_variance)
    }
}

/// A mean square change in standard deviations of its step; where that has no noise, any change is infinite.
fn relative(mean_square: f64, variance: f64) -> f64 {
    if mean_square == 0.0 { 0.0 } else { math::sqrt(mean_square / variance) }
}
