//! What a denoiser would say of Gaussian data: where nothing else is known.

use crate::{Form, Level};

/// The Jacobian of the denoiser for `N(0, v I)`.
pub(super) fn gaussian(level: &Level, form: Form, variance: f64) -> f64 {
    let (a, s) = (level.alpha, level.sigma);
    let norm = a * a * variance + s * s;
    match form {
        Form::Data => a * variance / norm,
        Form::Noise => s / norm,
    }
}
