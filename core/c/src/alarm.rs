//! When a score is an alarm.

use crate::density::PICARDY_BANDS;
use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, finite, guarded};
use crate::memory::{self, Region};
use picardy::likelihood::{Profile, Threshold, ThresholdError, Typical};

/// The mean and the covariance of held-out inputs' profiles: plain numbers, which can be kept in a file or in flash.
///
/// They hold for profiles of the same network, units and `picardy_likelihood_spec` (seed, evaluations and log_snrs too) alone: the
/// draws' own error is in every profile, the same for all inputs. Keep the spec beside them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_typical {
    /// The mean.
    pub mean: [f64; PICARDY_BANDS],
    /// The covariance's lower Cholesky factor.
    pub factor: [[f64; PICARDY_BANDS]; PICARDY_BANDS],
}

/// Above which score an input counts as out of distribution: plain numbers, which can be kept in a file or in flash.
///
/// It holds for scores of the same network, units and `picardy_likelihood_spec` (seed, evaluations and log_snrs too), and of the same
/// `picardy_typical`, alone: others may alarm at twice the rate and more. Keep the spec beside it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_threshold {
    /// A score above it is an alarm.
    pub value: f64,
    /// The false-alarm rate that it was asked for.
    pub rate: f64,
    /// The held-out scores that it was made of.
    pub scores: usize,
}

/// `name` is what was held out.
fn fault(error: ThresholdError, name: &'static str) -> Fault {
    use ThresholdError as E;
    match error {
        E::Rate(rate) => Fault::new(code::PICARDY_ERROR_RANGE).name("rate").value(rate),
        E::TooFew { needed, given } => {
            Fault::new(code::PICARDY_ERROR_SCORES).name(name).needed(needed).given(given)
        }
        E::Spread => Fault::new(code::PICARDY_ERROR_SPREAD).name(name),
        // Scores and profiles were seen to be finite.
        _ => Fault::new(code::PICARDY_ERROR_OTHER),
    }
}

/// Fits `count` held-out inputs' `profiles` [count, PICARDY_BANDS], at least 16, all of one network and one `picardy_likelihood_spec`.
///
/// # Safety
/// Pointers are null or point to what their types say, `profiles` to count x PICARDY_BANDS doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_typical_fit(
    profiles: *const f64,
    count: usize,
    typical: *mut picardy_typical,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise; a profile is an array.
        let profiles = unsafe { memory::slice(profiles.cast::<Profile>(), count, "profiles") }?;
        finite(profiles.as_flattened(), "profiles")?;
        let place = Region::new(typical.cast_const(), 1, "typical")?;
        place.apart_from(Region::new(profiles.as_ptr(), count, "profiles")?)?;
        let Typical { mean, factor } = Typical::fit(profiles).map_err(|error| fault(error, "profiles"))?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(typical, picardy_typical { mean, factor }, "typical") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// How far a `profile` `[PICARDY_BANDS]` is from what is usual, into `score`: the squared Mahalanobis distance, for a threshold that was
/// calibrated on other inputs than those that were fitted. It finds inputs that are too likely, too.
///
/// # Safety
/// Pointers are null or point to what their types say, `profile` to PICARDY_BANDS doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_typical_score(
    typical: *const picardy_typical,
    profile: *const f64,
    score: *mut f64,
    detail: *mut picardy_detail,
) -> i32 {
    let numbers = profile.cast::<Profile>();
    let work = || {
        // SAFETY: the caller's promise.
        let picardy_typical { mean, factor } = unsafe { memory::read(typical, "typical") }?;
        // SAFETY: the caller's promise; a profile is an array.
        let profile = unsafe { memory::read(numbers, "profile") }?;
        let place = Region::new(score.cast_const(), 1, "score")?;
        place.apart_from(Region::new(typical, 1, "typical")?)?;
        place.apart_from(Region::new(numbers, 1, "profile")?)?;
        finite(&mean, "typical.mean")?;
        finite(factor.as_flattened(), "typical.factor")?;
        let diagonal = factor.iter().enumerate().filter_map(|(i, row)| row.get(i));
        if let Some((index, value)) = diagonal.enumerate().find(|(_, value)| **value <= 0.0) {
            let range = Fault::new(code::PICARDY_ERROR_RANGE).name("typical.factor");
            return Err(range.index(index).value(*value));
        }
        finite(&profile, "profile")?;
        let found = Typical { mean, factor }.score(&profile);
        // SAFETY: the caller's promise.
        unsafe { memory::write(score, found, "score") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// The threshold of `count` held-out `scores` (-log p(x), a typicality score: higher is odder), which are sorted. An input like them,
/// which was not trained on, is an alarm at most at the `rate`, above 0 and below 1 (split conformal prediction, arXiv 1604.04173);
/// that takes 1 / rate - 1 scores. Those scored later come from the same network and `picardy_likelihood_spec`.
///
/// # Safety
/// Pointers are null or point to what their types say, `scores` to `count` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_threshold_calibrate(
    scores: *mut f64,
    count: usize,
    rate: f64,
    threshold: *mut picardy_threshold,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        let place = Region::new(threshold.cast_const(), 1, "threshold")?;
        place.apart_from(Region::new(scores.cast_const(), count, "scores")?)?;
        // SAFETY: the caller's promise.
        let scores = unsafe { memory::slice_mut(scores, count, "scores") }?;
        finite(scores, "scores")?;
        let found = Threshold::calibrate(scores, rate).map_err(|error| fault(error, "scores"))?;
        let Threshold { value, rate, scores } = found;
        // SAFETY: the caller's promise.
        unsafe { memory::write(threshold, picardy_threshold { value, rate, scores }, "threshold") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// Not 0 where a score is an alarm. A NaN is one, and so is any score where the threshold was not calibrated (of no scores, or
/// a value that is none).
#[unsafe(no_mangle)]
pub extern "C" fn picardy_is_alarm(threshold: picardy_threshold, score: f64) -> i32 {
    let picardy_threshold { value, rate, scores } = threshold;
    let calibrated = scores > 0 && value.is_finite();
    i32::from(!calibrated || Threshold { value, rate, scores }.is_alarm(score))
}
