//! Eight Gaussians, their means evenly on the unit circle.

use std::f64::consts::FRAC_PI_4;

use super::builtin::Moments;
use crate::rng::Rng;

/// Each Gaussian's standard deviation; neighbours are 0.77 apart.
const DEVIATION: f64 = 0.1;

pub(super) fn point(rng: &mut Rng) -> [f64; 2] {
    let (sin, cos) = (FRAC_PI_4 * rng.below(8) as f64).sin_cos();
    let (dx, dy) = rng.normal_pair();
    [cos + DEVIATION * dx, sin + DEVIATION * dy]
}

/// The means' own variance is 1/2 a coordinate.
pub(super) fn moments() -> [Moments; 2] {
    [Moments { mean: 0.0, variance: 0.5 + DEVIATION * DEVIATION }; 2]
}
