//! Placeholder.
pub mod data;
pub mod evaluate;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod onnx;
pub mod op;
pub mod optimiser;
pub mod rng;
pub mod train;
