//! Many nodes at a time, exact in law: steps are drafted, evaluated in one call, and accepted or reflected.

mod redraft;
mod rows;

use super::{
    Need, Report, Round, Run, SampleError, Sampler, SetupError, Workspace, batch_of, check_start, recurrence,
};
use crate::denoiser::Span;
use crate::plan::MAX_OUTPUTS;
use crate::{Batch, Denoiser, Node, Noise, Plan, Tensor, math};
use rows::{DELTA, GENERATIONS, Rows, UNIT, ZERO};

/// The speculative sampler (arXiv 2501.05370, 2505.03983) for solvers that add noise: the samples have the law of the
/// sequential ones, exactly, and come in a fraction of the rounds.
///
/// A round evaluates the drafted states of up to [`draft`](Self::draft) nodes in one call and walks them in order. Where
/// `m_p` is the mean that node `k` was drafted with, `m_q` its mean by the outputs, `sigma = C[k]` and `z` the unit noise:
///
/// ```text
/// d = |m_q - m_p| / sigma,  e = (m_q - m_p) / |m_q - m_p|,  s = <e, z>
/// ln U <= d (s - d/2)   accept:   x_k = m_p + sigma z                 with probability 2 Phi(-d/2)
/// otherwise             reflect:  x_k = m_q + sigma (z - 2 s e)       and the walk ends
/// ```
///
/// This is the reflection-maximal coupling of `N(m_p, sigma^2)` and `N(m_q, sigma^2)`: `x_k` has the law of the second,
/// whatever `m_p` is, as long as `m_p` is known before `z`. So any draft will do whose estimate at node `j` is a function
/// of the noise up to node `j`. This one takes what the network last said there and carries it to the new state:
///
/// ```text
/// m_j = m_j(x_j old) + g_j (x_j new - x_j old)        g_j the secant of the last two rounds
/// m_j = g_j x_j + r_j (m_i - g_i x_i)                 where the network has not been: i the last node where it has
/// ```
///
/// with `g` the slope and `r` the decay of the constant term for Gaussian data (of any mean and of variance
/// [`data_variance`](Self::data_variance)); on such data of mean 0 the first drafts are all accepted. A node without noise
/// takes its true state, and ends the walk where that is not the draft. Where the walk ends by reflection, the network
/// has not seen the new state: it is evaluated with the next drafts, not in a round of its own.
///
/// The samples are not those of [`Sequential`](super::Sequential) from the same seed: only their law is. They depend on the
/// seed, the item and these settings, not on the batch. [`Picard`](super::Picard) approximates the sequential samples
/// themselves, and serves plans without noise.
///
/// Plans of any reach run. A plan in which only some steps have noise runs too, but each step without one costs a round.
///
/// ```
/// use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Prediction, Sampler, SliceFrames, Solver, Speculative};
/// # use picardy::{Span, Workspace};
/// let mut denoiser = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(100, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
///
/// let sampler = Speculative { draft: 50, ..Speculative::default() };
/// let noise = Noise::seeded(7);
/// let mut x = [0.0f64; 4];
/// plan.start(&noise, 1, &mut x);
/// let (mut memory, mut spans) = ([0.0; 1423], [Span::default(); 4]); // sampler.need(&plan, 4)
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut spans);
/// let report = sampler.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// assert!(report.rounds < 20 && report.finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speculative {
    /// The most nodes that are drafted per round; `usize::MAX` for the whole run.
    pub draft: usize,
    /// How often a draft is evaluated and drafted anew before it is walked. Each costs a round and makes more nodes
    /// accepted. The law stays exact: the refined estimate at node `j` is a function of the noise up to node `j` still.
    pub sweeps: usize,
    /// The variance of the data per coordinate, for the draft where the network has not been.
    pub data_variance: f64,
}

impl Default for Speculative {
    fn default() -> Self {
        Self { draft: usize::MAX, sweeps: 0, data_variance: 1.0 }
    }
}

impl Sampler for Speculative {
    type Run<'r, F: Tensor + 'r> = SpeculativeRun<'r, F>;

    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need {
        Need { rows: Rows::new(self.draft, plan, batch).len(), spans: batch, marks: 0 }
    }

    /// See [`Sampler::begin`].
    ///
    /// # Errors
    /// [`SetupError::Recorded`] for a noise tape, [`SetupError::Noiseless`] for a plan without noise.
    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError> {
        if self.draft == 0 {
            return Err(SetupError::Zero("draft"));
        }
        if !(self.data_variance > 0.0 && self.data_variance.is_finite()) {
            return Err(SetupError::DataVariance(self.data_variance));
        }
        if plan.nodes().iter().skip(1).all(|node| node.noise == 0.0) {
            return Err(SetupError::Noiseless);
        }
        if noise.uniform(0, 0).is_none() {
            return Err(SetupError::Recorded);
        }
        let dim = workspace.frames.dim();
        let batch = batch_of(x.len(), dim)?;
        let (need, given) = (self.need(plan, batch), workspace.size());
        let Workspace { frames, spans, .. } = workspace;
        let (true, Some(spans)) = (given.rows >= need.rows, spans.get_mut(..batch)) else {
            return Err(SetupError::Workspace { need, given });
        };
        check_start(x, dim)?;
        let rows = Rows::new(self.draft, plan, batch);
        let mut run = SpeculativeRun {
            settings: *self,
            plan,
            noise,
            frames,
            spans,
            rows,
            generation: 0,
            swept: 0,
            rounds: 0,
            evaluations: 0,
        };
        run.frames.begin();
        run.frames.combine(rows.scratch(ZERO), &[]);
        for (item, x) in x.chunks(dim.max(1)).enumerate() {
            if let Some(span) = run.spans.get_mut(item) {
                *span = Span { first_item: item, items: 1, ..Span::default() };
            }
            run.frames.load(rows.state(item, 0, 0), x);
            // Nothing has been evaluated: a walk that stands where it began.
            run.redraft(item, Walked { node: 0, reflect: None }, None);
        }
        run.generation = run.next_generation();
        Ok(run)
    }
}

/// A speculative run under way.
#[derive(Debug)]
pub struct SpeculativeRun<'r, F> {
    settings: Speculative,
    plan: &'r Plan<'r>,
    noise: &'r Noise<'r>,
    frames: &'r mut F,
    spans: &'r mut [Span],
    rows: Rows,
    /// The generation that holds the newest drafts.
    generation: usize,
    /// Sweeps since the last walk.
    swept: usize,
    rounds: usize,
    evaluations: usize,
}

/// Where a walk ended.
#[derive(Clone, Copy)]
struct Walked {
    /// The newest node whose state is final.
    node: usize,
    /// `None` where that state is the draft; else the true one, from which so much of the scratch row `DELTA` is taken.
    reflect: Option<f64>,
}

impl<F: Tensor> Run<F> for SpeculativeRun<'_, F> {
    /// One round: a call of the network for all drafts of all items, then the walk (or a sweep) and the next drafts.
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>> {
        let last = self.plan.last();
        if self.spans.iter().all(|span| span.first_node == last) {
            return Ok(None);
        }
        let rows = self.evaluate(denoiser)?;
        // After as many sweeps as nodes nothing moves any more.
        let walks = self.swept >= self.settings.sweeps.min(last);
        for item in 0..self.spans.len() {
            let here = self.spans.get(item).map_or(last, |span| span.first_node);
            let stay = Walked { node: here, reflect: None };
            let walked = if walks { self.walk(item) } else { stay };
            self.redraft(item, walked, denoiser.guard());
        }
        self.swept = if walks { 0 } else { self.swept + 1 };
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
            residual: 0.0,
        }))
    }

    /// Writes the samples (of items that are not done: the drafted last state, or the drafted estimate of the data where
    /// the drafts do not reach that far) and says what the run cost.
    fn finish(self, x: &mut [F::Scalar]) -> Report {
        let (dim, last) = (self.frames.dim(), self.plan.last());
        let mut finished = true;
        for ((item, span), x) in self.spans.iter().enumerate().zip(x.chunks_mut(dim.max(1))) {
            finished &= span.first_node == last;
            let drafted = (span.first_node..span.end_node).rev().find(|j| is_evaluated(self.plan, *j));
            let row = match drafted {
                Some(node) if span.end_node < last => {
                    let (state, hat) =
                        (self.rows.state(item, self.generation, node), self.rows.hat(item, node));
                    recurrence::data(self.frames, self.plan, node, hat, state, hat);
                    hat
                }
                _ => self.rows.state(item, self.generation, span.end_node),
            };
            self.frames.store(row, x);
        }
        Report { rounds: self.rounds, evaluations: self.evaluations, residual: 0.0, finished }
    }
}

impl<F: Tensor> SpeculativeRun<'_, F> {
    const fn next_generation(&self) -> usize {
        (self.generation + 1) % GENERATIONS
    }

    /// Calls the network for all drafts and reads its outputs into the current generation. An error leaves the drafts as
    /// they were; the outputs are written anew when the round is asked for again.
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
        let (shown, out) = (rows.shown(0)..rows.shown(batch.len()), rows.out(0)..rows.out(batch.len()));
        if !batch.is_empty() {
            denoiser.evaluate(&batch, self.frames, shown, out).map_err(SampleError::Denoiser)?;
        }
        // One question for all rows, which a device answers in one trip.
        let said = rows.out(0)..rows.out(batch.len());
        let spoilt = self.frames.secants(said, core::iter::empty(), |_, _| {});
        for (i, row) in batch.iter().enumerate() {
            let at = (row.item, row.node);
            if spoilt == Some(rows.out(i)) {
                return Err(SampleError::NotFinite { item: row.item, node: row.node });
            }
            let state = rows.state(row.item, generation, row.node);
            let output = rows.output(row.item, generation, row.node);
            recurrence::read(self.frames, self.plan, row.node, state, rows.out(i), output);
            if let Some(guard) = denoiser.guard() {
                recurrence::guard(self.frames, self.plan, guard, at, state, output)?;
            }
        }
        Ok(batch.len())
    }

    /// Goes through an item's drafts, as far as they are accepted.
    fn walk(&mut self, item: usize) -> Walked {
        let Some(&span) = self.spans.get(item) else { return Walked { node: 0, reflect: None } };
        for k in span.first_node + 1..=span.end_node {
            let Some(node) = self.plan.nodes().get(k) else { break };
            // The outputs before the first open node were known when the drafts were made.
            let norm = self.difference(item, k, node, span.first_node);
            if norm == 0.0 {
                continue;
            }
            let d = norm / node.noise.abs();
            // No noise, or beyond all numbers: no draft is near, and the true state is taken as it is.
            if !d.is_finite() {
                return Walked { node: k, reflect: Some(0.0) };
            }
            let (delta, unit, zero) =
                (self.rows.scratch(DELTA), self.rows.scratch(UNIT), self.rows.scratch(ZERO));
            self.frames.combine(unit, &[]);
            // A negative coefficient draws from the same law with the noise's sign changed.
            self.frames.add_noise(unit, node.noise.signum(), self.noise, item, k);
            let s = self.frames.dot((delta, zero), (unit, zero)) / norm;
            let u = self.noise.uniform(item, k).unwrap_or(1.0);
            let accepted = math::ln(u) <= d * (s - 0.5 * d);
            if !accepted {
                return Walked { node: k, reflect: Some(2.0 * s / d) };
            }
        }
        Walked { node: span.end_node, reflect: None }
    }

    /// `m_q - m_p` at node `k` into the scratch row `DELTA`: what the outputs of nodes from `first` on, weighted, have more
    /// than their drafts. The states are the same. Its norm is returned.
    fn difference(&mut self, item: usize, k: usize, node: &Node, first: usize) -> f64 {
        let mut terms = [(0.0, 0); 2 * MAX_OUTPUTS];
        let mut len = 0;
        let sources = node.output_terms().map(|term| (term.weight, k - usize::from(term.back)));
        for ((weight, j), pair) in sources.filter(|(_, j)| *j >= first).zip(terms.chunks_mut(2)) {
            let (output, hat) = (self.rows.output(item, self.generation, j), self.rows.hat(item, j));
            if let [truth, draft] = pair {
                (*truth, *draft) = ((weight, output), (-weight, hat));
                len += 2;
            }
        }
        let (delta, zero) = (self.rows.scratch(DELTA), self.rows.scratch(ZERO));
        self.frames.combine(delta, terms.get(..len).unwrap_or(&terms));
        math::sqrt(self.frames.dot((delta, zero), (delta, zero)))
    }
}

fn is_evaluated(plan: &Plan<'_>, node: usize) -> bool {
    plan.nodes().get(node).is_some_and(|node| node.evaluate.is_some())
}
