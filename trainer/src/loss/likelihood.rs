//! The information-theoretic estimate of the data's log-likelihood.

use super::standard::{fill_normal, mix};
use super::{Gaussian, LogSnrDraws, LossError, NoiseTable, items, sigmoid};
use crate::model::Network;
use crate::op::Element;
use crate::rng::Rng;

/// A negative log-likelihood in nats an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nll {
    /// Its mean over items.
    pub mean: f64,
    /// The mean's standard error, from the spread between items; NaN of one item.
    pub standard_error: f64,
}

/// The mean of `-log p(x)` over `data` [n, dim], in nats in the network's own coordinates:
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
/// or `levels` is no distribution.
pub fn nll<T: Element>(
    model: &mut Network<T>,
    table: &NoiseTable,
    gaussian: &Gaussian,
    levels: LogSnrDraws,
    data: &[T],
    draws: usize,
    rng: &mut Rng,
) -> Result<Nll, LossError> {
    let dim = model.dim();
    let n = items(data.len(), dim)?;
    levels.check("levels")?;
    let rows = draws.min(model.max_batch());
    if rows == 0 {
        return Err(LossError::setting("draws", rows as f64));
    }
    let (mut z, mut eps) = (vec![T::ZERO; rows * dim], vec![T::ZERO; rows * dim]);
    let (mut t, mut at) = (vec![T::ZERO; rows], vec![(0.0, 0.0); rows]);
    let (mut sum, mut squares) = (0.0, 0.0);
    for x in data.chunks_exact(dim) {
        let (mut left, mut value) = (draws, 0.0);
        while left > 0 {
            let count = left.min(rows);
            for r in 0..count {
                // The item's draws are strata of l: the same integral with less variance.
                let (l, weight) = levels.stratum(draws - left + r, draws, rng);
                let row = r * dim..(r + 1) * dim;
                fill_normal(rng, &mut eps[row.clone()]);
                let (a, s) = (T::from_f64(sigmoid(l).sqrt()), T::from_f64(sigmoid(-l).sqrt()));
                mix(a, x, s, &eps[row.clone()], &mut z[row]);
                t[r] = T::from_f64(table.nearest(l) as f64);
                at[r] = (weight, gaussian.noise_error(l));
            }
            let out = model.forward(&z[..count * dim], &t[..count], &[])?;
            for ((out, eps), &(weight, base)) in out.chunks_exact(dim).zip(eps.chunks_exact(dim)).zip(&at) {
                let error: f64 = out.iter().zip(eps).map(|(o, e)| (o.to_f64() - e.to_f64()).powi(2)).sum();
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
