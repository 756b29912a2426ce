//! The plane's view of scikit-learn's `make_swiss_roll`: (t cos t, t sin t), t uniform in [3 pi / 2, 9 pi / 2].

use std::f64::consts::PI;

use super::builtin::Moments;
use crate::rng::Rng;

/// The noise's standard deviation; the roll's radius runs from 4.7 to 14.1.
const NOISE: f64 = 0.5;

pub(super) fn point(rng: &mut Rng) -> [f64; 2] {
    let t = 1.5 * PI * (1.0 + 2.0 * rng.uniform());
    let (sin, cos) = t.sin_cos();
    let (dx, dy) = rng.normal_pair();
    [t * cos + NOISE * dx, t * sin + NOISE * dy]
}

/// With a = 3 pi / 2 and b = 9 pi / 2: E t cos t = (b + a)/(b - a) = 2, E t sin t = 2/(b - a),
/// E t^2 = (a^2 + ab + b^2)/3 = 39 pi^2 / 4 and E t^2 cos 2t = -1/2.
pub(super) fn moments() -> [Moments; 2] {
    let (square, mean_y) = (39.0 * PI * PI / 4.0, 2.0 / (3.0 * PI));
    let noise = NOISE * NOISE;
    [
        Moments { mean: 2.0, variance: (square - 0.5) / 2.0 - 4.0 + noise },
        Moments { mean: mean_y, variance: (square + 0.5) / 2.0 - mean_y * mean_y + noise },
    ]
}
