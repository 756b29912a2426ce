//! States that stay on the device: [`ResidentFrames`], a tensor for core's samplers.
//!
//! A sampler's row operations are recorded, not run. When the network is to be called, or a number is asked for, all that was
//! recorded runs as one small ONNX graph on the model's own provider, with the coefficients as inputs: sums of rows in stages,
//! sweeps of a window as lower-triangular products. So states, outputs and noise never leave the device, and of a round the host
//! sees the inner products by which it is judged: a round is the model's run and three small ones, of 100 nodes or 1000.
//!
//! ```text
//! gather the rows of the call --> the model --> read them, inner products of changes --> sweep, inner products of moves
//!                                               (secant slopes)                          (residuals)
//! ```
//!
//! That holds for solvers of one step with secant or Gaussian slopes. Others sweep node by node, in two stages of a graph for each
//! node or more, and a graph has sixteen. The most small runs of a round, with 1 item and 100 nodes (`tests/resident.rs` has
//! them as bounds):
//!
//! | solver | slope | small runs of the rounds |
//! |---|---|---|
//! | DDPM | secant | 3, 3, 3, 3, 4 |
//! | DPM-Solver++ 2M | secant | 27, 15, 11, 5 |
//! | DDPM | multisecant2 | 28, 37, 92, 25, 15 |
//! | DPM-Solver++ 2M | multisecant2 | 28, 37, 69, 18 |
//!
//! Multisecant slopes ask for inner products at each node, for each item anew: about one run for each evaluated node. Of 1000
//! nodes these are ten times as many. Where a run costs more than the rounds that such a slope saves, prefer secants.
//!
//! # Beside the network
//!
//! - Guidance: [`Guided`](picardy::Guided) with [`SpareRows`](picardy::SpareRows), one call of twice the rows and no run more.
//!   It cannot rescale, which takes the numbers of each row: an error says so.
//! - Guards: [`Clamp`](picardy::guard::Clamp) and [`Inpaint`](picardy::guard::Inpaint), alone or in tuples, run with the
//!   rows (what is known goes up once). With one, sweeps go node by node as above. The other guards of core work on numbers in
//!   host memory and are not implemented for these rows: the compiler says so.
//! - Types: rows are f32. A model of f16 gets rows cast on the device; one of bf16 or f64 on WebGPU, which has no kernels for
//!   them, is [`OrtError::NotOnDevice`](crate::OrtError::NotOnDevice), as is any other part that would leave the device.

mod denoiser;
mod foresight;
mod frames;
mod graph;
mod guard;
mod known;
mod over_rows;
mod program;
mod run;
mod tensor;
mod traffic;
mod triangle;

pub use frames::ResidentFrames;
pub(crate) use over_rows::OverRows;
pub use traffic::{Counter, Traffic};
