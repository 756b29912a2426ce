//! What weights are stored as, and the sums of their products.

use super::Scalar;
#[cfg(any(cortex_m_fp, cortex_m_dsp))]
use super::cortex_m;
use super::simd::{LANES, reduce};
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
    fn products<const R: usize, const C: usize>(x: [&[X]; R], w: [&[Self]; C]) -> [[Self::Sum; C]; R];
}

impl Weight<f64> for f64 {
    type Sum = f64;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: [&[f64]; R], w: [&[f64]; C]) -> [[f64; C]; R] {
        in_lanes(x, w, |w| w, whole_lanes)
    }
}

impl Weight<f32> for f32 {
    type Sum = f32;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: [&[f32]; R], w: [&[f32]; C]) -> [[f32; C]; R] {
        in_lanes(
            x,
            w,
            |w| w,
            |x, w, widen| {
                #[cfg(cortex_m_fp)]
                if let ([x], [first, second]) = (&x[..], &w[..]) {
                    return block(cortex_m::two_f32(x, first, second));
                }
                whole_lanes(x, w, widen)
            },
        )
    }
}

/// A half's bits.
impl Weight<f32> for u16 {
    type Sum = f32;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: [&[f32]; R], w: [&[u16]; C]) -> [[f32; C]; R] {
        in_lanes(x, w, widen, |x, w, widen| {
            // Rows of an odd number of halves lie at halves of words, which that kernel cannot load.
            #[cfg(cortex_m_fp)]
            if let ([x], [first, second]) = (&x[..], &w[..]) {
                if first.as_ptr().addr() % 4 == 0 && second.as_ptr().addr() % 4 == 0 {
                    return block(cortex_m::two_f16(x, first, second));
                }
            }
            whole_lanes(x, w, widen)
        })
    }
}

/// Whole numbers, whose sums are exact: their order is free.
impl Weight<i16> for i8 {
    type Sum = i32;

    #[inline(always)]
    fn products<const R: usize, const C: usize>(x: [&[i16]; R], w: [&[i8]; C]) -> [[i32; C]; R] {
        let (x, w) = (x.map(split::<_, PAIRS>), w.map(split::<_, PAIRS>));
        let mut sums = whole_pairs(x.map(|x| x.0), w.map(|w| w.0));
        for (sums, x) in sums.iter_mut().zip(x) {
            for (sum, w) in sums.iter_mut().zip(w) {
                for (&x, &w) in x.1.iter().zip(w.1) {
                    *sum = sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)));
                }
            }
        }
        sums
    }
}

/// A half from its bits, exact for finite numbers, which a network's weights are checked to be when it is loaded.
///
/// Four operations without a branch, so that it vectorises (`half`'s own conversion asks the CPU or branches): the
/// sign fills the upper half, exponent and mantissa go to their places, and the factor mends the exponent's bias.
#[inline(always)]
fn widen(bits: u16) -> f32 {
    /// 2^112: the difference of the two formats' exponent biases.
    const REBIAS: f32 = f32::from_bits((112 + 127) << 23);
    let bits = i32::from(bits as i16) as u32;
    f32::from_bits((bits << 13) & 0x8fff_e000) * REBIAS
}

/// Elements of a turn of [`whole_pairs`]: one AVX2 register of `i16`, whose neighbours are multiplied and added at once.
const PAIRS: usize = 2 * LANES;

/// A row in whole groups of `N`, and its tail.
#[inline(always)]
fn split<T: Pod, const N: usize>(row: &[T]) -> (&[[T; N]], &[T]) {
    let (whole, tail) = row.split_at(row.len() - row.len() % N);
    (bytemuck::cast_slice(whole), tail)
}

/// The one order of a dot product: partial sums in lanes, then [`reduce`], then the tail.
#[inline(always)]
fn in_lanes<T: Scalar, W: Pod, F: Fn(W) -> T + Copy, const R: usize, const C: usize>(
    x: [&[T]; R],
    w: [&[W]; C],
    widen: F,
    whole: impl Fn([&[[T; LANES]]; R], [&[[W; LANES]]; C], F) -> [[T; C]; R],
) -> [[T; C]; R] {
    let (x, w) = (x.map(split), w.map(split));
    let mut out = whole(x.map(|x| x.0), w.map(|w| w.0), widen);
    for (out, x) in out.iter_mut().zip(x) {
        for (out, w) in out.iter_mut().zip(w) {
            for (&x, &w) in x.1.iter().zip(w.1) {
                *out += x * widen(w);
            }
        }
    }
    out
}

#[inline(always)]
fn whole_lanes<T: Scalar, W: Pod, const R: usize, const C: usize>(
    x: [&[[T; LANES]]; R],
    w: [&[[W; LANES]]; C],
    widen: impl Fn(W) -> T + Copy,
) -> [[T; C]; R] {
    // All are of this length; that it is their least spares the checks in the loop.
    let turns = x.iter().map(|x| x.len()).chain(w.iter().map(|w| w.len())).min().unwrap_or(0);
    let (x, w) = (x.map(|x| &x[..turns]), w.map(|w| &w[..turns]));
    let mut acc = [[[T::ZERO; LANES]; C]; R];
    for turn in 0..turns {
        let weights = w.map(|w| w[turn].map(widen));
        for r in 0..R {
            let input = x[r][turn];
            for c in 0..C {
                for lane in 0..LANES {
                    acc[r][c][lane] += input[lane] * weights[c][lane];
                }
            }
        }
    }
    acc.map(|row| row.map(reduce))
}

#[inline(always)]
fn whole_pairs<const R: usize, const C: usize>(
    x: [&[[i16; PAIRS]]; R],
    w: [&[[i8; PAIRS]]; C],
) -> [[i32; C]; R] {
    #[cfg(cortex_m_dsp)]
    if let ([x], [first, second]) = (&x[..], &w[..]) {
        return block(cortex_m::two_i8(x, first, second));
    }
    let turns = x.iter().map(|x| x.len()).chain(w.iter().map(|w| w.len())).min().unwrap_or(0);
    let (x, w) = (x.map(|x| &x[..turns]), w.map(|w| &w[..turns]));
    let mut acc = [[[0i32; LANES]; C]; R];
    for turn in 0..turns {
        let weights = w.map(|w| w[turn].map(i16::from));
        for r in 0..R {
            let input = x[r][turn];
            for c in 0..C {
                let product = |i: usize| i32::from(input[i]).wrapping_mul(i32::from(weights[c][i]));
                for (lane, acc) in acc[r][c].iter_mut().enumerate() {
                    *acc = acc.wrapping_add(product(2 * lane).wrapping_add(product(2 * lane + 1)));
                }
            }
        }
    }
    acc.map(|row| row.map(|lanes| lanes.iter().fold(0, |sum: i32, &lane| sum.wrapping_add(lane))))
}

/// Two sums as the one row of two that they are.
#[cfg(any(cortex_m_fp, cortex_m_dsp))]
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
            assert_eq!(widen(half.to_bits()).to_bits(), half.to_f32().to_bits(), "{half:?}");
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
            let [[first, second]] = <i8 as Weight<i16>>::products([&x[..n]], [&w[..n], &low[..n]]);
            assert_eq!([i64::from(first), i64::from(second)], [want(&w[..n]), want(&low[..n])], "{n}");
            let [[one], [two]] = <i8 as Weight<i16>>::products([&x[..n], &x[..n]], [&w[..n]]);
            assert_eq!([i64::from(one), i64::from(two)], [want(&w[..n]); 2], "{n}");
        }
    }
}
