use super::*;
use crate::guard::Clamp;
use crate::{Guarded, Mixture, Noise, Prediction, SliceFrames, denoiser};
use core::convert::Infallible;

/// Three round Gaussians of the plane, of unequal widths, standardised: weights, means, deviations (x, y).
const MODES: [(f64, [f64; 2], [f64; 2]); 3] = [
    (0.5, [-0.998, -0.339], [0.370, 0.463]),
    (0.3, [1.464, -0.339], [0.246, 0.309]),
    (0.2, [0.233, 1.975], [0.123, 0.154]),
];
const LEVELS: LogSnrs = LogSnrs::Logistic { loc: 2.0, scale: 1.5, clip: 6.0 };

/// The modes' joint logarithms at a level, and the parts of `-sigma score`.
fn joint(z: [f64; 2], alpha: f64, sigma: f64) -> [(f64, [f64; 2]); 3] {
    MODES.map(|(weight, mean, std)| {
        let (mut log, mut pull) = (math::ln(weight), [0.0; 2]);
        for (i, pull) in pull.iter_mut().enumerate() {
            let variance = alpha * alpha * std[i] * std[i] + sigma * sigma;
            let off = z[i] - alpha * mean[i];
            log -= 0.5 * (off * off / variance + math::ln(core::f64::consts::TAU * variance));
            *pull = sigma * off / variance;
        }
        (log, pull)
    })
}

fn truth(z: [f64; 2], alpha: f64, sigma: f64) -> f64 {
    let modes = joint(z, alpha, sigma);
    let top = modes.iter().fold(f64::NEG_INFINITY, |top, mode| top.max(mode.0));
    top + math::ln(modes.iter().map(|mode| math::exp(mode.0 - top)).sum())
}

fn exact<T: Real>(batch: &Batch<'_>, x: &[T], out: &mut [T]) -> Result<(), Infallible> {
    for ((row, x), out) in batch.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
        let modes = joint([x[0].to_f64(), x[1].to_f64()], row.level.alpha, row.level.sigma);
        let top = modes.iter().fold(f64::NEG_INFINITY, |top, mode| top.max(mode.0));
        let total: f64 = modes.iter().map(|mode| math::exp(mode.0 - top)).sum();
        for (i, out) in out.iter_mut().enumerate() {
            let eps: f64 = modes.iter().map(|mode| math::exp(mode.0 - top) * mode.1[i]).sum();
            *out = T::from_f64(eps / total);
        }
    }
    Ok(())
}

/// Variance preserving, told the log-SNR.
fn vp(l: f64) -> Option<View> {
    View::new(&Level::vp(sigmoid(l), l), Prediction::Epsilon)
}

fn likelihood(evaluations: usize, seed: u64) -> Likelihood<fn(f64) -> Option<View>> {
    Likelihood { levels: LEVELS, evaluations, variance: 1.0, seed, view: vp }
}

/// A draw of the mixture, moved off it by `off` standard deviations.
fn point(item: usize, off: f64) -> [f64; 2] {
    let noise = Noise::seeded(11);
    let u = noise.uniform(item, 0).unwrap();
    let (_, mean, std) = MODES[usize::from(u > 0.5) + usize::from(u > 0.8)];
    let [a, b, c, d] = noise.block(item, 1, 0);
    [mean[0] + std[0] * a + off * c, mean[1] + std[1] * b + off * d]
}

/// One estimate in buffers of so many rows a call.
fn ask<T: Real>(
    rows: usize,
    x: &[T],
    out: &mut [Nats],
    likelihood: &Likelihood<fn(f64) -> Option<View>>,
) -> Result<(), LikelihoodError<Infallible>> {
    let (mut memory, mut nodes) = ([T::ZERO; 4 * 1024], [Node::default(); 1024]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory[..4 * rows], 2), &mut nodes[..rows]);
    likelihood.log_density(&mut denoiser::from_fn(exact::<T>), x, &mut buffers, out)
}

/// What 256 evaluations promise: the error is within 0.1 nat (root mean square, of fresh draws for every point), of no bias, and the
/// standard errors hold, if anything a little wide.
#[test]
#[cfg_attr(miri, ignore)]
fn the_density_of_a_mixture_within_a_tenth_of_a_nat() {
    for (off, wanted) in [(0.0, 0.1), (0.5, 0.15)] {
        let n = 400;
        let (mut bias, mut squares, mut z_squares, mut wide) = (0.0, 0.0, 0.0, 0);
        for item in 0..n {
            let x = point(item, off);
            let mut out = [Nats::default()];
            ask(256, &x, &mut out, &likelihood(256, item as u64)).unwrap();
            let error = out[0].value - truth(x, 1.0, 0.0);
            let z = error / out[0].standard_error;
            (bias, squares, z_squares) = (bias + error, squares + error * error, z_squares + z * z);
            wide += usize::from(z.abs() > 3.0);
        }
        let n = n as f64;
        let (bias, root, z_root) = (bias / n, math::sqrt(squares / n), math::sqrt(z_squares / n));
        assert!(root < wanted, "off {off}: {root} nat");
        assert!(bias.abs() < 4.0 * root / math::sqrt(n) + 0.002, "off {off}: bias {bias}");
        assert!((0.4..1.15).contains(&z_root) && wide <= 4, "off {off}: z {z_root}, {wide} beyond 3");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn densities_at_noise_levels_and_their_ratios() {
    let (mut memory, mut nodes) = ([0.0; 2048], [Node::default(); 512]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 2), &mut nodes);
    let mut denoiser = denoiser::from_fn(exact::<f64>);
    for level in [Level::vp(0.9, 0.0), Level::vp(0.3, 0.0), Level::ve(0.7)] {
        let (mut errors, mut z_squares, mut narrower) = (0.0, 0.0, 0);
        for item in 0..60 {
            let x = point(item, 0.3);
            let at = truth(x, level.alpha, level.sigma);
            let likelihood = likelihood(256, item as u64);
            let (mut density, mut ratio) = ([Nats::default()], [Nats::default()]);
            likelihood.log_density_at(&mut denoiser, &level, &x, &mut buffers, &mut density).unwrap();
            likelihood.log_ratio(&mut denoiser, &level, &x, &mut buffers, &mut ratio).unwrap();
            assert!((density[0].value - at).abs() < 0.6, "{level:?} {x:?}: {density:?} where {at}");
            let error = ratio[0].value - (at - truth(x, 1.0, 0.0));
            errors += error * error / 60.0;
            z_squares += (error / ratio[0].standard_error).powi(2) / 60.0;
            narrower += usize::from(ratio[0].standard_error < 0.3);
        }
        assert!(errors < 0.04 && z_squares < 1.5, "{level:?}: {errors}, z {z_squares}");
        assert!(narrower > 50, "{level:?}: {narrower}");
    }
}

#[test]
fn the_result_does_not_depend_on_the_calls() {
    let x: [f64; 6] = [0.3, -0.5, 1.4, -0.3, 0.2, 5.0];
    let likelihood = likelihood(37, 5);
    let mut whole = [Nats::default(); 3];
    ask(3 * 37, &x, &mut whole, &likelihood).unwrap();
    for rows in [1, 2, 7, 36, 37, 74, 80] {
        let mut out = [Nats::default(); 3];
        ask(rows, &x, &mut out, &likelihood).unwrap();
        assert_eq!(out, whole, "{rows} rows");
    }
    // Alone, an input has the same draws.
    let mut alone = [Nats::default()];
    ask(64, &x[2..4], &mut alone, &likelihood).unwrap();
    assert_eq!(alone[0], whole[1]);
}

#[test]
fn one_call_where_it_fits() {
    let (mut memory, mut nodes) = ([0.0; 512], [Node::default(); 32]);
    let mut sizes = [0; 2];
    let mut calls = 0;
    let mut counting = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        sizes[calls] = batch.len();
        calls += 1;
        exact(batch, x, out)
    });
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 2), &mut nodes);
    likelihood(32, 1).log_density(&mut counting, &[0.1; 6], &mut buffers, &mut [Nats::default(); 3]).unwrap();
    assert_eq!((calls, sizes), (1, [96, 0]));
}

#[test]
fn single_precision_is_near_double() {
    for item in 0..5 {
        let x = point(item, 0.2);
        let (mut double, mut single) = ([Nats::default()], [Nats::default()]);
        ask(64, &x, &mut double, &likelihood(64, 3)).unwrap();
        ask(64, &x.map(|x| x as f32), &mut single, &likelihood(64, 3)).unwrap();
        let [difference, error] =
            [single[0].value - double[0].value, single[0].standard_error - double[0].standard_error];
        assert!(difference.abs() < 2e-4 && error.abs() < 2e-4, "{single:?} {double:?}");
    }
}

#[test]
fn hostile_inputs_and_settings_are_errors() {
    let mut out = [Nats::default()];
    let good = likelihood(8, 1);
    let run = |x: &[f64], out: &mut [Nats], asked| ask(16, x, out, &asked).unwrap_err();
    assert_eq!(run(&[0.0; 2], &mut out, likelihood(0, 1)), LikelihoodError::NoEvaluations);
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(run(&[0.0, x], &mut out, good), LikelihoodError::Input { item: 0, index: 1 });
    }
    for x in [&[][..], &[0.0; 3]] {
        assert_eq!(run(x, &mut out, good), LikelihoodError::Shape { len: x.len(), dim: 2 });
    }
    assert_eq!(run(&[0.0; 4], &mut out, good), LikelihoodError::Results { needed: 2, given: 1 });
    assert!(matches!(
        run(&[1e300; 2], &mut out, good),
        LikelihoodError::NotFinite { item: 0, evaluation: 0 }
    ));
    for variance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = run(&[0.0; 2], &mut out, Likelihood { variance, ..good });
        assert!(matches!(error, LikelihoodError::Setting { name: "variance", .. }), "{error}");
    }
    for levels in [
        LogSnrs::Uniform { low: 1.0, high: 1.0 },
        LogSnrs::Uniform { low: f64::NAN, high: 1.0 },
        LogSnrs::Logistic { loc: f64::INFINITY, scale: 1.0, clip: 1.0 },
        LogSnrs::Logistic { loc: 0.0, scale: 0.0, clip: 1.0 },
        LogSnrs::Logistic { loc: 0.0, scale: 1.0, clip: 1e9 },
    ] {
        let error = run(&[0.0; 2], &mut out, Likelihood { levels, ..good });
        assert!(matches!(error, LikelihoodError::Setting { .. }), "{error}");
    }
    assert_eq!(ask(0, &[0.0; 2], &mut out, &good), Err(LikelihoodError::Buffers { rows: 0, nodes: 0 }));
    let blind = Likelihood { view: (|_| None) as fn(f64) -> Option<View>, ..good };
    assert!(matches!(run(&[0.0; 2], &mut out, blind), LikelihoodError::View { .. }));
    let nan = |_| View::new(&Level::ve(f64::NAN), Prediction::Epsilon);
    let told = Likelihood { view: nan as fn(f64) -> Option<View>, ..good };
    assert!(matches!(run(&[0.0; 2], &mut out, told), LikelihoodError::View { .. }));
}

#[test]
fn hostile_denoisers_are_errors() {
    let (mut memory, mut nodes, mut out) = ([0.0; 64], [Node::default(); 16], [Nats::default(); 2]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 2), &mut nodes);
    let mut spoilt = denoiser::from_fn(|batch: &Batch<'_>, _: &[f64], out: &mut [f64]| {
        out.fill(0.0);
        if batch.iter().any(|row| row.item == 1) {
            *out.last_mut().unwrap() = f64::NAN;
        }
        Ok::<(), Infallible>(())
    });
    let error = likelihood(16, 1).log_density(&mut spoilt, &[0.0; 4], &mut buffers, &mut out);
    assert_eq!(error, Err(LikelihoodError::NotFinite { item: 1, evaluation: 15 }));
    let mut failing = denoiser::from_fn(|_: &Batch<'_>, _: &[f64], _: &mut [f64]| Err("lost"));
    let error = likelihood(16, 1).log_density(&mut failing, &[0.0; 4], &mut buffers, &mut out);
    assert_eq!(error, Err(LikelihoodError::Denoiser("lost")));
    let mut guarded = Guarded::new(denoiser::from_fn(exact::<f64>), Clamp::new(-1.0, 1.0).unwrap());
    let error = likelihood(16, 1).log_density(&mut guarded, &[0.0; 4], &mut buffers, &mut out);
    assert_eq!(error, Err(LikelihoodError::Guarded));
    let mut exact = denoiser::from_fn(exact::<f64>);
    for level in
        [Level::EMPTY, Level { alpha: 0.0, sigma: 1.0, t: 0.0 }, Level::ve(f64::NAN), Level::ve(-1.0)]
    {
        let error = likelihood(4, 1).log_ratio(&mut exact, &level, &[0.0; 4], &mut buffers, &mut out);
        assert_eq!(error, Err(LikelihoodError::Level { index: 0 }), "{level:?}");
    }
    let mut posterior = |levels: &[Level], prior: &[f64], out: &mut [f64]| {
        likelihood(4, 1).posterior(&mut exact, levels, prior, &[0.0; 2], &mut buffers, out).unwrap_err()
    };
    assert!(matches!(posterior(&[], &[], &mut []), LikelihoodError::Results { .. }));
    assert!(matches!(posterior(&[Level::DATA], &[1.0; 2], &mut [0.0]), LikelihoodError::Results { .. }));
    assert!(matches!(posterior(&[Level::DATA; 2], &[1.0], &mut [0.0; 2]), LikelihoodError::Results { .. }));
    assert_eq!(posterior(&[Level::DATA], &[0.0], &mut [0.0]), LikelihoodError::Level { index: 0 });
}

/// The most likely of 8 noise levels is near the one that was added, and the posterior is the exact one.
#[test]
#[cfg_attr(miri, ignore)]
fn the_posterior_finds_the_noise() {
    let means: [f64; 8] = core::array::from_fn(|i| if i % 2 == 0 { 1.5 } else { -1.5 });
    let mixture = Mixture::new(&means, &[1.0], 0.05, 8).unwrap();
    let mut denoiser = mixture.predicting(Prediction::Epsilon);
    let levels: [Level; 8] = core::array::from_fn(|i| Level::vp(sigmoid(6.0 - 1.5 * i as f64), 0.0));
    let (mut memory, mut nodes) = ([0.0; 2 * 128 * 8], [Node::default(); 128]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 8), &mut nodes);
    for (added, level) in levels.iter().enumerate() {
        let mut x = [0.0; 8];
        Noise::seeded(2).fill(
            math::sqrt(level.sigma.powi(2) + (0.05 * level.alpha).powi(2)),
            added,
            1,
            &mut x,
        );
        x.iter_mut().zip(means).for_each(|(x, mean)| *x += level.alpha * mean);
        let mut found = [0.0; 8];
        likelihood(128, 4).posterior(&mut denoiser, &levels, &[], &x, &mut buffers, &mut found).unwrap();
        let logs = levels.map(|level| mixture.log_density(&x, &level));
        let top = logs.iter().fold(f64::NEG_INFINITY, |top, log| top.max(*log));
        let sum: f64 = logs.iter().map(|log| math::exp(log - top)).sum();
        for (found, log) in found.iter().zip(logs) {
            let want = math::exp(log - top) / sum;
            assert!((found - want).abs() < 0.06, "level {added}: {found} where {want}");
        }
    }
}

/// The bands' parts add up to the log-density without controls, and few evaluations are refused.
#[test]
fn profiles_add_up() {
    let (mut memory, mut nodes) = ([0.0; 1024], [Node::default(); 256]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 2), &mut nodes);
    let mut denoiser = denoiser::from_fn(exact::<f64>);
    let x = point(3, 0.0);
    let mut out = [[0.0; BANDS]];
    likelihood(256, 4).profile(&mut denoiser, &x, &mut buffers, &mut out).unwrap();
    let sum = out[0].iter().sum::<f64>() - math::ln(core::f64::consts::TAU);
    assert!((sum - truth(x, 1.0, 0.0)).abs() < 0.8, "{sum} where {}", truth(x, 1.0, 0.0));
    let error = likelihood(15, 4).profile(&mut denoiser, &x, &mut buffers, &mut out);
    assert_eq!(error, Err(LikelihoodError::TooFewEvaluations { needed: 16, given: 15 }));
    let error = likelihood(16, 4).profile(&mut denoiser, &x, &mut buffers, &mut []);
    assert_eq!(error, Err(LikelihoodError::Results { needed: 1, given: 0 }));
}
