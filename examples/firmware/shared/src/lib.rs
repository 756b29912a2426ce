//! What the images and their host twin both run: the same lines must come out of both.

#![no_std]

mod determinism;
mod digest;
mod error;
mod horizon;
pub mod navigate;
mod policy;
mod sampling;

pub use determinism::write_digests;
pub use digest::Digest;
pub use error::Error;
pub use horizon::write_horizons;
pub use policy::{Policy, PolicyMemory, plan_actions};
pub use sampling::{ARTIFACT, Buffers, DIM, ITEMS, Kind, sample, write_samples};
