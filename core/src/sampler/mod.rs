//! Who is evaluated when. A sampler runs any plan; it knows of no solver.

mod picard;
mod recurrence;
mod rows;
mod sequential;
mod slope;
mod speculative;
mod workspace;

pub use picard::{Picard, PicardRun, Start};
pub use sequential::{Sequential, SequentialRun};
pub use slope::Slope;
pub use speculative::{Speculative, SpeculativeRun};
#[cfg(feature = "alloc")]
pub use workspace::Memory;
pub use workspace::{Need, Workspace};

use crate::guard::GuardError;
use crate::noise::TapeError;
use crate::{Denoiser, Noise, Plan, Real, Tensor};
use core::fmt;
use core::ops::ControlFlow;

/// Runs plans.
pub trait Sampler {
    /// A run under way.
    type Run<'r, F: Tensor + 'r>: Run<F>;

    /// The memory that a run of `batch` items takes.
    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need;

    /// Starts a run that is gone through [round](Run::round) by round: `x` (`[batch, dim]`, row-major) holds the start at
    /// the plan's first level.
    ///
    /// # Errors
    /// A workspace, a batch, a noise tape or a setting that does not fit.
    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError>;

    /// Samples: `x` (`[batch, dim]`, row-major) holds the start at the plan's first level and gets the sample.
    /// `watch` is shown every round and may stop the run; `x` then gets the best estimate of the data so far.
    ///
    /// # Errors
    /// See [`SampleError`]; `x` keeps the start.
    fn run_watched<F, D>(
        &self,
        plan: &Plan<'_>,
        denoiser: &mut D,
        noise: &Noise<'_>,
        x: &mut [F::Scalar],
        workspace: &mut Workspace<'_, F>,
        mut watch: impl FnMut(&Round) -> ControlFlow<()>,
    ) -> Result<Report, SampleError<D::Error>>
    where
        F: Tensor,
        D: Denoiser<F> + ?Sized,
    {
        let mut run = self.begin(plan, noise, x, workspace)?;
        while let Some(round) = run.round(denoiser)? {
            if watch(&round).is_break() {
                break;
            }
        }
        Ok(run.finish(x))
    }

    /// [`run_watched`](Self::run_watched) to the end.
    ///
    /// # Errors
    /// See [`SampleError`].
    fn run<F, D>(
        &self,
        plan: &Plan<'_>,
        denoiser: &mut D,
        noise: &Noise<'_>,
        x: &mut [F::Scalar],
        workspace: &mut Workspace<'_, F>,
    ) -> Result<Report, SampleError<D::Error>>
    where
        F: Tensor,
        D: Denoiser<F> + ?Sized,
    {
        self.run_watched(plan, denoiser, noise, x, workspace, |_| ControlFlow::Continue(()))
    }
}

/// A run under way: an account of its rounds, one at a time.
pub trait Run<F: Tensor> {
    /// One round: one call of the network, and what follows from it. `None` at the end.
    ///
    /// # Errors
    /// The denoiser's, or an output that is not finite. The states are then those before the round, and it can be asked
    /// for again.
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>>;

    /// Writes the samples (of items that are not done, the best estimate of the data so far) and says what the run cost.
    fn finish(self, x: &mut [F::Scalar]) -> Report;
}

/// What one round (one batched call of the network) did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// The rounds so far, this one included.
    pub rounds: usize,
    /// The rows this round evaluated.
    pub rows: usize,
    /// The rows evaluated so far.
    pub evaluations: usize,
    /// The nodes whose state is final, the least over the items; the start is node 0.
    pub done: usize,
    /// The plan's last node.
    pub last: usize,
    /// The largest change of an open state in this round, root mean square, in units of its step's standard
    /// deviation: what is compared with the tolerance. 0 in a sequential run.
    pub residual: f64,
}

impl Round {
    /// Every item has come to the plan's end.
    pub const fn is_finished(&self) -> bool {
        self.done == self.last
    }
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Batched calls of the network: what a wide device pays for.
    pub rounds: usize,
    /// Rows evaluated in all: what a narrow device pays for. Over the batch, this is the nfe.
    pub evaluations: usize,
    /// The residual of the last round in which a state was still open.
    pub residual: f64,
    /// False where the run was stopped before its end.
    pub finished: bool,
}

/// Why a run could not start.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SetupError {
    /// The workspace is too small.
    Workspace {
        /// What the run takes.
        need: Need,
        /// What it was given.
        given: Need,
    },
    /// The batch does not consist of states: its length is 0 or no multiple of their size.
    Shape {
        /// The length of `x`.
        len: usize,
        /// The numbers in a state.
        dim: usize,
    },
    /// A window of 0 nodes.
    Window,
    /// A tolerance that is negative or NaN.
    Tolerance(f64),
    /// A data variance that is not positive and finite.
    DataVariance(f64),
    /// A start that is infinite or NaN.
    Start {
        /// The item.
        item: usize,
    },
    /// The noise tape does not serve the run.
    Tape(TapeError),
    /// A speculative run on a noise tape, which has no numbers to accept by.
    Recorded,
    /// A speculative run of a plan without noise.
    Noiseless,
}

impl From<TapeError> for SetupError {
    fn from(error: TapeError) -> Self {
        Self::Tape(error)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace { need, given } => write!(
                f,
                "the workspace has {} rows and {} spans, the run needs {} rows and {} spans; give it that much",
                given.rows, given.spans, need.rows, need.spans
            ),
            Self::Shape { len, dim } => {
                write!(
                    f,
                    "{len} numbers are no batch of states of {dim}; give batch x {dim}, at least one state"
                )
            }
            Self::Window => {
                write!(f, "a window of 0 nodes; give at least 1, or usize::MAX for the whole run")
            }
            Self::Tolerance(value) => write!(f, "tolerance {value}; give 0 (exact) or more"),
            Self::DataVariance(value) => write!(f, "data variance {value}; give a positive, finite number"),
            Self::Start { item } => {
                write!(f, "the start of item {item} is not finite; check what x holds before the run")
            }
            Self::Tape(error) => error.fmt(f),
            Self::Recorded => {
                write!(
                    f,
                    "a noise tape has no uniform numbers to accept drafts by; give seeded noise, or use Picard"
                )
            }
            Self::Noiseless => write!(
                f,
                "no step of the plan adds noise, so no draft could be accepted; use Picard, or a stochastic solver (ddpm, \
                 ddim with eta 1)"
            ),
        }
    }
}

impl core::error::Error for SetupError {}

/// Why a run could not start or go on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SampleError<E> {
    /// It could not start.
    Setup(SetupError),
    /// The network's output, or what a guard made of it, is infinite or NaN. The states are those before the call.
    NotFinite {
        /// The item.
        item: usize,
        /// The node that was evaluated.
        node: usize,
    },
    /// The last state is infinite or NaN though no output was: the recurrence overflowed.
    Overflow {
        /// The item.
        item: usize,
        /// The node.
        node: usize,
    },
    /// The denoiser failed. The same round can be asked for again.
    Denoiser(E),
    /// The guard does not fit. The same round can be asked for again.
    Guard(GuardError),
}

impl<E> From<SetupError> for SampleError<E> {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl<E: fmt::Display> fmt::Display for SampleError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::NotFinite { item, node } => write!(
                f,
                "the denoiser's output for item {item} at node {node}, or what a guard made of it, is not finite; \
                 check the model, its input and the guard"
            ),
            Self::Overflow { item, node } => write!(
                f,
                "the state of item {item} at node {node} overflows; the model's outputs are far too large there"
            ),
            Self::Denoiser(error) => write!(f, "the denoiser failed: {error}"),
            Self::Guard(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for SampleError<E> {}

/// The batch that `x` is, where its length fits.
fn batch_of(len: usize, dim: usize) -> Result<usize, SetupError> {
    match (len.checked_div(dim), len.checked_rem(dim)) {
        (Some(batch), Some(0)) if batch > 0 => Ok(batch),
        _ => Err(SetupError::Shape { len, dim }),
    }
}

/// The start is finite.
fn check_start<T: Real>(x: &[T], dim: usize) -> Result<(), SetupError> {
    match x.iter().position(|x| !x.is_finite()).and_then(|index| index.checked_div(dim)) {
        Some(item) => Err(SetupError::Start { item }),
        None => Ok(()),
    }
}
