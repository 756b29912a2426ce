//! One call of the network, spread over threads.

extern crate std;

use crate::{Batch, Denoiser, HostTensor, Real, SliceFrames, Tensor};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use std::{io, panic, thread};

/// Several denoisers that evaluate one call together: each takes as many of its rows, one behind the other, on a thread of
/// its own.
///
/// Give one denoiser per thread: copies over the same weights with scratch of their own, or sessions on several devices.
/// Rows do not influence each other, so the result is that of one denoiser; to the bit where a denoiser's arithmetic does not
/// depend on how many rows it is shown (the networks of [`nn`](crate::nn)).
///
/// Threads live for one call. The caller's takes the first rows; a call of fewer than 2 x [`least_rows`](Self::least_rows)
/// rows starts none. Rows are copied to memory of the thread's, which grows to what a call takes and is kept.
///
/// [`Guarded`](crate::Guarded) and [`Guided`](crate::Guided) go around it. A denoiser of [`from_fn`](crate::denoiser::from_fn)
/// must be of a function that is `Send`.
///
/// ```
/// use picardy::{Betas, Ddpm, Level, Memory, Mixture, Node, Noise, Picard, Prediction, Sampler, Solver, Threaded};
/// let one = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let mut denoiser = Threaded::new(vec![one; 2]); // two threads
///
/// let (mut levels, mut nodes) = ([Level::default(); 51], [Node::default(); 51]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(50, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let (noise, mut memory, mut x) = (Noise::seeded(7), Memory::new(), [0.0f64; 8]);
/// plan.start(&noise, 1, &mut x);
/// let mut workspace = memory.workspace(Picard::default().need(&plan, 8), 1);
/// Picard::default().run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Threaded<D, T> {
    workers: Vec<Worker<D, T>>,
    least: usize,
}

/// A denoiser and the rows it works on.
#[derive(Clone, Debug)]
struct Worker<D, T> {
    denoiser: D,
    memory: Vec<T>,
}

/// Why a call on several threads failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadedError<E> {
    /// A denoiser's error: of those that failed, the one with the first rows.
    Denoiser(E),
    /// There is no denoiser.
    Empty,
    /// A wrapped denoiser has a guard, which would not be asked.
    Guarded,
    /// The system starts no thread.
    Spawn(io::ErrorKind),
}

impl<E: fmt::Display> fmt::Display for ThreadedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denoiser(error) => error.fmt(f),
            Self::Empty => write!(f, "0 denoisers evaluate nothing; give one for each thread"),
            Self::Guarded => {
                write!(f, "the guard stands inside the threads; put it outside: Guarded around Threaded")
            }
            Self::Spawn(kind) => {
                write!(f, "the system starts no further thread ({kind}); give fewer denoisers")
            }
        }
    }
}

impl<E: core::error::Error> core::error::Error for ThreadedError<E> {}

impl<D, T> Threaded<D, T> {
    /// One thread for each denoiser.
    pub fn new(denoisers: Vec<D>) -> Self {
        let worker = |denoiser| Worker { denoiser, memory: Vec::new() };
        Self { workers: denoisers.into_iter().map(worker).collect(), least: 8 }
    }

    /// The fewest rows for which a thread is worth its start (some 20 microseconds): 8 where nothing is said, 0 counts
    /// as 1.
    #[must_use]
    pub fn least_rows(self, rows: usize) -> Self {
        Self { least: rows, ..self }
    }

    /// The denoisers back.
    pub fn into_inner(self) -> impl Iterator<Item = D> {
        self.workers.into_iter().map(|worker| worker.denoiser)
    }
}

impl<D, T: Real> Worker<D, T> {
    /// Evaluates the rows of `batch`.
    fn evaluate<E>(
        &mut self,
        batch: &Batch<'_>,
        dim: usize,
        x: &[T],
        out: &mut [T],
    ) -> Result<(), ThreadedError<E>>
    where
        D: for<'a> Denoiser<SliceFrames<'a, T>, Error = E>,
    {
        let (n, len) = (batch.len(), x.len());
        if self.memory.len() < 2 * len {
            self.memory.resize(2 * len, T::ZERO);
        }
        let memory = self.memory.get_mut(..2 * len).unwrap_or(&mut []);
        for (to, from) in memory.iter_mut().zip(x) {
            *to = *from;
        }
        let mut frames = SliceFrames::new(memory, dim);
        if self.denoiser.guard().is_some() {
            return Err(ThreadedError::Guarded);
        }
        self.denoiser.evaluate(batch, &mut frames, 0..n, n..2 * n).map_err(ThreadedError::Denoiser)?;
        for (to, from) in out.iter_mut().zip(self.memory.iter().skip(len)) {
            *to = *from;
        }
        Ok(())
    }
}

impl<F, D, T, E> Denoiser<F> for Threaded<D, T>
where
    F: HostTensor + Tensor<Scalar = T> + ?Sized,
    T: Real,
    D: for<'a> Denoiser<SliceFrames<'a, T>, Error = E> + Send,
    E: Send,
{
    type Error = ThreadedError<E>;

    /// # Panics
    /// Where a denoiser does: with the same payload.
    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Self::Error> {
        let (dim, rows) = (frames.dim(), batch.len());
        let threads = self.workers.len().min(rows / self.least.max(1)).max(1);
        let each = rows.div_ceil(threads).max(1);
        let (x, out) = frames.slices(x, out);
        let numbers = each.saturating_mul(dim).max(1);
        let parts = x.chunks(numbers).zip(out.chunks_mut(numbers)).enumerate();
        let mut jobs = self.workers.iter_mut().zip(parts).map(|(worker, (i, (x, out)))| {
            let part = batch.part(i * each..(i + 1) * each);
            move || worker.evaluate(&part, dim, x, out)
        });
        let Some(mut first) = jobs.next() else {
            return if rows == 0 { Ok(()) } else { Err(ThreadedError::Empty) };
        };
        thread::scope(|scope| {
            let spawn = |job| thread::Builder::new().spawn_scoped(scope, job);
            let others: Vec<_> = jobs.map(spawn).collect();
            let mut result = first();
            for other in others {
                let other = match other.map(thread::ScopedJoinHandle::join) {
                    Ok(Ok(done)) => done,
                    Ok(Err(payload)) => panic::resume_unwind(payload),
                    Err(error) => Err(ThreadedError::Spawn(error.kind())),
                };
                result = result.and(other);
            }
            result
        })
    }
}
