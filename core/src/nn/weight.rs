//! What weights are stored as, and the sums of their products.

#[cfg(any(cortex_m_fp, cortex_m_dsp))]
use super::cortex_m;
use super::simd::{LANES, reduce};
use super::{Kernel, Scalar};
use bytemuck::Pod;

/// What a layer's weights are stored as. `X` is what they are multiplied with.
///
/// A kernel computes `R` x `C` dot products at once, so that every load serves several of them. How many there are
/// changes no result: each has its own sums, in one order.
///
/// `Scalar` asks for it, so it is public; it has no public name.
#[allow(unreachable_pub)]
pub trait Weight<X>: Pod {
    /// The products' sum.
    type Sum: Copy;

    /// The `R` x `C` dot products of rows that are equally long.
    fn products<const R: usize, const C: usize>(x: &[&[X]; R], w: &[&[Self]; C]) -> [[Self::Sum; C]; R];
}

/// A weight that becomes a `T` exactly, in [`float_products`].
trait Widen<T>: Pod {
    fn widen(self) -> T;

    /// The products of whole lanes.
    #[inline(always)]
    fn whole<const R: usize, const C: usize>(x: &[&[[T; LANES]]; R], w: &[&[[Self; LANES]]; C]) -> [[T; C]; R]
    where
        T: Scalar,
    {
        whole_lanes(x, w)
    }
}

impl Weight<f64> for f64 {
    type Sum = f64;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: &[&[f64]; R], w: &[&[f64]; C]) -> [[f64; C]; R] {
        float_products(x, w)
    }
}

impl Widen<f64> for f64 {
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

impl Weight<f32> for f32 {
    type Sum = f32;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: &[&[f32]; R], w: &[&[f32]; C]) -> [[f32; C]; R] {
        float_products(x, w)
    }
}

impl Widen<f32> for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[cfg(cortex_m_fp)]
    #[inline(always)]
    fn whole<const R: usize, const C: usize>(
        x: &[&[[f32; LANES]]; R],
        w: &[&[[f32; LANES]]; C],
    ) -> [[f32; C]; R] {
        if let ([x], [first, second]) = (&x[..], &w[..]) {
            return block(cortex_m::two_f32(x, first, second));
        }
        whole_lanes(x, w)
    }
}

/// A half's bits.
impl Weight<f32> for u16 {
    type Sum = f32;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: &[&[f32]; R], w: &[&[u16]; C]) -> [[f32; C]; R] {
        float_products(x, w)
    }
}

impl Widen<f32> for u16 {
    /// Exact for finite numbers, which is what a network's weights are checked to be when it is loaded.
    ///
    /// Four operations without a branch, so that it vectorises (`half`'s own conversion asks the CPU or branches): the
    /// sign fills the upper half, exponent and mantissa go to their places, and the factor mends the exponent's bias.
    #[inline(always)]
    fn widen(self) -> f32 {
        /// 2^112: the difference of the two formats' exponent biases.
        const REBIAS: f32 = f32::from_bits((112 + 127) << 23);
        let bits = i32::from(self as i16) as u32;
        f32::from_bits((bits << 13) & 0x8fff_e000) * REBIAS
    }

    #[cfg(cortex_m_fp)]
    #[inline(always)]
    fn whole<const R: usize, const C: usize>(
        x: &[&[[f32; LANES]]; R],
        w: &[&[[u16; LANES]]; C],
    ) -> [[f32; C]; R] {
        if let ([x], [first, second]) = (&x[..], &w[..]) {
            // Rows of an odd number of halves lie at halves of words, which that kernel cannot load.
            if first.as_ptr().addr() % 4 == 0 && second.as_ptr().addr() % 4 == 0 {
                return block(cortex_m::two_f16(x, first, second));
            }
        }
        whole_lanes(x, w)
    }
}

/// Halves' numbers as `f32`s, exactly; both are equally long.
pub(crate) struct WidenAll<'a> {
    pub(crate) halves: &'a [u16],
    pub(crate) wide: &'a mut [f32],
}

impl Kernel for WidenAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (wide, half) in self.wide.iter_mut().zip(self.halves) {
            *wide = half.widen();
        }
    }
}

/// Whole numbers, whose sums are exact: their order is free.
impl Weight<i16> for i8 {
    type Sum = i32;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: &[&[i16]; R], w: &[&[i8]; C]) -> [[i32; C]; R] {
        let (x, x_tails) = split_all(x);
        let (w, w_tails) = split_all(w);
        let mut out = whole_pairs(&x, &w);
        for r in 0..R {
            for c in 0..C {
                for (&x, &w) in x_tails[r].iter().zip(w_tails[c]) {
                    out[r][c] = i32::from(x).wrapping_mul(i32::from(w)).wrapping_add(out[r][c]);
                }
            }
        }
        out
    }
}

/// Elements of a turn of [`whole_pairs`]: one AVX2 register of `i16`, whose neighbours are multiplied and added at once.
const PAIRS: usize = 2 * LANES;

/// Loops instead of closures in what follows: a closure keeps the build's own target where `dispatch` widens it.
///
/// The one order of a dot product: partial sums in lanes, then [`reduce`], then the tail.
#[inline(always)]
fn float_products<T: Scalar, W: Widen<T>, const R: usize, const C: usize>(
    x: &[&[T]; R],
    w: &[&[W]; C],
) -> [[T; C]; R] {
    let (x, x_tails) = split_all(x);
    let (w, w_tails) = split_all(w);
    let mut out = W::whole(&x, &w);
    // All sums side by side: short rows are all tail.
    let (x, w, n) = equally_long(&x_tails, &w_tails);
    for i in 0..n {
        for r in 0..R {
            for c in 0..C {
                out[r][c] += x[r][i] * w[c][i].widen();
            }
        }
    }
    out
}

#[inline(always)]
fn whole_lanes<T: Scalar, W: Widen<T>, const R: usize, const C: usize>(
    x: &[&[[T; LANES]]; R],
    w: &[&[[W; LANES]]; C],
) -> [[T; C]; R] {
    let (x, w, turns) = equally_long(x, w);
    let mut acc = [[[T::ZERO; LANES]; C]; R];
    for turn in 0..turns {
        let mut weights = [[T::ZERO; LANES]; C];
        for c in 0..C {
            for lane in 0..LANES {
                weights[c][lane] = w[c][turn][lane].widen();
            }
        }
        for r in 0..R {
            let input = x[r][turn];
            for c in 0..C {
                for lane in 0..LANES {
                    acc[r][c][lane] += input[lane] * weights[c][lane];
                }
            }
        }
    }
    let mut out = [[T::ZERO; C]; R];
    for r in 0..R {
        for c in 0..C {
            out[r][c] = reduce(acc[r][c]);
        }
    }
    out
}

/// The products of whole groups. Under `cortex_m_dsp` the inputs lie in [`cortex_m::spread`]'s order, in every block.
#[cfg(cortex_m_dsp)]
#[inline(always)]
fn whole_pairs<const R: usize, const C: usize>(
    x: &[&[[i16; PAIRS]]; R],
    w: &[&[[i8; PAIRS]]; C],
) -> [[i32; C]; R] {
    let mut out = [[0; C]; R];
    for (sums, x) in out.iter_mut().zip(x) {
        for (sums, w) in sums.chunks_mut(2).zip(w.chunks(2)) {
            match (sums, w) {
                ([first, second], [w0, w1]) => [*first, *second] = cortex_m::two_i8(x, w0, w1),
                // The last of an odd number.
                ([sum], [w]) => [*sum, _] = cortex_m::two_i8(x, w, w),
                _ => {}
            }
        }
    }
    out
}

#[cfg(not(cortex_m_dsp))]
#[inline(always)]
fn whole_pairs<const R: usize, const C: usize>(
    x: &[&[[i16; PAIRS]]; R],
    w: &[&[[i8; PAIRS]]; C],
) -> [[i32; C]; R] {
    let (mut flat_x, mut flat_w) = ([&[][..]; R], [&[][..]; C]);
    for r in 0..R {
        flat_x[r] = x[r].as_flattened();
    }
    for c in 0..C {
        flat_w[c] = w[c].as_flattened();
    }
    let (x, w, n) = equally_long(&flat_x, &flat_w);
    let mut out = [[0i32; C]; R];
    for i in 0..n {
        for r in 0..R {
            for c in 0..C {
                out[r][c] = out[r][c].wrapping_add(i32::from(x[r][i]).wrapping_mul(i32::from(w[c][i])));
            }
        }
    }
    out
}

/// Rows in whole groups of `N`, and their tails.
#[inline(always)]
fn split_all<'a, T: Pod, const N: usize, const R: usize>(
    rows: &[&'a [T]; R],
) -> ([&'a [[T; N]]; R], [&'a [T]; R]) {
    let (mut whole, mut tails) = ([&[][..]; R], [&[][..]; R]);
    for r in 0..R {
        let (groups, tail) = rows[r].split_at(rows[r].len() - rows[r].len() % N);
        whole[r] = bytemuck::cast_slice(groups);
        tails[r] = tail;
    }
    (whole, tails)
}

/// All cut to their least length, which they have anyway: that spares the checks in the loops.
#[inline(always)]
fn equally_long<'a, X, W, const R: usize, const C: usize>(
    x: &[&'a [X]; R],
    w: &[&'a [W]; C],
) -> ([&'a [X]; R], [&'a [W]; C], usize) {
    let mut turns = usize::MAX;
    for x in x {
        turns = turns.min(x.len());
    }
    for w in w {
        turns = turns.min(w.len());
    }
    let (mut cut_x, mut cut_w) = (*x, *w);
    for x in &mut cut_x {
        *x = &x[..turns];
    }
    for w in &mut cut_w {
        *w = &w[..turns];
    }
    (cut_x, cut_w, turns)
}

/// Two sums as the one row of two that they are.
#[cfg(cortex_m_fp)]
#[inline(always)]
fn block<T: Copy, const R: usize, const C: usize>([first, second]: [T; 2]) -> [[T; C]; R] {
    core::array::from_fn(|_| core::array::from_fn(|c| if c == 0 { first } else { second }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn every_finite_half_is_exact() {
        for half in (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()) {
            assert_eq!(half.to_bits().widen().to_bits(), half.to_f32().to_bits(), "{half:?}");
        }
    }

    /// The largest numbers of the longest row that a limit of 32 767 allows do not overflow.
    #[test]
    fn whole_numbers_are_exact_for_any_length() {
        for n in [0, 1, 2, 15, 16, 17, 40, 511] {
            let x: [i16; 511] = core::array::from_fn(|i| if i % 3 == 0 { -32767 } else { 32767 - i as i16 });
            let w: [i8; 511] = core::array::from_fn(|i| (i * 89 % 256) as u8 as i8);
            let low = [i8::MIN; 511];
            let want =
                |w: &[i8]| -> i64 { x[..n].iter().zip(w).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum() };
            let [[first, second]] = <i8 as Weight<i16>>::products(&[&x[..n]], &[&w[..n], &low[..n]]);
            assert_eq!([i64::from(first), i64::from(second)], [want(&w[..n]), want(&low[..n])], "{n}");
            let [[one], [two]] = <i8 as Weight<i16>>::products(&[&x[..n], &x[..n]], &[&w[..n]]);
            assert_eq!([i64::from(one), i64::from(two)], [want(&w[..n]); 2], "{n}");
        }
    }
}
