//! How much of a run is the network.

use picardy::guard::Guard;
use picardy::{Batch, Denoiser, Tensor};
use std::ops::Range;
use std::time::{Duration, Instant};

/// A denoiser that adds up the time spent inside.
#[derive(Debug)]
pub struct Timed<D> {
    /// The denoiser.
    pub inner: D,
    /// The time spent inside.
    pub spent: Duration,
}

impl<D> Timed<D> {
    /// No time spent yet.
    pub fn new(inner: D) -> Self {
        Self { inner, spent: Duration::ZERO }
    }
}

impl<F: Tensor + ?Sized, D: Denoiser<F>> Denoiser<F> for Timed<D> {
    type Error = D::Error;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), D::Error> {
        let start = Instant::now();
        let result = self.inner.evaluate(batch, frames, x, out);
        self.spent += start.elapsed();
        result
    }

    fn guard(&mut self) -> Option<&mut dyn Guard<F>> {
        self.inner.guard()
    }
}
