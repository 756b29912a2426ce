//! Tests of the contrastive loss, and what other losses' tests use of them.

use super::*;
use crate::model::{MlpConfig, Network};
use crate::op::testing::values;

pub(crate) fn table() -> NoiseTable {
    let betas = (0..1000).map(|i| 1e-4 + (2e-2 - 1e-4) * f64::from(i) / 999.0);
    let abar = betas.scan(1.0, |abar, beta| {
        *abar *= 1.0 - beta;
        Some(*abar)
    });
    NoiseTable::new(abar.collect()).unwrap()
}

pub(crate) fn small_model(max_batch: usize) -> Network<f64> {
    Network::new(MlpConfig { dim: 2, width: 6, blocks: 2 }, max_batch, 3).unwrap()
}

/// Checks the gradient that `loss` adds against central differences over every parameter.
pub(crate) fn check_loss(mut model: Network<f64>, mut loss: impl FnMut(&mut Network<f64>) -> f64) {
    model.zero_gradients();
    let value = loss(&mut model);
    assert!(value.is_finite());
    let gradient = model.gradients().to_vec();
    for (i, &got) in gradient.iter().enumerate() {
        let at = model.parameters()[i];
        let step = 1e-5;
        let mut value = |p: f64| {
            model.parameters_mut()[i] = p;
            loss(&mut model)
        };
        let want = (value(at + step) - value(at - step)) / (2.0 * step);
        value(at);
        let error = (got - want).abs();
        assert!(error <= 1e-6 * (1.0 + want.abs()), "parameter {i}: {got} where {want}");
    }
}

fn config(shared: bool) -> ContrastiveConfig {
    let levels = LogSnrDraws::Logistic { loc: 0.0, scale: 3.0, clip: 3.0 };
    let (output, process) = (Output::Epsilon, Process::Vp);
    ContrastiveConfig { items: 3, draws: 4, weight: 0.5, shared, levels, zeta: levels, output, process }
}

#[test]
fn gradient_through_the_model() {
    let gaussian = Gaussian::new(vec![0.8, 1.2]).unwrap();
    let x0 = values(6, 1);
    for shared in [false, true] {
        let mut loss = Contrastive::new(config(shared), gaussian.clone(), 2).unwrap();
        let model = small_model(loss.rows());
        check_loss(model, |model| loss.step(model, &table(), &x0, &[], &mut Rng::new(5, 0)).unwrap());
    }
}

#[test]
fn gradient_through_the_model_for_every_output() {
    let x0 = values(6, 1);
    let levels = LogSnrDraws::Logistic { loc: 0.0, scale: 1.0, clip: 3.0 };
    for output in [Output::Sample, Output::V, Output::Flow, Output::Edm { sigma_data: 0.7 }] {
        for process in [Process::Vp, Process::Flow { shift: 1.0 }] {
            let config = ContrastiveConfig { output, process, levels, zeta: levels, ..config(true) };
            let mut loss = Contrastive::new(config, None, 2).unwrap();
            let model = small_model(loss.rows());
            check_loss(model, |model| loss.step(model, &table(), &x0, &[], &mut Rng::new(5, 0)).unwrap());
        }
    }
}

#[test]
fn without_the_gaussian_shared_draws_give_the_same_loss() {
    let gaussian = Gaussian::new(vec![0.8, 1.2]).unwrap();
    let x0 = values(6, 1);
    let value = |gaussian: Option<Gaussian>| {
        let mut loss = Contrastive::new(config(true), gaussian, 2).unwrap();
        loss.step(&mut small_model(24), &table(), &x0, &[], &mut Rng::new(5, 0)).unwrap()
    };
    let (with, without) = (value(Some(gaussian)), value(None));
    assert!((with - without).abs() < 1e-9 * with, "{with} and {without}");
    let error = Contrastive::<f64>::new(config(false), None, 2);
    assert!(matches!(error, Err(LossError::NoGaussian(_))));
}

#[test]
fn all_rows_of_an_item_are_told_the_same() {
    let mut out = vec![9];
    repeat(&[1, 2, 3, 4], 2, 2, &mut out);
    assert_eq!(out, [1, 2, 1, 2, 3, 4, 3, 4]);
    repeat(&[], 0, 2, &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_denoiser_of_pure_data_sees_its_own_level() {
    // Data at level zeta, noised to l, has signal sig(l) sig(zeta); far from both ends l' is min(l, zeta).
    let (told, factor) = seen_from(-20.0, 20.0);
    assert!((told + 20.0).abs() < 1e-6 && (factor - 1.0).abs() < 1e-6);
    let (told, factor) = seen_from(30.0, 0.0);
    assert!(told.abs() < 1e-6 && factor < 1e-6);
    let (told, _) = seen_from(0.0, 0.0);
    assert!((told - (0.25f64 / 0.75).ln()).abs() < 1e-12);
}

#[test]
fn bad_settings_are_errors() {
    let gaussian = Gaussian::new(vec![1.0, 1.0]).unwrap();
    for bad in [
        ContrastiveConfig { items: 0, ..config(true) },
        ContrastiveConfig { draws: 0, ..config(true) },
        ContrastiveConfig { weight: f64::NAN, ..config(true) },
        ContrastiveConfig { zeta: LogSnrDraws::Uniform { low: 3.0, high: 3.0 }, ..config(true) },
    ] {
        assert!(matches!(Contrastive::<f64>::new(bad, gaussian.clone(), 2), Err(LossError::Setting { .. })));
    }
    let mut loss = Contrastive::new(config(true), gaussian, 2).unwrap();
    let mut rng = Rng::new(1, 0);
    assert!(loss.step(&mut small_model(24), &table(), &[0.0; 4], &[], &mut rng).is_err());
    assert!(loss.step(&mut small_model(23), &table(), &[0.0; 6], &[], &mut rng).is_err());
}
