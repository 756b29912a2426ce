//! What the workspace's tests and benches share: models with known answers, and runs in one line.

pub mod conformance;
mod law;
mod models;
mod runs;
pub mod soak;
mod tape;
mod timed;

pub use law::{chi_square_of_signs, ks, ks_detects, ks_limit};
pub use models::{Ring, random_plan};
pub use runs::{Outcome, Solved, distance, plan, run};
pub use tape::Tape;
pub use timed::Timed;
