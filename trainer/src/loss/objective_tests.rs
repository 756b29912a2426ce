//! Tests of all terms together.

use super::*;
use crate::loss::contrastive::tests::{check_loss, small_model, table};
use crate::loss::{OutputName, ProcessName, Standard};
use crate::op::testing::values;

fn plain(config: &LossConfig) -> Statistics {
    let gaussian = config.needs_gaussian().then(|| Gaussian::new(vec![0.9, 1.1]).unwrap());
    Statistics { dim: 2, mean: vec![0.0; 2], scale: vec![1.0; 2], gaussian }
}

fn config() -> LossConfig {
    let mut config = LossConfig::default();
    (config.contrastive.items, config.contrastive.draws) = (2, 4);
    config
}

#[test]
fn the_sum_of_all_terms_has_the_gradient_that_is_added() {
    let config = config();
    let mut objective = Objective::new(&config, table(), &plain(&config), 3).unwrap();
    assert_eq!((objective.items(), objective.rows()), (5, 16));
    let x0 = values(10, 1);
    check_loss(small_model(objective.rows()), |model| {
        objective.step(model, &x0, &[], &mut Rng::new(5, 0)).unwrap().total()
    });
}

#[test]
fn physics_and_likelihood_join_the_sum() {
    let mut config = config();
    config.likelihood.weight = 0.3;
    (config.physics.weight, config.physics.residual) = (0.1, ResidualName::Circle);
    (config.prediction, config.process) = (OutputName::V, ProcessName::Pinned);
    let mut objective = Objective::new(&config, table(), &plain(&config), 3).unwrap();
    assert_eq!((objective.items(), objective.rows()), (8, 16));
    let x0 = values(16, 1);
    let mut model = small_model(objective.rows());
    let losses = objective.step(&mut model, &x0, &[], &mut Rng::new(5, 0)).unwrap();
    assert!(losses.terms()[..4].iter().all(|(_, value)| *value != 0.0), "{losses:?}");
    assert_eq!(losses.terms()[4..].iter().map(|(_, value)| value).sum::<f64>(), 0.0);
    check_loss(model, |model| objective.step(model, &x0, &[], &mut Rng::new(5, 0)).unwrap().total());
}

#[test]
fn physics_without_a_residual_is_an_error() {
    let mut config = LossConfig::standard();
    config.physics.weight = 1.0;
    let new = |config: &LossConfig| Objective::<f64>::new(config, table(), &plain(config), 3).map(|_| ());
    assert_eq!(new(&config), Err(LossError::NoResidual));
    config.physics.residual = ResidualName::Darcy;
    assert_eq!(new(&config), Err(LossError::ResidualSize { dim: 2 }));
    config.process = ProcessName::Flow;
    config.physics.residual = ResidualName::Circle;
    assert_eq!(new(&config), Err(LossError::Timesteps));
    config.process = ProcessName::Vp;
    assert_eq!(new(&config), Ok(()));
    let own = Objective::<f64>::with_residual(&config, table(), &plain(&config), 3, Arc::new(Circle));
    assert!(own.is_ok());
}

#[test]
fn a_term_alone_is_that_term() {
    let config =
        LossConfig { contrastive: ContrastiveTerm { weight: 0.0, ..config().contrastive }, ..config() };
    let mut objective = Objective::new(&config, table(), &plain(&config), 3).unwrap();
    let (x0, mut model) = (values(6, 1), small_model(3));
    let losses = objective.step(&mut model, &x0, &[], &mut Rng::new(5, 0)).unwrap();
    let mut twin = small_model(3);
    let value = Standard::new(3, 2).step(&mut twin, &table(), &x0, &mut Rng::new(5, 0)).unwrap();
    assert_eq!(losses, Losses { denoising: value, ..Losses::default() });
    assert_eq!(model.gradients(), twin.gradients());
}

#[test]
fn conditions_are_dropped_by_rows_and_as_often_as_asked() {
    let (n, condition) = (4000, 3);
    let (mut x0, mut c) = (vec![0.0; n], Vec::new());
    let mut rng = Rng::new(3, 0);
    let mut told = |x0: &mut [f64], c: &mut [f64], _: &mut Rng| {
        x0.fill(2.0);
        c.fill(1.0);
    };
    let (_, c) = lot(&mut x0, &mut c, [n, 1, condition], 0.25, &mut rng, &mut told);
    let sums: Vec<f64> = c.chunks_exact(condition).map(|row| row.iter().sum()).collect();
    assert!(sums.iter().all(|sum| *sum == 0.0 || *sum == 3.0));
    let dropped = sums.iter().filter(|sum| **sum == 0.0).count();
    assert!(dropped.abs_diff(1000) < 140, "{dropped}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let config = config();
    let mut objective = Objective::<f64>::new(&config, table(), &plain(&config), 3).unwrap();
    let mut rng = Rng::new(1, 0);
    let mut model = small_model(16);
    assert!(matches!(objective.step(&mut model, &[0.0; 8], &[], &mut rng), Err(LossError::Items { .. })));
    assert!(matches!(objective.step(&mut model, &[0.0; 10], &[1.0], &mut rng), Err(LossError::Model(_))));
    let mut small = small_model(15);
    assert!(matches!(objective.step(&mut small, &[0.0; 10], &[], &mut rng), Err(LossError::Model(_))));
    let huge = Objective::<f64>::new(&config, table(), &plain(&config), usize::MAX).unwrap_err();
    assert!(matches!(huge, LossError::Memory { .. }), "{huge}");
    let nothing = Statistics { gaussian: None, ..plain(&config) };
    let error = Objective::<f64>::new(&config, table(), &nothing, 3).unwrap_err();
    assert!(matches!(error, LossError::NoGaussian(_)));
}

#[test]
fn pictures_with_pixels_that_never_change_can_be_told_apart_from_noise() {
    // No Gaussian can be fitted to such data, and with the images' own levels none is needed.
    let mut config = config();
    config.contrastive.levels = Draws::Logistic { loc: 0.0, scale: 2.0, clip: 3.0 };
    config.contrastive.zeta = Draws::Images;
    assert!(!config.needs_gaussian());
    let data = Statistics { dim: 2, mean: vec![0.0; 2], scale: vec![1.0; 2], gaussian: None };
    let mut objective = Objective::new(&config, table(), &data, 3).unwrap();
    let x0 = [0.3, 0.0, -1.2, 0.0, 0.4, 0.0, 0.9, 0.0, -0.7, 0.0];
    check_loss(small_model(objective.rows()), |model| {
        let losses = objective.step(model, &x0, &[], &mut Rng::new(5, 0)).unwrap();
        assert!(losses.contrastive > 0.0);
        losses.total()
    });
    config.contrastive.shared = false;
    assert!(config.needs_gaussian());
}
