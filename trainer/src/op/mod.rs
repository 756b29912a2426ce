//! The network's operations, each with its forward and its backward pass over the caller's buffers.
//!
//! The forward passes are `picardy::nn`'s own functions, the ones that firmware runs. The backward passes are here;
//! each is checked against central finite differences in `f64`. Gradients of parameters are added to what their
//! buffer holds, so that several losses can share one step; gradients of inputs are written.

mod add;
mod gelu;
mod gemm;
mod layer_norm;
mod linear;
mod sinusoidal;
#[cfg(test)]
pub(crate) mod testing;

pub use add::accumulate;
pub use gelu::Gelu;
pub use gemm::{Element, View, gemm};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use sinusoidal::Sinusoidal;
