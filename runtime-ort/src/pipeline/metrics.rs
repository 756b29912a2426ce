//! What a pipeline has done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{error::RequestError, handle::Sample};

/// The classes of [`Metrics::calls_by_rows`].
pub const CLASSES: usize = 16;

/// What a pipeline has done so far.
///
/// `submitted = done + late + cancelled + expired + aborted + failed + waiting + running`, once all is at rest: the numbers
/// are read one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Requests taken.
    pub submitted: u64,
    /// Requests not taken, as too many waited.
    pub refused: u64,
    /// Requests that gave their samples.
    pub done: u64,
    /// Requests that gave the best they had at their deadline.
    pub late: u64,
    /// Requests cancelled, or whose handle was dropped.
    pub cancelled: u64,
    /// Requests whose deadline passed.
    pub expired: u64,
    /// Requests ended by an abort.
    pub aborted: u64,
    /// Requests that could not be sampled.
    pub failed: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests that are being sampled.
    pub running: u64,
    /// Calls of the denoisers, those that failed included.
    pub calls: u64,
    /// Calls that failed or panicked. The requests of a failed call are asked for again, each alone.
    pub failed_calls: u64,
    /// Rows in the calls, rows that fill up a shape not counted.
    pub rows: u64,
    /// Nanoseconds that the denoisers took.
    pub call_nanos: u64,
    /// Calls of 1 row, of 2 to 3, of 4 to 7, and so on; the last class has all larger ones.
    pub calls_by_rows: [u64; CLASSES],
}

impl Metrics {
    /// The mean rows of a call; 0 before the first.
    #[must_use]
    pub fn mean_rows(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.rows as f64 / self.calls as f64 }
    }

    /// The requests that have been answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.done + self.late + self.cancelled + self.expired + self.aborted + self.failed
    }
}

/// The numbers as they are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) submitted: AtomicU64,
    pub(super) refused: AtomicU64,
    done: AtomicU64,
    late: AtomicU64,
    cancelled: AtomicU64,
    expired: AtomicU64,
    aborted: AtomicU64,
    failed: AtomicU64,
    calls: AtomicU64,
    failed_calls: AtomicU64,
    rows: AtomicU64,
    call_nanos: AtomicU64,
    calls_by_rows: [AtomicU64; CLASSES],
}

impl Counters {
    /// Counts an answer.
    pub(super) fn answer(&self, answer: &Result<Sample, RequestError>) {
        let counter = match answer {
            Ok(sample) if sample.late => &self.late,
            Ok(_) => &self.done,
            Err(RequestError::Cancelled) => &self.cancelled,
            Err(RequestError::Expired { .. }) => &self.expired,
            Err(RequestError::Aborted) => &self.aborted,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts a call.
    pub(super) fn call(&self, rows: usize, nanos: u128, well: bool) {
        self.calls.fetch_add(1, Relaxed);
        self.failed_calls.fetch_add(u64::from(!well), Relaxed);
        self.rows.fetch_add(rows as u64, Relaxed);
        self.call_nanos.fetch_add(nanos as u64, Relaxed);
        let class = (rows.max(1).ilog2() as usize).min(CLASSES - 1);
        if let Some(class) = self.calls_by_rows.get(class) {
            class.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn read(&self, waiting: usize, running: usize) -> Metrics {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Metrics {
            submitted: read(&self.submitted),
            refused: read(&self.refused),
            done: read(&self.done),
            late: read(&self.late),
            cancelled: read(&self.cancelled),
            expired: read(&self.expired),
            aborted: read(&self.aborted),
            failed: read(&self.failed),
            waiting: waiting as u64,
            running: running as u64,
            calls: read(&self.calls),
            failed_calls: read(&self.failed_calls),
            rows: read(&self.rows),
            call_nanos: read(&self.call_nanos),
            calls_by_rows: std::array::from_fn(|i| self.calls_by_rows.get(i).map_or(0, read)),
        }
    }
}
