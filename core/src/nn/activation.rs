//! Elementwise functions.

use super::program::Activation;
use super::shape::{self, ShapeError};
use super::{Kernel, Scalar, dispatch};

/// `x <- f(x)`, elementwise.
///
/// # Examples
///
/// ```
/// use picardy::nn::{Activation, activate};
/// let mut x = [-1.0_f32, 0.0, 1.0];
/// activate(Activation::Mish, &mut x);
/// assert!((x[2] - 0.865_098_4).abs() < 1e-6 && x[1] == 0.0 && (x[0] + 0.303_401_5).abs() < 1e-6);
/// ```
pub fn activate<T: Scalar>(function: Activation, x: &mut [T]) {
    match function {
        Activation::Gelu => gelu(x),
        Activation::Mish => dispatch(Each { x, f: |x| mish(x).0 }),
        Activation::Silu => dispatch(Each { x, f: |x| silu(x).0 }),
    }
}

/// [`activate`], and the function's derivative at x into `slope`.
///
/// # Errors
///
/// [`ShapeError`] where `slope` is not as long as `x`.
pub fn activate_with_slope<T: Scalar>(
    function: Activation,
    x: &mut [T],
    slope: &mut [T],
) -> Result<(), ShapeError> {
    shape::expect("slope", x.len(), slope.len())?;
    match function {
        Activation::Gelu => dispatch(GeluWithSlope { x, slope }),
        Activation::Mish => dispatch(EachWithSlope { x, slope, f: mish }),
        Activation::Silu => dispatch(EachWithSlope { x, slope, f: silu }),
    }
    Ok(())
}

/// `x tanh(ln(1 + e^x))` and its derivative, with `n = e^x (e^x + 2)`: the tanh is `n / (n + 2)`.
#[inline(always)]
fn mish<T: Scalar>(x: T) -> (T, T) {
    // Above 20 the tanh is 1 to the last place, and e^2x stays in range.
    let limit = T::from_f64(20.0);
    let two = T::ONE + T::ONE;
    let e = (if x > limit { limit } else { x }).exp();
    let n = e * (e + two);
    let rest = T::ONE / (n + two);
    let tanh = n * rest;
    (x * tanh, tanh + x * (two * two * e * (e + T::ONE)) * rest * rest)
}

/// `x / (1 + e^-x)` and its derivative.
#[inline(always)]
fn silu<T: Scalar>(x: T) -> (T, T) {
    let part = T::ONE / (T::ONE + (-x).exp());
    (x * part, part * (T::ONE + x * (T::ONE - part)))
}

struct Each<'a, T, F> {
    x: &'a mut [T],
    f: F,
}

impl<T: Scalar, F: Fn(T) -> T> Kernel for Each<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for x in self.x {
            *x = (self.f)(*x);
        }
    }
}

struct EachWithSlope<'a, T, F> {
    x: &'a mut [T],
    slope: &'a mut [T],
    f: F,
}

impl<T: Scalar, F: Fn(T) -> (T, T)> Kernel for EachWithSlope<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (x, slope) in self.x.iter_mut().zip(self.slope) {
            (*x, *slope) = (self.f)(*x);
        }
    }
}

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
