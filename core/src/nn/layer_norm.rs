//! Layer normalisation over the last axis.

use super::shape::{self, ShapeError};
use super::simd::{LANES, reduce};
use super::{Kernel, Scalar, dispatch, sum};

/// Added to the variance, PyTorch's default.
pub const EPSILON: f64 = 1e-5;

/// `y = (x - mean) / sqrt(var + 1e-5) * weight + bias`, row by row.
///
/// x and y are [n, width], weight and bias `[width]`; mean and (biased) variance are the row's own.
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
pub fn layer_norm<T: Scalar>(x: &[T], weight: &[T], bias: &[T], y: &mut [T]) -> Result<(), ShapeError> {
    check(x, weight, bias, y)?;
    dispatch(LayerNorm { x, weight, bias, y, stats: None });
    Ok(())
}

/// [`layer_norm`], and each row's mean and reciprocal standard deviation into `stats` [n, 2] for the backward pass.
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
pub fn layer_norm_with_stats<T: Scalar>(
    x: &[T],
    weight: &[T],
    bias: &[T],
    y: &mut [T],
    stats: &mut [T],
) -> Result<(), ShapeError> {
    let rows = check(x, weight, bias, y)?;
    shape::expect("stats", 2 * rows, stats.len())?;
    dispatch(LayerNorm { x, weight, bias, y, stats: Some(stats) });
    Ok(())
}

fn check<T>(x: &[T], weight: &[T], bias: &[T], y: &[T]) -> Result<usize, ShapeError> {
    let rows = shape::rows("x", x.len(), weight.len())?;
    shape::expect("bias", weight.len(), bias.len())?;
    shape::expect("y", x.len(), y.len())?;
    Ok(rows)
}

struct LayerNorm<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    bias: &'a [T],
    y: &'a mut [T],
    stats: Option<&'a mut [T]>,
}

impl<T: Scalar> Kernel for LayerNorm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, weight, bias, y, mut stats } = self;
        let width = weight.len();
        let reciprocal = T::ONE / T::from_f64(width as f64);
        let epsilon = T::from_f64(EPSILON);
        for (row, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
            let mean = sum(x) * reciprocal;
            let variance = squared_distance(x, mean) * reciprocal;
            let inverse = T::ONE / (variance + epsilon).sqrt();
            for (((y, &x), &weight), &bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                *y = (x - mean) * inverse * weight + bias;
            }
            if let Some(slots) = stats.as_deref_mut().and_then(|s| s.get_mut(2 * row..2 * row + 2)) {
                slots.copy_from_slice(&[mean, inverse]);
            }
        }
    }
}

/// `sum_i (x[i] - mean)^2`, in lanes: the difference comes first, so that a large mean cancels nothing.
#[inline(always)]
fn squared_distance<T: Scalar>(x: &[T], mean: T) -> T {
    let mut acc = [T::ZERO; LANES];
    let chunks = x.chunks_exact(LANES);
    let tail = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            let d = chunk[lane] - mean;
            acc[lane] += d * d;
        }
    }
    let mut total = reduce(acc);
    for &value in tail {
        let d = value - mean;
        total += d * d;
    }
    total
}
