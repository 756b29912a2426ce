//! What makes steps of gradients: Adam, the learning rate over the steps, the weights' running average.
//!
//! All state is flat vectors and counters that can be read and set, so that a checkpoint holds all of it.

mod adam;
mod ema;
mod rate;

pub use adam::{Adam, AdamConfig, clip_scale};
pub use ema::{Ema, EmaDecay, MAX_SIGMA_REL};
pub use rate::{Rate, RateShape};
