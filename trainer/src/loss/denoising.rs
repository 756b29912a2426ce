//! The weighted mean squared error of what the network is trained to return.

use super::standard::{fill_normal, mix};
use super::{LossError, NoiseTable, Output, Process, check_output, items};
use crate::model::{Learner, NetworkError, has_room};
use crate::op::Element;
use crate::rng::Rng;
use picardy::{Form, Level};

/// How much a row's error counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Weighting {
    /// The same for every level, in the network's own output.
    #[default]
    Uniform,
    /// `min(SNR, gamma)` in the error of x0, whatever the network returns (arXiv 2303.09556; 5 is usual, and is the
    /// physics-informed paper's). With `x0_hat = state z + out_factor out` the output's error has the weight
    ///
    /// ```text
    /// min(SNR, gamma) out_factor^2      eps: min(SNR, gamma)/SNR,  x0: min(SNR, gamma),  v: min(SNR, gamma)/(SNR + 1)
    /// ```
    MinSnr(f64),
}

impl Weighting {
    /// The weight of the squared error of `output` at a level; 0 where that says nothing of the data.
    ///
    /// ```
    /// use picardy::Level;
    /// use picardy_trainer::loss::{Output, Weighting};
    /// let level = Level::vp(0.9, 0.0); // SNR 9
    /// let of = |output| Weighting::MinSnr(5.0).of(output, &level);
    /// assert!((of(Output::Sample) - 5.0).abs() < 1e-12);
    /// assert!((of(Output::Epsilon) - 5.0 / 9.0).abs() < 1e-12);
    /// assert!((of(Output::V) - 5.0 / 10.0).abs() < 1e-12);
    /// ```
    pub fn of(self, output: Output, level: &Level) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::MinSnr(gamma) => {
                let ratio = level.alpha / level.sigma;
                let factor = output.readout(level, Form::Data).map_or(0.0, |read| read.output);
                (ratio * ratio).min(gamma) * factor * factor
            }
        }
    }

    pub(super) fn check(self) -> Result<(), LossError> {
        match self {
            Self::MinSnr(gamma) if !(gamma > 0.0 && gamma.is_finite()) => {
                Err(LossError::setting("gamma", gamma))
            }
            _ => Ok(()),
        }
    }
}

/// More rows of little noise: a share of the rows is drawn at timesteps below a bound, evenly, and the others at the rest. Rows
/// weigh how much rarer they would be among even timesteps, so that the expected loss is the same; its estimate at little noise has
/// less variance, and that at much noise more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focus {
    /// The bound; not below the schedule's timesteps, it is no focus.
    pub timesteps: usize,
    /// The share, in (0, 1).
    pub share: f64,
}

impl Focus {
    /// A timestep of `steps`, and the weight of its row. Takes two draws.
    fn draw(self, steps: usize, rng: &mut Rng) -> (usize, f64) {
        let near = self.timesteps.min(steps);
        let (low, part) = (rng.uniform_open() < self.share, near as f64 / steps as f64);
        match near {
            _ if near == steps => (rng.below(steps), 1.0),
            _ if low => (rng.below(near), part / self.share),
            _ => (near + rng.below(steps - near), (1.0 - part) / (1.0 - self.share)),
        }
    }

    pub(super) fn check(self, process: Process) -> Result<(), LossError> {
        let Self { timesteps, share } = self;
        if timesteps == 0 {
            let (name, expected) = ("denoising.focus-timesteps", "1 or more");
            return Err(LossError::Setting { name, value: 0.0, expected });
        }
        let expected = match process {
            Process::Vp if share > 0.0 && share < 1.0 => return Ok(()),
            Process::Vp => "between 0 and 1 (or 0 in a configuration, for none)",
            _ => "0 for none, with any process but vp",
        };
        Err(LossError::Setting { name: "denoising.focus", value: share, expected })
    }
}

/// What a denoising loss is of.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DenoisingConfig {
    /// What the network returns.
    pub output: Output,
    /// What a row's error counts.
    pub weighting: Weighting,
    /// Which levels it is drawn at.
    pub process: Process,
    /// Which levels are drawn more often; for [`Process::Vp`].
    pub focus: Option<Focus>,
}

/// `scale mean w(t) |target - out(z_t, t, c)|^2` over rows and coordinates, `z_t = a x0 + s eps`.
///
/// The target is [`Output::target`]'s, the levels are [`Process::draw`]'s.
///
/// ```
/// use picardy_trainer::loss::{Denoising, DenoisingConfig, NoiseTable, Output, Weighting};
/// use picardy_trainer::{model::{MlpConfig, Network}, rng::Rng};
/// let table = NoiseTable::new(picardy::Betas::cosine(100).alpha_bars().collect())?;
/// let mut model = Network::<f32>::new(MlpConfig { dim: 2, width: 8, blocks: 1 }, 4, 0)?;
/// let config = DenoisingConfig { output: Output::V, weighting: Weighting::MinSnr(5.0), ..Default::default() };
/// let mut loss = Denoising::new(config, 1.0, 4, 2)?;
/// let value = loss.step(&mut model, &table, &[0.5, 1.0, -1.0, 0.0], &[], &mut Rng::new(0, 0))?;
/// assert!(value > 0.0 && model.gradients().iter().any(|g| *g != 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Denoising<T> {
    pub(super) config: DenoisingConfig,
    scale: f64,
    pub(super) rows: Rows<T>,
}

/// A batch on its way through the network.
#[derive(Debug, Clone)]
pub(super) struct Rows<T> {
    /// What the network is shown, [n, dim].
    pub(super) z: Vec<T>,
    /// What it is told, `[n]`.
    pub(super) t: Vec<T>,
    pub(super) eps: Vec<T>,
    pub(super) dout: Vec<T>,
    pub(super) levels: Vec<Level>,
    /// What a row counts for having been drawn, `[n]`.
    pub(super) weights: Vec<f64>,
}

impl<T: Element> Rows<T> {
    /// Buffers for so many rows, where there is room for them.
    pub(super) fn checked(rows: usize, dim: usize) -> Result<Self, LossError> {
        let numbers = 3u128.saturating_mul(dim as u128).saturating_add(1).saturating_mul(rows as u128);
        let bytes = numbers.saturating_mul(size_of::<T>() as u128).saturating_add(48 * rows as u128);
        if has_room(bytes) { Ok(Self::new(rows, dim)) } else { Err(LossError::Memory { bytes }) }
    }

    fn new(rows: usize, dim: usize) -> Self {
        let room = |n: usize| vec![T::ZERO; n];
        Self {
            z: room(rows * dim),
            t: room(rows),
            eps: room(rows * dim),
            dout: room(rows * dim),
            levels: vec![Level::default(); rows],
            weights: vec![1.0; rows],
        }
    }
}

impl<T: Element> Denoising<T> {
    /// The loss, multiplied by `scale`, for batches of up to `max_batch` items of `dim` coordinates.
    ///
    /// # Errors
    ///
    /// [`LossError::Setting`] where a setting is out of range.
    pub fn new(config: DenoisingConfig, scale: f64, max_batch: usize, dim: usize) -> Result<Self, LossError> {
        check_output(config.output)?;
        config.weighting.check()?;
        config.process.check()?;
        config.focus.map_or(Ok(()), |focus| focus.check(config.process))?;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(LossError::setting("denoising.weight", scale));
        }
        Ok(Self { config, scale, rows: Rows::checked(max_batch, dim)? })
    }

    /// The default settings' loss.
    pub(super) fn standard(max_batch: usize, dim: usize) -> Self {
        Self { config: DenoisingConfig::default(), scale: 1.0, rows: Rows::new(max_batch, dim) }
    }

    /// Adds the gradient on the batch x0 [n, dim], told c [n, condition], to the network's and gives the loss.
    ///
    /// Takes 1 + dim draws a row, or one more each for odd dimensions and with a focus.
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
        let n = self.draw(model, table, x0, rng)?;
        let Rows { z, t, .. } = &self.rows;
        let out = model.forward(&z[..x0.len()], &t[..n], c)?;
        let value = self.compare(x0, out);
        model.backward(&self.rows.dout[..x0.len()])?;
        Ok(value)
    }

    /// Draws levels and noise; gives the number of rows.
    pub(super) fn draw(
        &mut self,
        model: &dyn Learner<T>,
        table: &NoiseTable,
        x0: &[T],
        rng: &mut Rng,
    ) -> Result<usize, LossError> {
        let dim = model.dim();
        let n = items(x0.len(), dim)?;
        let Rows { z, t, eps, levels, weights, .. } = &mut self.rows;
        let max = t.len().min(model.max_batch());
        if n > max || z.len() < x0.len() {
            return Err(NetworkError::Batch { got: n, max }.into());
        }
        let rows = z.chunks_exact_mut(dim).zip(eps.chunks_exact_mut(dim)).zip(x0.chunks_exact(dim));
        for (((z, eps), x0), ((t, level), weight)) in rows.zip(t.iter_mut().zip(levels).zip(weights)) {
            if let Some(focus) = self.config.focus {
                let (timestep, counts) = focus.draw(table.train_steps(), rng);
                (*level, *weight) = (table.level(timestep), counts);
            } else {
                *level = self.config.process.draw(table, rng);
            }
            *t = T::from_f64(level.t);
            fill_normal(rng, eps);
            let input = self.config.output.input(level);
            mix(T::from_f64(input * level.alpha), x0, T::from_f64(input * level.sigma), eps, z);
        }
        Ok(n)
    }

    /// The loss of the outputs [n, dim], and its slope with respect to them into `dout`.
    pub(super) fn compare(&mut self, x0: &[T], out: &[T]) -> f64 {
        let Self { config, scale, rows } = self;
        let numbers = out.len() as f64;
        let Rows { eps, dout, levels, t, weights, .. } = rows;
        let dim = eps.len() / t.len().max(1);
        let each = dout.chunks_exact_mut(dim).zip(out.chunks_exact(dim)).zip(eps.chunks_exact(dim));
        let mut sum = 0.0;
        let rows = x0.chunks_exact(dim).zip(levels.iter().zip(weights.iter()));
        for (((dout, out), eps), (x0, (level, counts))) in each.zip(rows) {
            let weight = *scale * counts * config.weighting.of(config.output, level);
            let (data, noise) = config.output.target(level);
            let (data, noise) = (T::from_f64(data), T::from_f64(noise));
            let slope_of = T::from_f64(2.0 * weight / numbers);
            for ((slope, &out), (&eps, &x0)) in dout.iter_mut().zip(out).zip(eps.iter().zip(x0)) {
                let error = out - (data * x0 + noise * eps);
                sum += weight * (error.to_f64() * error.to_f64());
                *slope = slope_of * error;
            }
        }
        sum / numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::contrastive::tests::{check_loss, small_model, table};
    use crate::op::testing::values;

    #[test]
    fn a_focus_changes_the_share_and_not_the_mean() {
        let mut rng = Rng::new(3, 0);
        for (timesteps, share) in [(10, 0.5), (40, 0.1), (100, 0.3), (usize::MAX, 0.9)] {
            let focus = Focus { timesteps, share };
            focus.check(Process::Vp).unwrap();
            let n = 40_000;
            let (mut low, mut sum, mut near) = (0.0, 0.0, 0.0);
            for _ in 0..n {
                let (t, weight) = focus.draw(100, &mut rng);
                low += f64::from(u8::from(t < timesteps)) / f64::from(n);
                // Of even timesteps: the mean is 49.5, and a twentieth lies below 5.
                sum += weight * t as f64 / f64::from(n);
                near += weight * f64::from(u8::from(t < 5)) / f64::from(n);
            }
            let want = if timesteps < 100 { share } else { 1.0 };
            assert!((low - want).abs() < 0.02, "{focus:?}: {low}");
            assert!((sum - 49.5).abs() < 1.5 && (near - 0.05).abs() < 0.01, "{focus:?}: {sum} {near}");
        }
        for (timesteps, share, process, name) in [
            (0, 0.5, Process::Vp, "focus-timesteps` is 0"),
            (5, 1.0, Process::Vp, "denoising.focus` is 1"),
            (5, f64::NAN, Process::Vp, "denoising.focus` is NaN"),
            (5, 0.5, Process::Flow { shift: 1.0 }, "any process but vp"),
        ] {
            let said = Focus { timesteps, share }.check(process).unwrap_err().to_string();
            assert!(said.contains(name), "{said}");
        }
    }

    #[test]
    fn gradients_through_the_model() {
        let x0 = values(8, 1);
        for output in [Output::Sample, Output::V, Output::Flow, Output::Edm { sigma_data: 0.7 }] {
            for (weighting, process) in
                [(Weighting::Uniform, Process::Flow { shift: 2.0 }), (Weighting::MinSnr(5.0), Process::Vp)]
            {
                let config = DenoisingConfig { output, weighting, process, focus: None };
                let mut loss = Denoising::new(config, 0.7, 4, 2).unwrap();
                check_loss(small_model(4), |model| {
                    loss.step(model, &table(), &x0, &[], &mut Rng::new(5, 0)).unwrap()
                });
            }
        }
    }

    #[test]
    fn min_snr_counts_the_same_data_error_for_every_output() {
        // The same x0-hat, seen through each output's error, costs the same.
        let (x0, eps, hat) = (0.4, -0.9, 0.1);
        for alpha_bar in [0.99, 0.5, 0.01] {
            let level = Level::vp(alpha_bar, 0.0);
            let snr = alpha_bar / (1.0 - alpha_bar);
            let z = level.alpha * x0 + level.sigma * eps;
            for output in [
                Output::Epsilon,
                Output::Sample,
                Output::V,
                Output::Flow,
                Output::Edm { sigma_data: 1.0 },
                Output::Edm { sigma_data: 3.0 },
            ] {
                let read = output.readout(&level, Form::Data).unwrap();
                let out = (hat - read.state * z) / read.output;
                let (data, noise) = output.target(&level);
                let error = out - (data * x0 + noise * eps);
                let got = Weighting::MinSnr(5.0).of(output, &level) * error * error;
                let want = snr.min(5.0) * (x0 - hat) * (x0 - hat);
                assert!((got - want).abs() < 1e-9 * want, "{output}: {got} where {want}");
            }
        }
    }

    #[test]
    fn a_network_of_zeros_costs_the_mean_square_of_its_target() {
        let x0 = [2.0, -1.0];
        let mut model = small_model(1);
        model.parameters_mut().fill(0.0);
        let config = DenoisingConfig { output: Output::Sample, ..DenoisingConfig::default() };
        let mut loss = Denoising::new(config, 3.0, 1, 2).unwrap();
        let value = loss.step(&mut model, &table(), &x0, &[], &mut Rng::new(0, 0)).unwrap();
        assert_eq!(value, 3.0 * (4.0 + 1.0) / 2.0);
    }

    #[test]
    fn bad_settings_are_errors() {
        let refused = |config, scale| Denoising::<f64>::new(config, scale, 1, 2).unwrap_err().to_string();
        let good = DenoisingConfig::default();
        for gamma in [0.0, -5.0, f64::NAN] {
            let said = refused(DenoisingConfig { weighting: Weighting::MinSnr(gamma), ..good }, 1.0);
            assert!(said.contains("gamma") && said.contains(&gamma.to_string()), "{said}");
        }
        assert!(refused(good, f64::INFINITY).contains("weight"));
        let huge = Denoising::<f64>::new(good, 1.0, usize::MAX, usize::MAX).unwrap_err();
        assert!(matches!(huge, LossError::Memory { .. }) && huge.to_string().contains("batch"), "{huge}");
        let flow = DenoisingConfig { process: Process::Flow { shift: f64::NAN }, ..good };
        assert!(refused(flow, 1.0).contains("shift"));
        let edm = DenoisingConfig { output: Output::Edm { sigma_data: 0.0 }, ..good };
        assert!(refused(edm, 1.0).contains("sigma-data"));
        // Conditions for a network that takes none.
        let mut loss = Denoising::new(good, 1.0, 1, 2).unwrap();
        let error = loss.step(&mut small_model(1), &table(), &[0.0; 2], &[1.0], &mut Rng::new(0, 0));
        assert!(matches!(error, Err(LossError::Model(NetworkError::Shape(_)))), "{error:?}");
    }
}
