//! A point robot with limits of velocity and acceleration that plans its way among moving discs with a diffusion model: `navigate`'s cycle.
//! The same code runs on a host and in firmware, without a heap.
//!
//! ```text
//! robot, goal, obstacles --Observation--> what the network is told
//! last plan --shift--> known and soft places (Inpaint), warm start (renoise)
//! DDIM, every estimate through (Inpaint, Avoid, Limits) --> plan, or the last one's rest, or braking
//! ```

#![no_std]

mod avoid;
mod cycle;
mod observation;
mod plan;
mod plane;

pub use avoid::Avoid;
pub use cycle::{Buffers, CycleError, Features, STEPS, plan};
pub use observation::{Observation, ObservationError, WIDTH};
pub use plan::{Plan, Source};
pub use plane::{Obstacle, Point, Robot, add, breaks, length, less};

/// Seconds of a tick: the loop runs at 10 Hz.
pub const DT: f64 = 0.1;
/// The robot's largest speed, in m/s.
pub const VELOCITY: f64 = 1.0;
/// Its largest acceleration, in m/s^2.
pub const ACCELERATION: f64 = 2.0;
/// Its radius, in m.
pub const RADIUS: f64 = 0.15;
/// Half a side of the square that obstacles stay in, in m.
pub const ARENA: f64 = 3.0;

/// Places of a chunk: where the robot was one tick ago, where it is, and where it will be in each of the next ones.
pub const PLACES: usize = 16;
/// The place that is now.
pub const NOW: usize = 1;
/// Numbers of a chunk.
pub const DIM: usize = 2 * PLACES;
/// Metres of the network's unit. Chunks are relative to where the robot is, so that nothing is subtracted.
pub const SCALE: f64 = 0.5;
/// Actions that are committed: the one that is executed while the plan is made.
pub const DELAY: usize = 1;
/// Places that are known when a plan is made: before, now, and after the committed actions.
pub const KNOWN: usize = NOW + 1 + DELAY;
