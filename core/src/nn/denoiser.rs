//! Networks as a sampler's denoisers.

use super::{ModelError, Network, ResidualMlp};
use crate::{Batch, Denoiser, HostTensor};
use core::ops::Range;

/// A [`ResidualMlp`] and the scratch it works in, both the caller's.
///
/// ```
/// use picardy::nn::{MlpDenoiser, ResidualMlp};
/// fn sampler_side<'a>(model: ResidualMlp<'a>, scratch: &'a mut [f32]) -> MlpDenoiser<'a, 'a> {
///     MlpDenoiser::new(model, scratch) // scratch: model.scratch_len(rows) numbers
/// }
/// ```
#[derive(Debug)]
pub struct MlpDenoiser<'a, 's> {
    model: ResidualMlp<'a>,
    scratch: &'s mut [f32],
}

impl<'a, 's> MlpDenoiser<'a, 's> {
    /// `scratch` of [`ResidualMlp::scratch_len`] numbers for one row or more.
    pub const fn new(model: ResidualMlp<'a>, scratch: &'s mut [f32]) -> Self {
        Self { model, scratch }
    }
}

impl<F: HostTensor<Scalar = f32>> Denoiser<F> for MlpDenoiser<'_, '_> {
    type Error = ModelError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), ModelError> {
        let (x, out) = slices(frames, self.model.dim(), x, out)?;
        self.model.forward(x, batch.iter().map(|row| row.level.t as f32), out, self.scratch)
    }
}

/// A [`Network`], the scratch it works in and what each item is conditioned on, all the caller's.
///
/// Rows that are shown without their condition (under [`Guided`](crate::Guided)) get zeros.
#[derive(Debug)]
pub struct NetworkDenoiser<'m, 'a, 's> {
    network: Network<'m, 'a>,
    conditions: &'s [f32],
    scratch: &'s mut [f32],
}

impl<'m, 'a, 's> NetworkDenoiser<'m, 'a, 's> {
    /// `scratch` of [`Network::scratch_len`] numbers for one row or more and those of a row's condition besides; `conditions`
    /// [items, [`Network::condition`]], or empty for none.
    pub const fn new(network: Network<'m, 'a>, conditions: &'s [f32], scratch: &'s mut [f32]) -> Self {
        Self { network, conditions, scratch }
    }
}

impl<F: HostTensor<Scalar = f32>> Denoiser<F> for NetworkDenoiser<'_, '_, '_> {
    type Error = ModelError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), ModelError> {
        let (dim, width) = (self.network.dim(), self.network.condition());
        let (x, out) = slices(frames, dim, x, out)?;
        if width == 0 || self.conditions.is_empty() {
            return self.network.forward(
                x,
                batch.iter().map(|row| row.level.t as f32),
                &[],
                out,
                self.scratch,
            );
        }
        // Rows one by one, since each has its item's condition.
        let rows = batch.iter().zip(x.chunks_exact(dim)).zip(out.chunks_exact_mut(dim));
        for ((row, x), out) in rows {
            let known = self.conditions.get(row.item * width..(row.item + 1) * width);
            let expected = (row.item + 1).saturating_mul(width);
            let condition = match row.conditional {
                true => known.ok_or(ModelError::Condition { expected, got: self.conditions.len() })?,
                false => &[],
            };
            self.network.forward(x, core::iter::once(row.level.t as f32), condition, out, self.scratch)?;
        }
        Ok(())
    }
}

/// The rows x to read and those to write, of a network of `dim` coordinates.
fn slices<F: HostTensor<Scalar = f32>>(
    frames: &mut F,
    dim: usize,
    x: Range<usize>,
    out: Range<usize>,
) -> Result<(&[f32], &mut [f32]), ModelError> {
    match frames.dim() {
        state if state != dim => Err(ModelError::Dimension { network: dim, state }),
        _ => Ok(frames.slices(x, out)),
    }
}
