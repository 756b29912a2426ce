//! One noise level.

use crate::math;

/// A noise level of the forward process: `z = alpha x0 + sigma eps`, `eps` unit Gaussian.
///
/// | process | relation |
/// |---|---|
/// | variance preserving (DDPM) | `alpha^2 + sigma^2 = 1` |
/// | variance exploding (EDM) | `alpha = 1` |
/// | flow matching | `alpha = 1 - sigma` |
///
/// What the network is told of the level is a number of its own, [`t`](Level::t): a timestep, a
/// sigma or a log-SNR, as it was trained.
///
/// ```
/// use picardy::Level;
/// let level = Level::vp(0.5, 499.0);
/// assert!((level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15);
/// assert_eq!(level.log_snr(), 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// How much of the data is left: the factor of `x0`.
    pub alpha: f64,
    /// How much noise there is: the factor of `eps`.
    pub sigma: f64,
    /// What the network is told.
    pub t: f64,
}

impl Level {
    /// No noise at all: where every full run ends.
    pub const DATA: Self = Self { alpha: 1.0, sigma: 0.0, t: 0.0 };

    /// All zero, which is no level: what a static array of levels begins as, at no cost in flash.
    pub const EMPTY: Self = Self { alpha: 0.0, sigma: 0.0, t: 0.0 };

    /// A variance-preserving level: `alpha = sqrt(alpha_bar)`, `sigma = sqrt(1 - alpha_bar)`.
    pub fn vp(alpha_bar: f64, t: f64) -> Self {
        Self { alpha: math::sqrt(alpha_bar), sigma: math::sqrt(1.0 - alpha_bar), t }
    }

    /// A variance-exploding level, `alpha = 1`, whose network is told `sigma` itself.
    pub const fn ve(sigma: f64) -> Self {
        Self { alpha: 1.0, sigma, t: sigma }
    }

    /// `ln(alpha^2 / sigma^2)`; infinite at the two ends. DPM-Solver's lambda is half of it.
    pub fn log_snr(&self) -> f64 {
        2.0 * (math::ln(self.alpha) - math::ln(self.sigma))
    }

    /// The variance of `z` at this cleaner level given `z` at the `noisier` one and `x0`: the DDPM posterior's
    ///
    /// ```text
    /// sigma^2 (1 - (alpha_c sigma)^2 / (sigma_c alpha)^2)      c: the noisier level
    /// ```
    ///
    /// (arXiv 2006.11239, eq. 7, for any `alpha`, `sigma`). 0 where `noisier` is not noisier.
    pub fn posterior_variance(&self, noisier: &Level) -> f64 {
        let ratio = noisier.alpha * self.sigma / (noisier.sigma * self.alpha);
        let variance = self.sigma * self.sigma * (1.0 - ratio * ratio);
        // Also what NaN (0/0 at two noise-free levels) falls to.
        if variance > 0.0 { variance } else { 0.0 }
    }

    /// The level of this one's process whose `sigma / alpha` is `ratio`: EDM where `alpha = 1`, flow matching where
    /// `alpha + sigma = 1`, variance preserving otherwise.
    pub(crate) fn with_ratio(&self, ratio: f64, t: f64) -> Self {
        let sum = self.alpha + self.sigma;
        let scale = if self.alpha == 1.0 {
            1.0
        } else if (sum - 1.0).abs() < 1e-9 {
            1.0 / (1.0 + ratio)
        } else {
            1.0 / math::sqrt(1.0 + ratio * ratio)
        };
        Self { alpha: scale, sigma: scale * ratio, t }
    }

    /// Both factors are finite, neither is negative, and they are not both 0.
    pub(crate) fn is_sound(&self) -> bool {
        let sound = |v: f64| v.is_finite() && v >= 0.0;
        sound(self.alpha) && sound(self.sigma) && self.t.is_finite() && self.alpha + self.sigma > 0.0
    }

    /// Strictly less noise than `other`: `sigma / alpha` is smaller (compared without dividing).
    pub(crate) fn is_cleaner_than(&self, other: &Level) -> bool {
        self.sigma * other.alpha < other.sigma * self.alpha
    }
}
