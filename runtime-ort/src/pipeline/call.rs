//! One call of the denoiser, made of the rows of many runs.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use picardy::{Batch, Denoiser, HostTensor, SliceFrames};

use super::{
    error::RequestError,
    metrics::Counters,
    rows::{BoxError, RequestRow, RowDenoiser},
};

/// What a run asks for in its round, and as many of the outputs as there are. The rows of a wide run go into several calls.
#[derive(Debug, Default)]
pub(super) struct Ask {
    rows: Vec<RequestRow>,
    x: Vec<f32>,
    out: Vec<f32>,
    /// The rows whose outputs are there: the first ones.
    filled: usize,
    /// Whether the run waits for them.
    is_open: bool,
}

impl Ask {
    fn open(&mut self, rows: impl Iterator<Item = RequestRow>, x: &[f32]) {
        self.rows.clear();
        self.rows.extend(rows);
        self.x.clear();
        self.x.extend_from_slice(x);
        self.out.clear();
        self.out.resize(x.len(), f32::NAN);
        (self.filled, self.is_open) = (0, true);
    }

    /// Forgets the rows.
    pub(super) fn close(&mut self) {
        self.is_open = false;
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether all outputs are there.
    pub(super) fn is_full(&self) -> bool {
        self.is_open && self.filled == self.rows.len()
    }

    /// The rows without outputs.
    pub(super) fn left(&self) -> usize {
        if self.is_open { self.rows.len() - self.filled } else { 0 }
    }
}

/// One call's rows, gathered from several runs.
#[derive(Debug, Default)]
pub(super) struct Call {
    rows: Vec<RequestRow>,
    x: Vec<f32>,
    out: Vec<f32>,
    dim: usize,
}

/// Denoisers that several drivers may share.
pub(super) type Shared = Arc<Mutex<Box<dyn RowDenoiser>>>;

/// Why rows were not evaluated.
#[derive(Clone, Debug)]
pub(super) enum CallError {
    Failed(Arc<BoxError>),
    Panicked(String),
}

impl From<CallError> for RequestError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(error) => Self::Denoiser(error),
            CallError::Panicked(said) => Self::Panicked(said),
        }
    }
}

impl Call {
    pub(super) fn new(dim: usize) -> Self {
        Self { dim, ..Self::default() }
    }

    /// Evaluates the next rows of every part (a run, and how many of its rows) in one call, filled up to a `multiple`.
    pub(super) fn evaluate(
        &mut self,
        parts: &[(&Slot, usize)],
        multiple: usize,
        denoiser: &Shared,
        counters: &Counters,
    ) -> Result<(), CallError> {
        let dim = self.dim;
        let count: usize = parts.iter().map(|(_, count)| count).sum();
        let asked = count.next_multiple_of(multiple);
        if let ([(slot, _)], true) = (parts, asked == count) {
            // One run's: from where they are to where they go.
            let mut ask = slot.ask.borrow_mut();
            let Ask { rows, x, out, filled, .. } = &mut *ask;
            let (range, numbers) = (*filled..*filled + count, *filled * dim..(*filled + count) * dim);
            run(&rows[range], &x[numbers.clone()], &mut out[numbers], count, denoiser, counters)?;
            *filled += count;
            return Ok(());
        }
        self.rows.clear();
        self.x.clear();
        for (slot, count) in parts {
            let ask = slot.ask.borrow();
            let rows = ask.filled..ask.filled + count;
            self.x.extend_from_slice(&ask.x[rows.start * dim..rows.end * dim]);
            self.rows.extend_from_slice(&ask.rows[rows]);
        }
        for _ in count..asked {
            self.rows.extend(self.rows.last().copied());
            self.x.extend_from_within((count - 1) * dim..count * dim);
        }
        self.out.clear();
        self.out.resize(self.x.len(), f32::NAN);
        run(&self.rows, &self.x, &mut self.out, count, denoiser, counters)?;
        let mut at = 0;
        for (slot, count) in parts {
            let mut ask = slot.ask.borrow_mut();
            let begin = ask.filled * dim;
            ask.out[begin..begin + count * dim].copy_from_slice(&self.out[at * dim..(at + count) * dim]);
            ask.filled += count;
            at += count;
        }
        Ok(())
    }
}

/// Calls a denoiser and counts it, with `count` rows that are not there to fill up a shape.
fn run(
    rows: &[RequestRow],
    x: &[f32],
    out: &mut [f32],
    count: usize,
    denoiser: &Shared,
    counters: &Counters,
) -> Result<(), CallError> {
    let mut denoiser = denoiser.lock().unwrap_or_else(PoisonError::into_inner);
    // From here, as the time before was another driver's.
    let started = Instant::now();
    let called = catch_unwind(AssertUnwindSafe(|| denoiser.evaluate(rows, x, out)));
    let took = started.elapsed();
    drop(denoiser);
    let result = match called {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CallError::Failed(Arc::new(error))),
        Err(panic) => Err(CallError::Panicked(said(&*panic))),
    };
    counters.call(count, took.as_nanos(), result.is_ok());
    result
}

/// What a panic said.
pub(super) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Where a run stands between its polls.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) ask: RefCell<Ask>,
    /// It is to give what it has.
    pub(super) stop: Cell<bool>,
    pub(super) rounds: Cell<usize>,
}

/// The run must wait for its outputs.
#[derive(Debug)]
pub(super) struct NotYet;

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the outputs are not there yet")
    }
}

/// A run's denoiser.
///
/// Asked for the first time in a round, it keeps the rows for the driver and fails. A round that failed so is asked for again,
/// with the same rows, when all of them have been evaluated: then it gives the outputs.
pub(super) struct Tap {
    pub(super) slot: Rc<Slot>,
    pub(super) tag: u64,
}

impl<'f> Denoiser<SliceFrames<'f, f32>> for Tap {
    type Error = NotYet;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut SliceFrames<'f, f32>,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), NotYet> {
        let (x, out) = frames.slices(x, out);
        let mut ask = self.slot.ask.borrow_mut();
        let tag = self.tag;
        let rows = batch.iter().map(|row| RequestRow { tag, row });
        // The rows are the same, which is the sampler's promise, looked at all the same: outputs of other rows would be a
        // wrong sample.
        if ask.is_full() && ask.out.len() == out.len() && ask.rows.iter().copied().eq(rows.clone()) {
            ask.close();
            out.copy_from_slice(&ask.out);
            return Ok(());
        }
        ask.open(rows, x);
        Err(NotYet)
    }
}
