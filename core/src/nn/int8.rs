//! The affine layer over int8 weights.
//!
//! Weights are `scale[o] q` with one scale per output. A row of inputs becomes 16-bit whole numbers with a scale of its
//! own, by its largest element: what Cortex-M and AVX2 multiply in pairs, and so fine that the weights' rounding is the
//! error. The products' sums are exact, so they are the same bits on every target and in every order.

use super::Kernel;
use super::linear::{BLOCK, Products};

/// The most inputs of a row: up to here, inputs have 8 bits or more.
pub(crate) const MAX_INPUTS: usize = 1 << 17;

/// `f32`s of scratch that a layer of that many inputs needs.
pub(crate) const fn scratch(inputs: usize) -> usize {
    scratch_of(BLOCK, inputs)
}

/// The same where so many rows are made whole numbers together.
pub(crate) const fn scratch_of(rows: usize, inputs: usize) -> usize {
    rows.saturating_mul(inputs).div_ceil(2)
}

/// `y = x W^T + b`, or `y += x W^T + b`.
pub(crate) struct Int8Linear<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) weight: &'a [i8],
    pub(crate) scale: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) y: &'a mut [f32],
    pub(crate) add: bool,
    /// Room for [`BLOCK`] rows of whole numbers.
    pub(crate) room: &'a mut [i16],
}

impl Kernel for Int8Linear<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, inputs, weight, scale, bias, y, add, room } = self;
        let limit = limit(inputs);
        for (x, y) in x.chunks(BLOCK * inputs).zip(y.chunks_mut(BLOCK * bias.len())) {
            let whole = &mut room[..x.len()];
            let mut row_scales = [0.0; BLOCK];
            let rows = x.chunks_exact(inputs).zip(whole.chunks_exact_mut(inputs));
            for ((x, whole), row_scale) in rows.zip(&mut row_scales) {
                *row_scale = quantise(x, limit, whole);
            }
            let put = |row: usize, output: usize, sums: &[i32]| {
                let y = &mut y[row * bias.len() + output..][..sums.len()];
                let outputs = scale[output..][..sums.len()].iter().zip(&bias[output..][..sums.len()]);
                for ((y, &sum), (&scale, &bias)) in y.iter_mut().zip(sums).zip(outputs) {
                    let value = sum as f32 * (row_scales[row] * scale) + bias;
                    *y = if add { *y + value } else { value };
                }
            };
            Products { x: &*whole, inputs, weight, put }.run();
        }
    }
}

/// The largest whole number of an input, so that no sum of `inputs` products with -128 overflows.
fn limit(inputs: usize) -> f32 {
    let most = i32::MAX as usize / 128 / inputs.max(1);
    most.min(i16::MAX as usize) as f32
}

/// `x = scale whole`, rounded to the nearest; gives back the scale. A row with NaN or an infinity gets such a scale.
#[inline(always)]
fn quantise(x: &[f32], limit: f32, whole: &mut [i16]) -> f32 {
    /// 1.5 * 2^23: adding it rounds to a whole number, which the low bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    /// 2^-100: a row below it is 0, so that its scale's reciprocal is finite.
    const TINY: f32 = f32::from_bits(27 << 23);
    // Magnitudes are ordered as their bits are, and NaN is above all.
    let largest = x.iter().fold(0, |largest: u32, x| largest.max(x.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    if largest < TINY {
        whole.fill(0);
        return 0.0;
    }
    let factor = limit / largest;
    for (whole, x) in whole.iter_mut().zip(x) {
        *whole = (x * factor + ROUND).to_bits() as i16;
    }
    #[cfg(cortex_m_dsp)]
    super::cortex_m::spread::<{ 2 * super::LANES }>(whole);
    largest / limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::dispatch;

    fn apply(x: &[f32], weight: &[i8], scale: &[f32], bias: &[f32], y: &mut [f32]) {
        let (inputs, mut room) = (weight.len() / bias.len(), [0; 1024]);
        dispatch(Int8Linear { x, inputs, weight, scale, bias, y, add: false, room: &mut room });
    }

    #[test]
    fn is_the_product_but_for_the_inputs_rounding_in_any_batch() {
        for (rows, inputs, outputs) in [(1, 1, 1), (2, 3, 5), (7, 17, 4), (5, 40, 3), (4, 2, 7)] {
            let x: [f32; 256] = core::array::from_fn(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0);
            let w: [i8; 256] = core::array::from_fn(|i| (i * 89 % 251) as u8 as i8);
            let scale: [f32; 8] = core::array::from_fn(|i| 0.01 + 0.003 * i as f32);
            let (x, w, scale) = (&x[..rows * inputs], &w[..inputs * outputs], &scale[..outputs]);
            let bias = &[0.5; 8][..outputs];
            let mut y = [0.0; 64];
            let y = &mut y[..rows * outputs];
            apply(x, w, scale, bias, y);
            for (r, (x, y)) in x.chunks(inputs).zip(y.chunks(outputs)).enumerate() {
                for (o, (&y, w)) in y.iter().zip(w.chunks(inputs)).enumerate() {
                    let exact: f64 = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                    let bound: f64 =
                        w.iter().map(|&w| f64::from(w).abs()).sum::<f64>() / 32767.0 / 2.0 + 1e-4;
                    let error = (f64::from(y - 0.5) / f64::from(scale[o]) - exact).abs();
                    assert!(
                        error < bound,
                        "{rows} x {inputs} x {outputs}: row {r}, output {o}: {error} of {bound}"
                    );
                }
                let mut one = [0.0; 8];
                apply(x, w, scale, bias, &mut one[..outputs]);
                assert_eq!(&one[..outputs], y, "a row alone");
            }
        }
    }

    #[test]
    fn extremes_stay_sane() {
        let run = |x: [f32; 2]| {
            let mut y = [0.0];
            apply(&x, &[100, 1], &[0.5], &[2.0], &mut y);
            y[0]
        };
        assert_eq!(run([0.0, 0.0]), 2.0);
        assert_eq!(run([1e-38, -1e-38]), 2.0);
        assert!(run([f32::NAN, 1.0]).is_nan());
        assert!(!run([f32::INFINITY, 1.0]).is_finite());
        assert!((run([1e30, 0.0]) / 5e31 - 1.0).abs() < 1e-4);
    }

    /// The worst row of any length: all weights -128, all inputs at the limit.
    #[test]
    fn no_sum_overflows() {
        for inputs in [1, 511, 512, 513, 4096, MAX_INPUTS] {
            let sum = inputs as i64 * 128 * limit(inputs) as i64;
            assert!(sum <= i64::from(i32::MAX) && limit(inputs) >= 127.0, "{inputs}: {sum}");
        }
    }
}
