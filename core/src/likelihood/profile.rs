//! What is usual over the noise levels, and how far from it an input is.

use super::ThresholdError;
use crate::math;

/// Bands of log-SNRs in a profile.
pub const BANDS: usize = 8;

/// The parts of an input's log-density that bands of log-SNRs have, in nats: see [`Likelihood::profile`](super::Likelihood::profile).
pub type Profile = [f64; BANDS];

/// The mean and the covariance of held-out inputs' profiles.
///
/// ```text
/// score(p) = (p - mean)^T (covariance + r I)^-1 (p - mean),    r = 1e-3 of the mean variance
/// ```
///
/// the squared Mahalanobis distance. Unlike `-log p`, it also finds inputs that are too likely, which low densities cannot: data of
/// many coordinates lies where the density is typical, not where it is highest (arXiv 1906.02994).
///
/// Its [`Threshold`](super::Threshold) must be calibrated on other inputs than these. The profiles that are fitted, those of the threshold's
/// scores and all later ones come from one network and one [`Likelihood`](super::Likelihood) (seed, evaluations and log-SNRs too): the
/// error of a seed's draws is in every profile.
///
/// ```
/// use picardy::likelihood::{BANDS, Typical};
/// // Made-up profiles, all bands independent.
/// let mut profiles = [[0.0; BANDS]; 64];
/// for (item, profile) in profiles.iter_mut().enumerate() {
///     picardy::Noise::seeded(1).fill(1.0, item, 1, profile);
/// }
/// let typical = Typical::fit(&profiles)?;
/// let mut odd = [0.0; BANDS];
/// assert!(typical.score(&odd) < 1.0);
/// odd[3] = 9.0;
/// assert!(typical.score(&odd) > 40.0);
/// # Ok::<(), picardy::likelihood::ThresholdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Typical {
    /// The mean.
    pub mean: Profile,
    /// The covariance's lower Cholesky factor.
    pub factor: [Profile; BANDS],
}

/// What is added to the variances, as part of their mean.
const RIDGE: f64 = 1e-3;

impl Typical {
    /// Fits held-out profiles.
    ///
    /// # Errors
    ///
    /// [`ThresholdError::TooFew`] of fewer than `2 BANDS` profiles, [`ThresholdError::Score`] where one is not finite (its place),
    /// [`ThresholdError::Spread`] where they do not vary.
    pub fn fit(profiles: &[Profile]) -> Result<Self, ThresholdError> {
        let given = profiles.len();
        if given < 2 * BANDS {
            return Err(ThresholdError::TooFew { needed: 2 * BANDS, given });
        }
        if let Some(index) = profiles.iter().position(|profile| !profile.iter().all(|part| part.is_finite()))
        {
            return Err(ThresholdError::Score { index });
        }
        let n = given as f64;
        let mut mean = [0.0; BANDS];
        for profile in profiles {
            mean.iter_mut().zip(profile).for_each(|(mean, part)| *mean += part / n);
        }
        let mut covariance = [[0.0; BANDS]; BANDS];
        for profile in profiles {
            let off = less(profile, &mean);
            for (row, a) in covariance.iter_mut().zip(off) {
                row.iter_mut().zip(off).for_each(|(entry, b)| *entry += a * b / (n - 1.0));
            }
        }
        let trace: f64 = covariance.iter().enumerate().filter_map(|(i, row)| row.get(i)).sum();
        let ridge = RIDGE * trace / BANDS as f64;
        // Below, it is the rounding of profiles that are all the same.
        let square: f64 = mean.iter().map(|mean| mean * mean).sum();
        if !(ridge > 1e-24 * square && ridge.is_finite()) {
            return Err(ThresholdError::Spread);
        }
        for (i, row) in covariance.iter_mut().enumerate() {
            row.iter_mut().skip(i).take(1).for_each(|entry| *entry += ridge);
        }
        Ok(Self { mean, factor: cholesky(&covariance) })
    }

    /// The squared distance of a profile from what is usual; NaN of one with NaN. A factor that is none (with 0 or NaN on its
    /// diagonal) gives infinity or NaN.
    pub fn score(&self, profile: &Profile) -> f64 {
        let off = less(profile, &self.mean);
        // Forward substitution: |L^-1 off|^2.
        let mut solved = [0.0; BANDS];
        let mut sum = 0.0;
        for (i, (row, off)) in self.factor.iter().zip(off).enumerate() {
            let before: f64 = row.iter().zip(&solved).take(i).map(|(l, y)| l * y).sum();
            let value = (off - before) / row.get(i).copied().unwrap_or(1.0);
            solved.iter_mut().skip(i).take(1).for_each(|y| *y = value);
            sum += value * value;
        }
        sum
    }
}

fn less(profile: &Profile, mean: &Profile) -> Profile {
    let mut off = *profile;
    off.iter_mut().zip(mean).for_each(|(off, mean)| *off -= mean);
    off
}

/// The lower triangular L with `L L^T = a`.
fn cholesky(a: &[Profile; BANDS]) -> [Profile; BANDS] {
    let mut factor: [Profile; BANDS] = [[0.0; BANDS]; BANDS];
    for (i, given) in a.iter().enumerate() {
        let mut new = [0.0; BANDS];
        for (j, given) in given.iter().enumerate().take(i + 1) {
            let other = if j < i { factor.get(j).copied().unwrap_or_default() } else { new };
            let known: f64 = new.iter().zip(&other).take(j).map(|(a, b)| a * b).sum();
            let rest = given - known;
            let entry = if j == i { math::sqrt(rest) } else { rest / other.get(j).copied().unwrap_or(1.0) };
            new.iter_mut().skip(j).take(1).for_each(|slot| *slot = entry);
        }
        factor.iter_mut().skip(i).take(1).for_each(|row| *row = new);
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Noise;

    #[test]
    fn distances_do_not_depend_on_the_bands_scales_and_mixing() {
        let (mut plain, mut mixed) = ([[0.0; BANDS]; 200], [[0.0; BANDS]; 200]);
        let mix = |profile: &Profile| -> Profile {
            core::array::from_fn(|i| {
                (i + 1) as f64 * profile[i] + if i > 0 { profile[i - 1] } else { 0.0 } + 3.0
            })
        };
        for (item, (plain, mixed)) in plain.iter_mut().zip(&mut mixed).enumerate() {
            Noise::seeded(2).fill(1.0, item, 1, plain);
            *mixed = mix(plain);
        }
        let (one, other) = (Typical::fit(&plain).unwrap(), Typical::fit(&mixed).unwrap());
        let mut mean = 0.0;
        for (plain, mixed) in plain.iter().zip(&mixed) {
            let (a, b) = (one.score(plain), other.score(mixed));
            assert!((a - b).abs() < 0.1 * a.max(1.0), "{a} and {b}");
            mean += a / 200.0;
        }
        // The mean of (n - 1)/n BANDS, less the ridge's part.
        assert!((mean - BANDS as f64).abs() < 0.1, "{mean}");
    }

    #[test]
    fn bad_profiles_are_errors() {
        let few = Typical::fit(&[[0.0; BANDS]; 15]);
        assert_eq!(few, Err(ThresholdError::TooFew { needed: 16, given: 15 }));
        assert_eq!(Typical::fit(&[]), Err(ThresholdError::TooFew { needed: 16, given: 0 }));
        assert_eq!(Typical::fit(&[[1.0; BANDS]; 20]), Err(ThresholdError::Spread));
        let mut profiles = [[1.0; BANDS]; 20];
        profiles[7][2] = f64::NAN;
        assert_eq!(Typical::fit(&profiles), Err(ThresholdError::Score { index: 7 }));
        profiles[7][2] = 1e200;
        assert_eq!(Typical::fit(&profiles), Err(ThresholdError::Spread));
    }
}
