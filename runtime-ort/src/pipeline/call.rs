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

/// The rows of all runs of a driver, and their outputs.
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

/// How many rows go into one call, and to what multiple it is filled up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) most: usize,
    pub(super) multiple: usize,
}

impl Call {
    pub(super) fn new(dim: usize) -> Self {
        Self { dim, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.x.clear();
        self.out.clear();
    }

    /// The parts in which all rows are called: as few as may be, and nearly equal.
    pub(super) fn parts(
        &self,
        rows: Range<usize>,
        most: usize,
    ) -> impl Iterator<Item = Range<usize>> + use<> {
        let width = rows.len().div_ceil(rows.len().div_ceil(most).max(1)).max(1);
        rows.clone().step_by(width).map(move |start| start..rows.end.min(start + width))
    }

    /// Evaluates rows in one call.
    pub(super) fn evaluate(
        &mut self,
        rows: Range<usize>,
        shape: Shape,
        denoiser: &Shared,
        counters: &Counters,
    ) -> Result<(), CallError> {
        let (dim, count) = (self.dim, rows.len());
        self.out.resize(self.rows.len() * dim, f32::NAN);
        let asked = count.next_multiple_of(shape.multiple);
        let fill = (asked > count).then(|| self.filled(&rows, asked));
        let numbers = rows.start * dim..rows.end * dim;
        let mut denoiser = denoiser.lock().unwrap_or_else(PoisonError::into_inner);
        // From here, as the time before was another driver's.
        let started = Instant::now();
        let called = catch_unwind(AssertUnwindSafe(|| match fill {
            None => denoiser.evaluate(&self.rows[rows], &self.x[numbers.clone()], &mut self.out[numbers]),
            Some((rows, x, mut out)) => {
                denoiser.evaluate(&rows, &x, &mut out)?;
                let wanted = numbers.len();
                self.out[numbers].copy_from_slice(&out[..wanted]);
                Ok(())
            }
        }));
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

    /// Rows filled up with the last one.
    fn filled(&self, rows: &Range<usize>, asked: usize) -> (Vec<RequestRow>, Vec<f32>, Vec<f32>) {
        let numbers = rows.start * self.dim..rows.end * self.dim;
        let mut filled = self.rows[rows.clone()].to_vec();
        let mut x = self.x[numbers].to_vec();
        let last = x.len() - self.dim..x.len();
        for _ in rows.len()..asked {
            filled.extend(self.rows.get(rows.end - 1).copied());
            x.extend_from_within(last.clone());
        }
        let out = vec![f32::NAN; x.len()];
        (filled, x, out)
    }
}

/// What a panic said.
pub(super) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Where a run stands between its polls.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Its rows in the call; `None` where it has none there.
    pub(super) asks: RefCell<Option<Range<usize>>>,
    /// Whether their outputs are in the call.
    pub(super) is_served: Cell<bool>,
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
/// Asked for the first time in a round, it puts the rows into the call and fails. A round that failed so is asked for again,
/// with the same rows, when the call has been made: then it gives the outputs.
pub(super) struct Tap {
    pub(super) call: Rc<RefCell<Call>>,
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
        let mut call = self.call.borrow_mut();
        let asked = self.slot.asks.take();
        let tag = self.tag;
        let rows = batch.iter().map(|row| RequestRow { tag, row });
        if let (Some(asked), true) = (asked, self.slot.is_served.take()) {
            let numbers = asked.start * call.dim..asked.end * call.dim;
            // The sampler's promise, looked at all the same: outputs of other rows would be a wrong sample.
            let same = call.rows.get(asked).is_some_and(|asked| asked.iter().copied().eq(rows.clone()));
            if let (true, Some(outputs)) = (same, call.out.get(numbers).filter(|o| o.len() == out.len())) {
                out.copy_from_slice(outputs);
                return Ok(());
            }
        }
        let first = call.rows.len();
        call.rows.extend(rows);
        call.x.extend_from_slice(x);
        *self.slot.asks.borrow_mut() = Some(first..call.rows.len());
        Err(NotYet)
    }
}
