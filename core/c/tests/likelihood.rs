//! The noise classifier from C: core's own numbers to the bit, and true densities.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::convert::Infallible;
use core::ptr;
use picardy::likelihood::{Buffers, Likelihood, LogSnrs, Nats, View};
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{Batch, Betas, Denoiser, Level, Node, Prediction, SliceFrames, denoiser};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::densities::*;
use common::{Memory, NOTHING, name};

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
