//! The contrastive diffusion loss (Wu et al., "Your diffusion model is secretly a noise classifier and benefits from
//! contrastive training", arXiv 2407.08946).
//!
//! A denoiser gives the density of the data, and of the data at any noise level zeta, as an integral over log-SNRs l
//! with `z_l = sqrt(sig(l)) x + sqrt(sig(-l)) eps`, sig the logistic function:
//!
//! ```text
//! -log p(x)      = h_g + 1/2 E_l[ w(l) ( |eps - eps_hat(z_l, l)|^2 - sum_i sig(l + ln eig_i) ) ]
//! -log p_zeta(x) = the same with c eps_hat(z_l, l') in place of eps_hat(z_l, l),
//!                  l' = logit(sig(l) sig(zeta)),  c = sqrt(sig(-l) / sig(-l'))
//! loss           = softplus( y (log p_zeta(x~) - log p(x~)) ),   y = +1: x~ = x,   y = -1: x~ = x at level zeta
//! ```
//!
//! eps_hat is read from the network's output, whatever that is, at the level that the network is told.
//! h_g and eig_i belong to the [`Gaussian`] fitted to the data. With independent draws of (l, eps)
//! for the two densities this is the paper's estimate. With shared ones the Gaussian terms and most of the variance
//! cancel, so that few draws do.

use super::standard::{fill_normal, mix};
use super::view::View;
use super::{
    Gaussian, LogSnrDraws, LossError, NoiseTable, Output, Process, check_output, items, sigmoid, softplus,
};
use crate::model::{Learner, NetworkError, has_room};
use crate::op::Element;
use crate::rng::Rng;
use picardy::likelihood::seen_from;
use picardy::nn::ShapeError;

/// How the contrastive loss is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContrastiveConfig {
    /// Items of a step.
    pub items: usize,
    /// Draws of (l, eps) an item and density: a step evaluates 2 items draws rows.
    pub draws: usize,
    /// What an item's loss is multiplied by.
    pub weight: f64,
    /// Shared draws (see the [module](super)), or independent ones, as the paper has them.
    pub shared: bool,
    /// The log-SNRs that the densities are integrated over.
    pub levels: LogSnrDraws,
    /// The noise levels to tell from the data.
    pub zeta: LogSnrDraws,
    /// What the network returns.
    pub output: Output,
    /// Which states it is shown.
    pub process: Process,
}

/// The loss with its buffers. See the [module](self).
#[derive(Debug, Clone)]
pub struct Contrastive<T> {
    config: ContrastiveConfig,
    gaussian: Option<Gaussian>,
    z: Vec<T>,
    t: Vec<T>,
    c: Vec<T>,
    eps: Vec<T>,
    dout: Vec<T>,
    rows: Vec<Row>,
    items: Vec<Item>,
    tilde: Vec<T>,
    noise: Vec<T>,
}

/// One evaluation: its weight in the integral, the Gaussian's error, and `c eps_hat = state z + output out`.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    weight: f64,
    state: f64,
    output: f64,
    gaussian: f64,
}

/// One item: y, and the slope of the total with respect to -log p and, negated, to -log p_zeta.
#[derive(Debug, Clone, Copy, Default)]
struct Item {
    sign: f64,
    slope: f64,
}

impl<T: Element> Contrastive<T> {
    /// The loss for items of `dim` coordinates. With shared draws it can do without the Gaussian, which cancels.
    ///
    /// # Errors
    ///
    /// [`LossError::Setting`] where a setting is 0, negative or not finite, [`LossError::TooManyRows`] where a step's
    /// rows cannot be counted, [`LossError::NoGaussian`] for independent draws without one.
    pub fn new(
        config: ContrastiveConfig,
        gaussian: impl Into<Option<Gaussian>>,
        dim: usize,
    ) -> Result<Self, LossError> {
        let gaussian = gaussian.into();
        let counts = [("items", config.items), ("draws", config.draws), ("dim", dim)];
        for (name, value) in
            counts.map(|(name, n)| (name, n as f64)).into_iter().chain([("weight", config.weight)])
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err(LossError::setting(name, value));
            }
        }
        config.levels.check("levels")?;
        config.zeta.check("zeta")?;
        check_output(config.output)?;
        config.process.check()?;
        if gaussian.is_none() && !config.shared {
            return Err(LossError::NoGaussian("independent contrastive draws"));
        }
        let ContrastiveConfig { items, draws, .. } = config;
        let rows = items.checked_mul(draws).and_then(|n| n.checked_mul(2));
        let numbers = rows.and_then(|rows| rows.checked_mul(dim));
        let (Some(rows), Some(_)) = (rows, numbers.filter(|&n| has_room(n as u128 * size_of::<T>() as u128)))
        else {
            return Err(LossError::TooManyRows { items, draws });
        };
        let room = |n: usize| vec![T::ZERO; n];
        Ok(Self {
            gaussian,
            z: room(rows * dim),
            t: room(rows),
            c: Vec::new(),
            eps: room(rows * dim),
            dout: room(rows * dim),
            rows: vec![Row::default(); rows],
            items: vec![Item::default(); config.items],
            tilde: room(dim),
            noise: room(dim),
            config,
        })
    }

    /// The rows that a step evaluates in one call: what the network's `max_batch` must be at least.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds the gradient of `weight sum over items of loss` to the network's and gives that sum's value.
    ///
    /// `x0` has the items [items, dim]; half of them (one more or less where they are odd) are noised. `c` [items, condition]
    /// is what the network is told of them, in both densities.
    ///
    /// # Errors
    ///
    /// [`LossError::Items`] where x0 is not as many items as the configuration says, [`LossError::Model`] where the network
    /// takes fewer rows than [`Contrastive::rows`] or other conditions.
    pub fn step(
        &mut self,
        model: &mut dyn Learner<T>,
        table: &NoiseTable,
        x0: &[T],
        c: &[T],
        rng: &mut Rng,
    ) -> Result<f64, LossError> {
        let dim = self.tilde.len();
        if items(x0.len(), dim)? != self.config.items || model.dim() != dim {
            return Err(LossError::Items { len: x0.len(), dim });
        }
        if self.rows() > model.max_batch() {
            return Err(NetworkError::Batch { got: self.rows(), max: model.max_batch() }.into());
        }
        // The first sign is a coin's, so that one item a step is half each over many.
        let mut sign = if rng.uniform() < 0.5 { 1.0 } else { -1.0 };
        for (i, x0) in x0.chunks_exact(dim).enumerate() {
            self.items[i].sign = sign;
            self.draw(i, table, x0, rng);
            sign = -sign;
        }
        let condition = model.condition();
        if c.len() != self.config.items * condition {
            let (expected, got) = (self.config.items * condition, c.len());
            return Err(NetworkError::from(ShapeError { argument: "c", expected, got }).into());
        }
        repeat(c, condition, 2 * self.config.draws, &mut self.c);
        let out = model.forward(&self.z, &self.t, &self.c)?;
        let mut total = 0.0;
        for i in 0..self.config.items {
            let half = |k: usize| (2 * i + k) * self.config.draws..(2 * i + k + 1) * self.config.draws;
            let base = self.integral(half(0), out);
            let noised = self.integral(half(1), out);
            // log p_zeta - log p: the Gaussian's entropy is in both.
            let margin = self.items[i].sign * (base - noised);
            total += self.config.weight * softplus(margin);
            self.items[i].slope = self.config.weight * sigmoid(margin) * self.items[i].sign;
            let slope = self.items[i].slope;
            Self::slopes(&self.rows, [&self.eps, &self.z, out], &mut self.dout, half(0), slope);
            Self::slopes(&self.rows, [&self.eps, &self.z, out], &mut self.dout, half(1), -slope);
        }
        model.backward(&self.dout)?;
        Ok(total)
    }

    /// Fills the rows of item `i`: first those of log p, then those of log p_zeta.
    fn draw(&mut self, i: usize, table: &NoiseTable, x0: &[T], rng: &mut Rng) {
        let ContrastiveConfig { draws, shared, levels, zeta, output, process, .. } = self.config;
        let dim = x0.len();
        let (zeta, _) = if shared { zeta.stratum(i, self.config.items, rng) } else { zeta.draw(rng) };
        self.tilde.copy_from_slice(x0);
        if self.items[i].sign < 0.0 {
            fill_normal(rng, &mut self.noise);
            let (a, s) = (T::from_f64(sigmoid(zeta).sqrt()), T::from_f64(sigmoid(-zeta).sqrt()));
            mix(a, x0, s, &self.noise, &mut self.tilde);
        }
        for k in 0..2 * draws {
            let row = 2 * i * draws + k;
            let (noised, at) = (k >= draws, row * dim);
            let (l, weight) = if noised && shared {
                let twin = row - draws;
                self.eps.copy_within(twin * dim..(twin + 1) * dim, at);
                (self.rows[twin].gaussian, self.rows[twin].weight)
            } else if shared {
                if k % 2 == 0 {
                    fill_normal(rng, &mut self.eps[at..at + dim]);
                } else {
                    let (before, eps) = self.eps.split_at_mut(at);
                    eps.iter_mut().zip(&before[at - dim..]).for_each(|(eps, &twin)| *eps = -twin);
                }
                levels.stratum(k, draws, rng)
            } else {
                fill_normal(rng, &mut self.eps[at..at + dim]);
                levels.draw(rng)
            };
            // Until the whole item is drawn, `gaussian` holds the level, which a twin reads above.
            let (told, factor) = if noised { seen_from(l, zeta) } else { (l, 1.0) };
            let view = View::new(&process, output, table, told);
            let (state, output) = (factor * view.state, factor * view.output);
            self.rows[row] = Row { weight, state, output, gaussian: l };
            self.t[row] = T::from_f64(view.t);
            let (a, s) = (view.input * sigmoid(l).sqrt(), view.input * sigmoid(-l).sqrt());
            let (a, s) = (T::from_f64(a), T::from_f64(s));
            mix(a, &self.tilde, s, &self.eps[at..at + dim], &mut self.z[at..at + dim]);
        }
        for row in &mut self.rows[2 * i * draws..2 * (i + 1) * draws] {
            row.gaussian = self.gaussian.as_ref().map_or(0.0, |gaussian| gaussian.noise_error(row.gaussian));
        }
    }

    /// `1/2 mean w (|eps - c out|^2 - gaussian)` over `rows`: a density's negated logarithm, less the entropy.
    fn integral(&self, rows: std::ops::Range<usize>, out: &[T]) -> f64 {
        let dim = self.tilde.len();
        let n = rows.len() as f64;
        let mut sum = 0.0;
        for row in rows {
            let Row { weight, state, output, gaussian } = self.rows[row];
            let at = row * dim..(row + 1) * dim;
            let pairs = self.eps[at.clone()].iter().zip(&self.z[at.clone()]).zip(&out[at]);
            let error: f64 = pairs
                .map(|((e, z), o)| (e.to_f64() - (state * z.to_f64() + output * o.to_f64())).powi(2))
                .sum();
            sum += weight * (error - gaussian);
        }
        0.5 * sum / n
    }

    /// The slope of `scale` times [`Contrastive::integral`] with respect to the outputs, into `dout`.
    fn slopes(
        rows: &[Row],
        [eps, z, out]: [&[T]; 3],
        dout: &mut [T],
        range: std::ops::Range<usize>,
        scale: f64,
    ) {
        let dim = eps.len() / rows.len();
        let scale = scale / range.len() as f64;
        for row in range {
            let Row { weight, state, output, .. } = rows[row];
            for at in row * dim..(row + 1) * dim {
                let error = state * z[at].to_f64() + output * out[at].to_f64() - eps[at].to_f64();
                dout[at] = T::from_f64(scale * weight * output * error);
            }
        }
    }
}

/// Every item's condition for each of its rows: both densities are of the item as it is told.
fn repeat<T: Copy>(c: &[T], condition: usize, rows: usize, out: &mut Vec<T>) {
    out.clear();
    for item in c.chunks_exact(condition.max(1)) {
        (0..rows).for_each(|_| out.extend_from_slice(item));
    }
}

#[cfg(test)]
#[path = "contrastive_tests.rs"]
pub(super) mod tests;
