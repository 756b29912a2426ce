//! The residual network as a sampler's denoiser.

use super::{ModelError, ResidualMlp};
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
        if frames.dim() != self.model.dim() {
            return Err(ModelError::Dimension { network: self.model.dim(), state: frames.dim() });
        }
        let (x, out) = frames.slices(x, out);
        self.model.forward(x, batch.iter().map(|row| row.level.t as f32), out, self.scratch)
    }
}
