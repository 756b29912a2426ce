//! Inference of the trainer's networks from an artifact's bytes, without std, heap or unsafe code.
//!
//! The functions here are the network: the trainer's forward pass calls the same ones, so a model behaves in
//! firmware as it did in training. Every product, sum and transcendental function has one order of operations, which
//! depends neither on the batch nor on the vector width, and uses no fused multiply-add: the same weights and inputs
//! give the same bits on every target.
//!
//! Products do not go through `matrixmultiply` here, because that crate allocates its packing buffers in every call
//! and so needs a global allocator. [`linear`] reads both operands in place instead. (The trainer's backward pass,
//! which has a heap, does use it.)
//!
//! ```text
//! bytes --Artifact::parse--> Artifact --ModelCard::from_lookup--> what the network was trained for
//!                                     \--Network::from_artifact---> Network --forward--> out
//! ```
//!
//! A [`Network`] is a list of [`Step`]s, which an [`Architecture`] writes down: the residual MLP, a temporal U-Net and a U-Net for
//! images, with or without a condition. [`ResidualMlp`] is the first of them by hand, in the least flash and memory, with
//! kernels of its own on Cortex-M.

mod activation;
mod architecture;
mod artifact;
mod artifact_error;
#[cfg(test)]
mod artifact_tests;
mod attention;
mod card;
mod card_fields;
mod card_reader;
mod card_task;
#[cfg(test)]
mod card_tests;
#[cfg(any(cortex_m_fp, cortex_m_dsp))]
mod cortex_m;
mod denoiser;
mod footprint;
mod group_norm;
mod int8;
mod json;
mod layer;
mod layer_norm;
mod linear;
mod mlp;
mod mlp_error;
mod patches;
mod program;
mod scalar;
mod shape;
mod simd;
mod sinusoidal;
mod weight;
mod weight_format;

pub use activation::{activate, activate_with_slope, gelu, gelu_with_slope};
pub use architecture::{Architecture, MAX_LEVELS, Unet1d, Unet2d, Widths};
pub use artifact::{Aligned, Artifact, Dtype, MAX_HEADER, MAX_RANK, MAX_TENSORS, TensorView};
pub use artifact_error::ArtifactError;
pub use attention::attention;
pub use card::ModelCard;
pub use card_fields::{CardError, Numbers, key};
pub use denoiser::{MlpDenoiser, NetworkDenoiser};
pub use footprint::{Footprint, Machine};
pub use group_norm::group_norm;
pub use layer_norm::{EPSILON as LAYER_NORM_EPSILON, layer_norm, layer_norm_with_stats};
pub use linear::{add, linear, linear_add};
pub use mlp::{MAX_BLOCKS, ResidualMlp};
pub use mlp_error::ModelError;
pub use patches::Patches;
pub use program::{
    Activation, Builder, LayerShape, Network, Op, Padding, ProgramError, Shape, Source, Spacing, Step, Value,
    Weights,
};
pub use scalar::Scalar;
pub use shape::ShapeError;
pub use simd::{Kernel, LANES, dispatch, dot, sum};
pub use sinusoidal::{frequencies, frequencies_to, sinusoidal};
pub use weight_format::{UnknownWeights, WeightFormat};
