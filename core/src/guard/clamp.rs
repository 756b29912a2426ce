//! A range for every coordinate.

use super::{Guard, GuardError};
use crate::{HostTensor, Real, Row};

/// `x0 <- min(max(x0, low), high)`: diffusers' `clip_sample`. Either end may be infinite.
///
/// ```
/// use picardy::guard::{Clamp, GuardError};
/// assert!(Clamp::new(-1.0, 1.0).is_ok());
/// assert_eq!(Clamp::new(1.0, -1.0), Err(GuardError::Range { low: 1.0, high: -1.0 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    low: f64,
    high: f64,
}

impl Clamp {
    /// Limits every coordinate to `low ..= high`.
    ///
    /// # Errors
    /// [`GuardError::Range`] unless `low < high`.
    pub const fn new(low: f64, high: f64) -> Result<Self, GuardError> {
        if low < high { Ok(Self { low, high }) } else { Err(GuardError::Range { low, high }) }
    }

    /// `-limit ..= limit`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub const fn symmetric(limit: f64) -> Result<Self, GuardError> {
        Self::new(-limit, limit)
    }

    /// The two limits.
    pub const fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }
}

impl<F: HostTensor + ?Sized> Guard<F> for Clamp {
    fn apply(&mut self, _: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        let (low, high) = (F::Scalar::from_f64(self.low), F::Scalar::from_f64(self.high));
        for x in frames.row_mut(row) {
            // NaN stays: the sampler finds it.
            if *x < low {
                *x = low;
            } else if *x > high {
                *x = high;
            }
        }
        Ok(())
    }

    fn keeps_finite(&self) -> bool {
        true
    }
}
