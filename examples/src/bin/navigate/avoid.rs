//! Obstacles as a guard on the network's estimates.

use crate::demonstrations::{NOW, SCALE};
use crate::observation::Observation;
use crate::world::{DT, RADIUS, length, less};
use picardy::guard::{Guard, GuardError};
use picardy::{HostTensor, Row};

/// Metres that are kept between the robot and an obstacle.
const MARGIN: f64 = 0.08;

/// Pushes every place of a chunk that is not committed out of the discs where they will be then, if they go on as they do.
#[derive(Clone, Debug)]
pub(crate) struct Avoid {
    discs: Vec<Disc>,
    committed: usize,
}

/// In the chunk's unit, relative to the robot.
#[derive(Clone, Copy, Debug)]
struct Disc {
    at: [f64; 2],
    /// Per tick.
    velocity: [f64; 2],
    radius: f64,
}

impl Avoid {
    pub(crate) fn new(seen: &Observation, committed: usize) -> Self {
        let discs = seen.obstacles.iter().map(|obstacle| Disc {
            at: less(obstacle.at, seen.robot.position).map(|x| x / SCALE),
            velocity: obstacle.velocity.map(|v| v * DT / SCALE),
            radius: (obstacle.radius + RADIUS + MARGIN) / SCALE,
        });
        Self { discs: discs.collect(), committed }
    }
}

impl<F: HostTensor<Scalar = f32> + ?Sized> Guard<F> for Avoid {
    fn apply(&mut self, _at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        for (place, x) in frames.row_mut(row).chunks_exact_mut(2).enumerate().skip(self.committed) {
            let ticks = place as f64 - NOW as f64;
            let [x, y] = x else { continue };
            for disc in &self.discs {
                let at = [disc.at[0] + ticks * disc.velocity[0], disc.at[1] + ticks * disc.velocity[1]];
                let off = [f64::from(*x) - at[0], f64::from(*y) - at[1]];
                let distance = length(off);
                if distance < disc.radius {
                    // From the very middle any way out is as long.
                    let [u, v] = if distance > 1e-9 { off.map(|d| d / distance) } else { [1.0, 0.0] };
                    (*x, *y) = ((at[0] + disc.radius * u) as f32, (at[1] + disc.radius * v) as f32);
                }
            }
        }
        Ok(())
    }

    fn keeps_finite(&self) -> bool {
        true
    }
}
