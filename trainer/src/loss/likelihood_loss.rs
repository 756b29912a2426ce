//! The information-theoretic negative log-likelihood as what is trained.

use super::denoising::Rows;
use super::standard::{fill_normal, mix};
use super::view::View;
use super::{Gaussian, LogSnrDraws, LossError, NoiseTable, Output, Process, check_output, items, sigmoid};
use crate::model::{Learner, NetworkError};
use crate::op::Element;
use crate::rng::Rng;

/// What the likelihood's loss is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelihoodConfig {
    /// What the network returns.
    pub output: Output,
    /// Which states it is shown.
    pub process: Process,
    /// The log-SNRs that the density is integrated over.
    pub levels: LogSnrDraws,
}

/// The mean negative log-likelihood of the items, in nats a coordinate (arXiv 2302.03792):
///
/// ```text
/// scale/d mean_x ( h_g + 1/2 w(l) ( |eps - eps_hat(z_l, l)|^2 - sum_i sig(l + ln eig_i) ) )
/// ```
///
/// with one draw of (l, eps) an item, the l of a batch being strata of their distribution. [`NllConfig::estimate`](super::NllConfig::estimate) is the
/// estimate of the same with many. Without a Gaussian its terms, which no weight changes, are left out of the value.
///
/// The network is told the level nearest to l; beyond the schedule's ends that is the end.
#[derive(Debug, Clone)]
pub struct LikelihoodLoss<T> {
    config: LikelihoodConfig,
    gaussian: Option<Gaussian>,
    scale: f64,
    rows: Rows<T>,
    /// The weight of each row, and `eps_hat = state z + output out`.
    read: Vec<[f64; 3]>,
}

impl<T: Element> LikelihoodLoss<T> {
    /// The loss, multiplied by `scale`, for batches of up to `max_batch` items of `dim` coordinates.
    ///
    /// # Errors
    ///
    /// [`LossError::Setting`] where a setting is out of range, [`LossError::Memory`] where the batches are too large.
    pub fn new(
        config: LikelihoodConfig,
        gaussian: Option<Gaussian>,
        scale: f64,
        max_batch: usize,
        dim: usize,
    ) -> Result<Self, LossError> {
        check_output(config.output)?;
        config.process.check()?;
        config.levels.check("likelihood.levels")?;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(LossError::setting("likelihood.weight", scale));
        }
        let rows = Rows::checked(max_batch, dim)?;
        Ok(Self { config, gaussian, scale, rows, read: vec![[0.0; 3]; max_batch] })
    }

    /// Adds the gradient on the items x0 [n, dim], told c [n, condition], to the network's and gives the loss.
    ///
    /// # Errors
    ///
    /// [`LossError::Items`] where x0 is not whole items, [`LossError::Model`] where they are too many or c does not fit.
    pub fn step(
        &mut self,
        model: &mut dyn Learner<T>,
        table: &NoiseTable,
        x0: &[T],
        c: &[T],
        rng: &mut Rng,
    ) -> Result<f64, LossError> {
        let dim = model.dim();
        let n = items(x0.len(), dim)?;
        let Rows { z, t, eps, dout, .. } = &mut self.rows;
        let max = t.len().min(model.max_batch());
        if n > max || z.len() < x0.len() {
            return Err(NetworkError::Batch { got: n, max }.into());
        }
        let LikelihoodConfig { output, process, levels } = self.config;
        let mut base = 0.0;
        let rows = z.chunks_exact_mut(dim).zip(eps.chunks_exact_mut(dim)).zip(x0.chunks_exact(dim));
        for (i, (((z, eps), x0), (t, read))) in rows.zip(t.iter_mut().zip(&mut self.read)).enumerate() {
            let (l, weight) = levels.stratum(i, n, rng);
            fill_normal(rng, eps);
            let view = View::new(&process, output, table, l);
            *t = T::from_f64(view.t);
            let (a, s) = (view.input * sigmoid(l).sqrt(), view.input * sigmoid(-l).sqrt());
            mix(T::from_f64(a), x0, T::from_f64(s), eps, z);
            *read = [weight, view.state, view.output];
            if let Some(gaussian) = &self.gaussian {
                base += gaussian.entropy() - 0.5 * weight * gaussian.noise_error(l);
            }
        }
        let out = model.forward(&z[..x0.len()], &t[..n], c)?;
        let scale = self.scale / (n * dim) as f64;
        let mut sum = 0.0;
        let seen = z.chunks_exact(dim).zip(eps.chunks_exact(dim)).zip(out.chunks_exact(dim));
        for (((z, eps), out), (dout, &[weight, state, output])) in
            seen.zip(dout.chunks_exact_mut(dim).zip(&self.read))
        {
            for ((slope, &out), (&z, &eps)) in dout.iter_mut().zip(out).zip(z.iter().zip(eps)) {
                let error = state * z.to_f64() + output * out.to_f64() - eps.to_f64();
                sum += weight * error * error;
                *slope = T::from_f64(scale * weight * output * error);
            }
        }
        model.backward(&dout[..x0.len()])?;
        Ok(scale * (base + 0.5 * sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::NllConfig;
    use crate::loss::contrastive::tests::{check_loss, small_model, table};
    use crate::op::testing::values;

    const LEVELS: LogSnrDraws = LogSnrDraws::Logistic { loc: 0.0, scale: 2.0, clip: 3.0 };

    #[test]
    fn gradient_through_the_model_for_every_output() {
        let x0 = values(8, 1);
        let gaussian = Gaussian::new(vec![0.8, 1.2]).unwrap();
        for output in [Output::Epsilon, Output::Sample, Output::V, Output::Flow] {
            for process in [Process::Vp, Process::Flow { shift: 1.0 }, Process::Pinned { variance: 2.0 }] {
                let levels = LogSnrDraws::Uniform { low: -3.0, high: 2.0 };
                let config = LikelihoodConfig { output, process, levels };
                let mut loss = LikelihoodLoss::new(config, Some(gaussian.clone()), 0.5, 4, 2).unwrap();
                check_loss(small_model(4), |model| {
                    loss.step(model, &table(), &x0, &[], &mut Rng::new(5, 0)).unwrap()
                });
            }
        }
    }

    #[test]
    fn its_mean_is_the_estimate_of_the_likelihood() {
        let (data, gaussian) = (values(64, 1), Gaussian::new(vec![1.0, 1.0]).unwrap());
        let config = LikelihoodConfig { output: Output::Epsilon, process: Process::Vp, levels: LEVELS };
        let mut loss = LikelihoodLoss::new(config, Some(gaussian.clone()), 1.0, 32, 2).unwrap();
        let (mut model, mut rng) = (small_model(64), Rng::new(1, 0));
        let steps = 400;
        let values: Vec<f64> =
            (0..steps).map(|_| loss.step(&mut model, &table(), &data, &[], &mut rng).unwrap()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(steps);
        let error = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()).sqrt() / f64::from(steps);
        let schedule = picardy::Betas::linear(1000, 1e-4, 2e-2).into();
        let estimate = NllConfig { output: Output::Epsilon, schedule, levels: LEVELS, draws: 4096 };
        let want = estimate.estimate(&mut model, &data, &[], &mut rng).unwrap();
        // In nats a coordinate; the estimate of 4096 draws an item is far sharper than the steps' mean.
        assert!((mean - want.mean / 2.0).abs() < 5.0 * error, "{mean} +- {error}, {}", want.mean / 2.0);
    }

    #[test]
    fn bad_settings_are_errors() {
        let config = LikelihoodConfig { output: Output::V, process: Process::Vp, levels: LEVELS };
        let bad = LogSnrDraws::Uniform { low: 2.0, high: 1.0 };
        let refused =
            |config, scale| LikelihoodLoss::<f64>::new(config, None, scale, 1, 1).unwrap_err().to_string();
        assert!(refused(LikelihoodConfig { levels: bad, ..config }, 1.0).contains("likelihood.levels"));
        assert!(refused(config, f64::NAN).contains("likelihood.weight"));
        let mut loss = LikelihoodLoss::<f64>::new(config, None, 1.0, 1, 2).unwrap();
        let step = loss.step(&mut small_model(4), &table(), &[0.0; 4], &[], &mut Rng::new(0, 0));
        assert!(matches!(step, Err(LossError::Model(NetworkError::Batch { got: 2, max: 1 }))));
    }
}
