//! The noise classifier from C: core's own numbers to the bit, and an error for every misuse.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::convert::Infallible;
use core::ffi::c_void;
use core::ptr;
use picardy::likelihood::{Buffers, Likelihood, LogSnrs, Nats, View};
use picardy::nn::{Aligned, Artifact, MlpDenoiser, ResidualMlp};
use picardy::{Batch, Betas, Denoiser, Level, Mixture, Node, Prediction, SliceFrames, denoiser};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::{Memory, NOTHING, detail, name};

const DIM: usize = 2;
const X: [f32; 3 * DIM] = [1.1, -0.2, 0.1, 0.05, -0.8, 2.5];
const LEVEL: picardy_level = picardy_level { alpha: 0.8, sigma: 0.6, t: 0.0 };

/// What a call said; its code is the detail's.
fn said(call: impl FnOnce(*mut picardy_detail) -> i32) -> picardy_detail {
    let mut said = detail();
    let code = call(&mut said);
    assert_eq!(code, said.code);
    said
}

fn spec() -> picardy_likelihood_spec {
    let mut spec = picardy_likelihood_spec_logistic(DIM);
    (spec.evaluations, spec.seed, spec.variance) = (37, 5, 0.7);
    (spec.log_snrs.loc, spec.log_snrs.scale) = (1.0, 1.5);
    spec
}

struct Made {
    memory: Memory,
    likelihood: *mut picardy_likelihood,
}

fn make(spec: &picardy_likelihood_spec) -> Result<Made, picardy_detail> {
    let (mut bytes, mut likelihood, mut detail) = (0, ptr::null_mut(), detail());
    // SAFETY: all pointers are to what they say.
    unsafe {
        let told = picardy_likelihood_size(spec, &mut bytes, &mut detail);
        let mut memory = Memory::new(if told == 0 { bytes } else { 1 << 20 });
        let room = if told == 0 { bytes } else { 1 << 20 };
        match picardy_likelihood_make(spec, memory.at(), room, &mut likelihood, &mut detail) {
            0 => Ok(Made { memory, likelihood }),
            _ => Err(detail),
        }
    }
}

fn modes() -> Mixture<'static> {
    Mixture::new(&[-1.0, 0.0, 1.0, 0.0], &[0.5, 0.5], 0.3, DIM).unwrap()
}

/// What a network of the mixture of `modes` says to a row.
fn exact(prediction: Prediction, (alpha, sigma): (f32, f32), x: &[f32], out: &mut [f32]) {
    let (a, s) = (f64::from(alpha), f64::from(sigma));
    let variance = a * a * 0.09 + s * s;
    let mean = (a * f64::from(x[0]) / variance).tanh();
    for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
        let x = f64::from(*x);
        let eps = s * (x - if i == 0 { a * mean } else { 0.0 }) / variance;
        let data = (x - s * eps) / a;
        *out = match prediction {
            Prediction::Sample => data,
            Prediction::V => a * eps - s * data,
            Prediction::Flow => eps - data,
            _ => eps,
        } as f32;
    }
}

/// What the callback does besides its work, and what it was told.
struct Script {
    prediction: Prediction,
    calls: usize,
    fails_at: usize,
    nan_at: usize,
    reenters: Option<*mut picardy_likelihood>,
    inner: i32,
    told: Vec<picardy_row>,
}

fn script(prediction: Prediction) -> Script {
    Script { prediction, calls: 0, fails_at: 0, nan_at: 0, reenters: None, inner: 0, told: Vec::new() }
}

unsafe extern "C" fn evaluate(
    context: *mut c_void,
    rows: *const picardy_row,
    count: usize,
    dim: usize,
    x: *const f32,
    out: *mut f32,
) -> i32 {
    // SAFETY: what the header says.
    let (script, rows, x, out) = unsafe {
        (
            &mut *context.cast::<Script>(),
            core::slice::from_raw_parts(rows, count),
            core::slice::from_raw_parts(x, count * dim),
            core::slice::from_raw_parts_mut(out, count * dim),
        )
    };
    script.calls += 1;
    script.told.extend(rows);
    if script.calls == script.fails_at {
        return -42;
    }
    for ((row, x), out) in rows.iter().zip(x.chunks(dim)).zip(out.chunks_mut(dim)) {
        exact(script.prediction, (row.alpha, row.sigma), x, out);
    }
    if script.calls == script.nan_at {
        out[0] = f32::NAN;
    }
    if let Some(likelihood) = script.reenters {
        let (own, mut nats) = (picardy_denoiser { evaluate: Some(evaluate), ..NOTHING }, [NATS; 3]);
        let (null, none) = (ptr::null(), ptr::null_mut());
        // SAFETY: the likelihood is under way, which it says.
        script.inner =
            unsafe { picardy_log_density(likelihood, &own, null, X.as_ptr(), 3, nats.as_mut_ptr(), none) };
    }
    0
}

const NATS: picardy_nats = picardy_nats { value: 0.0, standard_error: 0.0 };

fn by(script: &mut Script) -> picardy_denoiser {
    picardy_denoiser { evaluate: Some(evaluate), context: ptr::from_mut(script).cast(), ..NOTHING }
}

/// All answers to the same questions.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    density: [(f64, f64); 3],
    noisy: [(f64, f64); 3],
    ratio: [(f64, f64); 3],
    even: [f64; 4],
    posterior: [f64; 4],
    profile: [[f64; PICARDY_BANDS]; 3],
}

const LEVELS: [picardy_level; 4] = [
    picardy_level { alpha: 1.0, sigma: 0.0, t: 0.0 },
    LEVEL,
    picardy_level { alpha: 1.0, sigma: 0.1, t: 0.0 },
    picardy_level { alpha: 0.2, sigma: 0.8, t: 0.0 },
];
const PRIOR: [f64; 4] = [1.0, 0.5, 2.0, 0.1];

fn of_c(likelihood: *mut picardy_likelihood, denoiser: &picardy_denoiser) -> Answers {
    let mut answers = Answers::default();
    let (x, none, null) = (X.as_ptr(), ptr::null_mut(), ptr::null());
    let levels = LEVELS.as_ptr();
    let pair = |nats: [picardy_nats; 3]| nats.map(|nats| (nats.value, nats.standard_error));
    let mut nats = [NATS; 3];
    // SAFETY: all pointers are to what they say.
    unsafe {
        assert_eq!(picardy_log_density(likelihood, denoiser, null, x, 3, nats.as_mut_ptr(), none), 0);
        answers.density = pair(nats);
        assert_eq!(picardy_log_density(likelihood, denoiser, &LEVEL, x, 3, nats.as_mut_ptr(), none), 0);
        answers.noisy = pair(nats);
        assert_eq!(picardy_log_ratio(likelihood, denoiser, &LEVEL, x, 3, nats.as_mut_ptr(), none), 0);
        answers.ratio = pair(nats);
        for (prior, out) in [(ptr::null(), &mut answers.even), (PRIOR.as_ptr(), &mut answers.posterior)] {
            let out = out.as_mut_ptr();
            assert_eq!(picardy_posterior(likelihood, denoiser, levels, prior, 4, x, out, none), 0);
        }
        let out = answers.profile.as_mut_ptr().cast();
        assert_eq!(picardy_profile(likelihood, denoiser, x, 3, out, none), 0);
    }
    answers
}

fn of_core<D>(spec: &picardy_likelihood_spec, denoiser: &mut D, levels: &[Level]) -> Answers
where
    D: for<'a> Denoiser<SliceFrames<'a, f32>, Error: std::fmt::Debug>,
{
    let picardy_log_snrs { loc, scale, clip, .. } = spec.log_snrs;
    let likelihood = Likelihood {
        levels: LogSnrs::Logistic { loc, scale, clip },
        evaluations: spec.evaluations,
        variance: spec.variance,
        seed: spec.seed,
        view: |l| View::nearest(levels, Prediction::Epsilon, l),
    };
    let (mut memory, mut nodes) = ([0.0f32; 512], [Node::default(); 128]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, DIM), &mut nodes);
    let (mut answers, mut nats) = (Answers::default(), [Nats::default(); 3]);
    let pair = |nats: [Nats; 3]| nats.map(|nats| (nats.value, nats.standard_error));
    let level = |level: picardy_level| Level { alpha: level.alpha, sigma: level.sigma, t: level.t };
    likelihood.log_density(denoiser, &X, &mut buffers, &mut nats).unwrap();
    answers.density = pair(nats);
    likelihood.log_density_at(denoiser, &level(LEVEL), &X, &mut buffers, &mut nats).unwrap();
    answers.noisy = pair(nats);
    likelihood.log_ratio(denoiser, &level(LEVEL), &X, &mut buffers, &mut nats).unwrap();
    answers.ratio = pair(nats);
    let levels = LEVELS.map(level);
    likelihood.posterior(denoiser, &levels, &[], &X[..2], &mut buffers, &mut answers.even).unwrap();
    likelihood.posterior(denoiser, &levels, &PRIOR, &X[..2], &mut buffers, &mut answers.posterior).unwrap();
    likelihood.profile(denoiser, &X, &mut buffers, &mut answers.profile).unwrap();
    answers
}

/// An artifact's bytes, aligned, and how many they are.
fn dino() -> (Box<Aligned<[u8; 1 << 16]>>, usize) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/firmware/data/dino.safetensors");
    let file = std::fs::read(path).unwrap();
    let mut bytes = Box::new(Aligned([0u8; 1 << 16]));
    bytes.0[..file.len()].copy_from_slice(&file);
    (bytes, file.len())
}

#[test]
fn a_network_s_answers_are_core_s_to_the_bit_in_calls_of_any_size() {
    let (bytes, length) = dino();
    let artifact = Artifact::parse(&bytes.0[..length]).unwrap();
    let network = ResidualMlp::from_artifact(&artifact).unwrap();
    let schedule = network.card(&artifact).unwrap().schedule;
    let mut levels = vec![Level::default(); schedule.most_steps() + 1];
    let known = schedule.trailing(schedule.most_steps(), &mut levels).unwrap().levels();
    let mut scratch = vec![0.0; network.scratch_len(8)];
    let expected = of_core(&spec(), &mut MlpDenoiser::new(network, &mut scratch), known);

    let (mut memory, mut opened, none) = (Memory::new(PICARDY_NETWORK_BYTES), ptr::null(), ptr::null_mut());
    // SAFETY: plain data.
    let mut card: picardy_card = unsafe { core::mem::zeroed() };
    let size = PICARDY_NETWORK_BYTES;
    // SAFETY: all pointers are to what they say.
    unsafe {
        let at = bytes.0.as_ptr().cast();
        assert_eq!(picardy_network_open(at, length, memory.at(), size, &mut opened, none), 0);
        assert_eq!(picardy_network_card(opened, &mut card, none), 0);
    }
    let mut lent = vec![0.0f32; 4096];
    let (scratch, scratch_floats) = (lent.as_mut_ptr(), lent.len());
    let denoiser = picardy_denoiser { network: opened, scratch, scratch_floats, ..NOTHING };
    for rows in [1, 5, 37, 74, 300, usize::MAX] {
        let spec =
            picardy_likelihood_spec { schedule: card.schedule, prediction: card.prediction, rows, ..spec() };
        let made = make(&spec).unwrap();
        assert_eq!(of_c(made.likelihood, &denoiser), expected, "{rows} rows");
        // A likelihood is not used up.
        assert_eq!(of_c(made.likelihood, &denoiser), expected, "{rows} rows, again");
    }
    // What the network works in and is made of is no other buffer of the call.
    let made = make(&picardy_likelihood_spec { rows: 8, ..spec() }).unwrap();
    let mut x = X;
    for at in [made.likelihood.cast(), x.as_mut_ptr()] {
        let denoiser = picardy_denoiser { scratch: at, scratch_floats: 6, ..denoiser };
        let fault = density(made.likelihood, &denoiser, x.as_ptr(), 3, &mut [NATS; 3]);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "scratch"));
    }
    for out in [scratch.cast::<picardy_nats>(), memory.at().cast()] {
        // SAFETY: all pointers are to what they say.
        let fault = said(|detail| unsafe {
            picardy_log_density(made.likelihood, &denoiser, ptr::null(), x.as_ptr(), 3, out, detail)
        });
        assert_eq!(fault.code, PICARDY_ERROR_OVERLAP as i32);
    }
    assert_eq!(of_c(made.likelihood, &denoiser), expected, "nothing was written to");
    let other = make(&picardy_likelihood_spec { seed: 6, ..spec() }).unwrap();
    assert_ne!(of_c(other.likelihood, &denoiser).density, expected.density, "the seed counts");
    let wide = make(&picardy_likelihood_spec { dim: 3, ..spec() }).unwrap();
    let fault = density(wide.likelihood, &denoiser, X.as_ptr(), 2, &mut [NATS; 2]);
    assert_eq!((fault.code, fault.needed, fault.given), (PICARDY_ERROR_DIMENSION as i32, 2, 3));
    let none = picardy_denoiser { scratch_floats: 3, ..denoiser };
    let narrow = make(&spec()).unwrap();
    let fault = density(narrow.likelihood, &none, X.as_ptr(), 2, &mut [NATS; 2]);
    assert_eq!(fault.code, PICARDY_ERROR_SCRATCH as i32);
}

#[test]
fn a_callback_s_answers_are_core_s_to_the_bit() {
    let mut levels = vec![Level::default(); 1001];
    let known = Betas::linear(1000, 1e-4, 2e-2).trailing(1000, &mut levels).unwrap().levels();
    let mut same = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
        for ((row, x), out) in batch.iter().zip(x.chunks(DIM)).zip(out.chunks_mut(DIM)) {
            exact(Prediction::Epsilon, (row.level.alpha as f32, row.level.sigma as f32), x, out);
        }
        Ok::<(), Infallible>(())
    });
    let expected = of_core(&spec(), &mut same, known);
    let (made, mut script) = (make(&spec()).unwrap(), script(Prediction::Epsilon));
    assert_eq!(of_c(made.likelihood, &by(&mut script)), expected);
    assert!((expected.even.iter().sum::<f64>() - 1.0).abs() < 1e-12 && expected.even != expected.posterior);
}

#[test]
fn densities_are_true_for_every_schedule_and_prediction() {
    let (linear, flow) =
        (picardy_schedule_linear(1000, 1e-4, 2e-2), picardy_schedule_kind::PICARDY_SCHEDULE_FLOW);
    let of = |kind: picardy_schedule_kind| picardy_schedule { kind: kind as i32, ..linear };
    use picardy_schedule_kind::*;
    for (schedule, kind) in [
        (linear, Prediction::V),
        (picardy_schedule { zero_snr: 1, ..linear }, Prediction::V),
        (of(PICARDY_SCHEDULE_COSINE), Prediction::Sample),
        (of(flow), Prediction::Flow),
        (of(PICARDY_SCHEDULE_KARRAS), Prediction::Epsilon),
        // A curve of sigmas without a rho.
        (picardy_schedule { rho: 0.0, ..of(PICARDY_SCHEDULE_EXPONENTIAL) }, Prediction::Sample),
    ] {
        let prediction = Prediction::ALL.into_iter().position(|known| known == kind).unwrap() as i32;
        let mut spec = picardy_likelihood_spec { schedule, prediction, ..spec() };
        // Uniform log-SNRs are as good.
        spec.log_snrs = picardy_log_snrs { kind: 1, low: -5.0, high: 9.0, ..spec.log_snrs };
        (spec.evaluations, spec.rows) = (512, 100);
        let (made, mut script) = (make(&spec).unwrap(), script(kind));
        let mut nats = [NATS; 3];
        let fault = density(made.likelihood, &by(&mut script), X.as_ptr(), 3, &mut nats);
        assert_eq!(fault.code, 0, "{kind}: {}", name(&fault));
        for (nats, x) in nats.iter().zip(X.chunks(DIM)) {
            let truth = modes().log_density(&[f64::from(x[0]), f64::from(x[1])], &Level::DATA);
            assert!((nats.value - truth).abs() < 0.3, "{kind} of {}: {nats:?} where {truth}", schedule.kind);
        }
        for row in &script.told {
            let (a, s, t) = (f64::from(row.alpha), f64::from(row.sigma), f64::from(row.t));
            let told = match schedule.kind {
                kind if kind == flow as i32 => {
                    (t / 1000.0 - s / (a + s)).abs() < 1e-6 && (a + s - 1.0).abs() < 1e-6
                }
                kind if kind == PICARDY_SCHEDULE_KARRAS as i32
                    || kind == PICARDY_SCHEDULE_EXPONENTIAL as i32 =>
                {
                    (t / s - 1.0).abs() < 1e-6 && (a - 1.0).abs() < 1e-6
                }
                _ => t.fract() == 0.0 && (0.0..1000.0).contains(&t) && (a * a + s * s - 1.0).abs() < 1e-6,
            };
            assert!(told, "{kind} of {}: {row:?}", schedule.kind);
        }
    }
}

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

/// The density of the data itself.
fn density(
    likelihood: *mut picardy_likelihood,
    denoiser: &picardy_denoiser,
    x: *const f32,
    items: usize,
    out: &mut [picardy_nats],
) -> picardy_detail {
    let out = out.as_mut_ptr();
    // SAFETY: pointers are null, misaligned, or to what they say.
    said(|detail| unsafe { picardy_log_density(likelihood, denoiser, ptr::null(), x, items, out, detail) })
}

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

#[test]
fn a_level_s_t_does_not_count() {
    let (made, mut script) = (make(&spec()).unwrap(), script(Prediction::Epsilon));
    let (denoiser, x, null) = (by(&mut script), X.as_ptr(), ptr::null());
    let mut found = [[0.0; 8]; 3];
    for (found, t) in found.iter_mut().zip([0.0, 900.0, f64::NAN]) {
        let (level, levels) =
            (picardy_level { t, ..LEVEL }, LEVELS.map(|level| picardy_level { t, ..level }));
        let (mut density, mut ratio, mut posterior) = ([NATS; 2], [NATS; 2], [0.0; 4]);
        let (ratios, shares) = (ratio.as_mut_ptr(), posterior.as_mut_ptr());
        // SAFETY: all pointers are to what they say.
        let faults = unsafe {
            [
                said(|at| {
                    picardy_log_density(made.likelihood, &denoiser, &level, x, 2, density.as_mut_ptr(), at)
                }),
                said(|at| picardy_log_ratio(made.likelihood, &denoiser, &level, x, 2, ratios, at)),
                said(|at| {
                    picardy_posterior(made.likelihood, &denoiser, levels.as_ptr(), null, 4, x, shares, at)
                }),
            ]
        };
        assert!(faults.iter().all(|fault| fault.code == 0), "t {t}");
        let nats = [density, ratio].concat();
        found
            .iter_mut()
            .zip(nats.iter().map(|nats| nats.value).chain(posterior))
            .for_each(|(to, from)| *to = from);
    }
    assert!(found[0] == found[1] && found[0] == found[2], "{found:?}");
}

#[test]
fn without_a_limit_an_input_is_one_call() {
    let made = make(&picardy_likelihood_spec { rows: usize::MAX, ..spec() }).unwrap();
    let (mut script, mut nats, x) = (script(Prediction::Epsilon), [NATS; 2], X.as_ptr());
    // Two inputs' 37 evaluations are as many as one's of the two densities of a ratio.
    assert_eq!(density(made.likelihood, &by(&mut script), x, 2, &mut nats).code, 0);
    assert_eq!((script.calls, script.told.len()), (1, 74));
    let (denoiser, out) = (by(&mut script), nats.as_mut_ptr());
    // SAFETY: all pointers are to what they say.
    let fault =
        said(|detail| unsafe { picardy_log_ratio(made.likelihood, &denoiser, &LEVEL, x, 1, out, detail) });
    assert_eq!((fault.code, script.calls, script.told.len()), (0, 2, 148));
}

#[test]
fn the_header_s_bytes_suffice() {
    for (rows, dim, timesteps, evaluations) in
        [(1, 1, 1, 1), (64, 2, 1000, 256), (7, 33, 100, 2), (500, 3, 0, 100), (usize::MAX, 2, 1000, 37)]
    {
        let mut spec = picardy_likelihood_spec { rows, dim, evaluations, ..spec() };
        match timesteps {
            0 => spec.schedule.kind = picardy_schedule_kind::PICARDY_SCHEDULE_FLOW as i32,
            timesteps => spec.schedule.train_steps = timesteps as u32,
        }
        let rows = if rows == usize::MAX { 2 * evaluations } else { rows };
        let most = PICARDY_LIKELIHOOD_HEADER_BYTES
            + 8 * timesteps
            + rows * (PICARDY_NODE_BYTES + PICARDY_ROW_BYTES + 8 * dim);
        let mut bytes = 0;
        // SAFETY: all pointers are to what they say.
        assert_eq!(unsafe { picardy_likelihood_size(&spec, &mut bytes, ptr::null_mut()) }, 0);
        assert!(bytes <= most && 2 * bytes > most / 2, "{bytes} of {most}");
    }
}

#[test]
fn inputs_come_into_the_network_s_coordinates() {
    let (bytes, length) = dino();
    let (mut memory, mut network, none) = (Memory::new(PICARDY_NETWORK_BYTES), ptr::null(), ptr::null_mut());
    let artifact = Artifact::parse(&bytes.0[..length]).unwrap();
    let opened = ResidualMlp::from_artifact(&artifact).unwrap();
    let card = opened.card(&artifact).unwrap();
    let mut x = X;
    // SAFETY: all pointers are to what they say.
    unsafe {
        let (at, size) = (bytes.0.as_ptr().cast(), PICARDY_NETWORK_BYTES);
        assert_eq!(picardy_network_open(at, length, memory.at(), size, &mut network, none), 0);
        assert_eq!(picardy_network_normalize(network, x.as_mut_ptr(), 3, none), 0);
        let scales: Vec<f64> = card.data_scale.iter().collect();
        let means: Vec<f64> = card.data_mean.iter().collect();
        for (i, (found, x)) in x.iter().zip(X).enumerate() {
            assert_eq!(*found, ((f64::from(x) - means[i % 2]) / scales[i % 2]) as f32);
        }
        assert_eq!(picardy_network_restore(network, x.as_mut_ptr(), 3, none), 0);
        assert!(x.iter().zip(X).all(|(a, b)| (a - b).abs() < 1e-4));
        let mut nats = 0.0;
        assert_eq!(picardy_network_log_scale(network, &mut nats, none), 0);
        let expected: f64 = scales.iter().map(|scale| scale.ln()).sum();
        assert!((nats - expected).abs() < 1e-12 && expected.abs() > 0.1, "{nats} where {expected}");
        let inside = memory.at().byte_add(64).cast();
        let fault = said(|detail| picardy_network_log_scale(network, inside, detail));
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "nats"));
        let fault = said(|detail| picardy_network_normalize(network, ptr::null_mut(), 1, detail));
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_NULL as i32, "x"));
    }
}
