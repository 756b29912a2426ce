//! The affine layer.

use picardy::nn::{Kernel, Scalar, ShapeError, dispatch, linear, linear_add};

use super::{Element, View, gemm};

/// `y = x W^T + b`: x [n, inputs], W [outputs, inputs], b `[outputs]`, y [n, outputs].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// Coordinates that come in.
    pub inputs: usize,
    /// Coordinates that go out.
    pub outputs: usize,
}

impl Linear {
    /// `y = x W^T + b`.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] where the lengths do not fit.
    pub fn forward<T: Element>(
        &self,
        weight: &[T],
        bias: &[T],
        x: &[T],
        y: &mut [T],
    ) -> Result<(), ShapeError> {
        linear(x, weight, bias, y)
    }

    /// `y <- y + x W^T + b`, the layer at the end of a residual branch.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] where the lengths do not fit.
    pub fn forward_add<T: Element>(
        &self,
        weight: &[T],
        bias: &[T],
        x: &[T],
        y: &mut [T],
    ) -> Result<(), ShapeError> {
        linear_add(x, weight, bias, y)
    }

    /// `dW += dy^T x`.
    ///
    /// # Panics
    ///
    /// Where the lengths do not fit.
    pub fn backward_weight<T: Element>(&self, x: &[T], dy: &[T], weight_gradient: &mut [T]) {
        let rows = x.len() / self.inputs;
        let dy = View::new(dy, rows, self.outputs).transposed();
        gemm(dy, View::new(x, rows, self.inputs), T::ONE, weight_gradient);
    }

    /// `db += sum over rows of dy`.
    pub fn backward_bias<T: Element>(&self, dy: &[T], bias_gradient: &mut [T]) {
        dispatch(ColumnSums { dy, sums: bias_gradient });
    }

    /// `dx = dy W`.
    ///
    /// # Panics
    ///
    /// Where the lengths do not fit.
    pub fn backward_input<T: Element>(&self, weight: &[T], dy: &[T], dx: &mut [T]) {
        let rows = dy.len() / self.outputs;
        let weight = View::new(weight, self.outputs, self.inputs);
        gemm(View::new(dy, rows, self.outputs), weight, T::ZERO, dx);
    }
}

struct ColumnSums<'a, T> {
    dy: &'a [T],
    sums: &'a mut [T],
}

impl<T: Scalar> Kernel for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.dy.chunks_exact(self.sums.len()) {
            for (sum, &value) in self.sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Linear;
    use crate::op::testing::{check_gradient, values};

    #[test]
    fn gradients() {
        let layer = Linear { inputs: 5, outputs: 3 };
        let (w, b, x, up) = (values(15, 1), values(3, 2), values(20, 3), values(12, 4));
        let run = |w: &[f64], b: &[f64], x: &[f64]| {
            let mut y = vec![0.5; 12];
            layer.forward_add(w, b, x, &mut y).unwrap();
            y.iter().zip(&up).map(|(y, g)| y * g).sum::<f64>()
        };
        let (mut dw, mut db, mut dx) = (vec![0.0; 15], vec![0.0; 3], vec![0.0; 20]);
        layer.backward_weight(&x, &up, &mut dw);
        layer.backward_bias(&up, &mut db);
        layer.backward_input(&w, &up, &mut dx);
        check_gradient(&w, &dw, |w| run(w, &b, &x));
        check_gradient(&b, &db, |b| run(&w, b, &x));
        check_gradient(&x, &dx, |x| run(&w, &b, x));
        // Parameter gradients add up.
        layer.backward_weight(&x, &up, &mut dw);
        check_gradient(&w, &dw, |w| 2.0 * run(w, &b, &x));
    }
}
