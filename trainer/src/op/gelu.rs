//! The Gaussian error linear unit.

use picardy::nn::{Kernel, Scalar, ShapeError, dispatch, gelu_with_slope};

/// `y = x Phi(x)`, in place.
#[derive(Debug, Clone, Copy)]
pub struct Gelu;

impl Gelu {
    /// `x <- gelu(x)`, and its derivative into `slope` for the backward pass.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] where the lengths differ.
    pub fn forward<T: Scalar>(x: &mut [T], slope: &mut [T]) -> Result<(), ShapeError> {
        gelu_with_slope(x, slope)
    }

    /// `dy <- dx = dy * slope`, in place, and `bias_gradient += sum over rows of dx`.
    ///
    /// The sum is the gradient of the bias that the affine layer before has added; it is taken here because dx is at
    /// hand. dy and slope are [n, width], the bias `[width]`.
    pub fn backward<T: Scalar>(slope: &[T], dy: &mut [T], bias_gradient: &mut [T]) {
        dispatch(Backward { slope, dy, bias_gradient });
    }
}

struct Backward<'a, T> {
    slope: &'a [T],
    dy: &'a mut [T],
    bias_gradient: &'a mut [T],
}

impl<T: Scalar> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.bias_gradient.len();
        for (dy, slope) in self.dy.chunks_exact_mut(width).zip(self.slope.chunks_exact(width)) {
            for ((dy, &slope), sum) in dy.iter_mut().zip(slope).zip(self.bias_gradient.iter_mut()) {
                *dy *= slope;
                *sum += *dy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Gelu;
    use crate::op::testing::{check_gradient, values};

    #[test]
    fn gradient() {
        let (x, up) = (values(12, 1), values(12, 2));
        let (mut y, mut slope) = (x.clone(), vec![0.0; 12]);
        Gelu::forward(&mut y, &mut slope).unwrap();
        let (mut dx, mut sums) = (up.clone(), vec![0.0; 4]);
        Gelu::backward(&slope, &mut dx, &mut sums);
        check_gradient(&x, &dx, |x| {
            let (mut y, mut slope) = (x.to_vec(), vec![0.0; 12]);
            Gelu::forward(&mut y, &mut slope).unwrap();
            y.iter().zip(&up).map(|(y, g)| y * g).sum()
        });
        for (j, sum) in sums.iter().enumerate() {
            assert!((sum - (dx[j] + dx[4 + j] + dx[8 + j])).abs() < 1e-12);
        }
    }
}
