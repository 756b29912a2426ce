//! Parameters as they lie in an artifact.

use super::{LayerShape, Source};
use crate::Name;
use crate::nn::ModelError;
use crate::nn::layer::{Layer, Norm, Tensors};

/// A step's parameters, in an artifact's bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weights<'a>(pub(super) Kind<'a>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Kind<'a> {
    #[default]
    None,
    Layer(Layer<'a>),
    Norm(Norm<'a>),
}

impl<'a> Weights<'a> {
    pub(in crate::nn) const fn of_layer(layer: Layer<'a>) -> Self {
        Self(Kind::Layer(layer))
    }
}

impl<'a> Source for Tensors<'_, 'a> {
    type Parameters = Weights<'a>;
    type Error = ModelError;

    fn layer(&mut self, weight: Name, bias: Name, shape: LayerShape) -> Result<Weights<'a>, ModelError> {
        Ok(Weights(Kind::Layer(self.weight_and_bias(weight, bias, shape.outputs, shape.patch())?)))
    }

    fn norm(&mut self, prefix: Name, channels: usize) -> Result<Weights<'a>, ModelError> {
        Ok(Weights(Kind::Norm(Tensors::norm(self, format_args!("{prefix}"), channels)?)))
    }
}
