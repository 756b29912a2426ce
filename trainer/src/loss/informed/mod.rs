//! The physics-informed loss (Bastek, Sun and Kochmann, "Physics-informed diffusion models", arXiv 2403.14404).

mod asked;
mod config;
mod estimate;

pub use config::{Estimation, InformedConfig};

use super::denoising::Rows;
use super::{Denoising, LossError, NoiseTable, Process};
use crate::model::{Learner, has_room};
use crate::op::Element;
use crate::physics::Residual;
use crate::rng::Rng;
use estimate::{Map, add_scaled, apply};
use std::sync::Arc;

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
/// With [`InformedConfig::timesteps`] rows of later timesteps have no physics; the means are over all rows still.
///
/// x0* is taken to the data's own units, `mean + scale x0*`, before r, g and J see it; their slopes are taken back. Entries that
/// are given when samples are made ([`Residual::is_given`]) are the data's own.
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
    /// The entries of an item that are the data's.
    given: Vec<usize>,
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
        let given = (0..dim).filter(|&index| physics.is_given(index)).collect();
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
            given,
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
        self.ask(table, x0, dim, &mut losses)?;

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
}

#[cfg(test)]
mod tests;
