//! Who is evaluated when. A sampler runs any plan; it knows of no solver.

mod any;
mod auto;
mod error;
mod gaussian;
mod parareal;
mod picard;
mod recurrence;
mod ring;
mod sequential;
mod small;
mod speculative;
mod workspace;

pub use any::{AnyRun, AnySampler};
pub use auto::Auto;
pub use error::{SampleError, SetupError};
pub use parareal::{Parareal, PararealRun};
pub use picard::{Criterion, MAX_ANDERSON, MAX_HISTORY, Mark, Picard, PicardRun, Slope, Start};
pub use sequential::{Sequential, SequentialRun};
pub use speculative::{Speculative, SpeculativeRun};
#[cfg(feature = "alloc")]
pub use workspace::Memory;
pub use workspace::{Need, Workspace};

use crate::{Denoiser, Noise, Plan, Real, Tensor};
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
    /// for again. [`SampleError::Overflow`] alone ends the run: what [`finish`](Self::finish) then writes is no sample.
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
    /// The largest change of an evaluated open state in this round, root mean square, in the unit of the sampler's tolerance (of
    /// [`Picard`]'s: its [`Criterion`]). 0 in a sequential run.
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
