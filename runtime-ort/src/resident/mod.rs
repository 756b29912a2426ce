//! States that stay on the device: [`ResidentFrames`], a tensor for core's samplers.
//!
//! A sampler's row operations are recorded, not run. When the network is to be called, or a number is asked for, all that was
//! recorded runs as one small ONNX graph on the model's own provider, with the coefficients as inputs: sums of rows in stages,
//! sweeps of a window as lower-triangular products. So states, outputs and noise never leave the device, and of a round the host
//! sees the inner products by which it is judged: a round is the model's run and three small ones.
//!
//! ```text
//! gather the rows of the call --> the model --> read them, inner products of changes --> sweep, inner products of moves
//!                                               (secant slopes)                          (residuals)
//! ```

mod denoiser;
mod frames;
mod graph;
mod guard;
mod known;
mod program;
mod run;
mod tensor;
mod traffic;

pub use frames::ResidentFrames;
pub use traffic::{Counter, Traffic};
