//! Why a run cannot start or go on.

use super::Need;
use crate::guard::GuardError;
use crate::noise::TapeError;
use core::fmt;

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
    /// A setting of 0 that must be at least 1.
    Zero(&'static str),
    /// A history that is empty or too long.
    History {
        /// Of what.
        name: &'static str,
        /// The rounds asked for.
        given: usize,
        /// The most there are.
        most: usize,
    },
    /// Fewer rows in a call than there are items.
    Rows {
        /// The most rows of a call.
        rows: usize,
        /// The items.
        batch: usize,
    },
    /// The first guess is not one state for each item and node.
    Guess {
        /// The numbers that are needed.
        needed: usize,
        /// The numbers given.
        given: usize,
    },
    /// A tolerance that is negative or NaN.
    Tolerance(f64),
    /// A data variance that is not positive and finite.
    DataVariance(f64),
    /// A start that is infinite or NaN.
    Start {
        /// The item.
        item: usize,
    },
    /// The plan cannot be cut into blocks: a multistep solver's, under [`Parareal`](super::Parareal).
    Uncut {
        /// Its evaluations.
        evaluations: usize,
        /// Of these, the most in a row between which it has no cut.
        stretch: usize,
    },
    /// A first guess of a state that is infinite or NaN.
    GuessNotFinite {
        /// The item.
        item: usize,
        /// The node.
        node: usize,
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
                "the workspace has {} rows, {} spans and {} marks, the run needs {} rows, {} spans and {} marks; give it that much",
                given.rows, given.spans, given.marks, need.rows, need.spans, need.marks
            ),
            Self::Shape { len, dim } => {
                write!(
                    f,
                    "{len} numbers are no batch of states of {dim}; give batch x {dim}, at least one state"
                )
            }
            Self::Zero(name) => write!(f, "{name} of 0; give at least 1 (usize::MAX for no limit)"),
            Self::History { name, given, most } => {
                write!(f, "{name} with a history of {given} rounds; give 1 to {most}")
            }
            Self::Rows { rows, batch } => {
                write!(
                    f,
                    "{rows} rows a call for {batch} items; give at least one row for each, or fewer items"
                )
            }
            Self::Guess { needed, given } => {
                write!(f, "a first guess of {given} numbers; give batch x (last + 1) x dim, here {needed}")
            }
            Self::Tolerance(value) => write!(f, "tolerance {value}; give 0 (exact) or more"),
            Self::DataVariance(value) => write!(f, "data variance {value}; give a positive, finite number"),
            Self::Start { item } => {
                write!(f, "the start of item {item} is not finite; check what x holds before the run")
            }
            Self::Uncut { evaluations, stretch } => write!(
                f,
                "{stretch} of the plan's {evaluations} evaluations lie in one piece that no block can end in, as later \
                 nodes use earlier outputs (a multistep solver); take Picard, or a one-step solver"
            ),
            Self::GuessNotFinite { item, node } => write!(
                f,
                "the first guess for item {item} at node {node} is not finite; check the path, or leave it out"
            ),
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
