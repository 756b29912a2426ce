//! The noise classifier from a careless caller's side: every misuse is an error of its own, and every failure comes back.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ffi::c_void;
use core::ptr;
use picardy::Prediction;
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::densities::*;
use common::{Memory, NOTHING, detail, name};

#[test]
fn what_specs_may_not_say_is_an_error_of_its_own() {
    type Case<'a> = (&'a dyn Fn(&mut picardy_likelihood_spec), picardy_error, &'a str);
    let cases: [Case<'_>; 22] = [
        (&|s| s.dim = 0, PICARDY_ERROR_SHAPE, "dim"),
        (&|s| s.dim = usize::MAX / 3, PICARDY_ERROR_SIZE, "dim"),
        (&|s| s.rows = 0, PICARDY_ERROR_ZERO, "rows"),
        (&|s| s.rows = usize::MAX - 1, PICARDY_ERROR_SIZE, "rows"),
        (&|s| s.rows = usize::MAX / 64, PICARDY_ERROR_SIZE, "rows"),
        (&|s| s.evaluations = 0, PICARDY_ERROR_EVALUATIONS, ""),
        (&|s| s.variance = 0.0, PICARDY_ERROR_RANGE, "variance"),
        (&|s| s.variance = f64::NAN, PICARDY_ERROR_RANGE, "variance"),
        (&|s| s.variance = f64::INFINITY, PICARDY_ERROR_RANGE, "variance"),
        (&|s| s.log_snrs.kind = 2, PICARDY_ERROR_UNKNOWN_VALUE, "log_snrs.kind"),
        (&|s| s.log_snrs.loc = f64::NAN, PICARDY_ERROR_RANGE, "log_snrs.loc"),
        (&|s| s.log_snrs.scale = 0.0, PICARDY_ERROR_RANGE, "log_snrs.scale"),
        (&|s| s.log_snrs.clip = 31.0, PICARDY_ERROR_RANGE, "log_snrs.clip"),
        (&|s| (s.log_snrs.kind, s.log_snrs.low) = (1, 9.0), PICARDY_ERROR_RANGE, "log_snrs.high - low"),
        (&|s| s.prediction = 4, PICARDY_ERROR_UNKNOWN_VALUE, "prediction"),
        (&|s| s.schedule.kind = 7, PICARDY_ERROR_UNKNOWN_VALUE, "schedule.kind"),
        (&|s| s.schedule.train_steps = 0, PICARDY_ERROR_TRAIN_STEPS, ""),
        (&|s| s.schedule.beta_end = 1.5, PICARDY_ERROR_BETA, ""),
        // So small that nothing of it is left in the signal.
        (&|s| s.schedule.beta_start = 1e-18, PICARDY_ERROR_BETA, ""),
        (&|s| (s.schedule.kind, s.schedule.sigma_min) = (5, 99.0), PICARDY_ERROR_SIGMA_RANGE, ""),
        (&|s| (s.schedule.kind, s.schedule.rho) = (4, 0.0), PICARDY_ERROR_RANGE, "schedule.rho"),
        (&|s| (s.schedule.kind, s.schedule.shift) = (6, 0.0), PICARDY_ERROR_RANGE, "schedule.shift"),
    ];
    for (i, (change, code, field)) in cases.into_iter().enumerate() {
        let mut changed = spec();
        change(&mut changed);
        let fault = make(&changed).err().expect("a spec that is none");
        assert_eq!((fault.code, name(&fault)), (code as i32, field), "case {i}");
    }
    assert!(make(&spec()).is_ok());
}

#[test]
fn pointers_and_memory_that_do_not_fit_are_errors() {
    let (good, mut fault, mut bytes) = (spec(), detail(), 0);
    let mut likelihood = ptr::null_mut();
    // SAFETY: pointers are null, misaligned, or to what they say.
    unsafe {
        assert_eq!(picardy_likelihood_size(ptr::null(), &mut bytes, &mut fault), PICARDY_ERROR_NULL as i32);
        assert_eq!(picardy_likelihood_size(&good, ptr::null_mut(), &mut fault), PICARDY_ERROR_NULL as i32);
        assert_eq!(picardy_likelihood_size(&good, &mut bytes, &mut fault), 0);
        let mut memory = Memory::new(bytes + 8);
        let at = memory.at();
        let mut make = |spec: *const picardy_likelihood_spec, at: *mut c_void, bytes| {
            picardy_likelihood_make(spec, at, bytes, &mut likelihood, &mut fault);
            assert_eq!(fault.code == 0, !likelihood.is_null());
            (fault.code, name(&fault).to_owned(), fault.needed, fault.given)
        };
        let said =
            |code: picardy_error, name: &str, needed, given| (code as i32, name.to_owned(), needed, given);
        assert_eq!(make(ptr::null(), at, bytes), said(PICARDY_ERROR_NULL, "spec", 0, 0));
        assert_eq!(make(&good, ptr::null_mut(), bytes), said(PICARDY_ERROR_NULL, "memory", 0, 0));
        let off = at.wrapping_byte_add(4);
        assert_eq!(make(&good, off, bytes), said(PICARDY_ERROR_MISALIGNED, "memory", 8, 0));
        assert_eq!(make(&good, at, bytes - 1), said(PICARDY_ERROR_MEMORY, "memory", bytes, bytes - 1));
        assert_eq!(make(&good, at, bytes).0, 0);
        let inside = at.byte_add(64).cast();
        picardy_likelihood_make(&good, at, bytes, inside, &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "likelihood"));

        let (mut script, mut nats) = (script(Prediction::Epsilon), [NATS; 3]);
        let denoiser = by(&mut script);
        let mut ask = |likelihood: *mut picardy_likelihood, x: *const f32, items, out: *mut picardy_nats| {
            picardy_log_density(likelihood, &denoiser, ptr::null(), x, items, out, &mut fault);
            (fault.code, name(&fault).to_owned())
        };
        let is = |code: picardy_error, name: &str| (code as i32, name.to_owned());
        let (x, out) = (X.as_ptr(), nats.as_mut_ptr());
        assert_eq!(ask(ptr::null_mut(), x, 3, out), is(PICARDY_ERROR_NULL, "likelihood"));
        assert_eq!(ask(likelihood.wrapping_byte_add(8), x, 3, out), is(PICARDY_ERROR_NOT_A_LIKELIHOOD, ""));
        assert_eq!(
            ask(likelihood.wrapping_byte_add(1), x, 3, out),
            is(PICARDY_ERROR_MISALIGNED, "likelihood")
        );
        assert_eq!(ask(likelihood, ptr::null(), 3, out), is(PICARDY_ERROR_NULL, "x"));
        assert_eq!(ask(likelihood, x.wrapping_byte_add(2), 3, out), is(PICARDY_ERROR_MISALIGNED, "x"));
        assert_eq!(ask(likelihood, x, 3, ptr::null_mut()), is(PICARDY_ERROR_NULL, "out"));
        assert_eq!(ask(likelihood, x, 0, out), is(PICARDY_ERROR_SHAPE, "items"));
        assert_eq!(ask(likelihood, x, usize::MAX, out), is(PICARDY_ERROR_SIZE, "items"));
        assert_eq!(ask(likelihood, at.cast(), 3, out), is(PICARDY_ERROR_OVERLAP, "x"));
        assert_eq!(ask(likelihood, x, 3, at.byte_add(512).cast()), is(PICARDY_ERROR_OVERLAP, "out"));
        assert_eq!(ask(likelihood, out.cast(), 3, out), is(PICARDY_ERROR_OVERLAP, "out"));
        assert_eq!(ask(likelihood, x, 3, out).0, 0, "what is refused changes nothing");
        // Moved, a likelihood is none; nor where it was made anew in vain.
        let mut moved = Memory(memory.0.clone());
        assert_eq!(ask(moved.at().cast(), x, 3, out), is(PICARDY_ERROR_NOT_A_LIKELIHOOD, ""));
        let (old, bad) = (likelihood, picardy_likelihood_spec { evaluations: 0, ..good });
        let tiny = picardy_schedule { beta_start: 1e-18, ..good.schedule };
        let tiny = picardy_likelihood_spec { schedule: tiny, ..good };
        for bad in [tiny, bad] {
            picardy_likelihood_make(&bad, memory.at(), bytes, &mut likelihood, ptr::null_mut());
            assert!(likelihood.is_null());
        }
        assert_eq!(ask(old, x, 3, out), is(PICARDY_ERROR_NOT_A_LIKELIHOOD, ""));
    }
}

#[test]
fn a_detail_in_a_likelihood_is_an_error_and_stays_unwritten() {
    let (mut made, good, mut script) = (make(&spec()).unwrap(), spec(), script(Prediction::Epsilon));
    let denoiser = by(&mut script);
    let expected = of_c(made.likelihood, &denoiser);
    let (likelihood, x, memory) = (made.likelihood, X.as_ptr(), made.memory.at());
    let (bytes, mut nats, mut numbers) = (8 * made.memory.0.len(), [NATS; 3], [0.0; 3 * PICARDY_BANDS]);
    let (nats, numbers, levels) = (nats.as_mut_ptr(), numbers.as_mut_ptr(), LEVELS.as_ptr());
    for place in (0..bytes).step_by(8) {
        let at: *mut picardy_detail = memory.wrapping_byte_add(place).cast();
        // SAFETY: all pointers are to what they say.
        let codes = unsafe {
            [
                picardy_log_density(likelihood, &denoiser, ptr::null(), x, 3, nats, at),
                // What is wrong besides is not said there either.
                picardy_log_density(likelihood, ptr::null(), ptr::null(), x, 3, nats, at),
                picardy_log_ratio(likelihood, &denoiser, &LEVEL, x, 3, nats, at),
                picardy_posterior(likelihood, &denoiser, levels, ptr::null(), 4, x, numbers, at),
                picardy_profile(likelihood, &denoiser, x, 3, numbers, at),
                picardy_likelihood_make(&good, memory, bytes, &mut ptr::null_mut(), at),
            ]
        };
        assert_eq!(codes, [PICARDY_ERROR_OVERLAP as i32; 6], "byte {place}");
    }
    assert_eq!(of_c(likelihood, &denoiser), expected, "nothing was written to");
}

#[test]
fn questions_without_an_answer_are_errors_of_their_own() {
    let (made, mut script) = (make(&spec()).unwrap(), script(Prediction::Epsilon));
    let (denoiser, mut nats) = (by(&mut script), [NATS; 3]);
    for value in [f32::NAN, f32::INFINITY] {
        let mut x = X;
        x[3] = value;
        let fault = density(made.likelihood, &denoiser, x.as_ptr(), 3, &mut nats);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_NUMBER as i32, "x"));
        assert_eq!((fault.item, fault.index, fault.value.to_bits()), (1, 3, f64::from(value).to_bits()));
    }
    let fault = density(made.likelihood, &denoiser, [1e38f32; 6].as_ptr(), 3, &mut nats);
    assert_eq!((fault.code, fault.item, fault.index), (0, 0, 0), "far off is no error");
    let fault = density(made.likelihood, &NOTHING, X.as_ptr(), 3, &mut nats);
    assert_eq!(fault.code, PICARDY_ERROR_DENOISER as i32);

    let ratio = |level: *const picardy_level| {
        let (x, mut nats) = (X.as_ptr(), [NATS; 3]);
        let out = nats.as_mut_ptr();
        // SAFETY: the level's pointer is null or to one, the others to what they say.
        let fault =
            said(|detail| unsafe { picardy_log_ratio(made.likelihood, &denoiser, level, x, 3, out, detail) });
        (fault.code, name(&fault).to_owned())
    };
    assert_eq!(ratio(ptr::null()), (PICARDY_ERROR_NULL as i32, "level".to_owned()));
    for (alpha, sigma) in [(0.0, 1.0), (f64::NAN, 1.0), (1.0, -1.0), (1.0, f64::INFINITY)] {
        let level = picardy_level { alpha, sigma, t: 0.0 };
        assert_eq!(ratio(&level).0, PICARDY_ERROR_SIGNAL as i32, "{level:?}");
    }
    assert_eq!(ratio(&LEVEL).0, 0);

    let posterior = |levels: *const picardy_level, prior: *const f64, count, out: *mut f64| {
        let x = X.as_ptr();
        // SAFETY: pointers are null, or to what they say.
        let fault = said(|detail| unsafe {
            picardy_posterior(made.likelihood, &denoiser, levels, prior, count, x, out, detail)
        });
        (fault.code, name(&fault).to_owned(), fault.index)
    };
    let is = |code: picardy_error, name: &str, index| (code as i32, name.to_owned(), index);
    let (levels, mut found) = (LEVELS.as_ptr(), PRIOR);
    let out = found.as_mut_ptr();
    assert_eq!(posterior(levels, ptr::null(), 0, out), is(PICARDY_ERROR_SHAPE, "count", 0));
    assert_eq!(posterior(ptr::null(), ptr::null(), 4, out), is(PICARDY_ERROR_NULL, "levels", 0));
    assert_eq!(posterior(levels, ptr::null(), usize::MAX, out), is(PICARDY_ERROR_SIZE, "levels", 0));
    assert_eq!(posterior(levels, out, 4, out), is(PICARDY_ERROR_OVERLAP, "out", 0));
    assert_eq!(
        posterior(made.memory.0.as_ptr().cast(), ptr::null(), 4, out),
        is(PICARDY_ERROR_OVERLAP, "levels", 0)
    );
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let prior = [1.0, 1.0, value, 1.0];
        assert_eq!(posterior(levels, prior.as_ptr(), 4, out), is(PICARDY_ERROR_RANGE, "prior", 2));
    }
    let mut spoilt = LEVELS;
    spoilt[3].alpha = 0.0;
    assert_eq!(posterior(spoilt.as_ptr(), ptr::null(), 4, out), is(PICARDY_ERROR_SIGNAL, "", 3));

    let few = make(&picardy_likelihood_spec { evaluations: 15, ..spec() }).unwrap();
    let mut bands = [0.0; 3 * PICARDY_BANDS];
    let out = bands.as_mut_ptr();
    // SAFETY: all pointers are to what they say.
    let fault =
        said(|detail| unsafe { picardy_profile(few.likelihood, &denoiser, X.as_ptr(), 3, out, detail) });
    assert_eq!((fault.code, fault.needed, fault.given), (PICARDY_ERROR_EVALUATIONS as i32, 16, 15));

    // Beyond all levels: no state there has a noise.
    let log_snrs = picardy_log_snrs { kind: 1, low: 800.0, high: 900.0, ..spec().log_snrs };
    let far = make(&picardy_likelihood_spec { log_snrs, prediction: 1, ..spec() }).unwrap();
    let fault = density(far.likelihood, &denoiser, X.as_ptr(), 3, &mut nats);
    assert!(fault.code == PICARDY_ERROR_LOG_SNR as i32 && (800.0..900.0).contains(&fault.value));
}

#[test]
fn a_callback_s_failures_come_back_and_the_next_call_is_as_ever() {
    let made = make(&picardy_likelihood_spec { rows: 10, ..spec() }).unwrap();
    let (mut script, mut nats, mut again) = (script(Prediction::Epsilon), [NATS; 3], [NATS; 3]);
    let fault = density(made.likelihood, &by(&mut script), X.as_ptr(), 3, &mut nats);
    // 37 evaluations of each of 3 inputs, 10 a call.
    assert_eq!((fault.code, script.calls, script.told.len()), (0, 12, 111));
    assert_eq!(script.told[110].item, 2);
    (script.calls, script.fails_at) = (0, 2);
    let fault = density(made.likelihood, &by(&mut script), X.as_ptr(), 3, &mut again);
    assert_eq!((fault.code, fault.callback), (PICARDY_ERROR_CALLBACK as i32, -42));
    (script.calls, script.fails_at, script.nan_at) = (0, 0, 6);
    let fault = density(made.likelihood, &by(&mut script), X.as_ptr(), 3, &mut again);
    assert_eq!((fault.code, fault.item, fault.index), (PICARDY_ERROR_EVALUATION as i32, 1, 10));
    (script.calls, script.nan_at, script.reenters) = (0, 0, Some(made.likelihood));
    let fault = density(made.likelihood, &by(&mut script), X.as_ptr(), 3, &mut again);
    assert_eq!((fault.code, script.inner), (0, PICARDY_ERROR_BUSY as i32));
    assert_eq!(again, nats);
}
