//! The noise is Gaussian, independent, and the same whoever asks for it.

use picardy::{Batch, Form, Noise, Picard, Plan, denoiser};
use picardy_tests::{Solved, plan, run};

/// 2^20 normals over (item, node, block).
fn draw(noise: &Noise<'_>) -> Vec<f64> {
    let mut z = Vec::with_capacity(1 << 20);
    for item in 0..64 {
        for node in 0..128 {
            for block in 0..32 {
                z.extend(noise.block(item, node, block));
            }
        }
    }
    z
}

#[test]
fn moments_and_tails_are_those_of_the_unit_gaussian() {
    for seed in [0, 1, u64::MAX] {
        let z = draw(&Noise::seeded(seed));
        let n = z.len() as f64;
        let moment = |k: i32| z.iter().map(|z| z.powi(k)).sum::<f64>() / n;
        // Five standard errors of each estimate: 1/sqrt n times sqrt(var z^k) = 1, sqrt 2, sqrt 15, sqrt 96.
        let bound = |sd: f64| 5.0 * sd / n.sqrt();
        assert!(moment(1).abs() < bound(1.0), "seed {seed}: mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < bound(2f64.sqrt()), "seed {seed}: variance {}", moment(2));
        assert!(moment(3).abs() < bound(15f64.sqrt()), "seed {seed}: skewness {}", moment(3));
        assert!((moment(4) - 3.0).abs() < bound(96f64.sqrt()), "seed {seed}: kurtosis {}", moment(4));
        // P(|z| > 3) = 0.0026998, P(|z| > 4.5) = 6.795e-6.
        for (limit, p) in [(3.0, 0.002_699_8), (4.5, 6.795e-6)] {
            let tail = z.iter().filter(|z| z.abs() > limit).count() as f64 / n;
            assert!((tail - p).abs() < 5.0 * (p / n).sqrt(), "seed {seed}: P(|z| > {limit}) = {tail}");
        }
    }
}

#[test]
fn neighbours_in_every_coordinate_are_independent() {
    let noise = Noise::seeded(5);
    let correlate = |other: &dyn Fn(usize, usize, usize) -> [f64; 4]| {
        let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
        for item in 0..32 {
            for node in 0..64 {
                for block in 0..16 {
                    for (a, b) in noise.block(item, node, block).iter().zip(other(item, node, block)) {
                        sum += a * b;
                        squares += (a * a - 1.0) * (b * b - 1.0);
                        n += 1.0;
                    }
                }
            }
        }
        // var ab = 1, var (a^2 - 1)(b^2 - 1) = 4 for independent normals.
        assert!(sum.abs() < 5.0 * f64::sqrt(n), "correlation {}", sum / n);
        assert!(squares.abs() < 10.0 * f64::sqrt(n), "correlation of squares {}", squares / n);
    };
    correlate(&|i, k, b| noise.block(i + 1, k, b));
    correlate(&|i, k, b| noise.block(i, k + 1, b));
    correlate(&|i, k, b| noise.block(i, k, b + 1));
    correlate(&|i, k, b| Noise::seeded(6).block(i, k, b));
    correlate(&|i, k, b| {
        let [a, b, c, d] = noise.block(i, k, b);
        [b, c, d, a]
    });
}

/// What a run adds at every (item, node) is the same in any order of asking, part of a batch, window and thread.
#[test]
fn threads_windows_and_batches_see_the_same_bits() {
    let nodes = plan(Solved::Ddpm, 60);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let sample = |window: usize, first: usize, items: usize| {
        // Outputs that are 0: what is left of a sample is its noise.
        let mut silent = denoiser::from_fn(|_: &Batch<'_>, x: &[f64], out: &mut [f64]| {
            out.copy_from_slice(x);
            Ok::<(), std::convert::Infallible>(())
        });
        let picard = Picard { window, tolerance: 0.0, ..Picard::default() };
        let noise = Noise::seeded(3).from_item(first as u64);
        run::<f64, _, _, _>(&picard, &plan, &mut silent, &noise, items, 5).unwrap().x
    };
    let whole = sample(usize::MAX, 0, 12);
    assert!(whole.iter().any(|x| x.abs() > 0.01));
    for threads in [1, 2, 3, 4] {
        let part = 12 / threads;
        let parts: Vec<_> = std::thread::scope(|scope| {
            let runs: Vec<_> =
                (0..threads).map(|i| scope.spawn(move || sample(1 + 7 * i, i * part, part))).collect();
            runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(parts, whole, "{threads} threads");
    }
}

/// Golden bits: what every target must print.
#[test]
fn bits_are_golden() {
    let hash = draw(&Noise::seeded(7))
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, z| (hash ^ z.to_bits()).wrapping_mul(0x0000_0100_0000_01b3));
    assert_eq!(hash, 0xf763_e8ca_2296_bf20, "{hash:#x}");
}
