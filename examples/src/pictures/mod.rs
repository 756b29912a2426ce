//! The pictures of `quickstart` (samples side by side, how a parallel run converges, and where a denoiser is wrong) and of
//! `navigate` (a robot's ways).
//!
//! Each takes plain numbers and a path, and writes a PNG file that appears whole or not at all.
//! Numbers that are not finite, and lengths that disagree, are errors that name them; nothing is
//! drawn then. The colours stay apart for the colour-blind, and in greys.

mod axes;
mod canvas;
mod check;
mod colour;
mod course;
mod error_map;
mod samples;
mod trajectory;

#[cfg(test)]
mod probe;

pub use colour::{CONTRASTIVE, DATA, STANDARD};
pub use course::{Course, Disc, Tick, courses, film};
pub use error_map::{ErrorMap, error_map};
pub use samples::{Panel, samples};
pub use trajectory::{RoundPath, RoundsPanel, Trajectory, trajectory};
