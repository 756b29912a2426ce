//! The pinned (Foellmer) process, and networks that were trained on its states.

use super::Output;
use super::output::reread;
use picardy::{Form, Level, Node, Plan, PlanError, Readout};

/// The pinned process's level with the signal-to-noise ratio of `level`: marginals `N(tau x1, v tau (1 - tau) I)`,
///
/// ```text
/// tau = v a^2/(v a^2 + s^2),    z = tau x1 + sqrt(v tau (1 - tau)) eps
/// ```
///
/// (arXiv 2305.09605.) With v = 1 and a variance-preserving level, `tau = a^2 = abar` and `z/sqrt(tau)` is that level's state.
///
/// ```
/// use picardy::Level;
/// use picardy_trainer::loss::pinned_level;
/// let level = pinned_level(&Level::vp(0.36, 7.0), 1.0);
/// assert!((level.alpha - 0.36).abs() < 1e-12 && (level.sigma - 0.48).abs() < 1e-12);
/// ```
pub fn pinned_level(level: &Level, variance: f64) -> Level {
    let (signal, noise) = (variance * level.alpha * level.alpha, level.sigma * level.sigma);
    let (tau, left) = (signal / (signal + noise), noise / (signal + noise));
    Level { alpha: tau, sigma: (variance * tau * left).sqrt(), t: level.t }
}

/// A plan that was made for [`Prediction::Sample`](picardy::Prediction::Sample), to be run with a network that was trained on
/// the pinned process's own states ([`Process::Pinned`](super::Process::Pinned)) and returns `output`.
///
/// Any solver's plan may be read so: [`picardy::Pinned`]'s, which then shows the network its states as they are, or a
/// variance-preserving one, where it is shown `(tau/a) z`. The other way round [`picardy::Pinned`] serves variance-preserving
/// networks as it is.
///
/// # Errors
///
/// [`PlanError::Buffer`] where `nodes` is shorter than the plan, [`PlanError::Singular`] at a level without signal.
///
/// ```
/// use picardy::{Betas, Level, Node, Pinned, Prediction, Solver};
/// use picardy_trainer::loss::{Output, read_pinned};
/// let (mut levels, mut made, mut read) = ([Level::default(); 11], [Node::default(); 11], [Node::default(); 11]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
/// let plan = Pinned::default().plan(&grid, Prediction::Sample, &mut made)?;
/// let plan = read_pinned(&plan, Output::Sample, 1.0, &mut read)?;
/// assert!(plan.nodes()[..10].iter().all(|node| (node.evaluate.unwrap().input - 1.0).abs() < 1e-12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_pinned<'a>(
    plan: &Plan<'_>,
    output: Output,
    variance: f64,
    nodes: &'a mut [Node],
) -> Result<Plan<'a>, PlanError> {
    reread(plan, nodes, |shown| {
        let level = pinned_level(shown, variance);
        let scale = level.alpha / shown.alpha;
        let read = output.readout(&level, Form::Data).filter(|_| scale.is_finite())?;
        Some(Readout { input: scale * read.input, state: scale * read.state, ..read })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::contrastive::tests::{check_loss, small_model, table};
    use crate::loss::{Denoising, DenoisingConfig, Process};
    use crate::op::testing::values;
    use crate::rng::Rng;
    use picardy::{
        Batch, Betas, Ddim, Ddpm, Memory, Noise, Pinned, Prediction, Sampler, Sequential, Solver, denoiser,
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
    fn a_pinned_network_samples_through_vp_and_pinned_plans_alike() {
        // The network knows the pinned state and the timestep, as one trained on the process does.
        for variance in [1.0, 0.4] {
            let betas = Betas::linear(50, 1e-3, 0.2);
            let mut levels = [Level::default(); 51];
            let grid = betas.trailing(50, &mut levels).unwrap();
            let table = crate::loss::NoiseTable::new(betas.alpha_bars().collect()).unwrap();
            let run = |solver: &dyn Solver| {
                let (mut made, mut read) = ([Node::default(); 51], [Node::default(); 51]);
                let plan = solver.plan(&grid, Prediction::Sample, &mut made).unwrap();
                let plan = read_pinned(&plan, Output::Sample, variance, &mut read).unwrap();
                let mut network = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
                    for ((row, x), out) in batch.iter().zip(x).zip(out) {
                        let level = pinned_level(&table.level(row.level.t as usize), variance);
                        *out = posterior(&level, *x);
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
            let (pinned, mean, spread) = run(&Pinned { variance });
            assert!((mean - 0.5).abs() < 0.04 && (spread - 0.09).abs() < 0.02, "{mean} {spread}");
            // Every variance's process is DDPM's in other coordinates, step by step.
            for (got, want) in pinned.iter().zip(&ddpm) {
                assert!((got - want).abs() < 1e-6, "{got} where {want}");
            }
        }
    }

    #[test]
    fn no_signal_is_an_error() {
        let mut levels = [Level::default(); 11];
        let grid = Betas::linear(1000, 1e-4, 2e-2).zero_snr().trailing(10, &mut levels).unwrap();
        let (mut made, mut read) = ([Node::default(); 11], [Node::default(); 11]);
        let plan = Ddim::default().plan(&grid, Prediction::Sample, &mut made).unwrap();
        let error = read_pinned(&plan, Output::Sample, 1.0, &mut read).unwrap_err();
        assert!(matches!(error, PlanError::Singular { node: 0, .. }), "{error}");
    }
}
