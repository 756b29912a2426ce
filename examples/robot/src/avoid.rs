//! Obstacles as a guard on the network's estimates.

use crate::{NOW, Observation, Point, RADIUS, SCALE, add, length, less};
use picardy::guard::{Guard, GuardError};
use picardy::{HostTensor, Row};

/// Metres that are kept between the robot and an obstacle.
const MARGIN: f64 = 0.08;

/// Pushes every place of a chunk from `free` on out of the discs where they will be then, if they go on as they do. Of several discs
/// the last has its way.
#[derive(Clone, Copy, Debug)]
pub struct Avoid<'a> {
    seen: Observation<'a>,
    free: usize,
}

impl<'a> Avoid<'a> {
    /// Places before `free` do not move.
    pub const fn new(seen: Observation<'a>, free: usize) -> Self {
        Self { seen, free }
    }
}

impl<F: HostTensor<Scalar = f32> + ?Sized> Guard<F> for Avoid<'_> {
    fn apply(&mut self, _at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        for (place, x) in frames.row_mut(row).chunks_exact_mut(2).enumerate().skip(self.free) {
            let ticks = place as f64 - NOW as f64;
            let [u, v] = x else { continue };
            for obstacle in self.seen.obstacles() {
                // In the chunk's unit, relative to the robot.
                let at = less(obstacle.in_ticks(ticks).at, self.seen.robot().position).map(|x| x / SCALE);
                let radius = (obstacle.radius + RADIUS + MARGIN) / SCALE;
                let off = less([f64::from(*u), f64::from(*v)], at);
                let distance = length(off);
                if distance < radius {
                    // From the very middle any way out is as long.
                    let out: Point = if distance > 1e-9 { off.map(|d| d / distance) } else { [1.0, 0.0] };
                    [*u, *v] = add(at, out, radius).map(|x| x as f32);
                }
            }
        }
        Ok(())
    }

    fn keeps_finite(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DIM, Obstacle, Robot};
    use picardy::{Level, SliceFrames};

    #[test]
    fn places_are_pushed_out_of_where_discs_will_be() {
        // A disc that is at the robot's place 5 ticks from now, with a velocity of 1 m/s.
        let disc = Obstacle { at: [0.9, 0.0], velocity: [-1.0, 0.0], radius: 0.2 };
        let seen =
            Observation::new(Robot::at_rest([0.0; 2]), [2.0, 0.0], core::slice::from_ref(&disc)).unwrap();
        let mut chunk = [0.0f32; DIM];
        let at = Row { item: 0, node: 0, level: Level::DATA, conditional: true };
        Avoid::new(seen, 3).apply(&at, &mut SliceFrames::new(&mut chunk, DIM), 0).unwrap();
        for (place, x) in chunk.chunks_exact(2).enumerate() {
            let there = disc.in_ticks(place as f64 - 1.0);
            let clear = there.clearance([SCALE * f64::from(x[0]), SCALE * f64::from(x[1])]);
            assert!(place < 3 || clear > MARGIN - 1e-6, "{place}: {clear}");
            assert_eq!(x == [0.0, 0.0], there.clearance([0.0; 2]) >= MARGIN || place < 3, "{place}");
        }
    }
}
