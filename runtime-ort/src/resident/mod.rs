//! States that stay on the device: [`ResidentFrames`], a tensor for core's samplers.
//!
//! A sampler's row operations are recorded, not run. When the network is to be called, or a number is asked for, all that was
//! recorded runs as one small ONNX graph on the model's own provider, with the coefficients as inputs: sums of rows in stages,
//! sweeps of a window as lower-triangular products. The model itself is loaded with nodes of ours around it, which gather what it is
//! shown and answer what is asked of its outputs. So states, outputs and noise never leave the device, of a round the host sees the
//! inner products by which it is judged, and a round is two runs, of 100 nodes or 1000:
//!
//! ```text
//! gather the rows of the call --> the model --> inner products of what changed      one run
//!                                               (secant slopes)
//! take up the outputs --> sweep --> inner products of moves                         one run
//!                                   (residuals)
//! ```
//!
//! Before the first round one run brings the start, and at the end one for each item says whether its sample is finite. The small runs of a
//! round beside the model's own, with 1 item and 100 nodes (`tests/resident.rs` has them as bounds):
//!
//! | solver | slope | small runs of the rounds |
//! |---|---|---|
//! | DDPM | secant | 2, 1, 1, 1, 2 |
//! | DPM-Solver++ 2M | secant | 2, 1, 1, 2 |
//! | DDPM | multisecant2 | 27, 35, 90, 23, 13 |
//! | DPM-Solver++ 2M | multisecant2 | 27, 35, 67, 16 |
//!
//! One more where a window smaller than the run takes nodes in, whose first guesses the network is then shown, and with guidance,
//! which changes what the network says. Multisecant slopes ask for inner products at each node, for each item anew: about one run
//! for each evaluated node. Of 1000 nodes these are ten times as many. Where a run costs more than the rounds that such a slope saves,
//! prefer secants.
//!
//! The model with our nodes is another session, which takes the place of the first: weights are on the device once. A denoiser
//! that is called with rows in host memory again loads the first one again. The file is read for that: one that has changed since is an
//! error. A model that takes no such nodes (one in ONNX Runtime's own
//! format, one that uses names with `picardy.`, any under TensorRT, which would compile it anew) is run as it is, and rows are
//! gathered and judged by two more small runs.
//!
//! # Captured runs
//!
//! With [`Options::graphs`](crate::Options::graphs) a run whose shapes come again is captured and then repeated as one command: CUDA graphs
//! on CUDA, the plugin's captured commands on WebGPU. For that the rows, the model's answers and what the host tells have fixed addresses,
//! coefficients and places come as one tensor, and what a graph writes is read with a copy of its own. A captured graph is made for each of
//! the two places of the rows, and has to give the numbers of an ordinary run before it stands for one: see
//! [`GpuGraphs`](crate::GpuGraphs). A sequential run is captured but for its first steps. Under Picard the number of rows of a call changes
//! with the rounds, and less comes again: of a window that slides, a sixth to a third of the runs; of multisecant slopes, nine of ten, which are small.
//! A captured run has more and smaller kernels (the tensor is taken apart on the device), so it is worth its while where launching kernels
//! takes longer than they do. It is tested on a software adapter of WebGPU, where launching is no cost and it gains nothing; on CUDA it has
//! not run yet, which is why it is off.
//!
//! # Beside the network
//!
//! - Guidance: [`Guided`](picardy::Guided) with [`SpareRows`](picardy::SpareRows), one call of twice the rows.
//!   It cannot rescale, which takes the numbers of each row: an error says so.
//! - Guards: [`Clamp`](picardy::guard::Clamp) and [`Inpaint`](picardy::guard::Inpaint), alone or in tuples, run with the
//!   rows (what is known goes up once). With one, sweeps go node by node as above. The other guards of core work on numbers in
//!   host memory and are not implemented for these rows: the compiler says so.
//! - Types: rows are f32. A model of f16 gets rows cast on the device; one of bf16 or f64 on WebGPU, which has no kernels for
//!   them, is [`OrtError::NotOnDevice`](crate::OrtError::NotOnDevice), as is any other part that would leave the device.

mod capture;
mod denoiser;
mod foresight;
mod frames;
mod graph;
mod guard;
mod known;
mod model_runs;
mod over_rows;
mod packed;
mod program;
mod repeat;
mod run;
mod tensor;
mod traffic;
mod triangle;

pub use frames::ResidentFrames;
pub(crate) use over_rows::OverRows;
pub use traffic::{Counter, Traffic};
