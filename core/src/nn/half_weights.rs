//! Half-precision weights, widened block by block.

use half::f16;

use super::{Kernel, dispatch};

/// Widens `narrow` into `wide`, exactly; both have the same length.
pub(crate) fn widen(narrow: &[f16], wide: &mut [f32]) {
    dispatch(Widen { narrow, wide });
}

struct Widen<'a> {
    narrow: &'a [f16],
    wide: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    /// Branch-free, so that it vectorises (`half`'s own conversion asks the CPU or branches).
    #[inline(always)]
    fn run(self) {
        /// 2^112: the difference of the two formats' exponent biases.
        const REBIAS: f32 = f32::from_bits((112 + 127) << 23);
        for (wide, narrow) in self.wide.iter_mut().zip(self.narrow) {
            let bits = u32::from(narrow.to_bits());
            let magnitude = f32::from_bits((bits & 0x7fff) << 13) * REBIAS;
            // Infinities and NaN have the highest exponent in both formats.
            let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
            *wide = f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    #[test]
    fn every_half_is_exact() {
        for bits in 0..=u16::MAX {
            let narrow = f16::from_bits(bits);
            let mut wide = [0.0f32];
            super::widen(&[narrow], &mut wide);
            let want = narrow.to_f32();
            assert!(wide[0].to_bits() == want.to_bits() || (wide[0].is_nan() && want.is_nan()), "{bits:#x}");
        }
    }
}
