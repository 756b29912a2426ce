//! Requests from many threads, sampled together.
//!
//! ```text
//! submit --> queue (bounded) --> driver: one run a request --> rows of all runs --> one call --> outputs to the runs
//! ```
//!
//! A driver (one thread for each denoiser) keeps the runs of many requests and goes round in turns of one call: every run
//! says which rows it asks for next, up to [`Settings::rows`] of them go into the call, every run that has all its outputs
//! takes them in. A request joins at the next call, whatever its plan, its solver, its sampler and how far the others have
//! come, and leaves when it is done. So nothing waits for a batch to fill, and the batch is as large as there is work.
//!
//! A call's rows are shared fairly: every run gets an equal number, and what it does not need goes to those with more. So the
//! rounds of a wide request take several calls, with the rows of small ones in between. What happens to a request is
//! looked at before every call: a cancellation, a deadline and an abort wait for the call under way alone.
//!
//! A sample depends on its request alone: on the seed and not on who else is sampled, as long as the network's rows do
//! not influence each other. To the bit where the network computes a row alike in every batch (core's networks and
//! [`Mixture`](picardy::Mixture) do); kernels that choose their sums by the batch's size differ in the last bits.
//!
//! | what may happen | what comes of it |
//! |---|---|
//! | too many requests | [`try_submit`](Pipeline::try_submit) gives [`Busy`](SubmitError::Busy) and the request back; [`submit`](Pipeline::submit) waits |
//! | [`Handle::cancel`], the handle is dropped | answered at once; no rows in the next call |
//! | a deadline passes | [`Expired`](RequestError::Expired), or the [best so far](Late::Best) |
//! | a call fails or panics | each of its requests is asked for alone; those that fail so are answered, the others go on |
//! | a request is too large | [`Size`](SubmitError::Size) and the request back, or [`Memory`](RequestError::Memory) |
//! | a waker or the destructor of a guard panics | nothing to other requests |
//! | [`shutdown`](Pipeline::shutdown) | what is there is finished |
//! | [`abort`](Pipeline::abort), the pipeline is dropped | all that is not done is answered [`Aborted`](RequestError::Aborted) |
//!
//! Every request gets one answer.
//!
//! ```
//! use picardy::{Betas, Ddim, Mixture, Prediction};
//! use picardy_ort::pipeline::{self, Pipeline, Request, RequestRow, Settings, SharedPlan};
//! // Data: two points; the model: their exact denoiser, of the data.
//! let model = pipeline::from_fn(1, |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
//!     let mixture = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?;
//!     for ((row, x), out) in rows.iter().zip(x.chunks(1)).zip(out.chunks_mut(1)) {
//!         mixture.denoise(x, &row.row.level, out);
//!     }
//!     Ok(())
//! });
//! let pipeline = Pipeline::new(vec![Box::new(model)], Settings::default())?;
//! let betas = Betas::linear(1000, 1e-4, 2e-2);
//! let plan = SharedPlan::trailing(&Ddim::default(), &betas, 20, Prediction::Sample)?;
//! let handles: Vec<_> =
//!     (0..8).map(|seed| pipeline.submit(Request::new(&plan, 4).seed(seed))).collect::<Result<_, _>>()?;
//! for handle in handles {
//!     let sample = handle.wait()?;
//!     assert!(sample.x.len() == 4 && sample.report.finished);
//! }
//! assert_eq!(pipeline.metrics().done, 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call;
mod driver;
mod error;
mod handle;
mod metrics;
mod queue;
mod request;
mod rows;
mod run;
mod share;
mod sizing;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use error::{PipelineError, PlanningError, RequestError, SubmitError};
pub use handle::{Handle, Progress, Sample};
pub use metrics::{CLASSES, Metrics};
pub use request::{Guidance, Late, Request, RequestGuard, SharedPlan};
pub use rows::{BoxError, FnRows, RequestRow, RowDenoiser, from_fn};
pub use sizing::{Sizing, measure};

use call::Shared;
use driver::Driver;
use handle::{Owed, Ticket};
use metrics::Counters;
use queue::{Mode, Queue};

/// How a pipeline works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most requests that wait; more are refused, or wait in [`submit`](Pipeline::submit).
    pub waiting: usize,
    /// The most requests that a driver samples at a time.
    pub active: usize,
    /// The most rows of a call: what the device evaluates best at once, as [`measure`] finds. A driver takes in no further request while those it
    /// has make as many items, where none counts for more than an eighth of `rows` (rounded up): so up to eight wide requests
    /// share the calls. A round of more rows (of parallel samplers) is made in several calls.
    pub rows: usize,
    /// Calls are filled up to a multiple of so many rows, with copies of the last one, for devices that like few different
    /// shapes; 1 for none. At most `rows`.
    pub multiple: usize,
    /// Drivers for each denoiser: with 2, one prepares its rows while the other's are evaluated. Worth it where the device
    /// leaves the processor idle.
    pub lanes: usize,
    /// The most numbers (of four bytes) that one request's run may take.
    pub request_numbers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { waiting: 256, active: 64, rows: 256, multiple: 1, lanes: 1, request_numbers: 1 << 28 }
    }
}

/// Samples requests from many threads in common calls of one or several denoisers: see [the module](self).
#[derive(Debug)]
pub struct Pipeline {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicU64,
    dim: usize,
    request_numbers: usize,
}

impl Pipeline {
    /// Starts a pipeline over denoisers of one model: several sessions, several devices, servers.
    ///
    /// # Errors
    /// No denoisers, denoisers of different dimensions, a setting of 0, no more threads.
    pub fn new(denoisers: Vec<Box<dyn RowDenoiser>>, settings: Settings) -> Result<Self, PipelineError> {
        let Some(dim) = denoisers.first().map(|denoiser| denoiser.dim()) else {
            return Err(PipelineError::NoDenoiser);
        };
        if let Some((index, other)) = denoisers.iter().enumerate().find(|(_, other)| other.dim() != dim) {
            return Err(PipelineError::Dim { index, got: other.dim(), want: dim });
        }
        let Settings { waiting, active, rows, multiple, lanes, request_numbers } = settings;
        let named = [
            ("waiting", waiting),
            ("active", active),
            ("rows", rows),
            ("multiple", multiple),
            ("lanes", lanes),
            ("request_numbers", request_numbers),
            ("numbers in a row", dim),
        ];
        if let Some((name, _)) = named.into_iter().find(|(_, value)| *value == 0) {
            return Err(PipelineError::Zero(name));
        }
        let settings = Settings { multiple: multiple.min(rows), ..settings };
        let pipeline = Self {
            queue: Arc::new(Queue::new(waiting, denoisers.len() * lanes)),
            counters: Arc::default(),
            threads: Mutex::default(),
            next: AtomicU64::new(0),
            dim,
            request_numbers,
        };
        for (index, denoiser) in denoisers.into_iter().enumerate() {
            let denoiser: Shared = Arc::new(Mutex::new(denoiser));
            for lane in 0..lanes {
                let (queue, counters) = (Arc::clone(&pipeline.queue), Arc::clone(&pipeline.counters));
                let (denoiser, alive) = (Arc::clone(&denoiser), pipeline.queue.begin());
                let name = format!("picardy {index}.{lane}");
                // Where a thread does not start, the pipeline's drop ends those that did.
                let thread = thread::Builder::new().name(name).spawn(move || {
                    alive.enter();
                    Driver::new(queue, denoiser, counters, settings, dim).drive();
                    drop(alive);
                })?;
                pipeline.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            }
        }
        Ok(pipeline)
    }

    /// The numbers in one item.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Gives a request; waits for room in the queue. What else is wrong with the request than its size, its answer says.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] after a shutdown, [`SubmitError::Size`].
    pub fn submit(&self, request: Request) -> Result<Handle, SubmitError> {
        self.put(request, None)
    }

    /// Gives a request; waits for room in the queue no longer than `time`.
    ///
    /// # Errors
    /// [`SubmitError::Busy`], [`SubmitError::Closed`] and [`SubmitError::Size`], with the request.
    pub fn submit_within(&self, request: Request, time: Duration) -> Result<Handle, SubmitError> {
        self.put(request, Instant::now().checked_add(time))
    }

    /// Gives a request where there is room in the queue.
    ///
    /// # Errors
    /// [`SubmitError::Busy`], [`SubmitError::Closed`] and [`SubmitError::Size`], with the request.
    pub fn try_submit(&self, request: Request) -> Result<Handle, SubmitError> {
        self.put(request, Some(Instant::now()))
    }

    fn put(&self, request: Request, until: Option<Instant>) -> Result<Handle, SubmitError> {
        // The run's own need is known when it begins. Its states alone must fit, so that sizes do not overflow on the way.
        if request.items.checked_mul(self.dim).is_none_or(|states| states > self.request_numbers) {
            let (items, dim, most) = (request.items, self.dim, self.request_numbers);
            return Err(SubmitError::Size { items, dim, most, request: Box::new(request) });
        }
        let given = self.queue.put(request, until, || {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            self.counters.submitted.fetch_add(1, Ordering::Relaxed);
            let ticket = Arc::new(Ticket::new(id, Arc::clone(&self.counters)));
            (Owed(Arc::clone(&ticket)), Handle::new(ticket, Arc::downgrade(&self.queue)))
        });
        if matches!(given, Err(SubmitError::Busy { .. })) {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        given
    }

    /// What it has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let (waiting, running) = self.queue.size();
        self.counters.read(waiting, running)
    }

    /// Takes no more requests, finishes those that are there, and waits for that. Called from one of its own threads (by a
    /// guard or a waker, say), it does not wait.
    pub fn shutdown(&self) {
        self.close(Mode::Draining);
    }

    /// Takes no more requests, answers [`RequestError::Aborted`] to all that are not done, and waits for the calls under way.
    /// It cuts a [`shutdown`](Self::shutdown) short that another thread waits for. Called from one of its own threads, it does
    /// not wait: the thread ends after its turn.
    pub fn abort(&self) {
        self.close(Mode::Aborting);
    }

    fn close(&self, mode: Mode) {
        self.queue.close(mode);
        if self.queue.is_own_thread() {
            return;
        }
        // Whoever closes waits for all threads, whichever of them joins which.
        self.queue.wait_for_end();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // It has ended, and throws nothing.
            drop(thread.join());
        }
    }
}

/// Drops what is the caller's in part (a request's guard, say) and so may throw: that is no matter of other requests.
fn put_away<T>(it: T) {
    drop(catch_unwind(AssertUnwindSafe(|| drop(it))));
}

impl Drop for Pipeline {
    /// [Aborts](Pipeline::abort).
    fn drop(&mut self) {
        self.abort();
    }
}
