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
use super::{Gaussian, LogSnrDraws, LossError, NoiseTable, Output, Process, items, sigmoid, softplus};
use crate::model::{Network, NetworkError, has_room};
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
        config.output.check()?;
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
        model: &mut Network<T>,
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
pub(super) mod tests {
    use super::*;
    use crate::model::MlpConfig;
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
            assert!(matches!(
                Contrastive::<f64>::new(bad, gaussian.clone(), 2),
                Err(LossError::Setting { .. })
            ));
        }
        let mut loss = Contrastive::new(config(true), gaussian, 2).unwrap();
        let mut rng = Rng::new(1, 0);
        assert!(loss.step(&mut small_model(24), &table(), &[0.0; 4], &[], &mut rng).is_err());
        assert!(loss.step(&mut small_model(23), &table(), &[0.0; 6], &[], &mut rng).is_err());
    }
}
