//! Trains small denoisers with the standard and the contrastive diffusion loss, and exports them.
//!
//! ```text
//! data --> train::Trainer (model, loss, optimiser; one step at a time) --> export: safetensors, ONNX
//!               |                                                     \-> evaluate: MMD, NLL
//!          train::Checkpoint: all state, resumed to the bit
//! ```
//!
//! The network's forward pass is [`picardy::nn`]'s, the one that runs in firmware; [`op`] holds each layer's backward
//! pass beside it.

pub mod cli;
pub mod data;
pub mod evaluate;
pub mod exact;
pub mod export;
pub mod import;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod onnx;
pub mod op;
pub mod optimiser;
pub mod physics;
pub mod reproduce;
pub mod rng;
pub mod small;
pub mod train;
