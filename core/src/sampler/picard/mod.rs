//! Many nodes at a time: Picard iteration in a sliding window.

mod advance;
mod anderson;
mod call;
mod chain;
mod coarse;
mod criterion;
mod held;
mod known;
mod output;
mod rows;
mod run;
mod slope;
mod sweep;

pub use criterion::Criterion;
pub use known::Mark;
pub use run::PicardRun;
pub use slope::Slope;

use super::{Bound, Need, Sampler, SetupError, Workspace, batch_of, check_start};
use crate::{Noise, Plan, Real, Tensor};
use rows::Rows;

/// The most directions of [`Slope::Multisecant`].
pub const MAX_HISTORY: usize = 4;
/// The longest history of Anderson mixing.
pub const MAX_ANDERSON: usize = 5;

/// The first guess of states that the window takes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The newest state, repeated: what ParaDiGMS does.
    Constant,
    /// The plan run on without the network, as if the data were Gaussian: `m = g x`, `g` the gaussian slope. The
    /// noise of a stochastic solver is then in the path from the first round on. Nodes that the window takes in later
    /// go on from the last output instead.
    #[default]
    Gaussian,
    /// The plan run with so many evaluations, one after the other, evenly over the first window (as in ParaSolver); what is
    /// left out goes on from the last output. Each costs a round.
    Coarse(usize),
}

/// The Picard sampler (ParaDiGMS, arXiv 2305.16317, algorithm 1), with better slopes and fewer evaluations.
///
/// Guess all states of a window; evaluate nodes of it in one call; sweep the recurrence, every output
/// [carried](Slope) to its new state; move the window past the nodes that stand still; repeat. The first open node is
/// always exact, so a plan of `K` nodes takes at most `K` rounds. Each item of the batch has a window of its own: an item
/// that is done costs no evaluations, and none depends on the others.
///
/// Where the last sweep still moved the states far, evaluating them all is a waste. So a round evaluates all nodes up to
/// the first that moved far, and only every [`stride`](Self::stride)-th after that. A node between goes on from the last evaluated node
/// before it, `J`, and bends towards the next one, `N`:
///
/// ```text
/// m_j = g_j x_j + r,    r = (m_J - g_J x_J) + w ((m_N - g_N x_N) - (m_J - g_J x_J)),    w = (j - J)/(N - J)
/// ```
///
/// with the gaussian slope `g` and, in the bend, the states that the network was shown.
///
/// Under a [guard](crate::guard) the sweep guards every estimate that it has carried to a new state, so that samples keep
/// what the guard promises at any tolerance, and so does the guess of a run that is stopped.
///
/// When it stops is the [`Criterion`]'s: by default the sample is [`tolerance`](Self::tolerance) standard deviations of the data from the
/// sequential one at most.
///
/// ```
/// use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Picard, Prediction, Sampler, SliceFrames, Solver};
/// # use picardy::{Mark, Span, Workspace};
/// let mut denoiser = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(100, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
///
/// let picard = Picard { window: 50, tolerance: 0.01, ..Picard::default() };
/// let noise = Noise::seeded(7);
/// let mut x = [0.0f64; 4];
/// plan.start(&noise, 1, &mut x);
/// // picard.need(&plan, 4)
/// let (mut memory, mut spans, mut marks) = ([0.0; 1248], [Span::default(); 8], [Mark::default(); 204]);
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut spans).with_marks(&mut marks);
/// let report = picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// assert!(report.rounds < 50 && report.finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picard {
    /// The most nodes that are open at a time; `usize::MAX` for the whole run.
    pub window: usize,
    /// Of the nodes that still move far, every so many-th is evaluated; 1 for all, which saves a round now and then for up to
    /// a third more evaluations.
    pub stride: usize,
    /// The most rows of a call, over all items: what the device can batch. Open items share them evenly (so with this set
    /// an item's rounds, not its promise, depend on the batch) and widen their strides to cover the window.
    pub rows: usize,
    /// How outputs are carried to new states.
    pub slope: Slope,
    /// The first guess.
    pub start: Start,
    /// Rounds that Anderson mixing looks back, up to [`MAX_ANDERSON`] (ParaTAA, arXiv 2402.09970, 2 to 5); 0 for none.
    pub anderson: usize,
    /// When a state counts as converged.
    pub criterion: Criterion,
    /// How far the sample may be from the sequential one, in the criterion's unit; 0 runs to the exact end.
    pub tolerance: f64,
    /// The variance of the data per coordinate: for the gaussian slope and start, and as the tolerance's unit.
    pub data_variance: f64,
}

impl Default for Picard {
    fn default() -> Self {
        Self {
            window: usize::MAX,
            stride: 3,
            rows: usize::MAX,
            slope: Slope::default(),
            start: Start::default(),
            anderson: 0,
            criterion: Criterion::default(),
            tolerance: 0.01,
            data_variance: 1.0,
        }
    }
}

impl Picard {
    /// ParaDiGMS as published: identity slope, constant start, its criterion, all nodes of the window.
    pub fn paradigms(window: usize, tolerance: f64) -> Self {
        Self {
            window,
            stride: 1,
            slope: Slope::Identity,
            start: Start::Constant,
            criterion: Criterion::StepVariance,
            tolerance,
            ..Self::default()
        }
    }

    /// [`Sampler::begin`] with the caller's first guess of all states, `[batch, last + 1, dim]` row-major: the path of the
    /// last control cycle, say, read by [`PicardRun::state`]. It stands in for [`start`](Self::start); node 0 of it is not read.
    ///
    /// # Errors
    /// As for [`Sampler::begin`]; a guess of another size, or one that is not finite.
    pub fn begin_from<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        guess: &'r [F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<PicardRun<'r, F>, SetupError> {
        let dim = workspace.frames.dim();
        let needed = x.len().saturating_mul(plan.last() + 1);
        if guess.len() != needed {
            return Err(SetupError::Guess { needed, given: guess.len() });
        }
        for (row, state) in guess.chunks(dim.max(1)).enumerate() {
            let (item, node) = (row / (plan.last() + 1), row % (plan.last() + 1));
            if node > 0 && !state.iter().all(|x| x.is_finite()) {
                return Err(SetupError::GuessNotFinite { item, node });
            }
        }
        self.set_up(plan, noise, x, Some(guess), workspace)
    }

    fn set_up<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        guess: Option<&'r [F::Scalar]>,
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<PicardRun<'r, F>, SetupError> {
        self.check()?;
        let dim = workspace.frames.dim();
        let batch = batch_of(x.len(), dim)?;
        if self.rows < batch {
            return Err(SetupError::Rows { rows: self.rows, batch });
        }
        let (need, given) = (self.need(plan, batch), workspace.size());
        let Workspace { frames, spans, marks } = workspace;
        let (true, Some(spans), Some(marks)) =
            (given.rows >= need.rows, spans.get_mut(..need.spans), marks.get_mut(..need.marks))
        else {
            return Err(SetupError::Workspace { need, given });
        };
        noise.check(plan.last(), batch, dim)?;
        check_start(x, dim)?;
        Ok(PicardRun::new(self, plan, noise, x, guess, frames, (spans, marks)))
    }

    /// Whether every setting is within its range: what [`Sampler::begin`] looks at first.
    ///
    /// # Errors
    /// [`SetupError::Zero`], [`SetupError::History`], [`SetupError::Tolerance`] or [`SetupError::DataVariance`].
    pub fn check(&self) -> Result<(), SetupError> {
        let settings = [("window", self.window), ("stride", self.stride), ("rows", self.rows)];
        if let Some((name, _)) = settings.into_iter().find(|(_, value)| *value == 0) {
            return Err(SetupError::Zero(name));
        }
        if let Slope::Multisecant(directions @ (0 | MAX_HISTORY_AND_ONE..)) = self.slope {
            return Err(SetupError::History { name: "multisecant", given: directions, most: MAX_HISTORY });
        }
        if self.anderson > MAX_ANDERSON {
            return Err(SetupError::History {
                name: "Anderson mixing",
                given: self.anderson,
                most: MAX_ANDERSON,
            });
        }
        if self.start == Start::Coarse(0) {
            return Err(SetupError::Zero("coarse start"));
        }
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(SetupError::Tolerance(self.tolerance));
        }
        if !(self.data_variance > 0.0 && self.data_variance.is_finite()) {
            return Err(SetupError::DataVariance(self.data_variance));
        }
        Ok(())
    }
}

const MAX_HISTORY_AND_ONE: usize = MAX_HISTORY + 1;

impl Sampler for Picard {
    type Run<'r, F: Tensor + 'r> = PicardRun<'r, F>;

    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need {
        let rows = Rows::new(self, plan, batch);
        Need { rows: rows.len(), spans: batch.saturating_mul(2), marks: rows.marks() }
    }

    /// Every round closes a node of each item at least, whatever the tolerance; a coarse start comes before that.
    fn bound(&self, plan: &Plan<'_>, batch: usize) -> Bound {
        let mut bound = Bound::of_window(plan, self.window, batch, self.rows.max(batch));
        if let Start::Coarse(evaluations) = self.start {
            let lead = evaluations.min(self.window).min(plan.evaluations());
            bound.rounds = bound.rounds.saturating_add(lead);
            bound.evaluations = bound.evaluations.saturating_add(lead.saturating_mul(batch));
        }
        bound
    }

    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError> {
        self.set_up(plan, noise, x, None, workspace)
    }
}
