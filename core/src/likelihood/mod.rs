//! The noise classifier: how likely an input is, and how noisy.
//!
//! A denoiser knows the density of its data, and of its data at any noise level (arXiv 2302.03792, eq. 9; arXiv 2407.08946). With the log-SNR
//! l, sig the logistic function, `z_l = sqrt(sig(l)) x + sqrt(sig(-l)) eps`, and any Gaussian g with the noise estimate eps_g:
//!
//! ```text
//! log p(x)      = log g(x) + 1/2 E_l,eps[ w(l) ( |eps - eps_g(z_l, l)|^2 - |eps - eps_hat(z_l, l)|^2 ) ]     nats
//! log p_zeta(x) = the same with c eps_hat(z_l, l') in place of eps_hat(z_l, l),
//!                 l' = logit(sig(l) sig(zeta)),  c = sqrt(sig(-l) / sig(-l'))
//! ```
//!
//! `w` is 1 over the density that l is drawn with ([`LogSnrs`]). The difference `log p_zeta - log p` tells a noisy input from a clean one;
//! over several levels it gives the posterior over how noisy an input is. Low `log p` says that the input is not of the data:
//! [`Threshold`] says how low is an alarm. An input may also be too likely (a blurred image), or likely at some noise levels and not at
//! others: [`Typical`] scores its [`Profile`] over the levels, two-sided.
//!
//! **How few evaluations do.** The Gaussian g is round and lies around x itself, `N(x, v I)`, so that most of the noise's part is in both errors and
//! cancels. Gaussians of other v have known integrals too: they are control variates, with factors fitted to the draws. l is drawn from strata,
//! each with an eps and its negative, and the first two coordinates of eps are spread evenly over the strata. All inputs share
//! all draws, so that differences between inputs, or between levels, have less noise than each has.
//!
//! The standard error comes from differences of neighbouring strata. It knows nothing of the network's own error, nor of what
//! lies beyond the range of log-SNRs.

pub use buffers::Buffers;
#[cfg(feature = "alloc")]
pub use buffers::LikelihoodMemory;
pub use error::{LikelihoodError, ThresholdError};
pub use log_snrs::{LogSnrs, seen_from, sigmoid};
pub use profile::{BANDS, Profile, Typical};
pub use threshold::Threshold;
pub use view::View;

mod buffers;
mod draws;
mod error;
mod local;
mod log_snrs;
mod profile;
mod run;
mod tally;
#[cfg(test)]
mod tests;
mod threshold;
mod view;

use crate::denoiser::Span;
use crate::{Batch, Denoiser, HostTensor, Level, Node, Real, math};
use draws::Draws;
use local::Local;
use run::{Account, Column, Run};

/// Control variates: Gaussians around x.
const CONTROLS: usize = 4;

/// An estimate in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nats {
    /// Its value.
    pub value: f64,
    /// Its standard error; infinite of one or two evaluations.
    pub standard_error: f64,
}

/// How a density is estimated: see the [module](self).
///
/// No heap is needed:
///
/// ```
/// use picardy::likelihood::{Buffers, Likelihood, LogSnrs, Nats, View};
/// use picardy::{Level, Mixture, Node, Prediction, SliceFrames};
/// let mixture = Mixture::new(&[-1.0, 0.0, 1.0, 0.0], &[0.5, 0.5], 0.3, 2)?;
/// let mut denoiser = mixture.predicting(Prediction::Epsilon);
///
/// // Variance-preserving states, told the log-SNR.
/// let view = |l: f64| View::new(&Level::vp(picardy::likelihood::sigmoid(l), l), Prediction::Epsilon);
/// let levels = LogSnrs::Logistic { loc: 2.0, scale: 1.5, clip: 6.0 };
/// let likelihood = Likelihood { levels, evaluations: 256, variance: 1.0, seed: 7, view };
///
/// let (mut memory, mut nodes) = ([0.0f32; 2 * 64 * 2], [Node::default(); 64]); // 64 rows a call
/// let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 2), &mut nodes);
/// let mut found = [Nats::default(); 2];
/// likelihood.log_density(&mut denoiser, &[1.1, -0.2, 0.0, 3.0], &mut buffers, &mut found)?;
/// let truth = mixture.log_density(&[1.1, -0.2], &Level::DATA);
/// assert!((found[0].value - truth).abs() < 0.2 && found[0].standard_error < 0.2);
/// assert!(found[1].value < found[0].value - 10.0); // far from both modes
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood<V> {
    /// The log-SNRs that are drawn.
    pub levels: LogSnrs,
    /// Evaluations of the network for an input and density.
    pub evaluations: usize,
    /// The variance v of the Gaussian around the input: about that of the data's coordinates. The result does not depend on it but for its
    /// error.
    pub variance: f64,
    /// The seed of the draws. A [`Threshold`] and a [`Typical`] hold for the seed alone that their scores and profiles had.
    pub seed: u64,
    /// How the network is shown a state of a log-SNR, `Fn(f64) -> Option<View>`.
    pub view: V,
}

impl<V: Fn(f64) -> Option<View>> Likelihood<V> {
    /// `log p(x)` of inputs `x` [n, dim], in nats, into `out` `[n]`.
    ///
    /// `evaluations` evaluations an input, in calls as large as the buffers take.
    ///
    /// # Errors
    ///
    /// Settings, sizes, an input or an output that is not finite, the denoiser's own: [`LikelihoodError`]. What `out` holds is then
    /// of no use.
    pub fn log_density<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        out: &mut [Nats],
    ) -> Result<(), LikelihoodError<D::Error>> {
        self.log_density_at(denoiser, &Level::DATA, x, buffers, out)
    }

    /// `log p_level(x)`: the density of `alpha x0 + sigma eps` at inputs `x` [n, dim], in nats, into `out` `[n]`.
    ///
    /// # Errors
    ///
    /// As [`log_density`](Self::log_density), and [`LikelihoodError::Level`] of a level without signal.
    ///
    /// ```
    /// use picardy::likelihood::{Buffers, Likelihood, LogSnrs, Nats, View, sigmoid};
    /// use picardy::{Level, Mixture, Node, Prediction, SliceFrames};
    /// let mixture = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.3, 1)?;
    /// let view = |l: f64| View::new(&Level::vp(sigmoid(l), l), Prediction::V);
    /// let levels = LogSnrs::Logistic { loc: 2.0, scale: 1.5, clip: 6.0 };
    /// let likelihood = Likelihood { levels, evaluations: 256, variance: 1.0, seed: 7, view };
    /// let (mut memory, mut nodes, mut out) = ([0.0; 512], [Node::default(); 256], [Nats::default()]);
    /// let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 1), &mut nodes);
    /// let level = Level::ve(0.5); // of x0 + 0.5 eps
    /// likelihood.log_density_at(&mut mixture.predicting(Prediction::V), &level, &[0.2], &mut buffers, &mut out)?;
    /// assert!((out[0].value - mixture.log_density(&[0.2], &level)).abs() < 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log_density_at<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        level: &Level,
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        out: &mut [Nats],
    ) -> Result<(), LikelihoodError<D::Error>> {
        let column = Column::of(level, 1.0).ok_or(LikelihoodError::Level { index: 0 })?;
        self.densities(denoiser, &[column], x, buffers, out)
    }

    /// `log p_level(x) - log p(x)` of inputs `x` [n, dim], in nats, into `out` `[n]`: above 0 where an input looks more like data at the level's
    /// noise than like data (arXiv 2407.08946).
    ///
    /// `2 evaluations` evaluations an input. Both densities share their draws, and the error is the difference's own.
    ///
    /// # Errors
    ///
    /// As [`log_density_at`](Self::log_density_at).
    pub fn log_ratio<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        level: &Level,
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        out: &mut [Nats],
    ) -> Result<(), LikelihoodError<D::Error>> {
        let column = Column::of(level, 1.0).ok_or(LikelihoodError::Level { index: 0 })?;
        let data = Column { zeta: f64::INFINITY, scale: 1.0, weight: -1.0 };
        self.densities(denoiser, &[column, data], x, buffers, out)
    }

    /// The posterior over `levels` of one input `x` `[dim]` that is data at one of them, into `out` `[levels]`:
    ///
    /// ```text
    /// P(level | x) = prior(level) p_level(x) / sum over levels
    /// ```
    ///
    /// `prior` is even where it is empty; it need not sum to 1. [`Level::DATA`] is no noise. `evaluations` evaluations a level,
    /// with the same draws.
    ///
    /// # Errors
    ///
    /// As [`log_density_at`](Self::log_density_at); [`LikelihoodError::Results`] where `out`, or a prior, is not as long as `levels`.
    ///
    /// ```
    /// use picardy::likelihood::{Buffers, Likelihood, LogSnrs, View, sigmoid};
    /// use picardy::{Level, Mixture, Node, Prediction, SliceFrames};
    /// let mixture = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?;
    /// let view = |l: f64| View::new(&Level::vp(sigmoid(l), l), Prediction::Epsilon);
    /// let levels = LogSnrs::Logistic { loc: 2.0, scale: 1.5, clip: 6.0 };
    /// let likelihood = Likelihood { levels, evaluations: 64, variance: 1.0, seed: 7, view };
    /// let (mut memory, mut nodes, mut out) = ([0.0f32; 128], [Node::default(); 64], [0.0; 2]);
    /// let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 1), &mut nodes);
    /// let noisy = Level::vp(0.5, 0.0);
    /// let denoiser = &mut mixture.predicting(Prediction::Epsilon);
    /// likelihood.posterior(denoiser, &[Level::DATA, noisy], &[], &[1.0], &mut buffers, &mut out)?;
    /// assert!(out[0] > 0.8); // a mode of the data
    /// likelihood.posterior(denoiser, &[Level::DATA, noisy], &[], &[0.0], &mut buffers, &mut out)?;
    /// assert!(out[1] > 0.99); // between the modes, where noise leads
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn posterior<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        levels: &[Level],
        prior: &[f64],
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        out: &mut [f64],
    ) -> Result<(), LikelihoodError<D::Error>> {
        let dim = buffers.frames.dim();
        if x.len() != dim {
            return Err(LikelihoodError::Shape { len: x.len(), dim });
        }
        for given in [out.len(), if prior.is_empty() { levels.len() } else { prior.len() }] {
            if levels.is_empty() || given != levels.len() {
                return Err(LikelihoodError::Results { needed: levels.len().max(1), given });
            }
        }
        let mut top = f64::NEG_INFINITY;
        for (index, (level, out)) in levels.iter().zip(out.iter_mut()).enumerate() {
            let prior = prior.get(index).copied().unwrap_or(1.0);
            if !(prior > 0.0 && prior.is_finite()) {
                return Err(LikelihoodError::Level { index });
            }
            let column = Column::of(level, 1.0).ok_or(LikelihoodError::Level { index })?;
            let mut found = [Nats::default()];
            self.densities(denoiser, &[column], x, buffers, &mut found)?;
            let [Nats { value, .. }] = found;
            *out = math::ln(prior) + value;
            top = top.max(*out);
        }
        let mut sum = 0.0;
        for out in out.iter_mut() {
            *out = math::exp(*out - top);
            sum += *out;
        }
        out.iter_mut().for_each(|out| *out /= sum);
        Ok(())
    }

    fn check<E>(&self, dim: usize, x: usize, out: usize) -> Result<(), LikelihoodError<E>> {
        if self.evaluations == 0 {
            return Err(LikelihoodError::NoEvaluations);
        }
        self.levels.check()?;
        if !(self.variance > 0.0 && self.variance.is_finite()) {
            return Err(LikelihoodError::Setting { name: "variance", value: self.variance });
        }
        let items = x.checked_div(dim).unwrap_or(0);
        if items == 0 || items * dim != x {
            return Err(LikelihoodError::Shape { len: x, dim });
        }
        if out != items {
            return Err(LikelihoodError::Results { needed: items, given: out });
        }
        Ok(())
    }

    /// The parts of `log p(x)` that bands of log-SNRs have, of inputs `x` [n, dim], in nats, into `out` `[n]`: what [`Typical`] scores.
    ///
    /// ```text
    /// log p(x) = ln N(x; x, v I) + sum_b profile_b        (without control variates)
    /// ```
    ///
    /// The bands have as many strata, or one more or less, from low log-SNRs to high ones.
    ///
    /// # Errors
    ///
    /// As [`log_density`](Self::log_density); [`LikelihoodError::TooFewEvaluations`] where there are fewer than two evaluations a band.
    pub fn profile<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        out: &mut [Profile],
    ) -> Result<(), LikelihoodError<D::Error>> {
        if self.evaluations < 2 * BANDS {
            return Err(LikelihoodError::TooFewEvaluations { needed: 2 * BANDS, given: self.evaluations });
        }
        self.check(buffers.frames.dim(), x.len(), out.len())?;
        let data = Column { zeta: f64::INFINITY, scale: 1.0, weight: 1.0 };
        self.estimate(denoiser, &[data], x, buffers, |item, run, account| {
            if let Some(out) = out.get_mut(item) {
                let n = run.strata() as f64;
                *out = account.bands.map(|sum| 0.5 * sum / n);
            }
        })
    }

    fn densities<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        columns: &[Column],
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        out: &mut [Nats],
    ) -> Result<(), LikelihoodError<D::Error>> {
        let dim = buffers.frames.dim();
        self.check(dim, x.len(), out.len())?;
        self.estimate(denoiser, columns, x, buffers, |item, run, account| {
            if let Some(out) = out.get_mut(item) {
                *out = run.finish(dim, account);
            }
        })
    }

    /// The combination of densities `columns` of each input: `done` is told each item's account. The sizes are checked.
    fn estimate<F: HostTensor, D: Denoiser<F> + ?Sized>(
        &self,
        denoiser: &mut D,
        columns: &[Column],
        x: &[F::Scalar],
        buffers: &mut Buffers<'_, F>,
        mut done: impl FnMut(usize, &Run<'_>, &Account),
    ) -> Result<(), LikelihoodError<D::Error>> {
        let dim = buffers.frames.dim();
        if denoiser.guard().is_some() {
            return Err(LikelihoodError::Guarded);
        }
        if let Some(at) = x.iter().position(|x| !x.is_finite()) {
            return Err(LikelihoodError::Input { item: at / dim.max(1), index: at % dim.max(1) });
        }
        let (rows, nodes) = (buffers.frames.rows() / 2, buffers.nodes.len());
        if rows == 0 || nodes == 0 {
            return Err(LikelihoodError::Buffers { rows: buffers.frames.rows(), nodes });
        }
        let local = Local::new(self.variance, &self.levels, dim);
        let whole = self.evaluations.saturating_mul(columns.len());
        let chunk = whole.min(rows).min(nodes);
        // Several items share a call only where each has all its evaluations there.
        let together = if chunk == whole { (rows / whole.max(1)).max(1) } else { 1 };
        let run = Run { draws: self.draws(), local, columns, evaluations: self.evaluations };
        for (group, x) in x.chunks(together.saturating_mul(dim)).enumerate() {
            let first_item = group * together;
            let mut account = Account::default();
            let mut first = 0;
            while first < whole {
                let count = chunk.min(whole - first);
                for (place, node) in buffers.nodes.iter_mut().take(count).enumerate() {
                    *node = self.node(&run, first + place)?;
                }
                let nodes = buffers.nodes.get(..count).unwrap_or(&[]);
                let frames = &mut buffers.frames;
                let items = x.len() / dim.max(1);
                for (i, x) in x.chunks(dim.max(1)).enumerate() {
                    for (place, node) in nodes.iter().enumerate() {
                        run.show(x, first + place, node, frames.row_mut(i * count + place));
                    }
                }
                let spans = [Span { first_item, items, first_node: 0, end_node: count, ..Span::default() }];
                let call = Batch::new(nodes, &spans);
                let size = items * count;
                denoiser
                    .evaluate(&call, frames, 0..size, size..2 * size)
                    .map_err(LikelihoodError::Denoiser)?;
                for (i, x) in x.chunks(dim.max(1)).enumerate() {
                    if first == 0 {
                        account = Account::default();
                    }
                    for (place, node) in nodes.iter().enumerate() {
                        let evaluation = first + place;
                        let said = frames.row_mut(size + i * count + place);
                        if !run.read(x, evaluation, node, said, &mut account) {
                            return Err(LikelihoodError::NotFinite { item: first_item + i, evaluation });
                        }
                    }
                    if first + count == whole {
                        done(first_item + i, &run, &account);
                    }
                }
                first += count;
            }
        }
        Ok(())
    }

    fn draws(&self) -> Draws {
        Draws::new(self.levels, self.seed, self.evaluations.div_ceil(2))
    }

    /// What the network is shown and told in an evaluation.
    fn node<E>(&self, run: &Run<'_>, evaluation: usize) -> Result<Node, LikelihoodError<E>> {
        let (stratum, column, _) = run.place(evaluation);
        let (log_snr, factor) = seen_from(run.draws.at(stratum).log_snr, column.zeta);
        let view = (self.view)(log_snr).and_then(View::sound).ok_or(LikelihoodError::View { log_snr })?;
        let mut read = view.read;
        read.state *= factor;
        read.output *= factor;
        let level =
            Level { alpha: math::sqrt(sigmoid(log_snr)), sigma: math::sqrt(sigmoid(-log_snr)), t: view.t };
        Ok(Node { level, evaluate: Some(read), ..Node::default() })
    }
}
