//! Two Gaussians on the line, and the exact score of their diffused mixture.

use std::f64::consts::TAU;

use super::builtin::Moments;
use crate::rng::Rng;

/// The modes before standardisation: means -1 and 1, this standard deviation, even weights.
const DEVIATION: f64 = 0.25;
const VARIANCE: f64 = 1.0 + DEVIATION * DEVIATION;

pub(super) fn point(rng: &mut Rng) -> [f64; 1] {
    let mode = if rng.below(2) == 1 { 1.0 } else { -1.0 };
    [mode + DEVIATION * rng.normal()]
}

pub(super) fn moments() -> [Moments; 1] {
    [Moments { mean: 0.0, variance: VARIANCE }]
}

/// A mixture of two Gaussians on the line: p(x) = sum_i weights_i N(x; means_i, stds_i^2).
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::Mixture;
///
/// let mixture = Mixture::two_modes();
/// let variance: f64 = (0..2)
///     .map(|i| mixture.weights[i] * (mixture.means[i].powi(2) + mixture.stds[i].powi(2)))
///     .sum();
/// assert!((variance - 1.0).abs() < 1e-12); // standardised
/// assert_eq!(mixture.score(0.0, 1.0, 0.5), 0.0); // halfway between even modes
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// The modes' probabilities; they sum to 1.
    pub weights: [f64; 2],
    /// The modes' means.
    pub means: [f64; 2],
    /// The modes' standard deviations.
    pub stds: [f64; 2],
}

impl Mixture {
    /// [`Builtin::TwoModes`](super::Builtin::TwoModes) in standardised coordinates: zero mean, unit variance.
    pub fn two_modes() -> Self {
        let scale = VARIANCE.sqrt();
        Self { weights: [0.5; 2], means: [-1.0 / scale, 1.0 / scale], stds: [DEVIATION / scale; 2] }
    }

    /// The log-density ln p(z), in nats, of the diffused variable z = a x + s eps.
    ///
    /// a = 1, s = 0 is the mixture itself.
    pub fn log_density(&self, z: f64, a: f64, s: f64) -> f64 {
        let logs = self.joint_logs(z, a, s);
        let top = logs[0].max(logs[1]);
        top + ((logs[0] - top).exp() + (logs[1] - top).exp()).ln()
    }

    /// The score d/dz ln p(z) of z = a x + s eps.
    ///
    /// With v_i = a^2 stds_i^2 + s^2 and r_i the probability of mode i given z, it is
    /// sum_i r_i (a means_i - z) / v_i. The exact denoiser's noise is eps-hat = -s score.
    pub fn score(&self, z: f64, a: f64, s: f64) -> f64 {
        let logs = self.joint_logs(z, a, s);
        // The logistic of the log-odds: neither mode's density is ever divided by one that vanished.
        let second = 1.0 / (1.0 + (logs[0] - logs[1]).exp());
        let pull = [0, 1].map(|i| (a * self.means[i] - z) / self.variance(i, a, s));
        pull[0] * (1.0 - second) + pull[1] * second
    }

    /// Mode i's variance after diffusion.
    fn variance(&self, i: usize, a: f64, s: f64) -> f64 {
        (a * self.stds[i]).powi(2) + s * s
    }

    /// ln(weights_i N(z; a means_i, v_i)) for both modes.
    fn joint_logs(&self, z: f64, a: f64, s: f64) -> [f64; 2] {
        [0, 1].map(|i| {
            let variance = self.variance(i, a, s);
            let offset = z - a * self.means[i];
            self.weights[i].ln() - 0.5 * (TAU * variance).ln() - 0.5 * offset * offset / variance
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_is_the_log_densitys_slope() {
        let uneven = Mixture { weights: [0.3, 0.7], means: [-1.2, 0.4], stds: [0.2, 0.5] };
        for mixture in [Mixture::two_modes(), uneven] {
            for (a, s) in [(1.0, 0.0), (0.9, 0.436), (0.3, 0.954), (1.0, 5.0)] {
                for z in [-2.0, -0.5, 0.0, 0.1, 1.3] {
                    let step = 1e-5;
                    let rise = mixture.log_density(z + step, a, s) - mixture.log_density(z - step, a, s);
                    let score = mixture.score(z, a, s);
                    assert!((rise / (2.0 * step) - score).abs() < 1e-6 * (1.0 + score.abs()), "{z} {a} {s}");
                }
            }
        }
    }

    #[test]
    fn far_away_stays_finite() {
        let mixture = Mixture::two_modes();
        for z in [-1e6, 1e6] {
            assert!(mixture.score(z, 1.0, 1e-3).is_finite());
            assert!(mixture.log_density(z, 1.0, 1e-3).is_finite());
        }
    }
}
