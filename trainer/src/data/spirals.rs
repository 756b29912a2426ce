//! Two spiral arms, +-(t cos t, t sin t) with t = 3 pi sqrt(u), u uniform in [0, 1]: even in area.

use std::f64::consts::PI;

use super::builtin::Moments;
use crate::rng::Rng;

/// Where an arm ends.
const END: f64 = 3.0 * PI;
/// The noise's standard deviation; the arms are pi apart.
const NOISE: f64 = 0.25;

pub(super) fn point(rng: &mut Rng) -> [f64; 2] {
    let arm = if rng.below(2) == 1 { -1.0 } else { 1.0 };
    let t = END * rng.uniform().sqrt();
    let (sin, cos) = t.sin_cos();
    let (dx, dy) = rng.normal_pair();
    [arm * t * cos + NOISE * dx, arm * t * sin + NOISE * dy]
}

/// With the density 2 t / T^2, T = 3 pi: E t^2 = T^2 / 2 and E t^2 cos 2t = 3/2; the arms' means cancel.
pub(super) fn moments() -> [Moments; 2] {
    let (half, noise) = (END * END / 4.0, NOISE * NOISE);
    [0.75, -0.75].map(|share| Moments { mean: 0.0, variance: half + share + noise })
}
