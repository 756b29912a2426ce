//! The physics-informed loss (Bastek, Sun and Kochmann, "Physics-informed diffusion models", arXiv 2403.14404).

use super::denoising::Rows;
use super::{Denoising, DenoisingConfig, LossError, NoiseTable, Process};
use crate::model::{Learner, has_room};
use crate::op::Element;
use crate::physics::Residual;
use crate::rng::Rng;
use picardy::{Form, Level};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which sample x0* the physics is asked of, for a state z at timestep t.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimation {
    /// `x0* = x0_hat(z, t)`, the mean of what z may have come from. Where the data lie on a curved surface the mean does not,
    /// so that at high noise this asks what no sample must fulfil.
    #[default]
    Mean,
    /// A sample instead of the mean: DDIM steps (eta 0) from t to timestep 0, and there `x0* = x0_hat(z_0, 0)`. The gradient
    /// goes through all evaluations of the network and all steps.
    Sample,
}

/// The terms of the physics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InformedConfig {
    /// c, the weight of the equality residual.
    pub equality: f64,
    /// The weight of the inequalities.
    pub inequality: f64,
    /// lambda, the weight of the objective.
    pub objective: f64,
    /// Which sample they are asked of.
    pub estimation: Estimation,
    /// DDIM steps of [`Estimation::Sample`]: the timesteps are `floor(t (1 - j/steps))`. 1, straight to timestep 0, is the paper's.
    pub steps: usize,
    /// The most that `r^2/(2 V_t)` of one residual (and of an inequality) counts; above, it has no slope. Infinity for no bound.
    /// The paper's experiments have `-ln 1e-12 = 27.6`.
    pub ceiling: f64,
}

impl Default for InformedConfig {
    /// No terms; the mean, 1 step, no bound.
    fn default() -> Self {
        let estimation = Estimation::Mean;
        Self { equality: 0.0, inequality: 0.0, objective: 0.0, estimation, steps: 1, ceiling: f64::INFINITY }
    }
}

impl InformedConfig {
    pub(super) fn check(&self) -> Result<(), LossError> {
        let Self { equality, inequality, objective, steps, ceiling, .. } = *self;
        for (name, value) in [
            ("physics.weight", equality),
            ("physics.inequality", inequality),
            ("physics.objective", objective),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(LossError::Setting { name, value, expected: "0 or more, finite" });
            }
        }
        if !(1..=MOST_STEPS).contains(&steps) {
            let (name, value) = ("physics.steps", steps as f64);
            return Err(LossError::Setting { name, value, expected: "1 to 1000" });
        }
        if ceiling.is_nan() || ceiling <= 0.0 {
            let (name, expected) = ("physics.ceiling", "positive (or 0 in a configuration, for none)");
            return Err(LossError::Setting { name, value: ceiling, expected });
        }
        Ok(())
    }
}

/// The denoising loss and the physics of its own rows:
///
/// ```text
/// denoising + c mean r(x0*)^2/(2 V_t) + c_ineq mean relu(g(x0*))^2/(2 V_t) + lambda mean J(x0*)
/// ```
///
/// (arXiv 2403.14404) with means over rows and over the entries of r and g. V_t is the DDPM posterior's variance
/// of the step from timestep t, `beta_t (1 - abar_(t-1))/(1 - abar_t)`, and `V_0 := V_1`. The paper's denoising term is
/// `min(SNR, 5) |x0 - x0_hat|^2`: [`Weighting::MinSnr`](super::Weighting::MinSnr) of 5 with any output.
///
/// x0* is taken to the data's own units, `mean + scale x0*`, before r, g and J see it; their slopes are taken back.
///
/// A step with the mean evaluates the network once. With samples of k DDIM steps it evaluates it k + 1 times, and k times again
/// on the way back, since a network keeps what one pass needs.
///
/// ```
/// use picardy_trainer::loss::*;
/// use picardy_trainer::physics::Circle;
/// use picardy_trainer::{model::{MlpConfig, Network}, rng::Rng};
/// let denoising = DenoisingConfig { output: Output::Sample, weighting: Weighting::MinSnr(5.0), ..Default::default() };
/// let physics = InformedConfig { equality: 0.1, ..InformedConfig::default() };
/// let affine = (vec![0.0; 2], vec![0.5f64.sqrt(); 2]); // the circle's points, divided by their standard deviation
/// let mut loss = Informed::new(Denoising::new(denoising, 1.0, 4, 2)?, physics, std::sync::Arc::new(Circle), affine)?;
/// let table = NoiseTable::new(picardy::Betas::cosine(100).alpha_bars().collect())?;
/// let mut model = Network::<f32>::new(MlpConfig { dim: 2, width: 8, blocks: 1 }, 4, 0)?;
/// let losses = loss.step(&mut model, &table, &[2f32.sqrt(), 0.0], &[], &mut Rng::new(0, 0))?;
/// assert!(losses.denoising > 0.0 && losses.residual > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Informed<T> {
    denoising: Denoising<T>,
    config: InformedConfig,
    physics: Arc<dyn Residual<T>>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// Entries of r.
    equalities: usize,
    /// The slopes with respect to x0*, and then to each step's state, [n, dim].
    dx: Vec<T>,
    back: Vec<T>,
    dout: Vec<T>,
    /// States after each DDIM step, [steps, n, dim], with what the network is told there.
    states: Vec<T>,
    told: Vec<T>,
    /// Of each step and row: shown' = state shown + output out. Of the last: x0*.
    maps: Vec<Map>,
}

/// `state shown + output out`.
#[derive(Debug, Clone, Copy, Default)]
struct Map {
    state: f64,
    output: f64,
}

/// The values of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InformedLosses {
    /// The denoising loss.
    pub denoising: f64,
    /// The equality residual's term.
    pub residual: f64,
    /// The inequalities'.
    pub inequality: f64,
    /// The objective's.
    pub objective: f64,
}

impl InformedLosses {
    /// The sum.
    pub fn total(&self) -> f64 {
        self.denoising + self.residual + self.inequality + self.objective
    }
}

/// The most DDIM steps.
const MOST_STEPS: usize = 1000;

impl<T: Element> Informed<T> {
    /// The loss on the rows of `denoising`, for data that was standardised by `(mean, scale)`, each `[dim]`.
    ///
    /// # Errors
    ///
    /// [`LossError::Setting`] where a setting is out of range, [`LossError::ResidualSize`] where the residual is for items of
    /// another size, [`LossError::Items`] where mean and scale are, [`LossError::Memory`] where the steps take too much.
    pub fn new(
        denoising: Denoising<T>,
        config: InformedConfig,
        physics: Arc<dyn Residual<T>>,
        (mean, scale): (Vec<f64>, Vec<f64>),
    ) -> Result<Self, LossError> {
        config.check()?;
        let InformedConfig { estimation, steps, .. } = config;
        if matches!(denoising.config.process, Process::Flow { .. }) {
            return Err(LossError::Timesteps);
        }
        let Rows { eps, t, .. } = &denoising.rows;
        let (numbers, rows) = (eps.len(), t.len());
        let dim = numbers / rows.max(1);
        for len in [mean.len(), scale.len()] {
            if len != dim {
                return Err(LossError::Items { len, dim });
            }
        }
        let absent = |name, value, expected| Err(LossError::Setting { name, value, expected });
        if config.inequality > 0.0 && physics.inequalities() == 0 {
            return absent("physics.inequality", config.inequality, "0: this residual has no inequality");
        }
        if config.objective > 0.0 && physics.objective(&vec![T::ZERO; dim]).is_none() {
            return absent("physics.objective", config.objective, "0: this residual has no objective");
        }
        let equalities = physics.len(dim).ok_or(LossError::ResidualSize { dim })?;
        let steps = if estimation == Estimation::Sample { steps } else { 0 };
        let bytes = (numbers as u128 * size_of::<T>() as u128 + 32 * rows as u128) * (steps as u128 + 3);
        if !has_room(bytes) {
            return Err(LossError::Memory { bytes });
        }
        let room = |n: usize| vec![T::ZERO; n];
        Ok(Self {
            config,
            physics,
            mean,
            scale,
            equalities,
            dx: room(numbers),
            back: room(if steps > 0 { numbers } else { 0 }),
            dout: room(if steps > 0 { numbers } else { 0 }),
            states: room(steps * numbers),
            told: room(steps * rows),
            maps: vec![Map::default(); (steps + 1) * rows],
            denoising,
        })
    }

    /// Adds the gradient on the batch x0 [n, dim], told c [n, condition], to the network's and gives the loss.
    ///
    /// # Errors
    ///
    /// As [`Denoising::step`]; [`LossError::Residual`] where the physics gives NaN or infinity: gradients are then as they were;
    /// [`LossError::Timesteps`] for a schedule of one timestep, which has no posterior variance.
    pub fn step(
        &mut self,
        model: &mut dyn Learner<T>,
        table: &NoiseTable,
        x0: &[T],
        c: &[T],
        rng: &mut Rng,
    ) -> Result<InformedLosses, LossError> {
        if table.train_steps() < 2 {
            return Err(LossError::Timesteps);
        }
        let n = self.denoising.draw(model, table, x0, rng)?;
        let numbers = x0.len();
        let dim = numbers / n;
        let steps = if self.config.estimation == Estimation::Sample { self.config.steps } else { 0 };
        self.draw_maps(table, n, steps)?;

        let Rows { z, t, .. } = &self.denoising.rows;
        let mut out = model.forward(&z[..numbers], &t[..n], c)?;
        let mut losses = InformedLosses { denoising: self.denoising.compare(x0, out), ..Default::default() };
        for j in 0..steps {
            let (before, after) = self.states.split_at_mut(j * numbers);
            let shown = if j == 0 { &self.denoising.rows.z[..numbers] } else { &before[(j - 1) * numbers..] };
            let next = &mut after[..numbers];
            apply(&self.maps[j * n..(j + 1) * n], dim, shown, out, next);
            out = model.forward(next, &self.told[j * n..(j + 1) * n], c)?;
        }
        let last = if steps == 0 {
            &self.denoising.rows.z[..numbers]
        } else {
            &self.states[(steps - 1) * numbers..steps * numbers]
        };
        // x0* for now; its slope afterwards.
        apply(&self.maps[steps * n..(steps + 1) * n], dim, last, out, &mut self.dx[..numbers]);
        self.ask(table, n, dim, &mut losses)?;

        let dx = &mut self.dx[..numbers];
        let dout = &mut self.denoising.rows.dout[..numbers];
        if steps == 0 {
            add_scaled(&self.maps[..n], dim, dx, dout);
            model.backward(dout)?;
            return Ok(losses);
        }
        let back = &mut self.back[..numbers];
        // The last pass's own activations are still there; each earlier one is run again first.
        for j in (1..=steps).rev() {
            let maps = &self.maps[j * n..(j + 1) * n];
            let shown = &self.states[(j - 1) * numbers..j * numbers];
            if j < steps {
                model.forward(shown, &self.told[(j - 1) * n..j * n], c)?;
            }
            let dout = &mut self.dout[..numbers];
            dout.fill(T::ZERO);
            add_scaled(maps, dim, dx, dout);
            model.backward_input(dout, back)?;
            for ((dx, back), map) in dx.chunks_exact_mut(dim).zip(back.chunks_exact(dim)).zip(maps) {
                let state = T::from_f64(map.state);
                dx.iter_mut().zip(back).for_each(|(dx, &back)| *dx = state * *dx + back);
            }
        }
        let Rows { z, t, .. } = &self.denoising.rows;
        model.forward(&z[..numbers], &t[..n], c)?;
        let dout = &mut self.denoising.rows.dout[..numbers];
        add_scaled(&self.maps[..n], dim, dx, dout);
        model.backward(dout)?;
        Ok(losses)
    }

    /// The affine maps of each step, and what the network is told after it.
    fn draw_maps(&mut self, table: &NoiseTable, n: usize, steps: usize) -> Result<(), LossError> {
        let DenoisingConfig { output, process, .. } = self.denoising.config;
        for (row, first) in self.denoising.rows.levels[..n].iter().enumerate() {
            let start = first.t as usize;
            let mut level = *first;
            for j in 0..=steps {
                let Level { alpha, sigma, .. } = level;
                let read = output.readout(&level, Form::Data).ok_or(LossError::Singular { alpha, sigma })?;
                let state = read.state / read.input;
                let map = &mut self.maps[j * n + row];
                if j == steps {
                    *map = Map { state, output: read.output };
                    break;
                }
                let timestep = (start as u128 * (steps - j - 1) as u128 / steps as u128) as usize;
                let next = process.level(table, timestep).ok_or(LossError::Timesteps)?;
                let input = output.readout(&next, Form::Data).map_or(1.0, |read| read.input);
                // DDIM: z' = a' x0_hat + s'/s (z - a x0_hat), z = shown/read.input.
                let ratio = next.sigma / sigma;
                let data = next.alpha - alpha * ratio;
                *map = Map {
                    state: input * (ratio / read.input + data * state),
                    output: input * data * read.output,
                };
                self.told[j * n + row] = T::from_f64(next.t);
                level = next;
            }
        }
        Ok(())
    }

    /// The physics of the samples in `dx`, in whose place their slopes are written.
    fn ask(
        &mut self,
        table: &NoiseTable,
        n: usize,
        dim: usize,
        losses: &mut InformedLosses,
    ) -> Result<(), LossError> {
        let Self { config, physics, mean, scale, equalities, .. } = self;
        let inequalities = physics.inequalities();
        let (mut x, mut slope) = (vec![T::ZERO; dim], vec![T::ZERO; dim]);
        let (mut r, mut g) = (vec![T::ZERO; *equalities], vec![T::ZERO; inequalities]);
        for (row, dx) in self.dx[..n * dim].chunks_exact_mut(dim).enumerate() {
            for ((x, dx), (mean, scale)) in x.iter_mut().zip(dx.iter()).zip(mean.iter().zip(scale.iter())) {
                *x = T::from_f64(mean + scale * dx.to_f64());
            }
            slope.fill(T::ZERO);
            let finite = |what: &'static str, values: &[T]| {
                let found = values.iter().position(|value| !value.is_finite());
                found.map_or(Ok(()), |index| {
                    Err(LossError::Residual { what, row, index, value: values[index].to_f64() })
                })
            };
            finite("the sample that the physics is asked of", &x)?;
            let variance = posterior(table, self.denoising.rows.levels[row].t as usize);
            if config.equality > 0.0 && *equalities > 0 {
                r.fill(T::ZERO);
                physics.residual(&x, &mut r);
                finite("the equality residual", &r)?;
                losses.residual += half_squares(
                    &mut r,
                    config.equality / (n * *equalities) as f64,
                    variance,
                    config.ceiling,
                );
                physics.pull_back(&x, &r, &mut slope);
            }
            if config.inequality > 0.0 && inequalities > 0 {
                g.fill(T::ZERO);
                physics.inequality(&x, &mut g);
                finite("the inequality", &g)?;
                for g in g.iter_mut().filter(|g| **g < T::ZERO) {
                    *g = T::ZERO;
                }
                losses.inequality += half_squares(
                    &mut g,
                    config.inequality / (n * inequalities) as f64,
                    variance,
                    config.ceiling,
                );
                physics.pull_back_inequality(&x, &g, &mut slope);
            }
            if config.objective > 0.0
                && let Some(value) = physics.objective(&x)
            {
                finite("the objective", &[value])?;
                let weight = config.objective / n as f64;
                losses.objective += weight * value.to_f64();
                physics.pull_back_objective(&x, T::from_f64(weight), &mut slope);
            }
            finite("the physics' gradient", &slope)?;
            for ((dx, slope), scale) in dx.iter_mut().zip(&slope).zip(scale.iter()) {
                *dx = T::from_f64(scale * slope.to_f64());
            }
        }
        Ok(())
    }
}

/// The variance of DDPM's step from a timestep; that of timestep 1 for 0.
fn posterior(table: &NoiseTable, timestep: usize) -> f64 {
    let timestep = timestep.max(1);
    table.level(timestep - 1).posterior_variance(&table.level(timestep))
}

/// `weight sum min(r^2/(2 V), ceiling)`; in place of r its slope.
fn half_squares<T: Element>(r: &mut [T], weight: f64, variance: f64, ceiling: f64) -> f64 {
    let mut sum = 0.0;
    for r in r {
        let value = r.to_f64();
        let cost = value * value / (2.0 * variance);
        sum += cost.min(ceiling);
        *r = if cost < ceiling { T::from_f64(weight * value / variance) } else { T::ZERO };
    }
    weight * sum
}

/// `to = state shown + output out`, row by row.
fn apply<T: Element>(maps: &[Map], dim: usize, shown: &[T], out: &[T], to: &mut [T]) {
    let rows = shown.chunks_exact(dim).zip(out.chunks_exact(dim)).zip(to.chunks_exact_mut(dim));
    for (((shown, out), to), map) in rows.zip(maps) {
        let (state, output) = (T::from_f64(map.state), T::from_f64(map.output));
        for ((to, &shown), &out) in to.iter_mut().zip(shown).zip(out) {
            *to = state * shown + output * out;
        }
    }
}

/// Adds what `dx` behind the maps is in front of them, by the output.
fn add_scaled<T: Element>(maps: &[Map], dim: usize, dx: &[T], dout: &mut [T]) {
    for ((dx, dout), map) in dx.chunks_exact(dim).zip(dout.chunks_exact_mut(dim)).zip(maps) {
        let output = T::from_f64(map.output);
        dout.iter_mut().zip(dx).for_each(|(dout, &dx)| *dout += output * dx);
    }
}

#[cfg(test)]
#[path = "informed_tests.rs"]
mod tests;
