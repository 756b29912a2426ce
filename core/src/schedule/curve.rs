//! Curves of sigmas between two ends.

use super::ScheduleError;
use super::beta_quantile::beta_quantile;
use crate::math;

/// How `N` sigmas run from the noisiest to the cleanest, `u = i/(N-1)` from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SigmaShape {
    /// `(max^(1/rho) + u (min^(1/rho) - max^(1/rho)))^rho` (arXiv 2206.00364, eq. 5).
    Karras {
        /// 7 in the paper: larger puts more levels at low noise.
        rho: f64,
    },
    /// Equal steps in `ln sigma`.
    Exponential,
    /// `min + (max - min) Q(1 - u)`, `Q` the quantile of the beta distribution (arXiv 2407.12173).
    Beta {
        /// 0.6 in the paper: below 1 puts more levels at high noise.
        alpha: f64,
        /// 0.6 in the paper: below 1 puts more levels at low noise.
        beta: f64,
    },
}

impl SigmaShape {
    /// Whether the numbers make a curve.
    pub(super) fn check(&self, sigma_min: f64, sigma_max: f64) -> Result<(), ScheduleError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !(sigma_min > 0.0 && sigma_min < sigma_max && sigma_max.is_finite()) {
            return Err(ScheduleError::SigmaRange { sigma_min, sigma_max });
        }
        match *self {
            Self::Karras { rho } if !positive(rho) => Err(ScheduleError::Rho(rho)),
            Self::Beta { alpha, beta } if !(positive(alpha) && positive(beta)) => {
                Err(ScheduleError::BetaShape { alpha, beta })
            }
            _ => Ok(()),
        }
    }

    /// Sigma `i` of `steps`: the ends exactly.
    pub(super) fn sigma(&self, i: usize, steps: usize, sigma_min: f64, sigma_max: f64) -> f64 {
        if i == 0 {
            return sigma_max;
        }
        if i + 1 >= steps {
            return sigma_min;
        }
        let u = i as f64 / (steps - 1) as f64;
        match *self {
            Self::Karras { rho } => {
                let (low, high) = (math::pow(sigma_min, 1.0 / rho), math::pow(sigma_max, 1.0 / rho));
                math::pow(high + u * (low - high), rho)
            }
            Self::Exponential => {
                let high = math::ln(sigma_max);
                math::exp(high + u * (math::ln(sigma_min) - high))
            }
            Self::Beta { alpha, beta } => {
                sigma_min + (sigma_max - sigma_min) * beta_quantile(1.0 - u, alpha, beta)
            }
        }
    }
}
