//! Runs exported diffusion models through ONNX Runtime.
//!
//! The library is loaded when a program runs, not when it is built: [`locate`](mod@locate) finds it,
//! [`install`](mod@install) fetches it, [`Runtime`] loads it once for the process. A [`Model`] is a
//! loaded ONNX file; an [`OrtDenoiser`] is a model that samplers can ask.
//!
//! ```no_run
//! use std::path::Path;
//! use picardy_ort::{Model, Options, OrtDenoiser};
//!
//! let model = Model::load(Path::new("model.onnx"), Options::default())?;
//! let mut denoiser = OrtDenoiser::new(model)?;
//! let (x, mut out) = ([0.5, -1.0], [0.0; 2]);
//! denoiser.run(&x, [999.0].into_iter(), &mut out)?; // one row of two numbers, at timestep 999
//! # Ok::<(), picardy_ort::OrtError>(())
//! ```

mod binding;
pub mod card;
pub mod denoiser;
mod dylib;
pub mod error;
pub mod install;
pub mod locate;
pub mod output;
pub mod picture;
pub mod pipeline;
pub mod places;
pub mod remote;
pub mod runtime;
pub mod session;

pub use denoiser::OrtDenoiser;
pub use error::OrtError;
pub use install::install;
pub use locate::locate;
pub use pipeline::Pipeline;
pub use remote::RemoteDenoiser;
pub use runtime::{Runtime, ensure_installed, ensure_runtime};
pub use session::{Model, Options, Port, Provider};
