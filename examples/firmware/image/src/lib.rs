//! What the images share.

#![no_std]

mod model;
mod output;
mod paint;
pub mod plans;

pub use model::Model;
pub use output::Output;
pub use paint::Paint;
