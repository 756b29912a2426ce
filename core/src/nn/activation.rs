//! The Gaussian error linear unit, in its exact form.

use super::shape::{self, ShapeError};
use super::{Kernel, Scalar, dispatch};

/// `x <- x Phi(x)`, elementwise, Phi the standard normal distribution function (the exact GELU, not its tanh fit).
///
/// # Examples
///
/// ```
/// let mut x = [-1.0_f32, 0.0, 1.0];
/// picardy::nn::gelu(&mut x);
/// assert!((x[2] - 0.841_344_7).abs() < 1e-6 && x[1] == 0.0 && (x[0] + 0.158_655_3).abs() < 1e-6);
/// ```
pub fn gelu<T: Scalar>(x: &mut [T]) {
    dispatch(Gelu { x });
}

/// [`gelu`], and `slope <- Phi(x) + x phi(x)`, its derivative, which the backward pass multiplies by.
///
/// # Errors
///
/// [`ShapeError`] where `slope` is not as long as `x`.
pub fn gelu_with_slope<T: Scalar>(x: &mut [T], slope: &mut [T]) -> Result<(), ShapeError> {
    shape::expect("slope", x.len(), slope.len())?;
    dispatch(GeluWithSlope { x, slope });
    Ok(())
}

struct Gelu<'a, T> {
    x: &'a mut [T],
}

impl<T: Scalar> Kernel for Gelu<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for x in self.x {
            *x *= x.normal().0;
        }
    }
}

struct GeluWithSlope<'a, T> {
    x: &'a mut [T],
    slope: &'a mut [T],
}

impl<T: Scalar> Kernel for GeluWithSlope<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (x, slope) in self.x.iter_mut().zip(self.slope) {
            let (cdf, pdf) = x.normal();
            *slope = cdf + *x * pdf;
            *x *= cdf;
        }
    }
}
