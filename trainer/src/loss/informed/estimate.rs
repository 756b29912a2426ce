//! The sample that the physics is asked of: affine in what the network returns, DDIM step by DDIM step.

use super::Informed;
use crate::loss::{DenoisingConfig, LossError, NoiseTable};
use crate::op::Element;
use picardy::{Form, Level};

/// `state shown + output out`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Map {
    pub(super) state: f64,
    pub(super) output: f64,
}

impl<T: Element> Informed<T> {
    /// The affine maps of each step, and what the network is told after it.
    pub(super) fn draw_maps(&mut self, table: &NoiseTable, n: usize, steps: usize) -> Result<(), LossError> {
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
}

/// `to = state shown + output out`, row by row.
pub(super) fn apply<T: Element>(maps: &[Map], dim: usize, shown: &[T], out: &[T], to: &mut [T]) {
    let rows = shown.chunks_exact(dim).zip(out.chunks_exact(dim)).zip(to.chunks_exact_mut(dim));
    for (((shown, out), to), map) in rows.zip(maps) {
        let (state, output) = (T::from_f64(map.state), T::from_f64(map.output));
        for ((to, &shown), &out) in to.iter_mut().zip(shown).zip(out) {
            *to = state * shown + output * out;
        }
    }
}

/// Adds what `dx` behind the maps is in front of them, by the output.
pub(super) fn add_scaled<T: Element>(maps: &[Map], dim: usize, dx: &[T], dout: &mut [T]) {
    for ((dx, dout), map) in dx.chunks_exact(dim).zip(dout.chunks_exact_mut(dim)).zip(maps) {
        let output = T::from_f64(map.output);
        dout.iter_mut().zip(dx).for_each(|(dout, &dx)| *dout += output * dx);
    }
}
