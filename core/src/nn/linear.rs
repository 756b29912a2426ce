//! The affine layer.
//!
//! Every output element is one dot product in the order that [`super::dot`] has: partial sums in lanes, then
//! [`super::simd::reduce`], then the tail, then the bias. The register blocks below only decide how many of them are
//! under way at once, so an element's bits depend neither on the batch nor on its place in it.

use super::shape::{self, ShapeError};
use super::weight::Weight;
use super::{Kernel, Scalar, dispatch};
use core::ops::Range;

/// `y = x W^T + b`: x is [n, inputs], W [outputs, inputs] (as PyTorch stores it), b `[outputs]`, y [n, outputs].
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
///
/// # Examples
///
/// ```
/// let mut y = [0.0_f32; 2];
/// picardy::nn::linear(&[1.0, 2.0, 3.0], &[1.0, 0.0, 0.0, 0.0, 1.0, 1.0], &[0.5, 0.5], &mut y)?;
/// assert_eq!(y, [1.5, 5.5]);
/// # Ok::<(), picardy::nn::ShapeError>(())
/// ```
pub fn linear<T: Scalar>(x: &[T], weight: &[T], bias: &[T], y: &mut [T]) -> Result<(), ShapeError> {
    let inputs = check(x, weight, bias, y)?;
    dispatch(Linear { x, inputs, weight, bias, y, stride: bias.len(), add: false });
    Ok(())
}

/// `y <- y + (x W^T + b)`: the residual form of [`linear`], with its shapes and errors.
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
pub fn linear_add<T: Scalar>(x: &[T], weight: &[T], bias: &[T], y: &mut [T]) -> Result<(), ShapeError> {
    let inputs = check(x, weight, bias, y)?;
    dispatch(Linear { x, inputs, weight, bias, y, stride: bias.len(), add: true });
    Ok(())
}

/// `out = a + b`, elementwise.
///
/// # Errors
///
/// [`ShapeError`] where the lengths differ.
pub fn add<T: Scalar>(a: &[T], b: &[T], out: &mut [T]) -> Result<(), ShapeError> {
    shape::expect("b", a.len(), b.len())?;
    shape::expect("out", a.len(), out.len())?;
    dispatch(Add { a, b, out });
    Ok(())
}

fn check<T>(x: &[T], weight: &[T], bias: &[T], y: &[T]) -> Result<usize, ShapeError> {
    let inputs = shape::rows("weight", weight.len(), bias.len())?;
    let rows = shape::rows("x", x.len(), inputs)?;
    shape::expect("y", rows * bias.len(), y.len())?;
    Ok(inputs)
}

struct Add<'a, T> {
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
}

impl<T: Scalar> Kernel for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((out, &a), &b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            *out = a + b;
        }
    }
}

/// Every product of a row of `x` with a row of `weight`, both `inputs` long, in blocks: `put` is given the row, the
/// first output, and the sums of a few outputs that follow each other. (A convolution is one over its patches.)
pub(crate) struct Products<'a, X, W, F> {
    pub(crate) x: &'a [X],
    pub(crate) inputs: usize,
    pub(crate) weight: &'a [W],
    pub(crate) put: F,
}

/// Whether the target has scalar registers alone, and little memory for more.
pub(crate) const SCALAR: bool = cfg!(any(cortex_m, target_arch = "riscv32"));
/// Rows of the main register block.
pub(crate) const BLOCK: usize = if SCALAR { 1 } else { 4 };
/// Its outputs. With vectors, 12 sums, 3 weights and a product fill 16 registers; the inputs are read where they lie.
const WIDE: usize = if SCALAR { 1 } else { 3 };
/// Rows that stay near while all weights pass once.
const NEAR: usize = 48;
/// Outputs of the block for a single row, where only the weights stream.
const STREAM: usize = if SCALAR { 2 } else { 4 };

impl<X, W: Weight<X>, F: FnMut(usize, usize, &[W::Sum])> Kernel for Products<'_, X, W, F> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let rows = self.x.len().checked_div(self.inputs).unwrap_or(0);
        let outputs = self.weight.len().checked_div(self.inputs).unwrap_or(0);
        let mut row = 0;
        while BLOCK > 1 && row + 1 < rows {
            let end = (row + NEAR).min(rows);
            let mut output = 0;
            while output + WIDE <= outputs {
                self.rows::<WIDE>(row..end, output);
                output += WIDE;
            }
            while output < outputs {
                self.rows::<1>(row..end, output);
                output += 1;
            }
            row = end;
        }
        while row < rows {
            let mut output = 0;
            while output + STREAM <= outputs {
                self.block::<1, STREAM>(row, output);
                output += STREAM;
            }
            while output < outputs {
                self.block::<1, 1>(row, output);
                output += 1;
            }
            row += 1;
        }
    }
}

impl<X, W: Weight<X>, F: FnMut(usize, usize, &[W::Sum])> Products<'_, X, W, F> {
    /// `C` outputs from `output` on for all those rows: their weights are read once from afar.
    #[inline(always)]
    fn rows<const C: usize>(&mut self, rows: Range<usize>, output: usize) {
        let mut row = rows.start;
        while row + BLOCK <= rows.end {
            self.block::<BLOCK, C>(row, output);
            row += BLOCK;
        }
        while row < rows.end {
            self.block::<1, C>(row, output);
            row += 1;
        }
    }

    #[inline(always)]
    fn block<const R: usize, const C: usize>(&mut self, row: usize, output: usize) {
        let k = self.inputs;
        let mut rows = [&self.x[..0]; R];
        for (r, slot) in rows.iter_mut().enumerate() {
            *slot = &self.x[(row + r) * k..(row + r + 1) * k];
        }
        let mut weights = [&self.weight[..0]; C];
        for (c, slot) in weights.iter_mut().enumerate() {
            *slot = &self.weight[(output + c) * k..(output + c + 1) * k];
        }
        let sums = W::products(&rows, &weights);
        for (r, sums) in sums.iter().enumerate() {
            (self.put)(row + r, output, sums);
        }
    }
}

/// `y = x W^T + b` for weights that are multiplied as they are; rows of `y` begin every `stride` elements, so that a block of
/// outputs can be computed alone.
pub(crate) struct Linear<'a, T, W = T> {
    pub(crate) x: &'a [T],
    pub(crate) inputs: usize,
    pub(crate) weight: &'a [W],
    pub(crate) bias: &'a [T],
    pub(crate) y: &'a mut [T],
    pub(crate) stride: usize,
    pub(crate) add: bool,
}

impl<T: Scalar, W: Weight<T, Sum = T>> Kernel for Linear<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, inputs, weight, bias, y, stride, add } = self;
        let put = |row: usize, output: usize, sums: &[T]| {
            let y = &mut y[row * stride + output..][..sums.len()];
            for ((y, &sum), &bias) in y.iter_mut().zip(sums).zip(&bias[output..][..sums.len()]) {
                let value = sum + bias;
                *y = if add { *y + value } else { value };
            }
        };
        Products { x, inputs, weight, put }.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f32 {
        ((i * 7919) % 1009) as f32 / 504.5 - 1.0
    }

    #[test]
    fn equals_the_sum_in_f64_for_any_shape() {
        for (rows, inputs, outputs) in [(1, 1, 1), (2, 3, 5), (7, 17, 4), (5, 8, 9), (3, 33, 2)] {
            let mut x = [0.0; 128];
            let mut w = [0.0; 128];
            let mut b = [0.0; 16];
            let mut y = [0.0; 64];
            x.iter_mut().enumerate().for_each(|(i, v)| *v = value(i));
            w.iter_mut().enumerate().for_each(|(i, v)| *v = value(i + 500));
            b.iter_mut().enumerate().for_each(|(i, v)| *v = value(i + 90));
            let (x, w, b, y) =
                (&x[..rows * inputs], &w[..inputs * outputs], &b[..outputs], &mut y[..rows * outputs]);
            linear(x, w, b, y).unwrap();
            for r in 0..rows {
                for o in 0..outputs {
                    let want: f64 = (0..inputs)
                        .map(|i| f64::from(x[r * inputs + i]) * f64::from(w[o * inputs + i]))
                        .sum::<f64>()
                        + f64::from(b[o]);
                    assert!((f64::from(y[r * outputs + o]) - want).abs() < 1e-5);
                    // One row alone gives the same bits.
                    let mut one = [0.0; 16];
                    linear(&x[r * inputs..][..inputs], w, b, &mut one[..outputs]).unwrap();
                    assert_eq!(one[o].to_bits(), y[r * outputs + o].to_bits());
                }
            }
        }
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let mut y = [0.0f32; 2];
        assert!(linear(&[1.0; 3], &[1.0; 5], &[0.0; 2], &mut y).is_err());
        assert!(linear(&[1.0; 4], &[1.0; 6], &[0.0; 2], &mut y).is_err());
        assert!(linear(&[1.0; 6], &[1.0; 6], &[0.0; 2], &mut y).is_err());
        assert!(linear::<f32>(&[], &[], &[], &mut y).is_err());
    }
}
