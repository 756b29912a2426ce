//! The same questions of densities through the border, over a network of two Gaussians or over an artifact.

use super::{Memory, NOTHING, detail};
use core::ffi::c_void;
use core::ptr;
use picardy::nn::Aligned;
use picardy::{Mixture, Prediction};
use picardy_c::*;

pub(crate) const DIM: usize = 2;

pub(crate) const X: [f32; 3 * DIM] = [1.1, -0.2, 0.1, 0.05, -0.8, 2.5];

pub(crate) const LEVEL: picardy_level = picardy_level { alpha: 0.8, sigma: 0.6, t: 0.0 };

/// What a call said; its code is the detail's.
pub(crate) fn said(call: impl FnOnce(*mut picardy_detail) -> i32) -> picardy_detail {
    let mut said = detail();
    let code = call(&mut said);
    assert_eq!(code, said.code);
    said
}

pub(crate) fn spec() -> picardy_likelihood_spec {
    let mut spec = picardy_likelihood_spec_logistic(DIM);
    (spec.evaluations, spec.seed, spec.variance) = (37, 5, 0.7);
    (spec.log_snrs.loc, spec.log_snrs.scale) = (1.0, 1.5);
    spec
}

pub(crate) struct Made {
    pub(crate) memory: Memory,
    pub(crate) likelihood: *mut picardy_likelihood,
}

pub(crate) fn make(spec: &picardy_likelihood_spec) -> Result<Made, picardy_detail> {
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

pub(crate) fn modes() -> Mixture<'static> {
    Mixture::new(&[-1.0, 0.0, 1.0, 0.0], &[0.5, 0.5], 0.3, DIM).unwrap()
}

/// What a network of the mixture of `modes` says to a row.
pub(crate) fn exact(prediction: Prediction, (alpha, sigma): (f32, f32), x: &[f32], out: &mut [f32]) {
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
pub(crate) struct Script {
    pub(crate) prediction: Prediction,
    pub(crate) calls: usize,
    pub(crate) fails_at: usize,
    pub(crate) nan_at: usize,
    pub(crate) reenters: Option<*mut picardy_likelihood>,
    pub(crate) inner: i32,
    pub(crate) told: Vec<picardy_row>,
}

pub(crate) fn script(prediction: Prediction) -> Script {
    Script { prediction, calls: 0, fails_at: 0, nan_at: 0, reenters: None, inner: 0, told: Vec::new() }
}

pub(crate) unsafe extern "C" fn evaluate(
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

pub(crate) const NATS: picardy_nats = picardy_nats { value: 0.0, standard_error: 0.0 };

pub(crate) fn by(script: &mut Script) -> picardy_denoiser {
    picardy_denoiser { evaluate: Some(evaluate), context: ptr::from_mut(script).cast(), ..NOTHING }
}

/// The density of the data itself.
pub(crate) fn density(
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

pub(crate) const LEVELS: [picardy_level; 4] = [
    picardy_level { alpha: 1.0, sigma: 0.0, t: 0.0 },
    LEVEL,
    picardy_level { alpha: 1.0, sigma: 0.1, t: 0.0 },
    picardy_level { alpha: 0.2, sigma: 0.8, t: 0.0 },
];

pub(crate) const PRIOR: [f64; 4] = [1.0, 0.5, 2.0, 0.1];

/// All answers to the same questions.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answers {
    pub(crate) density: [(f64, f64); 3],
    pub(crate) noisy: [(f64, f64); 3],
    pub(crate) ratio: [(f64, f64); 3],
    pub(crate) even: [f64; 4],
    pub(crate) posterior: [f64; 4],
    pub(crate) profile: [[f64; PICARDY_BANDS]; 3],
}

pub(crate) fn of_c(likelihood: *mut picardy_likelihood, denoiser: &picardy_denoiser) -> Answers {
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

/// An artifact's bytes, aligned, and how many they are.
pub(crate) fn dino() -> (Box<Aligned<[u8; 1 << 16]>>, usize) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/firmware/data/dino.safetensors");
    let file = std::fs::read(path).unwrap();
    let mut bytes = Box::new(Aligned([0u8; 1 << 16]));
    bytes.0[..file.len()].copy_from_slice(&file);
    (bytes, file.len())
}
