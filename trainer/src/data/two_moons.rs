//! Two interleaved half circles, scikit-learn's `make_moons`: (cos t, sin t) or (1 - cos t, 1/2 - sin t), t
//! uniform in [0, pi].

use std::f64::consts::PI;

use super::builtin::Moments;
use crate::rng::Rng;

/// The noise's standard deviation; the circles' radius is 1.
const NOISE: f64 = 0.05;

pub(super) fn point(rng: &mut Rng) -> [f64; 2] {
    let inner = rng.below(2) == 1;
    let (sin, cos) = (PI * rng.uniform()).sin_cos();
    let (dx, dy) = rng.normal_pair();
    let [x, y] = if inner { [1.0 - cos, 0.5 - sin] } else { [cos, sin] };
    [x + NOISE * dx, y + NOISE * dy]
}

/// E cos t = 0, E sin t = 2/pi, E cos^2 t = E sin^2 t = 1/2.
pub(super) fn moments() -> [Moments; 2] {
    let noise = NOISE * NOISE;
    [
        Moments { mean: 0.5, variance: 0.75 + noise },
        Moments { mean: 0.25, variance: 0.5625 - 1.0 / PI + noise },
    ]
}
