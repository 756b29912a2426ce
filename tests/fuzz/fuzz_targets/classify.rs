//! Likelihoods with hostile settings, inputs, levels and callbacks, and alarms of hostile numbers.

use super::{Script, evaluate};
use core::{mem, ptr};
use picardy_c::*;
use picardy_fuzz::{Input, Memory, explain};

const ROOM: usize = 1 << 14;
const NUMBERS: usize = 32;
const ITEMS: usize = 4;

pub(super) fn classify(input: &[u8]) {
    let mut input = Input(input);
    // SAFETY: plain data.
    let mut detail: picardy_detail = unsafe { mem::zeroed() };
    let linear = picardy_schedule_linear(input.size(100) as u32, input.number(1e-4), input.number(2e-2));
    let spec = picardy_likelihood_spec {
        schedule: picardy_schedule {
            kind: input.int(7),
            zero_snr: input.int(1),
            sigma_min: input.number(2e-3),
            sigma_max: input.number(80.0),
            rho: input.number(7.0),
            shift: input.number(3.0),
            ..linear
        },
        prediction: input.int(4),
        log_snrs: picardy_log_snrs {
            kind: input.int(2),
            loc: input.number(1.0),
            scale: input.number(2.0),
            clip: input.number(4.0),
            low: -input.number(5.0),
            high: input.number(9.0),
        },
        variance: input.number(1.0),
        seed: u64::from(input.byte()),
        evaluations: input.size(40),
        rows: input.size(20),
        dim: input.size(9),
    };
    // A schedule walked up to a million timesteps, or as many evaluations, take their time and tell nothing more.
    if (spec.schedule.train_steps > 200 && spec.schedule.train_steps <= 1_000_000) || spec.evaluations > 64 {
        return;
    }
    let (mut memory, mut size) = (Memory([0xA5; ROOM]), 0);
    // SAFETY, here and below: pointers are null, misaligned or to what they say.
    let told = unsafe { picardy_likelihood_size(&spec, &mut size, &mut detail) };
    explain(told, &detail);
    let bytes = if told == 0 { size.min(ROOM) } else { ROOM };
    let short = usize::from(input.byte() == 1);
    let (mut likelihood, at) = (ptr::null_mut(), input.pointer(memory.0.as_mut_ptr()));
    let code =
        unsafe { picardy_likelihood_make(&spec, at.cast(), bytes - short, &mut likelihood, &mut detail) };
    explain(code, &detail);
    assert!(code != 0 || (told == 0 && short == 0 && size <= ROOM));
    assert_eq!(code == 0, !likelihood.is_null());
    if code != 0 {
        return;
    }

    let items = input.size(ITEMS);
    if items <= ITEMS && items.saturating_mul(spec.dim) > NUMBERS {
        return;
    }
    let mut x = [0.0f32; NUMBERS];
    x.iter_mut().for_each(|x| *x = input.number(1.0) as f32);
    let levels: [picardy_level; ITEMS] = core::array::from_fn(|_| picardy_level {
        alpha: input.number(0.7),
        sigma: input.number(0.7),
        t: input.number(1.0),
    });
    let prior: [f64; ITEMS] = core::array::from_fn(|_| input.number(1.0));
    let (asked, at) = (input.byte() % 4, input.pointer(likelihood));
    let x = input.pointer(x.as_mut_ptr()).cast_const();
    let level = input.pointer(levels.as_ptr().cast_mut()).cast_const();
    let prior = input.pointer(prior.as_ptr().cast_mut()).cast_const();
    let mut script = Script { input: Input(input.0), run: ptr::null_mut(), calls: 0 };
    let context: *mut Script<'_> = &mut script;
    let denoiser = picardy_denoiser {
        evaluate: Some(evaluate),
        context: context.cast(),
        network: ptr::null(),
        scratch: ptr::null_mut(),
        scratch_floats: 0,
        conditions: ptr::null(),
        condition_floats: 0,
    };
    let mut nats = [picardy_nats::default(); ITEMS];
    let (mut posterior, mut profiles) = ([0.0; ITEMS], [0.0; ITEMS * PICARDY_BANDS]);
    let out = nats.as_mut_ptr();
    let code = match asked {
        0 => unsafe { picardy_log_density(at, &denoiser, level, x, items, out, &mut detail) },
        1 => unsafe { picardy_log_ratio(at, &denoiser, level, x, items, out, &mut detail) },
        // More levels than there are would be the caller's lie, unless there can be no such memory.
        2 if (1..=ITEMS).contains(&items) || items > usize::MAX / 8 => unsafe {
            let out = posterior.as_mut_ptr();
            picardy_posterior(at, &denoiser, level, prior, items, x, out, &mut detail)
        },
        _ => unsafe { picardy_profile(at, &denoiser, x, items, profiles.as_mut_ptr(), &mut detail) },
    };
    explain(code, &detail);
    if code == 0 && asked == 2 {
        let sum: f64 = posterior.iter().take(items).sum();
        // Outputs that are far too large overflow its logarithms.
        assert!((sum - 1.0).abs() < 1e-9 || sum.is_nan());
    }
    alarms(&mut unsafe { Input((*context).input.0) }, &profiles);
}

/// A fit, a score and a threshold of any numbers.
fn alarms(input: &mut Input<'_>, profile: &[f64; ITEMS * PICARDY_BANDS]) {
    // SAFETY: plain data.
    let (mut detail, mut typical): (picardy_detail, picardy_typical) = unsafe { mem::zeroed() };
    let mut profiles = [0.0; 20 * PICARDY_BANDS];
    profiles.iter_mut().for_each(|part| *part = input.number(1.0));
    let (count, mut score) = (input.size(20), 0.0);
    if count <= 20 || count > usize::MAX / 64 {
        explain(unsafe { picardy_typical_fit(profiles.as_ptr(), count, &mut typical, &mut detail) }, &detail);
    }
    let code = unsafe { picardy_typical_score(&typical, profile.as_ptr(), &mut score, &mut detail) };
    explain(code, &detail);
    assert!(code != 0 || score >= 0.0 || score.is_nan());
    let mut threshold = picardy_threshold::default();
    let (count, rate) = (input.size(20), input.number(0.1));
    if count <= 20 * PICARDY_BANDS || count > usize::MAX / 8 {
        let scores = input.pointer(profiles.as_mut_ptr());
        let code = unsafe { picardy_threshold_calibrate(scores, count, rate, &mut threshold, &mut detail) };
        explain(code, &detail);
        assert!(picardy_is_alarm(threshold, f64::INFINITY) != 0);
        assert!(code != 0 || picardy_is_alarm(threshold, threshold.value) == 0);
    }
}
