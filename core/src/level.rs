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

    /// The level of the pinned (Foellmer) process with this one's signal-to-noise ratio: marginals `N(tau x1, v tau (1 - tau) I)`,
    ///
    /// ```text
    /// tau = v a^2/(v a^2 + s^2),    alpha = tau,    sigma = sqrt(v tau (1 - tau))
    /// ```
    ///
    /// (arXiv 2305.09605), v being `variance`. With v = 1 and a variance-preserving level, `tau = a^2` and `z/sqrt(tau)` is that
    /// level's state.
    ///
    /// ```
    /// use picardy::Level;
    /// let level = Level::vp(0.36, 7.0).pinned(1.0);
    /// assert!((level.alpha - 0.36).abs() < 1e-12 && (level.sigma - 0.48).abs() < 1e-12 && level.t == 7.0);
    /// ```
    #[must_use]
    pub fn pinned(&self, variance: f64) -> Self {
        let (signal, noise) = (variance * self.alpha * self.alpha, self.sigma * self.sigma);
        let (tau, left) = (signal / (signal + noise), noise / (signal + noise));
        Self { alpha: tau, sigma: math::sqrt(variance * tau * left), t: self.t }
    }

    /// The level of this one's process whose `sigma / alpha` is `ratio`: EDM where `alpha = 1`, flow matching where
    /// `alpha + sigma = 1`, variance preserving where `alpha^2 + sigma^2 = 1`, else pinned, its variance being
    /// `sigma^2/(alpha (1 - alpha))`; variance preserving where that is none.
    pub(crate) fn with_ratio(&self, ratio: f64, t: f64) -> Self {
        let (sum, norm) = (self.alpha + self.sigma, self.alpha * self.alpha + self.sigma * self.sigma);
        let variance = self.sigma * self.sigma / (self.alpha * (1.0 - self.alpha));
        let scale = if self.alpha == 1.0 {
            1.0
        } else if (sum - 1.0).abs() < 1e-9 {
            1.0 / (1.0 + ratio)
        } else if (norm - 1.0).abs() < 1e-9 || !(variance > 0.0 && variance.is_finite()) {
            1.0 / math::sqrt(1.0 + ratio * ratio)
        } else {
            variance / (variance + ratio * ratio)
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
