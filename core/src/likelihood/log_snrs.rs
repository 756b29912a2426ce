//! The log-SNRs that a density is integrated over, and what noise upon noise amounts to.

use super::LikelihoodError;
use crate::math;

/// The logistic function `1 / (1 + e^-l)`: the signal's share `alpha^2` at log-SNR `l`, `alpha^2 + sigma^2 = 1`.
///
/// ```
/// assert_eq!(picardy::likelihood::sigmoid(0.0), 0.5);
/// ```
pub fn sigmoid(l: f64) -> f64 {
    1.0 / (1.0 + math::exp(-l))
}

/// Data at log-SNR `zeta`, noised further at log-SNR `l`: the log-SNR `l'` at which plain data is as noisy, and the factor `c` of the
/// noise estimate there (arXiv 2407.08946):
///
/// ```text
/// l' = logit(sig(l) sig(zeta)),   c = sqrt(sig(-l) / sig(-l'))
/// ```
///
/// `zeta` infinite is the data itself: `(l, 1)`.
///
/// ```
/// let (told, factor) = picardy::likelihood::seen_from(0.0, 0.0);
/// assert!((told - (0.25f64 / 0.75).ln()).abs() < 1e-12 && (factor - (0.5f64 / 0.75).sqrt()).abs() < 1e-12);
/// ```
pub fn seen_from(l: f64, zeta: f64) -> (f64, f64) {
    if zeta == f64::INFINITY {
        return (l, 1.0);
    }
    let signal = sigmoid(l) * sigmoid(zeta);
    // 1 - signal without cancellation.
    let noise = sigmoid(-l) + sigmoid(l) * sigmoid(-zeta);
    (math::ln(signal / noise), math::sqrt(sigmoid(-l) / noise))
}

/// A distribution of log-SNRs: what the integral of a density is importance-sampled by.
///
/// A range that leaves out levels where the network errs otherwise than a Gaussian's denoiser does makes the density wrong
/// by the integral there; a range wider than that costs variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogSnrs {
    /// `loc + scale logit(u)`, u uniform in (sig(-clip), sig(clip)) (arXiv 2302.03792).
    Logistic {
        /// The middle.
        loc: f64,
        /// The width.
        scale: f64,
        /// Where the distribution is cut off, in scales from the middle.
        clip: f64,
    },
    /// Uniform in (low, high).
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
}

impl LogSnrs {
    /// The levels that the contrastive loss's paper integrates over (arXiv 2407.08946): `loc = -mean ln eig`, scale 3, clip 3.
    ///
    /// ```
    /// use picardy::likelihood::LogSnrs;
    /// assert_eq!(LogSnrs::for_eigenvalues(&[1.0, 1.0]), LogSnrs::Logistic { loc: 0.0, scale: 3.0, clip: 3.0 });
    /// ```
    pub fn for_eigenvalues(eigenvalues: &[f64]) -> Self {
        let loc = -eigenvalues.iter().map(|e| math::ln(*e)).sum::<f64>() / eigenvalues.len() as f64;
        Self::Logistic { loc, scale: 3.0, clip: 3.0 }
    }

    /// The log-SNR at the quantile `u` in (0, 1), and its weight, 1 over the density there.
    ///
    /// With u uniform, `E[weight f(l)]` is the integral of f over the range; for the logistic one
    /// `weight = scale tanh(clip / 2) / (sig(k) sig(-k))`, k = (l - loc) / scale.
    ///
    /// ```
    /// let (l, weight) = picardy::likelihood::LogSnrs::Uniform { low: -2.0, high: 6.0 }.at(0.25);
    /// assert_eq!((l, weight), (0.0, 8.0));
    /// ```
    pub fn at(&self, u: f64) -> (f64, f64) {
        match *self {
            Self::Logistic { loc, scale, clip } => {
                // tanh(clip / 2).
                let mass = -math::expm1(-clip) / (1.0 + math::exp(-clip));
                let u = sigmoid(-clip) + mass * u;
                (loc + scale * math::ln(u / (1.0 - u)), scale * mass / (u * (1.0 - u)))
            }
            Self::Uniform { low, high } => (low + (high - low) * u, high - low),
        }
    }

    /// The lowest and the highest log-SNR.
    pub fn range(&self) -> (f64, f64) {
        match *self {
            Self::Logistic { loc, scale, clip } => (loc - scale * clip, loc + scale * clip),
            Self::Uniform { low, high } => (low, high),
        }
    }

    /// Whether this is a distribution.
    ///
    /// # Errors
    ///
    /// [`LikelihoodError::Setting`] where a width is not positive or a number not finite.
    pub fn check<E>(&self) -> Result<(), LikelihoodError<E>> {
        let bad = |name, value| Err(LikelihoodError::Setting { name, value });
        let positive = |value: f64| value > 0.0 && value.is_finite();
        match *self {
            Self::Logistic { loc, .. } if !loc.is_finite() => bad("loc", loc),
            Self::Logistic { scale, .. } if !positive(scale) => bad("scale", scale),
            // Beyond, 1 - sig(clip) is 0 in double precision.
            Self::Logistic { clip, .. } if !(clip > 0.0 && clip <= 30.0) => bad("clip", clip),
            Self::Uniform { low, high } if !positive(high - low) => bad("high - low", high - low),
            _ => Ok(()),
        }
    }
}
