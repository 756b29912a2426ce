//! Gaussians around the input: their errors, and the errors' integrals.

use super::draws::Draw;
use super::{CONTROLS, LogSnrs};
use crate::math;

/// The controls' variances, as parts of the first Gaussian's.
const PARTS: [f64; CONTROLS] = [0.5, 0.15, 0.05, 0.015];

/// `N(x, v I)`, and the same with other v.
///
/// Its noise estimate errs by `eps a^2 v / (a^2 v + s^2) = eps sig(l + ln v)`, so that
///
/// ```text
/// |eps - eps_g|^2 = |eps|^2 sig(l + ln v)^2,   E of it integrates to d [softplus(m) + sig(-m)],  m = l + ln v
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    variance: f64,
    dim: f64,
    /// The integral of E of each control's error less the first Gaussian's, over the range of log-SNRs.
    integrals: [f64; CONTROLS],
}

impl Local {
    pub(super) fn new(variance: f64, levels: &LogSnrs, dim: usize) -> Self {
        let (low, high) = levels.range();
        let dim = dim as f64;
        let whole = |variance: f64| {
            let end = |l: f64| primitive(l + math::ln(variance));
            dim * (end(high) - end(low))
        };
        Self { variance, dim, integrals: PARTS.map(|part| whole(part * variance) - whole(variance)) }
    }

    /// `ln N(x; x, v I)`.
    pub(super) fn log_density(&self) -> f64 {
        -0.5 * self.dim * math::ln(core::f64::consts::TAU * self.variance)
    }

    /// The first Gaussian's error where `|eps|^2` is `square`, and each control: the weighted difference of its error, less what that integrates to.
    pub(super) fn at(&self, draw: &Draw, square: f64) -> (f64, [f64; CONTROLS]) {
        let (a, s) = (draw.alpha * draw.alpha, draw.sigma * draw.sigma);
        let error = |variance: f64| {
            let part = a * variance / (a * variance + s);
            part * part * square
        };
        let base = error(self.variance);
        let mut controls = PARTS.map(|part| draw.weight * (error(part * self.variance) - base));
        controls.iter_mut().zip(self.integrals).for_each(|(control, integral)| *control -= integral);
        (base, controls)
    }
}

/// A function whose slope is `sig(m)^2`: `softplus(m) + sig(-m)`.
fn primitive(m: f64) -> f64 {
    m.max(0.0) + math::log1p(math::exp(-m.abs())) + super::sigmoid(-m)
}
