//! What the images share.

#![no_std]

pub mod ddim;
mod ends;
mod model;
mod output;
mod paint;
pub mod plans;

#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
pub use ends::{finish, panicked};
pub use model::Model;
pub use output::Output;
pub use paint::Paint;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;
