//! Elementwise functions.

use picardy::nn::Scalar;

use super::wide;

/// `dy <- dx = dy * slope`, in place, slope the function's derivative as
/// [`picardy::nn::activate_with_slope`] gives it.
pub fn through_slope<T: Scalar>(slope: &[T], dy: &mut [T]) {
    wide(|| {
        for (dy, &slope) in dy.iter_mut().zip(slope) {
            *dy *= slope;
        }
    });
}

#[cfg(test)]
mod tests {
    use picardy::nn::{Activation, activate, activate_with_slope};

    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn gradients() {
        for function in [Activation::Gelu, Activation::Mish, Activation::Silu] {
            let (mut x, up) = (values(12, 1), values(12, 2));
            x[0] = 25.0;
            x[1] = -30.0;
            let (mut y, mut slope) = (x.clone(), vec![0.0; 12]);
            activate_with_slope(function, &mut y, &mut slope).unwrap();
            let mut same = x.clone();
            activate(function, &mut same);
            assert_eq!(y, same);
            let mut dx = up.clone();
            super::through_slope(&slope, &mut dx);
            check_gradient(&x, &dx, |x| {
                let mut y = x.to_vec();
                activate(function, &mut y);
                weighted(&y, &up)
            });
        }
    }
}
