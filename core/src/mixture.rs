//! The exact denoiser of a Gaussian mixture: a model with a known density, for tests and comparisons.

use crate::{Batch, Denoiser, HostTensor, Level, Prediction, Real, math};
use core::fmt;
use core::ops::Range;

/// Data `x0 ~ sum_k w_k N(mean_k, std^2 I)`. With `std = 0` it is the empirical distribution of the means.
///
/// At `z = alpha x0 + sigma eps`, with `v = alpha^2 std^2 + sigma^2`,
///
/// ```text
/// E[x0 | z] = sum_k r_k (mean_k + alpha std^2 / v (z - alpha mean_k)),  r_k ~ w_k exp(-|z - alpha mean_k|^2 / 2v)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture<'a> {
    means: &'a [f64],
    weights: &'a [f64],
    std: f64,
    dim: usize,
}

/// Why there is no such mixture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MixtureError {
    /// The means are not `[weights, dim]`, or there are none.
    Shape {
        /// The numbers given as means.
        means: usize,
        /// The weights.
        weights: usize,
        /// The dimension.
        dim: usize,
    },
    /// A weight is not positive and finite.
    Weight(f64),
    /// The standard deviation is negative or not finite.
    Std(f64),
}

impl fmt::Display for MixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { means, weights, dim } => {
                write!(
                    f,
                    "{means} numbers are not {weights} means of dimension {dim}; give weights x dim, at least one"
                )
            }
            Self::Weight(weight) => write!(f, "weight {weight}; weights must be positive and finite"),
            Self::Std(std) => write!(f, "standard deviation {std}; it must be finite and not negative"),
        }
    }
}

impl core::error::Error for MixtureError {}

impl<'a> Mixture<'a> {
    /// `means` is `[weights.len(), dim]`, row-major; weights need not sum to 1.
    ///
    /// # Errors
    /// Shapes, weights or a standard deviation that make no mixture.
    pub fn new(means: &'a [f64], weights: &'a [f64], std: f64, dim: usize) -> Result<Self, MixtureError> {
        if dim == 0 || weights.is_empty() || weights.len().checked_mul(dim) != Some(means.len()) {
            return Err(MixtureError::Shape { means: means.len(), weights: weights.len(), dim });
        }
        if let Some(weight) = weights.iter().find(|w| !(**w > 0.0 && w.is_finite())) {
            return Err(MixtureError::Weight(*weight));
        }
        if !(std >= 0.0 && std.is_finite()) {
            return Err(MixtureError::Std(std));
        }
        Ok(Self { means, weights, std, dim })
    }

    /// `E[x0 | z]` into `out`.
    pub fn denoise<T: Real>(&self, z: &[T], level: &Level, out: &mut [T]) {
        let (alpha, sigma) = (level.alpha, level.sigma);
        let v = alpha * alpha * self.std * self.std + sigma * sigma;
        // The logarithm of the largest weight so far and the sum relative to it: one pass, no memory.
        let (mut top, mut total) = (f64::NEG_INFINITY, 0.0);
        let mean_of = |k: usize, scale: f64, add: f64, out: &mut [T]| {
            for (out, mean) in out.iter_mut().zip(self.means.iter().skip(k * self.dim)) {
                *out = T::from_f64(out.to_f64() * scale + add * mean);
            }
        };
        out.fill(T::ZERO);
        for (k, weight) in self.weights.iter().enumerate() {
            let mean = self.means.iter().skip(k * self.dim);
            let distance: f64 = z
                .iter()
                .zip(mean)
                .map(|(z, m)| {
                    let d = z.to_f64() - alpha * m;
                    d * d
                })
                .sum();
            let log = math::ln(*weight) - distance / (2.0 * v);
            let (scale, add) =
                if log > top { (math::exp(top - log), 1.0) } else { (1.0, math::exp(log - top)) };
            top = top.max(log);
            total = total * scale + add;
            mean_of(k, scale, add, out);
        }
        let pull = alpha * self.std * self.std / v;
        for (out, z) in out.iter_mut().zip(z) {
            let mean = out.to_f64() / total;
            *out = T::from_f64(mean + pull * (z.to_f64() - alpha * mean));
        }
    }

    /// `ln p(z)` at a level, in nats: the density of `alpha x0 + sigma eps`; at [`Level::DATA`], of the data.
    pub fn log_density(&self, z: &[f64], level: &Level) -> f64 {
        let (alpha, sigma) = (level.alpha, level.sigma);
        let v = alpha * alpha * self.std * self.std + sigma * sigma;
        let (mut top, mut total, mut weights) = (f64::NEG_INFINITY, 0.0, 0.0);
        for (k, weight) in self.weights.iter().enumerate() {
            let mean = self.means.iter().skip(k * self.dim);
            let distance: f64 = z.iter().zip(mean).map(|(z, m)| (z - alpha * m) * (z - alpha * m)).sum();
            let log = math::ln(*weight) - distance / (2.0 * v);
            total = if log > top { total * math::exp(top - log) + 1.0 } else { total + math::exp(log - top) };
            top = top.max(log);
            weights += weight;
        }
        top + math::ln(total / weights) - 0.5 * self.dim as f64 * math::ln(core::f64::consts::TAU * v)
    }

    /// As a denoiser whose output means `prediction`.
    pub const fn predicting(self, prediction: Prediction) -> MixtureDenoiser<'a> {
        MixtureDenoiser { mixture: self, prediction }
    }
}

/// A [`Mixture`]'s exact denoiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixtureDenoiser<'a> {
    mixture: Mixture<'a>,
    prediction: Prediction,
}

impl<F: HostTensor> Denoiser<F> for MixtureDenoiser<'_> {
    type Error = core::convert::Infallible;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Self::Error> {
        let dim = frames.dim();
        let (x, out) = frames.slices(x, out);
        for ((row, x), out) in batch.iter().zip(x.chunks(dim)).zip(out.chunks_mut(dim)) {
            let (a, s) = (row.level.alpha, row.level.sigma);
            // What EDM's is shown is a state of this level, too: the level that the row is told is the shown one.
            self.mixture.denoise(x, &row.level, out);
            for (out, x) in out.iter_mut().zip(x) {
                let (x, x0) = (x.to_f64(), out.to_f64());
                let eps = (x - a * x0) / s;
                *out = F::Scalar::from_f64(match self.prediction {
                    Prediction::Epsilon => eps,
                    Prediction::Sample => x0,
                    Prediction::V => a * eps - s * x0,
                    Prediction::Flow => eps - x0,
                    edm @ Prediction::Edm { .. } => {
                        let (data, noise) = edm.target(&row.level);
                        data * x0 + noise * eps
                    }
                });
            }
        }
        Ok(())
    }
}
