//! The information-theoretic estimate of the data's log-likelihood.

use super::standard::{fill_normal, mix};
use super::view::View;
use super::{Gaussian, LogSnrDraws, LossError, NoiseTable, Output, Process, items, sigmoid};
use crate::model::{Network, NetworkError};
use crate::op::Element;
use crate::rng::Rng;
use picardy::nn::ShapeError;

/// A negative log-likelihood in nats an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nll {
    /// Its mean over items.
    pub mean: f64,
    /// The mean's standard error, from the spread between items; NaN of one item.
    pub standard_error: f64,
}

/// How a log-likelihood is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NllConfig {
    /// What the network returns.
    pub output: Output,
    /// Which states it is shown.
    pub process: Process,
    /// The log-SNRs that the density is integrated over.
    pub levels: LogSnrDraws,
    /// Draws of (l, eps) an item.
    pub draws: usize,
}

/// [`NllConfig::estimate`] of a network that predicts eps and is told no conditions.
///
/// # Errors
///
/// As there.
pub fn nll<T: Element>(
    model: &mut Network<T>,
    table: &NoiseTable,
    gaussian: &Gaussian,
    levels: LogSnrDraws,
    data: &[T],
    draws: usize,
    rng: &mut Rng,
) -> Result<Nll, LossError> {
    let config = NllConfig { output: Output::Epsilon, process: Process::Vp, levels, draws };
    config.estimate(model, table, gaussian, data, &[], rng)
}

impl NllConfig {
    /// The mean of `-log p(x)` over `data` [n, dim], told c [n, condition], in nats in the network's own coordinates
    /// (arXiv 2302.03792):
    ///
    /// ```text
    /// -log p(x) = h_g + 1/2 E_l[ w(l) ( |eps - eps_hat(z_l, l)|^2 - sum_i sig(l + ln eig_i) ) ]
    /// ```
    ///
    /// with `draws` draws of (l, eps) an item. Data that was divided by scales s_i has sum ln s_i more in its own units.
    ///
    /// # Errors
    ///
    /// [`LossError::Items`] or [`LossError::Empty`] where the data is not whole items, [`LossError::Setting`] where `draws` is 0
    /// or `levels` is no distribution, [`LossError::Model`] where c does not fit.
    pub fn estimate<T: Element>(
        &self,
        model: &mut Network<T>,
        table: &NoiseTable,
        gaussian: &Gaussian,
        data: &[T],
        c: &[T],
        rng: &mut Rng,
    ) -> Result<Nll, LossError> {
        let Self { output, process, levels, draws } = *self;
        let (dim, condition) = (model.dim(), model.condition());
        let n = items(data.len(), dim)?;
        levels.check("levels")?;
        output.check()?;
        process.check()?;
        let rows = draws.min(model.max_batch());
        if rows == 0 {
            return Err(LossError::setting("draws", rows as f64));
        }
        if c.len() != n * condition {
            let (expected, got) = (n * condition, c.len());
            return Err(NetworkError::from(ShapeError { argument: "c", expected, got }).into());
        }
        let (mut z, mut eps) = (vec![T::ZERO; rows * dim], vec![T::ZERO; rows * dim]);
        let (mut t, mut at) = (vec![T::ZERO; rows], vec![[0.0; 4]; rows]);
        let mut told = vec![T::ZERO; rows * condition];
        let (mut sum, mut squares) = (0.0, 0.0);
        for (item, x) in data.chunks_exact(dim).enumerate() {
            let (mut left, mut value) = (draws, 0.0);
            for told in told.chunks_exact_mut(condition.max(1)) {
                told.copy_from_slice(&c[item * condition..(item + 1) * condition]);
            }
            while left > 0 {
                let count = left.min(rows);
                for r in 0..count {
                    // The item's draws are strata of l: the same integral with less variance.
                    let (l, weight) = levels.stratum(draws - left + r, draws, rng);
                    let row = r * dim..(r + 1) * dim;
                    fill_normal(rng, &mut eps[row.clone()]);
                    let view = View::new(&process, output, table, l);
                    let (a, s) = (view.input * sigmoid(l).sqrt(), view.input * sigmoid(-l).sqrt());
                    mix(T::from_f64(a), x, T::from_f64(s), &eps[row.clone()], &mut z[row]);
                    t[r] = T::from_f64(view.t);
                    at[r] = [weight, gaussian.noise_error(l), view.state, view.output];
                }
                let out = model.forward(&z[..count * dim], &t[..count], &told[..count * condition])?;
                let rows = out.chunks_exact(dim).zip(eps.chunks_exact(dim)).zip(z.chunks_exact(dim));
                for (((out, eps), z), &[weight, base, state, output]) in rows.zip(&at) {
                    let error: f64 = out
                        .iter()
                        .zip(eps)
                        .zip(z)
                        .map(|((o, e), z)| (state * z.to_f64() + output * o.to_f64() - e.to_f64()).powi(2))
                        .sum();
                    value += weight * (error - base);
                }
                left -= count;
            }
            let value = gaussian.entropy() + 0.5 * value / draws as f64;
            sum += value;
            squares += value * value;
        }
        let mean = sum / n as f64;
        let variance = (squares / n as f64 - mean * mean).max(0.0);
        Ok(Nll { mean, standard_error: (variance / (n - 1) as f64).sqrt() })
    }
}
