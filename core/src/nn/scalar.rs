//! The functions that a network needs of its number type.

use super::weight::Weight;
use crate::Real;

/// A number type that networks run in: `f32`, or `f64` for finite-difference checks.
///
/// The `f32` functions are branch-free polynomials of this module, so that loops over them vectorise on every
/// target and give the same bits there; the `f64` ones come from `libm`.
pub trait Scalar: Real + Weight<Self, Sum = Self> {
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// `e^x`. The `f32` one is good to 2 units in the last place on [-87, 88] and saturates outside of it.
    fn exp(self) -> Self;
    /// `(sin x, cos x)`. The `f32` ones are good to 2e-7 for |x| up to 10 000.
    fn sin_cos(self) -> (Self, Self);
    /// The standard normal distribution function and its density at `x`. The `f32` ones are good to 1e-7.
    fn normal(self) -> (Self, Self);
}

/// 1.5 * 2^23: adding it to a small `f32` rounds that to an integer, which the low bits of the sum then hold.
const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts; the first has 9 significant bits, so that its product with an exponent is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// `(e^r - 1 - r) / r^2` on |r| <= ln(2) / 2 (own minimax fit, 3e-9).
const EXP: [f32; 5] = [0.5, 0.166_665_18, 0.041_666_206, 0.008_368_929, 0.001_395_055_7];

/// pi / 2 in three parts; the first two have few bits, so that their products with a quadrant are exact.
const HALF_PI: [f32; 3] = [1.570_312_5, 4.837_513e-4, 7.549_79e-8];

/// `(sin r - r) / r^3` in r^2 on |r| <= pi / 4 (own minimax fit, 2e-9).
const SIN: [f32; 3] = [-0.166_666_51, 0.008_331_975, -0.000_194_951_1];

/// `(cos r - 1 + r^2 / 2) / r^4` in r^2 on |r| <= pi / 4 (own minimax fit, 1e-10).
const COS: [f32; 3] = [0.041_666_646, -0.001_388_736_3, 2.443_789_7e-5];

/// `Phi(-a) e^(a^2/2)` in u = 0.4 a / (1 + 0.4 a), a >= 0 (own minimax fit of the product's error, 5e-9). The first
/// coefficient is exact, so that Phi is good where rounding shows most, near 0.
const TAIL: [f32; 8] = [
    0.5,
    -0.997_356_3,
    0.565_170_76,
    0.049_447_294,
    -0.099_553_03,
    -0.053_229_36,
    0.016_915_038,
    0.020_108_003,
];

/// 1 / sqrt(2 pi).
const DENSITY: f64 = 0.398_942_280_401_432_7;

/// `sum_i c[i] x^i`.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut value = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        value = value * x + c[i];
    }
    value
}

impl Scalar for f32 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        // Both are correctly rounded; the first is one instruction, and vectorises.
        #[cfg(feature = "std")]
        {
            extern crate std;
            f32::sqrt(self)
        }
        #[cfg(not(feature = "std"))]
        {
            libm::sqrtf(self)
        }
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // Comparisons in this order keep NaN.
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let shifted = x * core::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN_2[0]) - n * LN_2[1];
        let value = 1.0 + (r + r * r * polynomial(r, EXP));
        let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
        value * f32::from_bits(power)
    }

    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        let shifted = self * core::f32::consts::FRAC_2_PI + ROUND;
        let n = shifted - ROUND;
        let r = ((self - n * HALF_PI[0]) - n * HALF_PI[1]) - n * HALF_PI[2];
        let r2 = r * r;
        let sin = r + r * r2 * polynomial(r2, SIN);
        let cos = 1.0 - (0.5 * r2 - r2 * r2 * polynomial(r2, COS));
        // Quadrants 1 and 3 swap the two; the sine is negative in 2 and 3, the cosine in 1 and 2.
        let quadrant = shifted.to_bits();
        let swap = 0u32.wrapping_sub(quadrant & 1);
        let select = |a: f32, b: f32| (a.to_bits() & !swap) | (b.to_bits() & swap);
        let sin_sign = (quadrant & 2) << 30;
        let cos_sign = (quadrant.wrapping_add(1) & 2) << 30;
        (f32::from_bits(select(sin, cos) ^ sin_sign), f32::from_bits(select(cos, sin) ^ cos_sign))
    }

    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        let a = f32::from_bits(self.to_bits() & 0x7fff_ffff);
        let bell = Scalar::exp(-0.5 * (a * a));
        // Past 60, where Phi(-a) is 0, so that infinity gives no NaN.
        let far = 0.4 * if a > 60.0 { 60.0 } else { a };
        let tail = polynomial(far / (1.0 + far), TAIL) * bell;
        let cdf = if self < 0.0 { tail } else { 1.0 - tail };
        (cdf, DENSITY as f32 * bell)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        libm::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        libm::exp(self)
    }

    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        libm::sincos(self)
    }

    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        let cdf = 0.5 * libm::erfc(-self * core::f64::consts::FRAC_1_SQRT_2);
        (cdf, DENSITY * libm::exp(-0.5 * self * self))
    }
}

#[cfg(test)]
mod tests {
    use super::Scalar;

    /// The largest error of `f` against `exact` over `[low, high]`.
    fn worst(low: f64, high: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, relative: bool) -> f64 {
        let steps = if cfg!(miri) { 200 } else { 200_000 };
        (0..=steps).fold(0.0, |worst: f64, i| {
            let x = (low + (high - low) * f64::from(i) / f64::from(steps)) as f32;
            let want = exact(f64::from(x));
            let error = (f64::from(f(x)) - want).abs();
            worst.max(if relative { error / want.abs() } else { error })
        })
    }

    #[test]
    fn f32_functions_are_accurate() {
        assert!(worst(-87.0, 88.0, Scalar::exp, libm::exp, true) < 2.4e-7);
        assert!(worst(-1.0e4, 1.0e4, |x| Scalar::sin_cos(x).0, libm::sin, false) < 2e-7);
        assert!(worst(-1.0e4, 1.0e4, |x| Scalar::sin_cos(x).1, libm::cos, false) < 2e-7);
        assert!(worst(-1.0e3, 1.0e3, |x| Scalar::sin_cos(x).0, libm::sin, false) < 1.2e-7);
        assert!(worst(-15.0, 15.0, |x| x.normal().0, |x| x.normal().0, false) < 1e-7);
        assert!(worst(-15.0, 15.0, |x| x.normal().1, |x| x.normal().1, false) < 1e-7);
    }

    #[test]
    fn extremes_stay_sane() {
        assert_eq!(Scalar::exp(f32::NEG_INFINITY), Scalar::exp(-87.0f32));
        assert!(Scalar::exp(f32::NAN).is_nan());
        assert!(f32::NAN.normal().0.is_nan());
        assert_eq!(f32::INFINITY.normal().0, 1.0);
        assert_eq!(1e30f32.normal().0, 1.0);
        assert!((-1e30f32).normal().0.abs() < 1e-30);
        assert_eq!(Scalar::sin_cos(0.0f32), (0.0, 1.0));
    }
}
