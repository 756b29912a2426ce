//! What the robot sees.

use crate::{Obstacle, Point, RADIUS, Robot, VELOCITY, length, less};
use core::fmt;

/// Directions in which the robot looks, evenly around it, and how far, in m.
const RAYS: usize = 16;
const RANGE: f64 = 2.0;
/// When the obstacles are looked at, in ticks from now, if they go on as they do.
const MOMENTS: [f64; 3] = [0.0, 6.0, 12.0];
/// Metres beside an obstacle over which it fades out of sight.
const FADE: f64 = 0.3;
/// The largest number, in m: what is beyond is no place of a robot.
const MOST: f64 = 1e6;
/// Numbers of an observation.
pub const WIDTH: usize = 4 + MOMENTS.len() * RAYS;

/// Why there is nothing to plan from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObservationError {
    /// A number that is none, or beyond a million.
    NotFinite {
        /// Its place: the robot's, the goal's, the obstacles' numbers.
        index: usize,
    },
    /// An obstacle whose radius is below 0.
    Radius {
        /// Which.
        obstacle: usize,
        /// In m.
        value: f64,
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
                    "number {index} of the observation is NaN, infinite or beyond a million: stop the robot and look at the sensor"
                )
            }
            Self::Radius { obstacle, value } => {
                write!(
                    f,
                    "the radius of obstacle {obstacle} is {value} m: it must be 0 or more; correct the map"
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

/// The robot's state, its goal and what is in its way, in the world's coordinates. Whoever has one has one that was checked.
///
/// ```
/// use picardy_robot::{Observation, ObservationError, Obstacle, Robot};
/// let disc = [Obstacle { at: [1.0, 0.0], velocity: [0.0; 2], radius: 0.3 }];
/// let seen = Observation::new(Robot::at_rest([0.0; 2]), [2.0, 0.0], &disc)?;
/// assert_eq!((seen.goal(), seen.obstacles()), ([2.0, 0.0], &disc[..]));
/// let blind = Observation::new(Robot::at_rest([f64::NAN, 0.0]), [2.0, 0.0], &disc);
/// assert_eq!(blind, Err(ObservationError::NotFinite { index: 0 }));
/// # Ok::<(), ObservationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    robot: Robot,
    goal: Point,
    obstacles: &'a [Obstacle],
}

impl<'a> Observation<'a> {
    /// What there is to see.
    ///
    /// # Errors
    /// A number that is not finite; a radius below 0; a robot that touches an obstacle.
    pub fn new(robot: Robot, goal: Point, obstacles: &'a [Obstacle]) -> Result<Self, ObservationError> {
        let seen = Self { robot, goal, obstacles };
        seen.check()?;
        for (obstacle, disc) in obstacles.iter().enumerate() {
            let by = -disc.clearance(robot.position);
            if by > 0.0 {
                return Err(ObservationError::Inside { obstacle, by });
            }
        }
        Ok(seen)
    }

    /// Whether these are numbers of places and discs; they may touch.
    fn check(&self) -> Result<(), ObservationError> {
        let own = [self.robot.previous, self.robot.position, self.goal];
        let others = self.obstacles.iter().flat_map(|o| [o.at, o.velocity, [o.radius; 2]]);
        let mut numbers = own.into_iter().chain(others).flatten();
        if let Some(index) = numbers.position(|number| number.is_nan() || number.abs() > MOST) {
            return Err(ObservationError::NotFinite { index });
        }
        let radii = self.obstacles.iter().map(|disc| disc.radius);
        match radii.enumerate().find(|(_, radius)| *radius < 0.0) {
            Some((obstacle, value)) => Err(ObservationError::Radius { obstacle, value }),
            None => Ok(()),
        }
    }

    /// The robot's state.
    pub const fn robot(&self) -> Robot {
        self.robot
    }

    /// Where it is to go.
    pub const fn goal(&self) -> Point {
        self.goal
    }

    /// What is in its way, in the order that was given.
    pub const fn obstacles(&self) -> &'a [Obstacle] {
        self.obstacles
    }

    /// The same robot with nothing in its way.
    pub(crate) const fn alone(&self) -> Self {
        Self { obstacles: &[], ..*self }
    }

    /// Whether there is a plan that keeps the limits.
    ///
    /// # Errors
    /// A robot that breaks one already.
    pub fn within_limits(&self) -> Result<(), ObservationError> {
        let speed = length(self.robot.velocity());
        if speed <= 1.001 * VELOCITY { Ok(()) } else { Err(ObservationError::TooFast { speed }) }
    }

    /// What the network is told, `[WIDTH]`: the velocity; the goal, or of a far one the direction; and how near obstacles are in each
    /// direction, now and at two moments to come, from 0 (none within 2 m) to 1 (touching).
    pub fn numbers(&self) -> [f32; WIDTH] {
        let mut told = [0.0; WIDTH];
        let Robot { position, .. } = self.robot;
        let [u, v] = self.robot.velocity().map(|v| v / VELOCITY);
        let [x, y] = less(self.goal, position);
        let far = length([x, y]);
        let near = if far > 1.5 { 1.5 / far } else { 1.0 };
        let (own, scans) = told.split_at_mut(4);
        own.copy_from_slice(&[u, v, near * x, near * y].map(|v| v as f32));
        for (scan, ticks) in scans.chunks_exact_mut(RAYS).zip(MOMENTS) {
            for (k, slot) in scan.iter_mut().enumerate() {
                let angle = core::f64::consts::TAU * k as f64 / RAYS as f64;
                let ray = [libm::cos(angle), libm::sin(angle)];
                let seen =
                    |o: &Obstacle| nearness(less(o.in_ticks(ticks).at, position), o.radius + RADIUS, ray);
                *slot = self.obstacles.iter().map(seen).fold(0.0, f64::max) as f32;
            }
        }
        told
    }

    /// What the network would be told if the obstacles were these instead. They may touch the robot: there is no planning from there.
    ///
    /// # Errors
    /// A number of theirs that is not finite; a radius below 0.
    pub fn numbers_among(&self, obstacles: &[Obstacle]) -> Result<[f32; WIDTH], ObservationError> {
        let other = Observation { obstacles, ..*self };
        other.check()?;
        Ok(other.numbers())
    }
}

/// How near a disc around `at` is along a ray from the origin: `1 - distance/RANGE`, less beside it.
fn nearness(at: Point, radius: f64, ray: Point) -> f64 {
    let (along, square) = (at[0] * ray[0] + at[1] * ray[1], at[0] * at[0] + at[1] * at[1]);
    if square <= radius * radius {
        return 1.0;
    }
    let beside = libm::sqrt(f64::max(0.0, square - along * along));
    if along <= 0.0 || beside >= radius + FADE {
        return 0.0;
    }
    let inside = f64::min(beside, radius);
    let distance = along - libm::sqrt(radius * radius - inside * inside);
    let fade = (beside - inside) / FADE;
    f64::max(0.0, 1.0 - distance / RANGE) * (1.0 - fade)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISC: Obstacle = Obstacle { at: [1.0, 0.0], velocity: [0.0, 0.1], radius: 0.3 };

    #[test]
    fn obstacles_are_seen_where_they_are_and_will_be() {
        let robot = Robot { previous: [-0.05, 0.0], position: [0.0, 0.0] };
        // Ahead and coming; behind and out of sight.
        let ahead = Obstacle { at: [1.45, 0.0], velocity: [-0.5, 0.0], radius: 0.3 };
        let behind = Obstacle { at: [-2.6, 0.0], ..DISC };
        let told = Observation::new(robot, [4.0, 3.0], &[ahead, behind]).unwrap().numbers();
        assert_eq!(told[..4], [0.5, 0.0, 1.2, 0.9]);
        let scans: [&[f32]; 3] = core::array::from_fn(|k| &told[4 + k * RAYS..4 + (k + 1) * RAYS]);
        // Edges at 1.0 m, 0.7 m and 0.4 m.
        for (scan, near) in scans.into_iter().zip([0.5, 0.65, 0.8]) {
            assert!((scan[0] - near).abs() < 1e-6 && scan[1] == scan[15] && scan[1] < near, "{scan:?}");
            assert!(scan[4..13].iter().all(|s| *s == 0.0), "{scan:?}");
        }
        assert!(scans[2][1] > scans[0][1]);
        let turned = Obstacle { at: [0.0, 1.45], velocity: [0.0, -0.5], radius: 0.3 };
        let other = Observation::new(robot, [4.0, 3.0], &[behind, turned]).unwrap().numbers();
        for (k, seen) in other[4..4 + RAYS].iter().enumerate() {
            assert!((seen - scans[0][(k + 12) % RAYS]).abs() < 1e-6, "{k}");
        }
    }

    #[test]
    fn other_obstacles_are_told_of_as_if_they_were_there() {
        let robot = Robot { previous: [-0.05, 0.0], position: [0.0, 0.0] };
        let seen = Observation::new(robot, [4.0, 3.0], &[DISC]).unwrap();
        let other = [Obstacle { at: [0.0, 1.2], ..DISC }];
        let there = Observation::new(robot, [4.0, 3.0], &other).unwrap();
        assert_eq!(seen.numbers_among(&other), Ok(there.numbers()));
        assert_ne!(seen.numbers(), there.numbers());
        // Nobody plans from where they are: they may touch the robot.
        let near = [Obstacle { at: [0.25, 0.0], ..DISC }];
        assert_eq!(seen.numbers_among(&near).unwrap()[4], 1.0);
        let bad = [Obstacle { at: [f64::NAN, 0.0], ..DISC }];
        assert_eq!(seen.numbers_among(&bad), Err(ObservationError::NotFinite { index: 6 }));
        let hole = [DISC, Obstacle { radius: -0.5, ..DISC }];
        assert_eq!(seen.numbers_among(&hole), Err(ObservationError::Radius { obstacle: 1, value: -0.5 }));
    }

    #[test]
    fn what_is_seen_changes_little_with_the_place() {
        let mut last = None;
        for i in 0..2000 {
            let now = nearness([0.8, -1.5 + 0.0015 * f64::from(i)], 0.5, [1.0, 0.0]);
            assert!(
                (0.0..=1.0).contains(&now) && last.is_none_or(|last: f64| (now - last).abs() < 0.05),
                "{i}"
            );
            last = Some(now);
        }
        assert_eq!(
            (nearness([0.2, 0.3], 0.5, [1.0, 0.0]), nearness([-1.0, 0.0], 0.5, [1.0, 0.0])),
            (1.0, 0.0)
        );
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
        assert_eq!(Observation::new(robot, [1e200, 0.0], &[]), Err(NotFinite { index: 4 }));
        let hole = [Obstacle { radius: -1.0, ..DISC }];
        let error = Observation::new(robot, goal, &hole);
        assert_eq!(error, Err(ObservationError::Radius { obstacle: 0, value: -1.0 }));
        let near = Obstacle { at: [0.25, 0.0], ..DISC };
        let both = [DISC, near];
        let error = Observation::new(robot, goal, &both);
        assert!(matches!(error, Err(Inside { obstacle: 1, by }) if (by - 0.2).abs() < 1e-12), "{error:?}");
        let fast = Robot { previous: [-0.12, 0.0], ..robot };
        let error = Observation::new(fast, goal, &[]).unwrap().within_limits();
        assert!(matches!(error, Err(TooFast { speed }) if (speed - 1.2).abs() < 1e-9), "{error:?}");
    }
}
