//! What can go wrong with a pipeline and its requests.

use std::{io, sync::Arc};

use picardy::{GuardError, PlanError, ScheduleError, SetupError};

use super::{Request, rows::BoxError};

/// Why a pipeline could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// There is nothing to evaluate with.
    #[error("a pipeline of no denoisers: give at least one")]
    NoDenoiser,
    /// The denoisers are of different models.
    #[error(
        "denoiser {index} takes rows of {got} numbers, the first one of {want}: give denoisers of one model"
    )]
    Dim {
        /// The denoiser's place.
        index: usize,
        /// Its numbers in a row.
        got: usize,
        /// The first one's.
        want: usize,
    },
    /// A setting of 0.
    #[error("{0} of 0: give at least 1")]
    Zero(&'static str),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}; end other threads, or give fewer denoisers or lanes")]
    Thread(#[from] io::Error),
}

/// Why a request was not taken; with the request itself, to be given again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As many requests wait as may wait.
    #[error("{waiting} requests wait already: try again later, or let submit wait")]
    Busy {
        /// The requests that wait.
        waiting: usize,
        /// The request.
        request: Box<Request>,
    },
    /// Its states alone take more memory than one request may.
    #[error(
        "{items} items of {dim} numbers are more than the {most} numbers that one request may take: give fewer items, or a larger \
         Settings::request_numbers"
    )]
    Size {
        /// The request's items.
        items: usize,
        /// The numbers in an item.
        dim: usize,
        /// The most numbers that one request may take.
        most: usize,
        /// The request.
        request: Box<Request>,
    },
    /// The pipeline was shut down.
    #[error("the pipeline was shut down: start another one")]
    Closed {
        /// The request.
        request: Box<Request>,
    },
}

impl SubmitError {
    /// The request back.
    #[must_use]
    pub fn into_request(self) -> Request {
        match self {
            Self::Busy { request, .. } | Self::Closed { request } | Self::Size { request, .. } => *request,
        }
    }
}

/// Why a plan could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanningError {
    /// The levels.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The steps between them.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Why a request gave no sample.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It was cancelled.
    #[error("the request was cancelled")]
    Cancelled,
    /// Its deadline passed.
    #[error("the request's deadline passed after {rounds} rounds: give it more time, or fewer steps")]
    Expired {
        /// The rounds that it had.
        rounds: usize,
    },
    /// The pipeline was aborted.
    #[error("the pipeline was aborted before the request was done: give it to another one")]
    Aborted,
    /// Its plan is none.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its run could not start.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// It takes more memory than one request may.
    #[error(
        "the request takes {needed} numbers of memory, one request may take {most}: give fewer items, a smaller window, or a \
         larger Settings::request_numbers"
    )]
    Memory {
        /// The numbers that it takes.
        needed: usize,
        /// The most that one request may take.
        most: usize,
    },
    /// The network's output is infinite or NaN.
    #[error(
        "the denoiser's output for item {item} at node {node} is not finite: check the model and its input"
    )]
    NotFinite {
        /// The item.
        item: usize,
        /// The node.
        node: usize,
    },
    /// The sample is infinite or NaN though no output was.
    #[error("the state of item {item} at node {node} overflows: the model's outputs are far too large there")]
    Overflow {
        /// The item.
        item: usize,
        /// The node.
        node: usize,
    },
    /// Its guard does not fit.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Its guidance cannot be.
    #[error("{0}")]
    Guidance(String),
    /// The denoiser failed on its rows, alone too.
    #[error("the denoiser failed: {0}")]
    Denoiser(Arc<BoxError>),
    /// The denoiser panicked on its rows, alone too, or the sampler did.
    #[error("a panic: {0}")]
    Panicked(String),
}
