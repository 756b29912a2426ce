//! What the workspace's tests and benches share: models with known answers, and runs in one line.

pub mod conformance;
mod models;
mod runs;
mod tape;
mod timed;

pub use models::{Ring, random_plan};
pub use runs::{Outcome, Solved, distance, plan, run};
pub use tape::Tape;
pub use timed::Timed;
