//! The unit Gaussian noise of a run, keyed by (seed, item, node).
//!
//! Counter-based: a normal is a function of its key, not of what was drawn before. So sequential and
//! parallel runs see the same noise, none of it is stored, and no result depends on the batch, the window or
//! the number of threads. Philox4x32-10 (Salmon et al. 2011) makes the bits, Box and Muller the normals.

use crate::{Real, math};
use core::fmt;

/// Four normals come out of one turn of the generator: the unit in which noise is asked for.
pub const BLOCK: usize = 4;

/// Where a run's noise comes from.
///
/// ```
/// use picardy::Noise;
/// let noise = Noise::seeded(7);
/// assert_eq!(noise.block(3, 50, 0), Noise::seeded(7).from_item(3).block(0, 50, 0));
/// assert_ne!(noise.block(3, 50, 0), noise.block(3, 51, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise<'a> {
    source: Source<'a>,
    first_item: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Source<'a> {
    Seeded(u64),
    Tape(Tape<'a>),
}

/// Recorded unit normals `[nodes, batch, dim]`, row-major: node `k` of a plan reads row `k - 1` (the start,
/// node 0, is the caller's).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tape<'a> {
    values: &'a [f64],
    batch: usize,
    dim: usize,
}

/// A noise tape that does not serve the run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TapeError {
    /// Its items have another number of coordinates.
    Dim {
        /// The run's.
        run: usize,
        /// The tape's.
        tape: usize,
    },
    /// It has fewer items.
    Items {
        /// The run's, those skipped by [`Noise::from_item`] included.
        run: u64,
        /// The tape's.
        tape: usize,
    },
    /// It has too few normals.
    Length {
        /// Nodes after the start x the tape's items x coordinates.
        needed: usize,
        /// The normals there are.
        given: usize,
    },
    /// A normal is infinite or NaN.
    NotFinite {
        /// Its place in the tape.
        index: usize,
    },
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Dim { run, tape } => {
                write!(
                    f,
                    "the noise tape is of items of {tape} numbers, the run's have {run}; record such a tape"
                )
            }
            Self::Items { run, tape } => {
                write!(f, "the noise tape is of {tape} items, the run takes {run}; record as many")
            }
            Self::Length { needed, given } => {
                write!(f, "the noise tape has {given} normals; record {needed} [node, item, dim]")
            }
            Self::NotFinite { index } => {
                write!(f, "normal {index} of the noise tape is not finite; record it again")
            }
        }
    }
}

impl core::error::Error for TapeError {}

impl Noise<'static> {
    /// Noise from a seed; nothing is stored.
    pub const fn seeded(seed: u64) -> Self {
        Self { source: Source::Seeded(seed), first_item: 0 }
    }
}

impl<'a> Noise<'a> {
    /// Recorded noise `[nodes, batch, dim]` in place of a generator; the first row belongs to node 1.
    pub const fn tape(values: &'a [f64], batch: usize, dim: usize) -> Self {
        Self { source: Source::Tape(Tape { values, batch, dim }), first_item: 0 }
    }

    /// The same noise for items `first ..`: what makes a batch run in parts equal the whole one.
    #[must_use]
    pub const fn from_item(self, first: u64) -> Self {
        Self { first_item: self.first_item.wrapping_add(first), ..self }
    }

    /// Normals `4 block .. 4 block + 4` of an item's noise at a node. Past a tape's end: zeros.
    pub fn block(&self, item: usize, node: usize, block: usize) -> [f64; BLOCK] {
        self.first_of_block(item, node, block, BLOCK)
    }

    /// [`block`](Self::block), of which only the first `wanted` normals need be right.
    fn first_of_block(&self, item: usize, node: usize, block: usize, wanted: usize) -> [f64; BLOCK] {
        match &self.source {
            Source::Seeded(seed) => {
                let item = self.first_item.wrapping_add(item as u64);
                // Unique for up to 2^32 blocks, 2^32 nodes and 2^64 items.
                let counter = [block as u32, node as u32, item as u32, (item >> 32) as u32];
                normals(philox(counter, [*seed as u32, (*seed >> 32) as u32]), wanted)
            }
            Source::Tape(tape) => tape.block(item.wrapping_add(self.first_item as usize), node, block),
        }
    }

    /// A uniform number in (0, 1) for one item and node, `(n + 1/2) / 2^53` with `n` of 53 bits, independent of all
    /// normals: what acceptance in [`Speculative`](crate::Speculative) is decided by. `None` on a tape, which has normals
    /// alone.
    ///
    /// ```
    /// let u = picardy::Noise::seeded(7).uniform(3, 50);
    /// assert!(u.is_some_and(|u| 0.0 < u && u < 1.0));
    /// assert_eq!(picardy::Noise::tape(&[], 0, 1).uniform(3, 50), None);
    /// ```
    pub fn uniform(&self, item: usize, node: usize) -> Option<f64> {
        let Source::Seeded(seed) = &self.source else { return None };
        let item = self.first_item.wrapping_add(item as u64);
        // The last block: no state has the 2^34 numbers that would reach it.
        let counter = [u32::MAX, node as u32, item as u32, (item >> 32) as u32];
        let [a, b, ..] = philox(counter, [*seed as u32, (*seed >> 32) as u32]);
        let n = (u64::from(a) << 21) | u64::from(b >> 11);
        Some((n as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0))
    }

    /// Calls `use_each` with every number of `out` and its normal.
    pub(crate) fn zip<T>(
        &self,
        item: usize,
        node: usize,
        out: &mut [T],
        mut use_each: impl FnMut(&mut T, f64),
    ) {
        for (block, chunk) in out.chunks_mut(BLOCK).enumerate() {
            let normals = self.first_of_block(item, node, block, chunk.len());
            for (x, z) in chunk.iter_mut().zip(normals) {
                use_each(x, z);
            }
        }
    }

    /// Writes `weight * z` for one item and node, `z` its unit normals.
    pub fn fill<T: Real>(&self, weight: f64, item: usize, node: usize, out: &mut [T]) {
        self.zip(item, node, out, |x, z| *x = T::from_f64(weight * z));
    }

    /// Whether this noise suffices for `nodes` nodes (the start not counted), `batch` items of `dim` numbers.
    ///
    /// # Errors
    /// A tape of another shape or too short.
    pub fn check(&self, nodes: usize, batch: usize, dim: usize) -> Result<(), TapeError> {
        let Source::Tape(tape) = &self.source else { return Ok(()) };
        if tape.dim != dim {
            return Err(TapeError::Dim { run: dim, tape: tape.dim });
        }
        let items = self.first_item.saturating_add(batch as u64);
        if items > tape.batch as u64 {
            return Err(TapeError::Items { run: items, tape: tape.batch });
        }
        let (needed, given) = (nodes.saturating_mul(tape.batch).saturating_mul(dim), tape.values.len());
        if given < needed {
            return Err(TapeError::Length { needed, given });
        }
        match tape.values.iter().take(needed).position(|z| !z.is_finite()) {
            Some(index) => Err(TapeError::NotFinite { index }),
            None => Ok(()),
        }
    }
}

impl Tape<'_> {
    fn block(&self, item: usize, node: usize, block: usize) -> [f64; BLOCK] {
        let mut out = [0.0; BLOCK];
        let row = node
            .checked_sub(1)
            .and_then(|row| row.checked_mul(self.batch)?.checked_add(item)?.checked_mul(self.dim));
        let values =
            row.and_then(|start| self.values.get(start..start.checked_add(self.dim)?)).unwrap_or(&[]);
        for (z, value) in out.iter_mut().zip(values.iter().skip(block.saturating_mul(BLOCK))) {
            *z = *value;
        }
        out
    }
}

/// Philox4x32-10: ten rounds of multiplication, exclusive or and permutation over a counter, under a key.
///
/// Every (counter, key) gives 128 random bits, in no order: what all of Picardy's randomness is made of.
///
/// ```
/// // A known answer of the Random123 distribution.
/// assert_eq!(picardy::noise::philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    // Multipliers and Weyl constants of the published generator (doi 10.1145/2063384.2063405, table 2 and 4.1).
    let product = |a: u32, b: u32| {
        let wide = u64::from(a) * u64::from(b);
        ((wide >> 32) as u32, wide as u32)
    };
    for _ in 0..10 {
        let (high0, low0) = product(0xD251_1F53, counter[0]);
        let (high1, low1) = product(0xCD9E_8D57, counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Two Box-Muller pairs: `sqrt(-2 ln u) (cos, sin)(2 pi v)`, `u` in (0, 1) so that the logarithm is finite. The
/// second pair is left out where at most two normals are `wanted`.
pub(crate) fn normals(bits: [u32; 4], wanted: usize) -> [f64; BLOCK] {
    let pair = |a: u32, b: u32| {
        let radius = math::sqrt(-2.0 * math::ln((f64::from(a) + 0.5) * (1.0 / 4_294_967_296.0)));
        let (sin, cos) = sin_cos_of_turn(b);
        [radius * cos, radius * sin]
    };
    let [a, b] = pair(bits[0], bits[1]);
    let [c, d] = if wanted > 2 { pair(bits[2], bits[3]) } else { [0.0; 2] };
    [a, b, c, d]
}

/// (-1)^n / (2n + 1)!, of sin(x) / x in x^2. Constants, that they lie on no stack.
const SIN: [f64; 8] = [
    1.0,
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
];
/// (-1)^n / (2n)! from n = 1, of (cos(x) - 1) / x^2 in x^2.
const COS: [f64; 8] = [
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];

/// `(sin, cos)(2 pi turn / 2^32)`. A whole number of turns needs no reduction: the top bits are the nearest quarter,
/// the rest an angle within an eighth, where the Taylor series to `x^15` and `x^16` are exact to the last bit or two.
fn sin_cos_of_turn(turn: u32) -> (f64, f64) {
    let quarter = turn.wrapping_add(1 << 29) >> 30;
    let rest = turn.wrapping_sub(quarter << 30) as i32;
    let x = f64::from(rest) * (core::f64::consts::TAU / 4_294_967_296.0);
    let y = x * x;
    let series = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * y + c);
    let sin = x * series(&SIN);
    let cos = 1.0 + y * series(&COS);
    match quarter {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_and_cosines_of_turns_are_those_of_libm() {
        for i in 0..if cfg!(miri) { 100 } else { 100_000u32 } {
            let turn = i.wrapping_mul(2_654_435_761);
            let angle = f64::from(turn) * (core::f64::consts::TAU / 4_294_967_296.0);
            let (sin, cos) = sin_cos_of_turn(turn);
            assert!(
                (sin - libm::sin(angle)).abs() < 1e-15 && (cos - libm::cos(angle)).abs() < 1e-15,
                "{turn}"
            );
        }
        assert_eq!(sin_cos_of_turn(0), (0.0, 1.0));
        assert_eq!(sin_cos_of_turn(1 << 30), (1.0, 0.0));
    }

    #[test]
    fn philox_agrees_with_the_published_vectors() {
        // Known answers of the Random123 distribution.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
