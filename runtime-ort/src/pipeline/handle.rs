//! The answer to a request, and who waits for it.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use picardy::Report;

use super::{error::RequestError, metrics::Counters, queue::Queue};

/// What a request gave.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The samples, `[items, dim]`, row-major.
    pub x: Vec<f32>,
    /// What they cost.
    pub report: Report,
    /// Whether the deadline passed: the best estimate of the data so far.
    pub late: bool,
    /// From submission to the first call.
    pub waited: Duration,
    /// From submission to the answer.
    pub took: Duration,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rounds so far.
    pub rounds: usize,
    /// Nodes whose state is final.
    pub done: usize,
    /// The plan's last node; 0 while the request waits.
    pub last: usize,
}

/// A place for one answer. Whoever answers first has answered; all others are told that they were late.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) id: u64,
    pub(super) submitted: Instant,
    state: Mutex<State>,
    answered: AtomicBool,
    given: Condvar,
    counters: Arc<Counters>,
    rounds: AtomicUsize,
    done: AtomicUsize,
    last: AtomicUsize,
}

#[derive(Debug)]
enum State {
    Open(Option<Waker>),
    Answered(Box<Result<Sample, RequestError>>),
    Taken,
}

impl Ticket {
    pub(super) fn new(id: u64, counters: Arc<Counters>) -> Self {
        Self {
            id,
            submitted: Instant::now(),
            state: Mutex::new(State::Open(None)),
            answered: AtomicBool::new(false),
            given: Condvar::new(),
            counters,
            rounds: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the answer, where there is none yet; says whether it was taken.
    pub(super) fn answer(&self, answer: Result<Sample, RequestError>) -> bool {
        let mut state = self.state();
        let State::Open(waker) = &mut *state else { return false };
        let waker = waker.take();
        self.counters.answer(&answer);
        *state = State::Answered(Box::new(answer));
        self.answered.store(true, Ordering::Release);
        drop(state);
        self.given.notify_all();
        if let Some(waker) = waker {
            // It is the caller's: what it throws is no matter of the driver and its other requests.
            drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
        true
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    pub(super) fn advance(&self, progress: Progress) {
        self.rounds.store(progress.rounds, Ordering::Relaxed);
        self.done.store(progress.done, Ordering::Relaxed);
        self.last.store(progress.last, Ordering::Relaxed);
    }

    pub(super) fn progress(&self) -> Progress {
        let read = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Progress { rounds: read(&self.rounds), done: read(&self.done), last: read(&self.last) }
    }
}

/// Whoever holds it owes the answer: dropped without one (by a panic), it answers that.
#[derive(Debug)]
pub(super) struct Owed(pub(super) Arc<Ticket>);

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.0.is_answered() {
            self.0.answer(Err(RequestError::Panicked("the request was dropped by its thread".to_owned())));
        }
    }
}

/// A request under way. Dropping it cancels the request.
///
/// It is a [`Future`] of the answer too, for programs that wait for many.
#[derive(Debug)]
pub struct Handle {
    ticket: Arc<Ticket>,
    queue: Weak<Queue>,
}

impl Handle {
    pub(super) fn new(ticket: Arc<Ticket>, queue: Weak<Queue>) -> Self {
        Self { ticket, queue }
    }

    /// The request's number: the pipeline's first one is 0.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.ticket.id
    }

    /// Whether the answer is there.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.ticket.is_answered()
    }

    /// How far the request has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.ticket.progress()
    }

    /// Cancels the request: its answer is [`RequestError::Cancelled`] from now on, unless another one is there. A call of
    /// the denoiser that is under way is not broken off; the request has no rows in the next.
    pub fn cancel(&self) {
        if self.ticket.answer(Err(RequestError::Cancelled))
            && let Some(queue) = self.queue.upgrade()
        {
            queue.forget(self.ticket.id);
        }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// Why there is no sample.
    pub fn wait(self) -> Result<Sample, RequestError> {
        let mut state = self.ticket.state();
        loop {
            if let Some(answer) = take(&mut state) {
                return answer;
            }
            state = self.ticket.given.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the answer, but not longer than `time`; the handle back where it is not there then.
    ///
    /// # Errors
    /// The handle, which is not an error of the request.
    pub fn wait_for(self, time: Duration) -> Result<Result<Sample, RequestError>, Self> {
        let end = Instant::now().checked_add(time);
        let mut state = self.ticket.state();
        loop {
            if let Some(answer) = take(&mut state) {
                return Ok(answer);
            }
            let left = end.map_or(time, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                drop(state);
                return Err(self);
            }
            state = self.ticket.given.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn take(state: &mut State) -> Option<Result<Sample, RequestError>> {
    match state {
        State::Answered(_) => match std::mem::replace(state, State::Taken) {
            State::Answered(answer) => Some(*answer),
            State::Open(_) | State::Taken => None,
        },
        State::Open(_) | State::Taken => None,
    }
}

impl Future for Handle {
    type Output = Result<Sample, RequestError>;

    /// Polled again after its answer was given, it never wakes.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.ticket.state();
        if let Some(answer) = take(&mut state) {
            return Poll::Ready(answer);
        }
        if let State::Open(waker) = &mut *state {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.is_answered() {
            self.cancel();
        }
    }
}
