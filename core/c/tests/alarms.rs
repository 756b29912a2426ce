//! Thresholds and what is usual from C: core's own, and an error for what they may not be made of.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ptr;
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::densities::said;
use common::name;

#[test]
fn alarms_are_core_s_own() {
    use picardy::likelihood::{Threshold, Typical};
    let mut profiles = [[0.0; PICARDY_BANDS]; 64];
    for (item, profile) in profiles.iter_mut().enumerate() {
        picardy::Noise::seeded(1).fill(1.0, item, 1, profile);
    }
    // SAFETY: plain data.
    let mut typical: picardy_typical = unsafe { core::mem::zeroed() };
    let expected = Typical::fit(&profiles[..40]).unwrap();
    let (mut scores, mut score) = ([0.0; 24], 0.0);
    // SAFETY: all pointers are to what they say.
    unsafe {
        assert_eq!(picardy_typical_fit(profiles.as_ptr().cast(), 40, &mut typical, ptr::null_mut()), 0);
        for (found, profile) in scores.iter_mut().zip(&profiles[40..]) {
            assert_eq!(picardy_typical_score(&typical, profile.as_ptr(), &mut score, ptr::null_mut()), 0);
            assert_eq!(score, expected.score(profile));
            *found = score;
        }
    }
    let (mut same, mut threshold) = (scores, picardy_threshold::default());
    // SAFETY: all pointers are to what they say.
    unsafe {
        assert_eq!(
            picardy_threshold_calibrate(scores.as_mut_ptr(), 24, 0.1, &mut threshold, ptr::null_mut()),
            0
        )
    };
    let Threshold { value, rate, scores: count } = Threshold::calibrate(&mut same, 0.1).unwrap();
    assert_eq!((threshold, scores), (picardy_threshold { value, rate, scores: count }, same));
    let alarm = |threshold, score| picardy_is_alarm(threshold, score) != 0;
    assert!(!alarm(threshold, value) && alarm(threshold, value + 1e-9) && alarm(threshold, f64::NAN));
    // What was never calibrated is no leave to go on.
    assert!(alarm(picardy_threshold::default(), -1.0));
    assert!(alarm(picardy_threshold { value: f64::NAN, ..threshold }, 0.0));
    assert!(alarm(picardy_threshold { value: f64::INFINITY, ..threshold }, 0.0));
}

#[test]
fn what_alarms_may_not_be_made_of_is_an_error_of_its_own() {
    let mut profiles = [[0.5; PICARDY_BANDS]; 20];
    // SAFETY: plain data.
    let mut typical: picardy_typical = unsafe { core::mem::zeroed() };
    let fit = |profiles: *const f64, count, typical: *mut picardy_typical| {
        // SAFETY: pointers are null, or to what they say.
        let fault = said(|detail| unsafe { picardy_typical_fit(profiles, count, typical, detail) });
        (fault.code, name(&fault).to_owned(), fault.needed, fault.index)
    };
    let is = |code: picardy_error, name: &str, needed, index| (code as i32, name.to_owned(), needed, index);
    let at: *mut f64 = profiles.as_mut_ptr().cast();
    assert_eq!(fit(ptr::null(), 20, &mut typical), is(PICARDY_ERROR_NULL, "profiles", 0, 0));
    assert_eq!(fit(at, usize::MAX, &mut typical), is(PICARDY_ERROR_SIZE, "profiles", 0, 0));
    assert_eq!(fit(at, 20, ptr::null_mut()), is(PICARDY_ERROR_NULL, "typical", 0, 0));
    assert_eq!(fit(at, 20, at.cast()), is(PICARDY_ERROR_OVERLAP, "typical", 0, 0));
    assert_eq!(fit(at, 15, &mut typical), is(PICARDY_ERROR_SCORES, "profiles", 16, 0));
    assert_eq!(fit(at, 20, &mut typical), is(PICARDY_ERROR_SPREAD, "profiles", 0, 0));
    profiles[2][3] = f64::NAN;
    let at: *const f64 = profiles.as_ptr().cast();
    assert_eq!(fit(at, 20, &mut typical), is(PICARDY_ERROR_NUMBER, "profiles", 0, 19));

    let (mut profile, mut out) = ([0.0f64; PICARDY_BANDS], 0.0);
    let score = |typical: *const picardy_typical, profile: *const f64, out: *mut f64| {
        // SAFETY: pointers are null, or to what they say.
        let fault = said(|detail| unsafe { picardy_typical_score(typical, profile, out, detail) });
        (fault.code, name(&fault).to_owned(), fault.needed, fault.index)
    };
    // All zero is what was never fitted.
    assert_eq!(score(&typical, profile.as_ptr(), &mut out), is(PICARDY_ERROR_RANGE, "typical.factor", 0, 0));
    for (i, row) in typical.factor.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    assert_eq!(score(&typical, profile.as_ptr(), &mut out).0, 0);
    assert_eq!(score(ptr::null(), profile.as_ptr(), &mut out), is(PICARDY_ERROR_NULL, "typical", 0, 0));
    assert_eq!(score(&typical, ptr::null(), &mut out), is(PICARDY_ERROR_NULL, "profile", 0, 0));
    assert_eq!(score(&typical, profile.as_ptr(), ptr::null_mut()), is(PICARDY_ERROR_NULL, "score", 0, 0));
    profile[5] = f64::INFINITY;
    assert_eq!(score(&typical, profile.as_ptr(), &mut out), is(PICARDY_ERROR_NUMBER, "profile", 0, 5));
    profile[5] = 0.0;
    typical.mean[1] = f64::NAN;
    assert_eq!(score(&typical, profile.as_ptr(), &mut out), is(PICARDY_ERROR_NUMBER, "typical.mean", 0, 1));
    typical.mean[1] = 0.0;
    typical.factor[1][0] = f64::NAN;
    assert_eq!(score(&typical, profile.as_ptr(), &mut out), is(PICARDY_ERROR_NUMBER, "typical.factor", 0, 8));

    let (mut scores, mut threshold) = ([1.0; 99], picardy_threshold::default());
    let calibrate = |scores: *mut f64, count, rate, threshold: *mut picardy_threshold| {
        // SAFETY: pointers are null, or to what they say.
        let call = |detail| unsafe { picardy_threshold_calibrate(scores, count, rate, threshold, detail) };
        let fault = said(call);
        (fault.code, name(&fault).to_owned(), fault.needed, fault.index)
    };
    let at = scores.as_mut_ptr();
    assert_eq!(calibrate(ptr::null_mut(), 9, 0.1, &mut threshold), is(PICARDY_ERROR_NULL, "scores", 0, 0));
    assert_eq!(calibrate(at, 99, 0.1, ptr::null_mut()), is(PICARDY_ERROR_NULL, "threshold", 0, 0));
    assert_eq!(calibrate(at, 99, 0.1, at.cast()), is(PICARDY_ERROR_OVERLAP, "threshold", 0, 0));
    for rate in [0.0, 1.0, -0.1, f64::NAN] {
        assert_eq!(calibrate(at, 99, rate, &mut threshold), is(PICARDY_ERROR_RANGE, "rate", 0, 0));
    }
    assert_eq!(calibrate(at, 98, 0.01, &mut threshold), is(PICARDY_ERROR_SCORES, "scores", 99, 0));
    assert_eq!(calibrate(ptr::null_mut(), 0, 0.1, &mut threshold), is(PICARDY_ERROR_SCORES, "scores", 9, 0));
    assert_eq!(threshold, picardy_threshold::default(), "what is refused leaves no threshold");
    assert_eq!(calibrate(at, 99, 0.01, &mut threshold).0, 0);
    scores[7] = f64::NAN;
    let at = scores.as_mut_ptr();
    assert_eq!(calibrate(at, 99, 0.1, &mut threshold), is(PICARDY_ERROR_NUMBER, "scores", 0, 7));
}

#[test]
fn a_score_overlaps_neither_what_is_usual_nor_its_profile() {
    let mut typical =
        picardy_typical { mean: [0.0; PICARDY_BANDS], factor: [[0.0; PICARDY_BANDS]; PICARDY_BANDS] };
    (0..PICARDY_BANDS).for_each(|i| typical.factor[i][i] = 1.0);
    let (good, mut profile, mut score) = (typical, [2.0; PICARDY_BANDS], 0.0);
    let (usual, numbers) = (&raw mut typical, profile.as_mut_ptr());
    for at in [usual.cast(), usual.cast::<f64>().wrapping_add(71), numbers, numbers.wrapping_add(7)] {
        // SAFETY: all pointers are to what they say.
        let fault = said(|detail| unsafe { picardy_typical_score(usual, numbers, at, detail) });
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "score"));
    }
    // SAFETY: all pointers are to what they say.
    let fault = said(|detail| unsafe { picardy_typical_score(usual, numbers, &mut score, detail) });
    assert_eq!((fault.code, score, typical, profile), (0, 32.0, good, [2.0; PICARDY_BANDS]));
}
