//! Layers as they lie in an artifact.

use core::fmt::Arguments;

use half::slice::HalfFloatSliceExt;

use super::int8::{self, Int8Linear};
use super::linear::{Linear, SCALAR};
use super::weight::WidenAll;
use super::{Artifact, Dtype, ModelError, WeightFormat, dispatch};
use crate::Name;

/// Outputs whose halves are widened together: whole register blocks, and few enough for the first cache.
const WIDE_OUTPUTS: usize = 12;

/// Weights where they lie.
#[derive(Debug, Clone, Copy)]
enum Weights<'a> {
    F32(&'a [f32]),
    /// The halves' bits.
    F16(&'a [u16]),
    Int8 {
        weight: &'a [i8],
        /// One for each output.
        scale: &'a [f32],
    },
}

/// An affine layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a> {
    weight: Weights<'a>,
    bias: &'a [f32],
    inputs: usize,
}

impl Default for Layer<'_> {
    fn default() -> Self {
        Self { weight: Weights::F32(&[]), bias: &[], inputs: 0 }
    }
}

impl<'a> Layer<'a> {
    /// A layer of that size without any numbers.
    pub(crate) const fn sized(format: WeightFormat, inputs: usize) -> Self {
        let weight = match format {
            WeightFormat::F32 => Weights::F32(&[]),
            WeightFormat::F16 => Weights::F16(&[]),
            WeightFormat::Int8 => Weights::Int8 { weight: &[], scale: &[] },
        };
        Self { weight, bias: &[], inputs }
    }

    /// The bias, one for each output.
    pub(crate) const fn bias(&self) -> &'a [f32] {
        self.bias
    }

    /// Elements of scratch that [`Layer::apply`] needs.
    pub(crate) const fn scratch_len(&self) -> usize {
        match self.weight {
            Weights::Int8 { .. } => int8::scratch(self.inputs),
            Weights::F16(_) if !SCALAR => WIDE_OUTPUTS * self.inputs,
            _ => 0,
        }
    }

    /// `y = x W^T + b`, or `y += x W^T + b`.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32], add: bool, scratch: &mut [f32]) {
        let Self { bias, inputs, .. } = *self;
        let stride = bias.len();
        match self.weight {
            Weights::F32(weight) => dispatch(Linear { x, inputs, weight, bias, y, stride, add }),
            Weights::F16(weight) if SCALAR => {
                dispatch(Linear { x, inputs, weight, bias, y, stride, add });
            }
            // Vectors widen many at once, and once for all rows.
            Weights::F16(weight) => {
                let blocks = weight.chunks(WIDE_OUTPUTS * inputs).zip(bias.chunks(WIDE_OUTPUTS));
                for (i, (halves, bias)) in blocks.enumerate() {
                    let wide = &mut scratch[..halves.len()];
                    dispatch(WidenAll { halves, wide });
                    let y = &mut y[i * WIDE_OUTPUTS..];
                    dispatch(Linear { x, inputs, weight: wide, bias, y, stride, add });
                }
            }
            Weights::Int8 { weight, scale } => {
                let room = bytemuck::cast_slice_mut(scratch);
                dispatch(Int8Linear { x, inputs, weight, scale, bias, y, add, room });
            }
        }
    }
}

/// A layer norm's parameters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Norm<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
}

/// Takes layers from an artifact and checks their shapes and numbers.
pub(crate) struct Tensors<'b, 'a> {
    pub(crate) artifact: &'b Artifact<'a>,
}

impl<'a> Tensors<'_, 'a> {
    pub(crate) fn layer(
        &self,
        prefix: Arguments<'_>,
        outputs: usize,
        inputs: usize,
    ) -> Result<Layer<'a>, ModelError> {
        let weight = Name::new(format_args!("{prefix}.weight"));
        self.weight_and_bias(weight, Name::new(format_args!("{prefix}.bias")), outputs, inputs)
    }

    /// A layer whose weight's axes behind the first are `inputs` numbers together.
    pub(crate) fn weight_and_bias(
        &self,
        name: Name,
        bias: Name,
        outputs: usize,
        inputs: usize,
    ) -> Result<Layer<'a>, ModelError> {
        let wrap = |error| ModelError::Artifact { name, error };
        let tensor = self.artifact.tensor(name.as_str()).map_err(wrap)?;
        let fits = match tensor.shape() {
            [first, rest @ ..] if !rest.is_empty() => {
                let product = rest.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
                *first == outputs && product == Some(inputs)
            }
            _ => false,
        };
        if !fits {
            let got = first_axes(tensor.shape());
            return Err(ModelError::Shape { name, expected: [outputs, inputs], got });
        }
        let weight = match tensor.dtype() {
            Dtype::F32 => Weights::F32(tensor.f32().map_err(wrap)?),
            Dtype::F16 => {
                let halves = tensor.f16().map_err(wrap)?;
                match halves.iter().position(|half| !half.is_finite()) {
                    None => Weights::F16(halves.reinterpret_cast()),
                    Some(index) => return Err(ModelError::NotFinite { name, index }),
                }
            }
            Dtype::I8 if inputs > int8::MAX_INPUTS => {
                return Err(ModelError::Inputs { name, got: inputs, limit: int8::MAX_INPUTS });
            }
            Dtype::I8 => Weights::Int8 {
                weight: tensor.i8().map_err(wrap)?,
                scale: {
                    let prefix = name.as_str().strip_suffix(".weight").unwrap_or_default();
                    self.scales(format_args!("{prefix}.scale"), outputs)?
                },
            },
        };
        Ok(Layer { weight, bias: self.vector(format_args!("{bias}"), outputs)?, inputs })
    }

    pub(crate) fn norm(&self, prefix: Arguments<'_>, width: usize) -> Result<Norm<'a>, ModelError> {
        let weight = self.vector(format_args!("{prefix}.weight"), width)?;
        Ok(Norm { weight, bias: self.vector(format_args!("{prefix}.bias"), width)? })
    }

    fn scales(&self, name: Arguments<'_>, len: usize) -> Result<&'a [f32], ModelError> {
        let scales = self.vector(name, len)?;
        match scales.iter().enumerate().find(|(_, scale)| !(**scale > 0.0 && scale.is_finite())) {
            None => Ok(scales),
            Some((index, scale)) => {
                Err(ModelError::Scale { name: Name::new(name), index, bits: scale.to_bits() })
            }
        }
    }

    fn vector(&self, name: Arguments<'_>, len: usize) -> Result<&'a [f32], ModelError> {
        let name = Name::new(name);
        let wrap = |error| ModelError::Artifact { name, error };
        let tensor = self.artifact.tensor(name.as_str()).map_err(wrap)?;
        if *tensor.shape() != [len] {
            return Err(ModelError::Shape { name, expected: [len, 0], got: first_axes(tensor.shape()) });
        }
        tensor.f32().map_err(wrap)
    }
}

fn first_axes(shape: &[usize]) -> [usize; 2] {
    [shape.first().copied().unwrap_or(0), shape.get(1).copied().unwrap_or(0)]
}
