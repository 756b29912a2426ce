//! Imagen's dynamic threshold.

use super::{Guard, GuardError};
use crate::{HostTensor, Real, Row};

/// Dynamic thresholding (Imagen, arXiv 2205.11487, section 2.3), per item:
///
/// ```text
/// s  = min(max(quantile_p |x0|, floor), ceiling)
/// x0 <- min(max(x0, -s), s) / s
/// ```
///
/// The quantile is exact, between order statistics linear, and found by bisection on counts: some ten to thirty
/// passes over the state, no memory.
///
/// ```
/// use picardy::guard::{DynamicThreshold, GuardError};
/// assert!(DynamicThreshold::new(0.995).is_ok());
/// assert_eq!(DynamicThreshold::new(0.0), Err(GuardError::Quantile(0.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicThreshold {
    quantile: f64,
    floor: f64,
    ceiling: f64,
}

impl DynamicThreshold {
    /// The paper's: `floor` 1, no ceiling.
    ///
    /// # Errors
    /// [`GuardError::Quantile`] outside (0, 1].
    pub const fn new(quantile: f64) -> Result<Self, GuardError> {
        Self::within(quantile, 1.0, f64::INFINITY)
    }

    /// With other bounds of `s`; diffusers' `sample_max_value` is the ceiling (1 there, which makes it a clamp).
    ///
    /// # Errors
    /// [`GuardError::Quantile`] outside (0, 1], [`GuardError::Bounds`] unless `0 < floor <= ceiling`, `floor` finite.
    pub const fn within(quantile: f64, floor: f64, ceiling: f64) -> Result<Self, GuardError> {
        if !(quantile > 0.0 && quantile <= 1.0) {
            return Err(GuardError::Quantile(quantile));
        }
        if !(floor > 0.0 && floor <= ceiling && floor.is_finite()) {
            return Err(GuardError::Bounds { floor, ceiling });
        }
        Ok(Self { quantile, floor, ceiling })
    }
}

impl<F: HostTensor + ?Sized> Guard<F> for DynamicThreshold {
    fn apply(&mut self, _: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        let x0 = frames.row_mut(row);
        let s = magnitude_quantile(x0, self.quantile).max(self.floor).min(self.ceiling);
        let (s, one) = (F::Scalar::from_f64(s), F::Scalar::ONE);
        for x in x0 {
            // Compared before dividing, so that the limits are exact; NaN stays.
            *x = if *x > s {
                one
            } else if *x < -s {
                -one
            } else {
                *x / s
            };
        }
        Ok(())
    }
}

/// `quantile_p |x|`: with `h = p (n - 1)`, between the order statistics below and above `h`, linear.
fn magnitude_quantile<T: Real>(x: &[T], p: f64) -> f64 {
    let Some(last) = x.len().checked_sub(1) else { return 0.0 };
    let h = p * last as f64;
    let (below, part) = (h as usize, h - (h as usize) as f64);
    let low = magnitude(x, below);
    if part == 0.0 {
        return low;
    }
    let high = magnitude(x, below + 1);
    low + part * (high - low)
}

/// The `k`-th smallest magnitude, counted from 0. NaN counts as the largest.
///
/// Magnitudes order as their bits do. Each pass halves the bits between the bounds and draws both to magnitudes that
/// are there, so that the passes end as soon as the bounds meet.
fn magnitude<T: Real>(x: &[T], k: usize) -> f64 {
    let bits = |x: &T| x.to_f64().to_bits() & !(1 << 63);
    let (mut low, mut high) = (u64::MAX, 0);
    for b in x.iter().map(bits) {
        low = low.min(b);
        high = high.max(b);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        let (mut count, mut largest_below, mut smallest_above) = (0, low, high);
        for b in x.iter().map(bits) {
            if b <= middle {
                count += 1;
                largest_below = largest_below.max(b);
            } else {
                smallest_above = smallest_above.min(b);
            }
        }
        if count > k { high = largest_below } else { low = smallest_above }
    }
    f64::from_bits(low)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_quantile_is_the_sorted_one() {
        for n in [1usize, 2, 3, 10, 257] {
            let x: Vec<f32> =
                (0..n).map(|i| ((i * 7919 % 263) as f32 - 131.0) * 1.7e-3 * (i % 5) as f32).collect();
            let mut sorted: Vec<f64> = x.iter().map(|x| f64::from(x.abs())).collect();
            sorted.sort_by(f64::total_cmp);
            for p in [1e-9, 0.1, 0.5, 0.9, 0.995, 1.0] {
                let h = p * (n - 1) as f64;
                let (i, part) = (h.floor() as usize, h.fract());
                let expected = sorted[i] + part * (sorted[(i + 1).min(n - 1)] - sorted[i]);
                assert_eq!(magnitude_quantile(&x, p), expected, "{n} {p}");
            }
        }
        assert_eq!(magnitude_quantile::<f32>(&[], 0.5), 0.0);
        assert!(magnitude(&[1.0f32, f32::NAN, -2.0], 1) == 2.0);
        assert!(magnitude(&[1.0f32, f32::NAN, -2.0], 2).is_nan());
    }
}
