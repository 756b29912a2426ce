//! The information-theoretic estimate of the data's log-likelihood, over core's estimator.

use super::{LogSnrDraws, LossError, NoiseTable, Output, check_output, items};
use crate::model::{Network, NetworkError};
use crate::op::Element;
use crate::rng::Rng;
use picardy::likelihood::{Likelihood, LikelihoodMemory, LogSnrs, Nats, View, sigmoid};
use picardy::nn::ShapeError;
use picardy::{Batch, FlowShift, Level, NoiseSchedule, Real, denoiser};

/// A negative log-likelihood in nats an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nll {
    /// Its mean over items.
    pub mean: f64,
    /// The mean's standard error: from the spread between items, which have draws of their own; of one item, from its draws.
    pub standard_error: f64,
}

/// How a log-likelihood is estimated.
///
/// ```
/// use picardy::Betas;
/// use picardy_trainer::loss::{LogSnrDraws, NllConfig, Output};
/// use picardy_trainer::{model::{MlpConfig, Network}, rng::Rng};
/// let mut model = Network::<f32>::new(MlpConfig { dim: 2, width: 8, blocks: 1 }, 64, 0)?;
/// let config = NllConfig {
///     output: Output::V,
///     schedule: Betas::cosine(100).into(),
///     levels: LogSnrDraws::Logistic { loc: 0.0, scale: 2.0, clip: 3.0 },
///     draws: 64,
/// };
/// let nll = config.estimate(&mut model, &[0.5, 1.0, -1.0, 0.0], &[], &mut Rng::new(0, 0))?;
/// assert!(nll.mean.is_finite() && nll.standard_error > 0.0);
/// # Ok::<(), picardy_trainer::loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NllConfig {
    /// What the network returns.
    pub output: Output,
    /// Which states it was trained on, and what it was told of them.
    pub schedule: NoiseSchedule,
    /// The log-SNRs that the density is integrated over.
    pub levels: LogSnrDraws,
    /// Evaluations of the network an item.
    pub draws: usize,
}

impl NllConfig {
    /// The mean of `-log p(x)` over `data` [n, dim], told c [n, condition], in nats in the network's own coordinates, by
    /// [`Likelihood::log_density`] (arXiv 2302.03792). Every item has draws of its own; `rng` gives their seeds.
    ///
    /// Data that was divided by scales s_i has sum ln s_i more in its own units.
    ///
    /// # Errors
    ///
    /// [`LossError::Items`] or [`LossError::Empty`] where the data is not whole items, [`LossError::Setting`] where `draws` is 0
    /// or `levels` is no distribution, [`LossError::Model`] where c does not fit, [`LossError::Likelihood`] where the network says
    /// nothing of the noise at a log-SNR, or its output is not finite.
    pub fn estimate<T: Element + Real>(
        &self,
        model: &mut Network<T>,
        data: &[T],
        c: &[T],
        rng: &mut Rng,
    ) -> Result<Nll, LossError> {
        let Self { output, schedule, levels, draws } = *self;
        let (dim, condition) = (model.dim(), model.condition());
        let n = items(data.len(), dim)?;
        levels.check("levels")?;
        check_output(output)?;
        schedule.check().map_err(LossError::Levels)?;
        let rows = draws.min(model.max_batch());
        if rows == 0 {
            return Err(LossError::setting("draws", rows as f64));
        }
        if c.len() != n * condition {
            let (expected, got) = (n * condition, c.len());
            return Err(NetworkError::from(ShapeError { argument: "c", expected, got }).into());
        }
        let known = match schedule.betas() {
            Some(betas) => Some(NoiseTable::new(betas.alpha_bars().collect())?),
            None => None,
        };
        let view = |l: f64| View::new(&level(&schedule, known.as_ref(), l), output);
        // The estimate does not depend on it but for its error.
        let square: f64 = data.iter().map(|x| Real::to_f64(*x).powi(2)).sum();
        let variance = Some(square / data.len() as f64).filter(|v| *v > 0.0 && v.is_finite()).unwrap_or(1.0);
        let mut memory = LikelihoodMemory::<T>::new();
        let (mut t, mut told) = (Vec::with_capacity(rows), Vec::with_capacity(rows * condition));
        let (mut sum, mut squares, mut own) = (0.0, 0.0, 0.0);
        for (item, x) in data.chunks_exact(dim).enumerate() {
            let c = &c[item * condition..(item + 1) * condition];
            let mut network = denoiser::from_fn(|batch: &Batch<'_>, x: &[T], out: &mut [T]| {
                t.clear();
                told.clear();
                for row in batch.iter() {
                    t.push(Real::from_f64(row.level.t));
                    told.extend_from_slice(c);
                }
                out.copy_from_slice(model.forward(x, &t, &told)?);
                Ok::<(), NetworkError>(())
            });
            let likelihood = Likelihood {
                levels: levels.into(),
                evaluations: draws,
                variance,
                seed: rng.next_u64(),
                view,
            };
            let mut found = [Nats::default()];
            likelihood.log_density(&mut network, x, &mut memory.buffers(rows, dim), &mut found)?;
            let [Nats { value, standard_error }] = found;
            sum -= value;
            squares += value * value;
            own = standard_error;
        }
        let mean = sum / n as f64;
        let spread = (squares / n as f64 - mean * mean).max(0.0);
        let standard_error = if n > 1 { (spread / (n - 1) as f64).sqrt() } else { own };
        Ok(Nll { mean, standard_error })
    }
}

impl From<LogSnrDraws> for LogSnrs {
    fn from(draws: LogSnrDraws) -> Self {
        match draws {
            LogSnrDraws::Logistic { loc, scale, clip } => Self::Logistic { loc, scale, clip },
            LogSnrDraws::Uniform { low, high } => Self::Uniform { low, high },
        }
    }
}

/// The level of a schedule's process at a log-SNR, with what the network is told there: of betas, the nearest timestep in `known`.
fn level(schedule: &NoiseSchedule, known: Option<&NoiseTable>, log_snr: f64) -> Level {
    let (alpha, sigma) = (sigmoid(log_snr).sqrt(), sigmoid(-log_snr).sqrt());
    let t = known.map_or(0.0, |table| table.nearest(log_snr) as f64);
    match *schedule {
        NoiseSchedule::Vp(_) => Level { alpha, sigma, t },
        NoiseSchedule::Pinned { variance, .. } => Level { alpha, sigma, t }.pinned(variance),
        NoiseSchedule::Flow(FlowShift { train_steps, .. }) => {
            let s = sigma / (alpha + sigma);
            Level { alpha: 1.0 - s, sigma: s, t: train_steps as f64 * s }
        }
        NoiseSchedule::Ve { .. } => Level::ve((-0.5 * log_snr).exp()),
    }
}
