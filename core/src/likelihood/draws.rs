//! The draws of (l, eps) that all inputs share.

use super::{LogSnrs, sigmoid};
use crate::Noise;
use crate::math;
use crate::noise::{normals, philox};

/// One log-SNR, and its weight in the integral.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) log_snr: f64,
    pub(super) weight: f64,
    /// `sqrt(sig(l))` and `sqrt(sig(-l))`.
    pub(super) alpha: f64,
    pub(super) sigma: f64,
}

/// Strata of the log-SNR in order, each with one eps (and its negative).
///
/// The first two coordinates of eps, with the stratum, are a Hammersley set under a random digital shift, taken through Box and Muller's
/// map: of few coordinates, they cover the integral's domain evenly. The other coordinates are [`Noise`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws {
    levels: LogSnrs,
    noise: Noise<'static>,
    shift: [u32; 2],
    strata: usize,
}

impl Draws {
    pub(super) fn new(levels: LogSnrs, seed: u64, strata: usize) -> Self {
        // Strata are nodes from 1: this counter is nobody's.
        let [a, b, ..] = philox([0; 4], [seed as u32, (seed >> 32) as u32]);
        Self { levels, noise: Noise::seeded(seed), shift: [a, b], strata }
    }

    pub(super) fn at(&self, stratum: usize) -> Draw {
        let within = self.noise.uniform(0, stratum.wrapping_add(1)).unwrap_or(0.5);
        let (log_snr, weight) = self.levels.at((stratum as f64 + within) / self.strata as f64);
        let (alpha, sigma) = (math::sqrt(sigmoid(log_snr)), math::sqrt(sigmoid(-log_snr)));
        Draw { log_snr, weight, alpha, sigma }
    }

    /// Calls `each` with the coordinates of a stratum's eps, and the number in `values` at the same place.
    pub(super) fn eps<T>(&self, stratum: usize, values: &mut [T], mut each: impl FnMut(usize, &mut T, f64)) {
        let mut at = 0;
        for (block, chunk) in values.chunks_mut(crate::noise::BLOCK).enumerate() {
            let mut eps = self.noise.block(0, stratum.wrapping_add(1), block);
            if block == 0 {
                let [a, b] = self.shift;
                let first = (stratum as u32).reverse_bits() ^ a;
                let even = normals([first, second_sobol(stratum as u32) ^ b, 0, 0], 2);
                for (eps, even) in eps.iter_mut().zip(even).take(2) {
                    *eps = even;
                }
            }
            for (value, eps) in chunk.iter_mut().zip(eps) {
                each(at, value, eps);
                at += 1;
            }
        }
    }
}

/// The second coordinate of Sobol's sequence, in 2^-32: with the first, the bits in reverse, a (0, 2)-sequence in base 2.
fn second_sobol(mut index: u32) -> u32 {
    let (mut sum, mut direction) = (0, 1u32 << 31);
    while index != 0 {
        if index & 1 == 1 {
            sum ^= direction;
        }
        direction ^= direction >> 1;
        index >>= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_elementary_square_has_one_point() {
        for bits in 0..=6u32 {
            let mut seen = [false; 64];
            for i in 0..64u32 {
                let row = (u64::from(i.reverse_bits()) >> (32 - bits)) as usize;
                let column = (u64::from(second_sobol(i)) >> (26 + bits)) as usize;
                let cell = &mut seen[(row << (6 - bits)) + column];
                assert!(!*cell, "{bits} bits, point {i}");
                *cell = true;
            }
        }
    }

    #[test]
    fn eps_is_unit_normal() {
        let draws = Draws::new(LogSnrs::Uniform { low: -1.0, high: 1.0 }, 5, 1000);
        let (mut sum, mut squares) = ([0.0; 6], [0.0; 6]);
        let n = if cfg!(miri) { 10 } else { 1000 };
        for stratum in 0..n {
            draws.eps(stratum, &mut [(); 6], |i, (), eps| {
                sum[i] += eps;
                squares[i] += eps * eps;
            });
        }
        for i in (0..6).filter(|_| n == 1000) {
            // The even ones are far better than five standard errors of free draws; the others within them.
            let bound = if i < 2 { 0.02 } else { 0.16 };
            assert!((sum[i] / 1000.0).abs() < bound, "{i}: mean {}", sum[i] / 1000.0);
            assert!((squares[i] / 1000.0 - 1.0).abs() < 1.5 * bound, "{i}: square {}", squares[i] / 1000.0);
        }
    }
}
