//! The pinned process: its loss, its levels, and what samples of its networks are.

use crate::loss::contrastive::tests::{check_loss, small_model, table};
use crate::loss::{Denoising, DenoisingConfig, NoiseTable, Output, Process};
use crate::op::testing::values;
use crate::rng::Rng;
use picardy::{
    Batch, Betas, Ddim, Ddpm, Edm, Level, Memory, Node, Noise, Pinned, Prediction, Sampler, Sequential,
    Solver, denoiser,
};

#[test]
fn gradient_through_the_model() {
    let x0 = values(8, 1);
    for output in [Output::Sample, Output::V] {
        let process = Process::Pinned { variance: 0.7 };
        let config = DenoisingConfig { output, process, ..DenoisingConfig::default() };
        let mut loss = Denoising::new(config, 1.0, 4, 2).unwrap();
        check_loss(small_model(4), |model| {
            loss.step(model, &table(), &x0, &[], &mut Rng::new(5, 0)).unwrap()
        });
    }
}

#[test]
fn times_are_uniform_and_marginals_the_processes() {
    let (process, table, mut rng) = (Process::Pinned { variance: 0.5 }, table(), Rng::new(2, 0));
    let n = 20_000;
    let mut mean = 0.0;
    for _ in 0..n {
        let level = process.draw(&table, &mut rng);
        let tau = level.alpha;
        assert!((level.sigma - (0.5 * tau * (1.0 - tau)).sqrt()).abs() < 1e-12);
        assert_eq!(table.level(level.t as usize).t, level.t);
        mean += tau / f64::from(n);
    }
    // Five standard errors of a uniform number, and what rounding to a timestep shifts.
    assert!((mean - 0.5).abs() < 0.012, "{mean}");
}

/// The exact data estimate for N(0.5, 0.09) from a state of the pinned process.
fn posterior(level: &Level, x: f64) -> f64 {
    let (m, v) = (0.5, 0.09);
    let (a, s2) = (level.alpha, level.sigma * level.sigma);
    (m * s2 + v * a * x) / (s2 + v * a * a)
}

#[test]
fn a_pinned_network_samples_with_any_solver() {
    // The network knows the pinned state and the timestep, as one trained on the process does.
    for variance in [1.0, 0.4] {
        let betas = Betas::linear(50, 1e-3, 0.2);
        let mut levels = [Level::default(); 51];
        let schedule = Process::Pinned { variance }.schedule(betas);
        let grid = schedule.trailing(50, &mut levels).unwrap();
        let table = NoiseTable::new(betas.alpha_bars().collect()).unwrap();
        let run = |solver: &dyn Solver| {
            let mut nodes = [Node::default(); 151];
            let plan = solver.plan(&grid, Prediction::Sample, &mut nodes).unwrap();
            let mut network = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
                for ((row, x), out) in batch.iter().zip(x).zip(out) {
                    // Between timesteps and before the first, where churn leads, states are of the process all the same.
                    let known = table.level(row.level.t as usize).pinned(variance);
                    let off = row.level.t.fract() != 0.0 || row.level.t == 49.0;
                    assert!(off || (known.alpha - row.level.alpha).abs() < 1e-9);
                    *out = posterior(&row.level, *x);
                }
                Ok::<(), std::convert::Infallible>(())
            });
            let noise = Noise::seeded(3);
            let (mut x, mut memory) = (vec![0.0; 2000], Memory::new());
            plan.start(&noise, 1, &mut x);
            let mut workspace = memory.workspace(Sequential.need(&plan, 2000), 1);
            Sequential.run(&plan, &mut network, &noise, &mut x, &mut workspace).unwrap();
            let mean = x.iter().sum::<f64>() / 2000.0;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2000.0;
            (x, mean, variance)
        };
        let (ddpm, mean, spread) = run(&Ddpm::default());
        assert!((mean - 0.5).abs() < 0.04 && (spread - 0.09).abs() < 0.02, "{mean} {spread}");
        let (ddim, _, spread) = run(&Ddim::default());
        assert!((spread - 0.09).abs() < 0.02, "{spread}");
        assert_ne!(ddpm, ddim);
        let churn = Edm { s_churn: 20.0, ..Edm::default() };
        let (_, mean, spread) = run(&churn);
        assert!((mean - 0.5).abs() < 0.04 && (spread - 0.09).abs() < 0.02, "{mean} {spread}");
        let (pinned, mean, spread) = run(&Pinned { variance });
        assert!((mean - 0.5).abs() < 0.04 && (spread - 0.09).abs() < 0.02, "{mean} {spread}");
        // Every variance's process is DDPM's in other coordinates, step by step.
        for (got, want) in pinned.iter().zip(&ddpm) {
            assert!((got - want).abs() < 1e-6, "{got} where {want}");
        }
    }
}
