//! The sinusoidal embedding of the number that a network is told.

use super::shape::{self, ShapeError};
use super::{Kernel, Scalar, dispatch};

/// `f_i = 10000^(-i / half)`, i = 0 .. half, half the length of `out`.
///
/// Computed in f64 by repeated multiplication and rounded once: the same bits on every target.
///
/// # Examples
///
/// ```
/// let mut f = [0.0_f32; 4];
/// picardy::nn::frequencies(&mut f);
/// assert_eq!(f, [1.0, 0.1, 0.01, 0.001]);
/// ```
pub fn frequencies<T: Scalar>(out: &mut [T]) {
    frequencies_to(out, false);
}

/// [`frequencies`], or, `closed`, those of `10000^(-i / (half - 1))`, whose last is 1/10000.
pub fn frequencies_to<T: Scalar>(out: &mut [T], closed: bool) {
    let gaps = out.len() - usize::from(closed && out.len() > 1);
    let ratio = libm::exp(-libm::log(10_000.0) / gaps as f64);
    let mut f = 1.0;
    for slot in out {
        *slot = T::from_f64(f);
        f *= ratio;
    }
}

/// `out[r] = (sin(t_r f_0), .., sin(t_r f_h), cos(t_r f_0), .., cos(t_r f_h))`.
///
/// t is `[n]`, frequencies `[h]`, out [n, 2 h]. A row whose t is the one before it is copied.
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
pub fn sinusoidal<T: Scalar>(t: &[T], frequencies: &[T], out: &mut [T]) -> Result<(), ShapeError> {
    shape::expect("out", t.len().saturating_mul(2 * frequencies.len()), out.len())?;
    dispatch(Sinusoidal { t, frequencies, out });
    Ok(())
}

struct Sinusoidal<'a, T> {
    t: &'a [T],
    frequencies: &'a [T],
    out: &'a mut [T],
}

impl<T: Scalar> Kernel for Sinusoidal<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let half = self.frequencies.len();
        let width = 2 * half;
        for (row, &t) in self.t.iter().enumerate() {
            let start = row * width;
            if row > 0 && self.t[row - 1] == t {
                self.out.copy_within(start - width..start, start);
                continue;
            }
            let (sin, cos) = self.out[start..start + width].split_at_mut(half);
            for ((sin, cos), &f) in sin.iter_mut().zip(cos).zip(self.frequencies) {
                (*sin, *cos) = (t * f).sin_cos();
            }
        }
    }
}
