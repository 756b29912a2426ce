//! What the physics says of samples, and its slopes.

use super::{Informed, InformedConfig, InformedLosses};
use crate::loss::{LossError, NoiseTable};
use crate::op::Element;

impl<T: Element> Informed<T> {
    /// The physics of the samples in `dx`, in whose place their slopes are written; they are of the data x0 [n, dim].
    pub(super) fn ask(
        &mut self,
        table: &NoiseTable,
        x0: &[T],
        dim: usize,
        losses: &mut InformedLosses,
    ) -> Result<(), LossError> {
        let n = x0.len() / dim;
        let Self { config, physics, mean, scale, equalities, given, .. } = self;
        let inequalities = physics.inequalities();
        let (mut x, mut slope) = (vec![T::ZERO; dim], vec![T::ZERO; dim]);
        let (mut r, mut g) = (vec![T::ZERO; *equalities], vec![T::ZERO; inequalities]);
        for (row, (dx, x0)) in self.dx[..n * dim].chunks_exact_mut(dim).zip(x0.chunks_exact(dim)).enumerate()
        {
            let timestep = self.denoising.rows.levels[row].t as usize;
            if config.timesteps > 0 && timestep >= config.timesteps {
                dx.fill(T::ZERO);
                continue;
            }
            given.iter().for_each(|&index| dx[index] = x0[index]);
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
            let variance = posterior(table, timestep);
            // A row that is drawn more often counts less.
            let counts = self.denoising.rows.weights[row] / n as f64;
            if config.equality > 0.0 && *equalities > 0 {
                r.fill(T::ZERO);
                physics.residual(&x, &mut r);
                finite("the equality residual", &r)?;
                losses.residual +=
                    half_squares(&mut r, config.equality * counts / *equalities as f64, variance, config);
                physics.pull_back(&x, &r, &mut slope);
            }
            if config.inequality > 0.0 && inequalities > 0 {
                g.fill(T::ZERO);
                physics.inequality(&x, &mut g);
                finite("the inequality", &g)?;
                for g in g.iter_mut().filter(|g| **g < T::ZERO) {
                    *g = T::ZERO;
                }
                losses.inequality +=
                    half_squares(&mut g, config.inequality * counts / inequalities as f64, variance, config);
                physics.pull_back_inequality(&x, &g, &mut slope);
            }
            if config.objective > 0.0
                && let Some(value) = physics.objective(&x)
            {
                finite("the objective", &[value])?;
                let weight = config.objective * counts;
                losses.objective += weight * value.to_f64();
                physics.pull_back_objective(&x, T::from_f64(weight), &mut slope);
            }
            finite("the physics' gradient", &slope)?;
            for ((dx, slope), scale) in dx.iter_mut().zip(&slope).zip(scale.iter()) {
                *dx = T::from_f64(scale * slope.to_f64());
            }
            given.iter().for_each(|&index| dx[index] = T::ZERO);
        }
        Ok(())
    }
}

/// The variance of DDPM's step from a timestep; that of timestep 1 for 0.
pub(super) fn posterior(table: &NoiseTable, timestep: usize) -> f64 {
    let timestep = timestep.max(1);
    table.level(timestep - 1).posterior_variance(&table.level(timestep))
}

/// `weight sum min(h(r), ceiling)`, h = r^2/(2 V) up to |r| = bend, going on along its tangent; in place of r its slope.
pub(super) fn half_squares<T: Element>(
    r: &mut [T],
    weight: f64,
    variance: f64,
    config: &InformedConfig,
) -> f64 {
    let mut sum = 0.0;
    for r in r {
        let value = r.to_f64();
        let near = value.clamp(-config.bend, config.bend);
        let cost = near * (value - 0.5 * near) / variance;
        sum += cost.min(config.ceiling);
        *r = if cost < config.ceiling { T::from_f64(weight * near / variance) } else { T::ZERO };
    }
    weight * sum
}
