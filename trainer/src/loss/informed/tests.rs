//! Tests of the physics-informed loss.

use super::asked::{half_squares, posterior};
use super::*;
use crate::loss::contrastive::tests::{check_loss, small_model, table};
use crate::loss::{DenoisingConfig, Output, Weighting};
use crate::op::testing::values;
use crate::physics::Circle;
use picardy::Level;

/// Everything that physics can ask: two equations, an inequality that some rows fulfil, an objective.
#[derive(Debug)]
struct All;

/// The same, with a second coordinate that is given.
#[derive(Debug)]
struct Given;

impl Residual<f64> for Given {
    fn len(&self, dim: usize) -> Option<usize> {
        All.len(dim)
    }
    fn is_given(&self, index: usize) -> bool {
        index == 1
    }
    fn residual(&self, x: &[f64], r: &mut [f64]) {
        All.residual(x, r);
    }
    fn pull_back(&self, x: &[f64], dr: &[f64], dx: &mut [f64]) {
        All.pull_back(x, dr, dx);
    }
}

impl Residual<f64> for All {
    fn len(&self, dim: usize) -> Option<usize> {
        (dim == 2).then_some(2)
    }

    fn residual(&self, x: &[f64], r: &mut [f64]) {
        r[0] = x[0] * x[1] - 0.3;
        r[1] = x[0].sin();
    }

    fn pull_back(&self, x: &[f64], dr: &[f64], dx: &mut [f64]) {
        dx[0] += dr[0] * x[1] + dr[1] * x[0].cos();
        dx[1] += dr[0] * x[0];
    }

    fn inequalities(&self) -> usize {
        1
    }

    fn inequality(&self, x: &[f64], g: &mut [f64]) {
        g[0] = x[0] - x[1] * x[1];
    }

    fn pull_back_inequality(&self, x: &[f64], dg: &[f64], dx: &mut [f64]) {
        dx[0] += dg[0];
        dx[1] -= 2.0 * x[1] * dg[0];
    }

    fn objective(&self, x: &[f64]) -> Option<f64> {
        Some(x[0] + 0.5 * x[1] * x[1])
    }

    fn pull_back_objective(&self, x: &[f64], scale: f64, dx: &mut [f64]) {
        dx[0] += scale;
        dx[1] += scale * x[1];
    }
}

/// A coarse schedule: V_t of the fine one is so small that differences would be of large numbers.
fn coarse() -> NoiseTable {
    NoiseTable::new(picardy::Betas::linear(10, 0.05, 0.5).alpha_bars().collect()).unwrap()
}

fn informed(
    output: Output,
    process: Process,
    config: InformedConfig,
    rows: usize,
    physics: Arc<dyn Residual<f64>>,
) -> Informed<f64> {
    let denoising = DenoisingConfig { output, process, weighting: Weighting::MinSnr(5.0), focus: None };
    let denoising = Denoising::new(denoising, 1.0, rows, 2).unwrap();
    Informed::new(denoising, config, physics, (vec![0.1, -0.2], vec![0.7, 1.3])).unwrap()
}

fn all_terms(estimation: Estimation, steps: usize) -> InformedConfig {
    InformedConfig {
        equality: 0.1,
        inequality: 0.2,
        objective: 0.3,
        estimation,
        steps,
        ceiling: f64::INFINITY,
        bend: 0.1,
        timesteps: 7,
    }
}

#[test]
fn the_physics_of_the_tests_has_the_slopes_that_it_says() {
    assert!(crate::physics::check_pull_back(&All, &[0.8, -0.4]) < 1e-6);
}

#[test]
fn gradients_through_the_model() {
    let x0 = values(10, 1);
    for (estimation, steps) in [(Estimation::Mean, 1), (Estimation::Sample, 1), (Estimation::Sample, 3)] {
        for output in [Output::Sample, Output::Epsilon, Output::V, Output::Edm { sigma_data: 0.6 }] {
            for process in [Process::Vp, Process::Pinned { variance: 0.8 }] {
                let mut loss = informed(output, process, all_terms(estimation, steps), 5, Arc::new(All));
                check_loss(small_model(5), |model| {
                    loss.step(model, &coarse(), &x0, &[], &mut Rng::new(5, 0)).unwrap().total()
                });
            }
        }
    }
}

#[test]
fn each_term_by_hand_for_a_network_of_zeros() {
    // x0_hat is 0 where the network predicts x0: the sample in its own units is the mean.
    let config = all_terms(Estimation::Mean, 1);
    let mut loss = informed(Output::Sample, Process::Vp, config, 1, Arc::new(All));
    let mut model = small_model(1);
    model.parameters_mut().fill(0.0);
    let table = coarse();
    let losses = loss.step(&mut model, &table, &[1.0, 2.0], &[], &mut Rng::new(1, 0)).unwrap();
    let level = loss.denoising.rows.levels[0];
    assert!(level.t < 7.0, "timestep {} has no physics", level.t);
    let timestep = (level.t as usize).max(1);
    let abar = table.alphas_cumprod();
    let beta = 1.0 - abar[timestep] / abar[timestep - 1];
    let variance = beta * (1.0 - abar[timestep - 1]) / (1.0 - abar[timestep]);
    let (x, y) = (0.1f64, -0.2f64);
    // |x y - 0.3| = 0.32 is beyond the bend at 0.1, sin x and g are not.
    let bent = 2.0 * 0.1 * ((x * y - 0.3).abs() - 0.05);
    let equality = (bent + x.sin().powi(2)) / 2.0 / (2.0 * variance);
    let inequality = (x - y * y).max(0.0).powi(2) / (2.0 * variance);
    let snr = (level.alpha / level.sigma).powi(2);
    for (got, want) in [
        (losses.denoising, snr.min(5.0) * (1.0 + 4.0) / 2.0),
        (losses.residual, 0.1 * equality),
        (losses.inequality, 0.2 * inequality),
        (losses.objective, 0.3 * (x + 0.5 * y * y)),
    ] {
        assert!((got - want).abs() < 1e-12 * (1.0 + want), "{got} where {want}");
    }
    assert!(inequality > 0.0);
}

#[test]
fn what_is_given_is_the_datas_and_has_no_slope() {
    let x0 = values(10, 1);
    for (estimation, steps) in [(Estimation::Mean, 1), (Estimation::Sample, 2)] {
        let config = InformedConfig { equality: 0.1, estimation, steps, ..InformedConfig::default() };
        let mut loss = informed(Output::V, Process::Vp, config, 5, Arc::new(Given));
        check_loss(small_model(5), |model| {
            loss.step(model, &coarse(), &x0, &[], &mut Rng::new(5, 0)).unwrap().total()
        });
    }
    // A network of zeros that predicts x0: the first coordinate is the mean, 0.1, and the second -0.2 + 1.3 * 2.
    let config = InformedConfig { equality: 1.0, ..InformedConfig::default() };
    let mut loss = informed(Output::Sample, Process::Vp, config, 1, Arc::new(Given));
    let mut model = small_model(1);
    model.parameters_mut().fill(0.0);
    let losses = loss.step(&mut model, &coarse(), &[1.0, 2.0], &[], &mut Rng::new(1, 0)).unwrap();
    let variance = posterior(&coarse(), loss.denoising.rows.levels[0].t as usize);
    let want = ((0.1f64 * 2.4 - 0.3).powi(2) + 0.1f64.sin().powi(2)) / 2.0 / (2.0 * variance);
    assert!((losses.residual - want).abs() < 1e-12 * (1.0 + want), "{} where {want}", losses.residual);
}

#[test]
fn later_timesteps_have_no_physics() {
    let x0 = values(10, 1);
    let mut seen = [false; 2];
    for seed in 0..20 {
        let step = |timesteps| {
            let config = InformedConfig { equality: 1.0, timesteps, ..InformedConfig::default() };
            let mut loss = informed(Output::V, Process::Vp, config, 1, Arc::new(All));
            let mut model = small_model(1);
            let losses = loss.step(&mut model, &coarse(), &x0[..2], &[], &mut Rng::new(seed, 0)).unwrap();
            (losses, model.gradients().to_vec(), loss.denoising.rows.levels[0].t)
        };
        let ((all, slopes, t), (some, some_slopes, _)) = (step(0), step(5));
        assert_eq!(all.denoising, some.denoising);
        let asked = t < 5.0;
        seen[usize::from(asked)] = true;
        assert_eq!((some.residual > 0.0, slopes == some_slopes), (asked, asked), "timestep {t}");
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_sample_is_a_ddim_step_to_timestep_0_and_the_estimate_there() {
    let x0 = [0.8, -0.3];
    let config = InformedConfig { equality: 1.0, estimation: Estimation::Sample, ..Default::default() };
    let mut loss = informed(Output::Epsilon, Process::Vp, config, 1, Arc::new(Circle));
    let (table, mut model) = (coarse(), small_model(1));
    let losses = loss.step(&mut model, &table, &x0, &[], &mut Rng::new(4, 0)).unwrap();
    let Rows { z, levels, .. } = &loss.denoising.rows;
    let (t, level) = (levels[0].t, levels[0]);
    assert!(t > 1.0, "a step from timestep {t} would show nothing");
    let first = table.level(0);
    let eps = model.forward(z, &[t], &[]).unwrap().to_vec();
    let hat = |z: f64, eps: f64, level: &Level| (z - level.sigma * eps) / level.alpha;
    let next: Vec<f64> =
        z.iter().zip(&eps).map(|(&z, &eps)| first.alpha * hat(z, eps, &level) + first.sigma * eps).collect();
    let eps = model.forward(&next, &[0.0], &[]).unwrap();
    let star: Vec<f64> = next.iter().zip(eps).map(|(&z, &eps)| hat(z, eps, &first)).collect();
    let own = [0.1 + 0.7 * star[0], -0.2 + 1.3 * star[1]];
    let r = own[0] * own[0] + own[1] * own[1] - 1.0;
    let want = r * r / (2.0 * posterior(&table, t as usize));
    assert!((losses.residual - want).abs() < 1e-9 * want, "{} where {want}", losses.residual);
}

#[test]
fn one_step_from_timestep_0_is_none() {
    // A row at timestep 0 stays there: its sample is its mean.
    let table = NoiseTable::new(vec![0.9, 0.5]).unwrap();
    let value = |estimation| {
        let config = InformedConfig { equality: 1.0, estimation, ..Default::default() };
        let mut loss = informed(Output::V, Process::Vp, config, 1, Arc::new(Circle));
        let seed = (0..64).find(|seed| Rng::new(*seed, 0).below(2) == 0).unwrap();
        let losses =
            loss.step(&mut small_model(1), &table, &[0.8, -0.3], &[], &mut Rng::new(seed, 0)).unwrap();
        assert_eq!(loss.denoising.rows.levels[0].t, 0.0);
        losses.residual
    };
    let (mean, sample) = (value(Estimation::Mean), value(Estimation::Sample));
    assert!((mean - sample).abs() < 1e-9 * mean, "{mean} {sample}");
}

#[test]
fn the_first_variance_is_the_seconds() {
    let table = table();
    assert_eq!(posterior(&table, 0), posterior(&table, 1));
    assert!(posterior(&table, 1) > 0.0);
}

#[test]
fn above_the_ceiling_nothing_pulls() {
    let mut r = [3.0f64, 0.1, -3.0];
    let value = half_squares(&mut r, 2.0, 0.5, &InformedConfig { ceiling: 4.0, ..InformedConfig::default() });
    // 9, 0.01 and 9 over 1, at most 4.
    assert!((value - 2.0 * (4.0 + 0.01 + 4.0)).abs() < 1e-12);
    assert_eq!((r[0], r[2]), (0.0, 0.0));
    assert!((r[1] - 2.0 * 0.1 / 0.5).abs() < 1e-12);
}

/// Physics that is no number, in one of its parts.
#[derive(Debug)]
struct Broken(&'static str);

impl Residual<f64> for Broken {
    fn len(&self, _: usize) -> Option<usize> {
        Some(1)
    }

    fn residual(&self, _: &[f64], r: &mut [f64]) {
        r[0] = if self.0 == "equality" { f64::NAN } else { 1.0 };
    }

    fn pull_back(&self, _: &[f64], _: &[f64], dx: &mut [f64]) {
        dx[1] = if self.0 == "gradient" { f64::INFINITY } else { 0.0 };
    }

    fn inequalities(&self) -> usize {
        1
    }

    fn inequality(&self, _: &[f64], g: &mut [f64]) {
        g[0] = if self.0 == "inequality" { f64::NAN } else { 0.0 };
    }

    fn objective(&self, _: &[f64]) -> Option<f64> {
        Some(if self.0 == "objective" { f64::NEG_INFINITY } else { 0.0 })
    }
}

#[test]
fn physics_that_is_no_number_is_named_and_leaves_the_gradients() {
    for part in ["equality", "inequality", "objective", "gradient"] {
        for estimation in [Estimation::Mean, Estimation::Sample] {
            let config = all_terms(estimation, 1);
            let mut loss = informed(Output::V, Process::Vp, config, 2, Arc::new(Broken(part)));
            let mut model = small_model(2);
            let error =
                loss.step(&mut model, &coarse(), &values(4, 1), &[], &mut Rng::new(1, 0)).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(part) && said.contains("row 0"), "{said}");
            assert!(model.gradients().iter().all(|g| *g == 0.0));
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let denoising = |process| {
        Denoising::<f64>::new(DenoisingConfig { process, ..Default::default() }, 1.0, 2, 3).unwrap()
    };
    let affine = |n| (vec![0.0; n], vec![1.0; n]);
    let new = |process, physics: Arc<dyn Residual<f64>>, n, config| {
        Informed::new(denoising(process), config, physics, affine(n)).map(|_| ())
    };
    let good = InformedConfig::default();
    assert_eq!(new(Process::Vp, Arc::new(Circle), 3, good), Ok(()));
    assert_eq!(new(Process::Vp, Arc::new(All), 3, good), Err(LossError::ResidualSize { dim: 3 }));
    assert_eq!(new(Process::Vp, Arc::new(Circle), 2, good), Err(LossError::Items { len: 2, dim: 3 }));
    assert_eq!(new(Process::Flow { shift: 1.0 }, Arc::new(Circle), 3, good), Err(LossError::Timesteps));
    let nan = InformedConfig { ceiling: f64::NAN, ..good };
    assert!(new(Process::Vp, Arc::new(Circle), 3, nan).unwrap_err().to_string().contains("physics.ceiling"));
    let nan = InformedConfig { bend: f64::NAN, ..good };
    assert!(new(Process::Vp, Arc::new(Circle), 3, nan).unwrap_err().to_string().contains("physics.bend"));
    let one = NoiseTable::new(vec![0.5]).unwrap();
    let mut loss = informed(Output::V, Process::Vp, good, 1, Arc::new(Circle));
    let error = loss.step(&mut small_model(1), &one, &[0.0; 2], &[], &mut Rng::new(0, 0));
    assert_eq!(error, Err(LossError::Timesteps));
}
