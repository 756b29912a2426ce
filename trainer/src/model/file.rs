//! The network's safetensors file.

use std::collections::HashMap;

use picardy::nn::{
    self, Artifact, CardError, Dtype, ModelCard, ModelError, ResidualMlp, Step, WeightFormat, key,
};
use safetensors::tensor::{Dtype as Stored, TensorView};

use super::{MlpConfig, Network, NetworkConfig, NetworkError};
use crate::op::Element;

/// How the matrices are stored; vectors (biases, layer norms) are always F32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// IEEE 754 half precision.
    F16,
}

/// Why a network cannot be written to or read from a safetensors file.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A parameter that the precision cannot hold.
    #[error("parameter `{name}` holds {value}, which {precision:?} cannot store")]
    Value {
        /// The parameter.
        name: String,
        /// The element.
        value: f64,
        /// The precision asked for.
        precision: Precision,
    },
    /// The bytes are no network.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network's sizes are out of range.
    #[error(transparent)]
    Config(#[from] NetworkError),
    /// The format's own library failed.
    #[error(transparent)]
    Format(#[from] safetensors::SafeTensorError),
    /// The header is not the library's own.
    #[error(transparent)]
    Header(#[from] serde_json::Error),
}

impl<T: Element> Network<T> {
    /// The parameters as a safetensors file with `metadata`; equal networks give equal bytes.
    ///
    /// # Errors
    ///
    /// [`SaveError::Value`] where a parameter is NaN, infinite, or too large for the precision.
    pub fn to_safetensors(
        &self,
        metadata: &[(String, String)],
        precision: Precision,
    ) -> Result<Vec<u8>, SaveError> {
        self.save(&self.parameters, metadata, precision)
    }

    /// [`Network::to_safetensors`] of other values in the parameters' places, such as their running average.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// Where `parameters` is not as long as the network's own.
    pub fn save(
        &self,
        parameters: &[T],
        metadata: &[(String, String)],
        precision: Precision,
    ) -> Result<Vec<u8>, SaveError> {
        assert_eq!(parameters.len(), self.parameters.len(), "the parameters of another network");
        let mut stored = Vec::new();
        for parameter in &self.layout {
            let half = precision == Precision::F16 && parameter.shape.len() > 1;
            let mut bytes = Vec::new();
            for value in parameters[parameter.range.clone()].iter().map(|v| v.to_f64() as f32) {
                let narrow = half::f16::from_f32(value);
                if !(if half { narrow.is_finite() } else { value.is_finite() }) {
                    let (name, value) = (parameter.name.clone(), value.into());
                    return Err(SaveError::Value { name, value, precision });
                }
                match half {
                    true => bytes.extend(narrow.to_le_bytes()),
                    false => bytes.extend(value.to_le_bytes()),
                }
            }
            let dtype = if half { Stored::F16 } else { Stored::F32 };
            stored.push(Tensor {
                name: parameter.name.clone(),
                dtype,
                shape: parameter.shape.clone(),
                bytes,
            });
        }
        let format = match precision {
            Precision::F32 => WeightFormat::F32,
            Precision::F16 => WeightFormat::F16,
        };
        serialise(&stored, metadata, format)
    }

    /// The network in a safetensors file's bytes, ready to train on: the one that its card describes, or, without a card, a
    /// residual MLP.
    ///
    /// # Errors
    ///
    /// [`SaveError::Model`] where the bytes are no network.
    pub fn from_safetensors(bytes: &[u8], max_batch: usize) -> Result<Self, SaveError> {
        let artifact = Artifact::parse(bytes).map_err(ModelError::from)?;
        let config = match ModelCard::from_lookup(|key| artifact.metadata(key)) {
            Ok(card) => NetworkConfig {
                shape: card.shape.iter().map(|axis| axis as usize).collect(),
                condition: card.condition,
                architecture: card.architecture,
            },
            Err(CardError::Missing { key: key::VERSION }) => {
                let network = ResidualMlp::from_artifact(&artifact)?;
                MlpConfig { dim: network.dim(), width: network.width(), blocks: network.blocks() }.into()
            }
            Err(error) => return Err(ModelError::from(error).into()),
        };
        config.check()?;
        // Checks every tensor's name, type and shape.
        let mut steps = vec![Step::default(); config.architecture.steps(config.condition)];
        nn::Network::new(&artifact, &config.architecture, &config.shape, config.condition, &mut steps)?;
        let mut model = Self::new(config, max_batch, 0)?;
        for parameter in &model.layout {
            let tensor = artifact.tensor(&parameter.name).map_err(ModelError::from)?;
            let slots = &mut model.parameters[parameter.range.clone()];
            match tensor.dtype() {
                Dtype::F32 => {
                    let values = tensor.f32().map_err(ModelError::from)?;
                    slots.iter_mut().zip(values).for_each(|(slot, &v)| *slot = T::from_f64(v.into()));
                }
                Dtype::F16 => {
                    let values = tensor.f16().map_err(ModelError::from)?;
                    slots.iter_mut().zip(values).for_each(|(slot, &v)| *slot = T::from_f64(v.into()));
                }
                Dtype::I8 => {
                    let scale = format!("{}.scale", parameter.name.trim_end_matches(".weight"));
                    let scales =
                        artifact.tensor(&scale).and_then(|scales| scales.f32()).map_err(ModelError::from)?;
                    let values = tensor.i8().map_err(ModelError::from)?;
                    let inputs = slots.len() / scales.len().max(1);
                    let rows = slots.chunks_mut(inputs).zip(values.chunks(inputs)).zip(scales);
                    for ((slots, values), &scale) in rows {
                        slots.iter_mut().zip(values).for_each(|(slot, &v)| {
                            *slot = T::from_f64(f64::from(scale) * f64::from(v));
                        });
                    }
                }
            }
        }
        Ok(model)
    }
}

/// A tensor as it is stored.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dtype: Stored,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

/// The file of these tensors and of `metadata`, which is told what the weights are.
pub(super) fn serialise(
    tensors: &[Tensor],
    metadata: &[(String, String)],
    format: WeightFormat,
) -> Result<Vec<u8>, SaveError> {
    let mut views = Vec::new();
    for Tensor { name, dtype, shape, bytes } in tensors {
        views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?));
    }
    let mut metadata: HashMap<String, String> = metadata.iter().cloned().collect();
    // Absent is f32.
    metadata.remove(key::WEIGHTS);
    if format != WeightFormat::F32 {
        metadata.insert(key::WEIGHTS.to_owned(), format.to_string());
    }
    sort_header(safetensors::serialize(views, Some(metadata))?)
}

/// Puts the header's entries in the order of their names: the library writes the metadata in a random one.
///
/// The header keeps its length, so nothing else moves.
fn sort_header(mut bytes: Vec<u8>) -> Result<Vec<u8>, SaveError> {
    let length = bytes.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    let header = &mut bytes[8..8 + length];
    // `__metadata__` sorts before the networks' names, so it stays first.
    let mut entries: serde_json::Value = serde_json::from_slice(header)?;
    entries.sort_all_objects();
    let mut sorted = serde_json::to_vec(&entries)?;
    sorted.resize(length, b' ');
    header.copy_from_slice(&sorted);
    Ok(bytes)
}
