//! When a score is an alarm: a threshold that keeps its promise with finitely many held-out scores.

use super::ThresholdError;
use crate::math;

/// Above which score an input counts as out of distribution.
///
/// Of n held-out scores the k-th smallest, `k = ceil((n + 1)(1 - rate))`. Where the next input is exchangeable with them (drawn from the
/// same distribution, and not trained on), `P(score > value) <= rate` for every n, not only in the limit (split conformal
/// prediction: arXiv 1604.04173, section 2.2; arXiv 2104.08279 for outliers). The probability is over the held-out set too.
///
/// Exchangeable means scored alike, too: by the same network, in the same units, by a [`Likelihood`](super::Likelihood) of the same
/// fields (seed, evaluations and log-SNRs too), and of profiles by the same [`Typical`](super::Typical). The draws' own error is in every
/// score, much the same for all inputs of a seed: with another one it moves all scores against the threshold, and the rate is not kept.
///
/// ```
/// use picardy::likelihood::{Threshold, ThresholdError};
/// let mut held_out: [f64; 99] = core::array::from_fn(|i| i as f64);
/// let threshold = Threshold::calibrate(&mut held_out, 0.05)?;
/// assert_eq!(threshold.value, 94.0); // the 95th of 99: 5 of 100 are above
/// assert!(threshold.is_alarm(94.5) && !threshold.is_alarm(94.0) && threshold.is_alarm(f64::NAN));
/// # Ok::<(), ThresholdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// A score above it is an alarm.
    pub value: f64,
    /// The false-alarm rate that it was asked for.
    pub rate: f64,
    /// The held-out scores that it was made of.
    pub scores: usize,
}

impl Threshold {
    /// The threshold of these held-out scores, which are sorted.
    ///
    /// # Errors
    ///
    /// [`ThresholdError::Rate`] outside (0, 1), [`ThresholdError::TooFew`] where `rate < 1/(n + 1)`,
    /// [`ThresholdError::Score`] of a score that is infinite or NaN.
    pub fn calibrate(scores: &mut [f64], rate: f64) -> Result<Self, ThresholdError> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(ThresholdError::Rate(rate));
        }
        if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
            return Err(ThresholdError::Score { index });
        }
        let n = scores.len();
        // What may lie above: floor((n + 1) rate), by a hair more than rounding takes away.
        let above = math::floor((n as f64 + 1.0) * rate * (1.0 + 1e-12)) as usize;
        let few = ThresholdError::TooFew { needed: -math::floor(1.0 - 1.0 / rate) as usize, given: n };
        let place = if above == 0 { None } else { (n + 1).checked_sub(above + 1) };
        scores.sort_unstable_by(f64::total_cmp);
        let value = place.and_then(|place| scores.get(place)).copied().ok_or(few)?;
        Ok(Self { value, rate, scores: n })
    }

    /// Whether a score is an alarm. NaN is one.
    pub fn is_alarm(&self, score: f64) -> bool {
        score > self.value || score.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Noise;

    #[test]
    fn the_rate_holds_over_held_out_sets() {
        // Few scores, where the plain quantile alarms too often: 9 and 19 at the rate 0.1.
        for n in [9usize, 19, 25] {
            let (mut alarms, sets) = (0, if cfg!(miri) { 20 } else { 20_000 });
            for set in 0..sets {
                let draw = |item| Noise::seeded(3).uniform(item, set).unwrap();
                let mut scores = [0.0; 25];
                let scores = &mut scores[..n];
                scores.iter_mut().enumerate().for_each(|(i, s)| *s = draw(i));
                let threshold = Threshold::calibrate(scores, 0.1).unwrap();
                alarms += usize::from(threshold.is_alarm(draw(n)));
            }
            let rate = alarms as f64 / sets as f64;
            // At most the rate, and above it by less than one place: 1/(n + 1). Four standard errors of 0.0021.
            let floor = (0.1 * (n as f64 + 1.0) + 1e-9).floor() / (n as f64 + 1.0);
            assert!(cfg!(miri) || (rate - floor).abs() < 0.0085, "{n}: {rate} where {floor}");
        }
    }

    #[test]
    fn bad_rates_and_scores_are_errors() {
        for rate in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
            let error = Threshold::calibrate(&mut [1.0; 100], rate).unwrap_err();
            assert!(matches!(error, ThresholdError::Rate(_)), "{error}");
        }
        assert_eq!(Threshold::calibrate(&mut [], 0.1), Err(ThresholdError::TooFew { needed: 9, given: 0 }));
        assert_eq!(
            Threshold::calibrate(&mut [1.0; 98], 0.01),
            Err(ThresholdError::TooFew { needed: 99, given: 98 })
        );
        assert!(Threshold::calibrate(&mut [1.0; 99], 0.01).is_ok());
        assert!(matches!(Threshold::calibrate(&mut [1.0], 1e-300), Err(ThresholdError::TooFew { .. })));
        assert_eq!(Threshold::calibrate(&mut [1.0, f64::NAN], 0.5), Err(ThresholdError::Score { index: 1 }));
    }
}
