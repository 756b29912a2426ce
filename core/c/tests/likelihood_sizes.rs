//! What the noise classifier's calls and memory amount to, and the units it works in.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ptr;
use picardy::Prediction;
use picardy::nn::{Artifact, ResidualMlp};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::densities::*;
use common::{Memory, name};

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
