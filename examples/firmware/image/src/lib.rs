//! What the images share.

#![no_std]

mod output;
mod paint;

pub use output::Output;
pub use paint::Paint;
