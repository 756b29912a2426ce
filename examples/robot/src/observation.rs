//! What the robot sees.

use crate::{Obstacle, Point, Robot, VELOCITY, length, less};
use core::fmt;

/// Obstacles that the network is told, the nearest first, and how far they are seen, in m.
const NEAREST: usize = 5;
const RANGE: f64 = 2.5;
/// Numbers of an observation.
pub const WIDTH: usize = 4 + 5 * NEAREST;

/// Why there is nothing to plan from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObservationError {
    /// A number that is none.
    NotFinite {
        /// Its place: the robot's, the goal's, the obstacles' numbers.
        index: usize,
    },
    /// The robot touches an obstacle.
    Inside {
        /// Which.
        obstacle: usize,
        /// By how many metres.
        by: f64,
    },
    /// The robot is faster than it may be, so that no plan keeps its limits.
    TooFast {
        /// In m/s.
        speed: f64,
    },
}

impl fmt::Display for ObservationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { index } => {
                write!(
                    f,
                    "number {index} of the observation is NaN or infinite: stop the robot and look at the sensor"
                )
            }
            Self::Inside { obstacle, by } => write!(
                f,
                "the robot is {by:.3} m inside obstacle {obstacle}: there is no way that begins free; move it out, or correct the map"
            ),
            Self::TooFast { speed } => write!(
                f,
                "the robot moves at {speed:.3} m/s and its limit is {VELOCITY} m/s: no plan keeps that; brake first, or raise the limit"
            ),
        }
    }
}

impl core::error::Error for ObservationError {}

/// The robot's state, its goal and what is in its way, in the world's coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Its state.
    pub robot: Robot,
    /// Where it is to go.
    pub goal: Point,
    /// In any order.
    pub obstacles: &'a [Obstacle],
}

impl<'a> Observation<'a> {
    /// What there is to see.
    ///
    /// # Errors
    /// A number that is not finite; a robot that touches an obstacle.
    pub fn new(robot: Robot, goal: Point, obstacles: &'a [Obstacle]) -> Result<Self, ObservationError> {
        let own = [robot.previous, robot.position, goal];
        let others = obstacles.iter().flat_map(|o| [o.at, o.velocity, [o.radius; 2]]);
        let mut numbers = own.into_iter().chain(others).flatten();
        if let Some(index) = numbers.position(|number| !number.is_finite()) {
            return Err(ObservationError::NotFinite { index });
        }
        for (obstacle, disc) in obstacles.iter().enumerate() {
            let by = -disc.clearance(robot.position);
            if by > 0.0 {
                return Err(ObservationError::Inside { obstacle, by });
            }
        }
        Ok(Self { robot, goal, obstacles })
    }

    /// Whether there is a plan that keeps the limits.
    ///
    /// # Errors
    /// A robot that breaks one already.
    pub fn within_limits(&self) -> Result<(), ObservationError> {
        let speed = length(self.robot.velocity());
        if speed > 1.001 * VELOCITY { Err(ObservationError::TooFast { speed }) } else { Ok(()) }
    }

    /// What the network is told, `[WIDTH]`: velocity and goal, then place, velocity and radius of the nearest obstacles, all relative to the
    /// robot. Of a far goal the direction; of an obstacle out of sight zeros.
    pub fn numbers(&self) -> [f32; WIDTH] {
        let mut told = [0.0; WIDTH];
        let Robot { position, .. } = self.robot;
        let [u, v] = self.robot.velocity().map(|v| v / VELOCITY);
        let [x, y] = less(self.goal, position);
        let far = length([x, y]);
        let near = if far > 1.5 { 1.5 / far } else { 1.0 };
        let (own, others) = told.split_at_mut(4);
        own.copy_from_slice(&[u, v, near * x, near * y].map(|v| v as f32));
        let distance = |o: &Obstacle| o.clearance(position);
        // The next one is the nearest of those that are farther, the first in the list where several are as far.
        let mut last: Option<(f64, usize)> = None;
        for slot in others.chunks_exact_mut(5) {
            let mut next: Option<(f64, usize, &Obstacle)> = None;
            for (index, obstacle) in self.obstacles.iter().enumerate() {
                let key = distance(obstacle);
                let after =
                    last.is_none_or(|(before, place)| key > before || (key == before && index > place));
                if after && key < RANGE && next.is_none_or(|(least, ..)| key < least) {
                    next = Some((key, index, obstacle));
                }
            }
            let Some((key, index, obstacle)) = next else { break };
            last = Some((key, index));
            let [x, y] = less(obstacle.at, position);
            let [u, v] = obstacle.velocity;
            slot.copy_from_slice(&[x, y, 2.0 * u, 2.0 * v, 2.0 * obstacle.radius].map(|v| v as f32));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISC: Obstacle = Obstacle { at: [1.0, 0.0], velocity: [0.0, 0.1], radius: 0.3 };

    #[test]
    fn the_nearest_are_told_first_in_any_order() {
        let robot = Robot { previous: [-0.05, 0.0], position: [0.0, 0.0] };
        let at = |x: f64| Obstacle { at: [x, 0.0], ..DISC };
        let discs = [at(2.0), at(-1.0), at(9.0), at(1.5), at(-1.2), at(1.0), at(2.2)];
        let mut turned = discs;
        turned.reverse();
        let told = |obstacles: &[Obstacle]| Observation::new(robot, [4.0, 3.0], obstacles).unwrap().numbers();
        let numbers = told(&discs);
        assert_eq!(numbers[..4], [0.5, 0.0, 1.2, 0.9]);
        let places = [numbers[4], numbers[9], numbers[14], numbers[19], numbers[24]];
        assert_eq!(places, [-1.0, 1.0, -1.2, 1.5, 2.0]);
        assert_eq!(told(&turned)[14..], numbers[14..]);
        assert_eq!(told(&discs[2..3])[4..], [0.0; WIDTH - 4]);
    }

    #[test]
    fn what_cannot_be_planned_from_is_an_error() {
        use ObservationError::{Inside, NotFinite, TooFast};
        let robot = Robot::at_rest([0.0, 0.0]);
        let goal = [2.0, 0.0];
        let bad = Robot { position: [0.0, f64::NAN], ..robot };
        assert_eq!(Observation::new(bad, goal, &[DISC]), Err(NotFinite { index: 3 }));
        assert_eq!(Observation::new(robot, [f64::INFINITY, 0.0], &[]), Err(NotFinite { index: 4 }));
        let blind = Obstacle { velocity: [0.0, f64::NAN], ..DISC };
        assert_eq!(Observation::new(robot, goal, &[DISC, blind]), Err(NotFinite { index: 15 }));
        let near = Obstacle { at: [0.25, 0.0], ..DISC };
        let both = [DISC, near];
        let error = Observation::new(robot, goal, &both);
        assert!(matches!(error, Err(Inside { obstacle: 1, by }) if (by - 0.2).abs() < 1e-12), "{error:?}");
        let fast = Robot { previous: [-0.12, 0.0], ..robot };
        let error = Observation::new(fast, goal, &[]).unwrap().within_limits();
        assert!(matches!(error, Err(TooFast { speed }) if (speed - 1.2).abs() < 1e-9), "{error:?}");
    }
}
