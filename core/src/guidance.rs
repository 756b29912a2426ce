//! Classifier-free guidance.

use crate::{Batch, Denoiser, HostTensor, Real, Tensor, math};
use core::fmt;
use core::ops::Range;

/// Classifier-free guidance (arXiv 2207.12598): one call of a batch of two.
///
/// ```text
/// out = uncond + w (cond - uncond)
/// out <- (r std(cond)/std(out) + 1 - r) out                  rescale r, per row (arXiv 2305.08891, section 3.4)
/// ```
///
/// The wrapped denoiser is shown `2 n` rows for the sampler's `n`: all without their condition, then all with it;
/// [`Row::conditional`](crate::Row::conditional) says which. `w = 1` and `w = 0` show it `n` rows, and what comes out is
/// the conditional or the unconditional output to the bit.
///
/// `frames`, of the caller's memory, hold the call: [`Guided::rows`] of them. On a device they are [`SpareRows`] of the run's
/// own frames, and there is no rescaling. A [`Guarded`](crate::Guarded) denoiser goes
/// outside: `Guarded::new(Guided::new(..), guard)`.
///
/// ```
/// use picardy::{Batch, Guided, Real, SliceFrames, denoiser};
/// // A network whose output is its condition's number, or 0 without one.
/// let network = denoiser::from_fn(|batch: &Batch<'_>, _: &[f32], out: &mut [f32]| {
///     for (row, out) in batch.iter().zip(out) {
///         *out = if row.conditional { 0.5 } else { 0.0 };
///     }
///     Ok::<(), core::convert::Infallible>(())
/// });
/// let mut memory = [0.0f32; 4 * 8]; // states of one number, up to eight rows a call
/// let guided = Guided::new(network, SliceFrames::new(&mut memory, 1), 7.5).rescaled(0.7);
/// # let _ = guided;
/// ```
#[derive(Debug)]
pub struct Guided<D, S> {
    /// The network.
    pub denoiser: D,
    /// `w`. Any finite number; 1 is no guidance.
    pub weight: f64,
    /// `r`, 0 for none, 1 for all.
    pub rescale: f64,
    frames: S,
}

/// Why a guided evaluation failed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum GuidedError<E> {
    /// The wrapped denoiser failed.
    Denoiser(E),
    /// The frames do not hold the call.
    Frames {
        /// The rows that the call takes.
        needed: usize,
        /// The rows that there are.
        given: usize,
    },
    /// The frames' rows have another length than the sampler's.
    Dim {
        /// The numbers in a state.
        needed: usize,
        /// The numbers in a row of the frames.
        given: usize,
    },
    /// The weight is not finite.
    Weight(f64),
    /// The rescaling lies outside [0, 1].
    Rescale(f64),
    /// Rescaling is asked for, which takes the numbers of each row, and the rows are on a device.
    RescaleOnRows(f64),
    /// The wrapped denoiser has a guard, which would not be asked.
    Guarded,
}

impl<E: fmt::Display> fmt::Display for GuidedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denoiser(error) => error.fmt(f),
            Self::Frames { needed, given } => {
                write!(f, "guidance has {given} rows, the call needs {needed}; give it that many")
            }
            Self::Dim { needed, given } => {
                write!(
                    f,
                    "guidance has rows of {given} numbers, states have {needed}; give it rows of {needed}"
                )
            }
            Self::Weight(weight) => write!(f, "guidance weight {weight}; give a finite number, 1 for none"),
            Self::Rescale(rescale) => {
                write!(f, "guidance rescale {rescale} lies outside [0, 1]; 0 is none, 0.7 is usual")
            }
            Self::RescaleOnRows(rescale) => write!(
                f,
                "guidance rescale {rescale} needs rows in host memory; give 0, or frames of their own in the place of SpareRows"
            ),
            Self::Guarded => {
                write!(f, "the guard stands inside the guidance; put it outside: Guarded around Guided")
            }
        }
    }
}

impl<E: core::error::Error> core::error::Error for GuidedError<E> {}

/// Rows behind those of the run, in the run's own frames: where [`Guided`] holds a call on a device.
///
/// ```
/// use picardy::{Guided, SpareRows};
/// # fn of<D>(network: D, need: picardy::Need) -> Guided<D, SpareRows> {
/// // A run of `need`, whose calls have up to 64 rows; the workspace's frames have `need.rows + 256`.
/// let spare = SpareRows { first: need.rows, rows: Guided::<D, SpareRows>::rows(64) };
/// Guided::new(network, spare, 7.5)
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpareRows {
    /// The first of them: [`Need::rows`](crate::Need::rows) of the run.
    pub first: usize,
    /// Their number: [`Guided::rows`].
    pub rows: usize,
}

impl<D, S> Guided<D, S> {
    /// Guides `denoiser` with this weight; `frames` hold a call's rows.
    pub const fn new(denoiser: D, frames: S, weight: f64) -> Self {
        Self { denoiser, weight, rescale: 0.0, frames }
    }

    /// With the rescaling of outputs.
    #[must_use]
    pub fn rescaled(self, rescale: f64) -> Self {
        Self { rescale, ..self }
    }

    /// The rows of frames that a call of `rows` takes: states and outputs, twice each.
    pub const fn rows(rows: usize) -> usize {
        4 * rows
    }

    /// The parts of a call. The half that has no weight is left out.
    fn parts(&self) -> &'static [bool] {
        if self.weight == 1.0 {
            &[true]
        } else if self.weight == 0.0 {
            &[false]
        } else {
            &[false, true]
        }
    }

    fn check_settings<E, F: Tensor + ?Sized>(&mut self) -> Result<(), GuidedError<E>>
    where
        D: Denoiser<F>,
    {
        if self.denoiser.guard().is_some() {
            return Err(GuidedError::Guarded);
        }
        if !self.weight.is_finite() {
            return Err(GuidedError::Weight(self.weight));
        }
        if !(0.0..=1.0).contains(&self.rescale) {
            return Err(GuidedError::Rescale(self.rescale));
        }
        Ok(())
    }
}

impl<D, S: HostTensor> Guided<D, S> {
    fn check<E>(&mut self, dim: usize, needed: usize) -> Result<(), GuidedError<E>>
    where
        D: Denoiser<S>,
    {
        self.check_settings()?;
        if self.frames.dim() != dim {
            return Err(GuidedError::Dim { needed: dim, given: self.frames.dim() });
        }
        if self.frames.rows() < needed {
            return Err(GuidedError::Frames { needed, given: self.frames.rows() });
        }
        Ok(())
    }
}

impl<F, D, S> Denoiser<F> for Guided<D, S>
where
    F: HostTensor + ?Sized,
    S: HostTensor + Tensor<Scalar = F::Scalar>,
    D: Denoiser<S>,
{
    type Error = GuidedError<D::Error>;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Self::Error> {
        let parts = self.parts();
        let (n, dim) = (batch.len(), frames.dim());
        let call = batch.in_parts(parts);
        let rows = call.len();
        self.check(dim, 2 * rows)?;
        let (x, out) = frames.slices(x, out);
        for (i, x) in x.chunks(dim.max(1)).enumerate() {
            for part in 0..parts.len() {
                self.frames.load(part * n + i, x);
            }
        }
        self.denoiser
            .evaluate(&call, &mut self.frames, 0..rows, rows..2 * rows)
            .map_err(GuidedError::Denoiser)?;
        for (i, out) in out.chunks_mut(dim.max(1)).enumerate() {
            let (first, last) = (rows + i, 2 * rows - n + i);
            if first != last {
                // From the conditional side: its rounding is the smaller, the nearer w is to 1.
                self.frames.extrapolate(first, last, self.weight - 1.0, last, first);
                if self.rescale > 0.0 {
                    let ratio = deviation(self.frames.row_mut(last)) / deviation(self.frames.row_mut(first));
                    // A constant row has no contrast to bring back.
                    if ratio.is_finite() {
                        let factor = self.rescale * ratio + 1.0 - self.rescale;
                        self.frames.combine(first, &[(factor, first)]);
                    }
                }
            }
            self.frames.store(first, out);
        }
        Ok(())
    }
}

/// The same by operations on rows alone, which a device records and runs with the sampler's own.
impl<F: Tensor + ?Sized, D: Denoiser<F>> Denoiser<F> for Guided<D, SpareRows> {
    type Error = GuidedError<D::Error>;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Self::Error> {
        self.check_settings()?;
        if self.rescale > 0.0 {
            return Err(GuidedError::RescaleOnRows(self.rescale));
        }
        let parts = self.parts();
        if parts.len() == 1 {
            return self
                .denoiser
                .evaluate(&batch.in_parts(parts), frames, x, out)
                .map_err(GuidedError::Denoiser);
        }
        let (n, call) = (batch.len(), batch.in_parts(parts));
        let SpareRows { first, rows } = self.frames;
        let there = frames.rows().saturating_sub(first).min(rows);
        // The sampler's own rows come first: no row may serve both.
        if there < 4 * n || first < x.end || first < out.end {
            let given = if first < x.end.max(out.end) { 0 } else { there };
            return Err(GuidedError::Frames { needed: 4 * n, given });
        }
        for (i, x) in x.enumerate() {
            frames.combine(first + i, &[(1.0, x)]);
            frames.combine(first + n + i, &[(1.0, x)]);
        }
        let said = first + 2 * n;
        self.denoiser
            .evaluate(&call, frames, first..said, said..said + 2 * n)
            .map_err(GuidedError::Denoiser)?;
        for (i, out) in out.enumerate() {
            let (uncond, cond) = (said + i, said + n + i);
            // From the conditional side, as above.
            frames.extrapolate(out, cond, self.weight - 1.0, cond, uncond);
        }
        Ok(())
    }
}

/// The standard deviation of a row's numbers.
fn deviation<T: Real>(row: &[T]) -> f64 {
    let n = row.len() as f64;
    let mean = row.iter().map(|x| x.to_f64()).sum::<f64>() / n;
    let square = row.iter().map(|x| (x.to_f64() - mean) * (x.to_f64() - mean)).sum::<f64>() / n;
    math::sqrt(square)
}
