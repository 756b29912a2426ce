//! The eight black squares of a 4 by 4 board on [-2, 2]^2, each uniform.

use super::builtin::Moments;
use crate::rng::Rng;

pub(super) fn point(rng: &mut Rng) -> [f64; 2] {
    let square = rng.below(8);
    let row = square / 2;
    // Black squares have an even sum of row and column.
    let column = 2 * (square % 2) + row % 2;
    [column as f64 - 2.0 + rng.uniform(), row as f64 - 2.0 + rng.uniform()]
}

/// Each coordinate alone is uniform on [-2, 2]: variance 16/12.
pub(super) fn moments() -> [Moments; 2] {
    [Moments { mean: 0.0, variance: 4.0 / 3.0 }; 2]
}
