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

pub mod array;
mod binding;
pub mod bundle;
pub mod call;
pub mod card;
mod conditions;
pub mod denoiser;
pub mod device;
mod dylib;
pub mod element;
pub mod error;
pub mod graphs;
pub mod install;
pub mod locate;
pub mod onnx;
pub mod output;
pub mod picture;
pub mod pipeline;
pub mod placement;
pub mod places;
pub mod provider;
pub mod remote;
pub mod resident;
pub mod runtime;
pub mod session;
pub mod signature;
mod source;
mod split;

pub use array::{Array, ArrayError};
pub use bundle::Bundle;
pub use denoiser::OrtDenoiser;
pub use element::Element;
pub use error::OrtError;
pub use graphs::GpuGraphs;
pub use install::{install, install_bundle};
pub use locate::locate;
pub use pipeline::Pipeline;
pub use provider::{Provider, ProviderError};
pub use remote::RemoteDenoiser;
pub use resident::ResidentFrames;
pub use runtime::{Runtime, ensure_installed, ensure_runtime};
pub use session::{Model, Options, Port};
pub use signature::Signature;
