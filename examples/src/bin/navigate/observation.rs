//! What the robot sees.

use crate::world::{DT, Obstacle, Point, Robot, VELOCITY, World, add, length, less};

/// Obstacles that are told, the nearest first, and how far they are seen, in m.
pub(crate) const NEAREST: usize = 5;
const RANGE: f64 = 2.5;
/// Numbers of an observation.
pub(crate) const WIDTH: usize = 4 + 5 * NEAREST;

/// Why there is nothing to plan from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ObservationError {
    /// A number that is none.
    NotFinite { index: usize },
    /// The robot touches an obstacle, by so many metres.
    Inside { obstacle: usize, by: f64 },
    /// The robot is faster than it may be, so that no plan keeps its limits.
    TooFast { speed: f64 },
}

impl std::fmt::Display for ObservationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl std::error::Error for ObservationError {}

/// The robot's state, its goal and the obstacles near it, relative to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Observation {
    pub(crate) robot: Robot,
    pub(crate) goal: Point,
    /// In the order of their distance; in the world's coordinates.
    pub(crate) obstacles: Vec<Obstacle>,
}

impl Observation {
    /// What there is to see.
    ///
    /// # Errors
    /// A number that is not finite; a robot that touches an obstacle.
    pub(crate) fn of(world: &World, robot: &Robot) -> Result<Self, ObservationError> {
        let mut seen = Self { robot: *robot, goal: world.goal, obstacles: world.obstacles.clone() };
        seen.check()?;
        seen.sort();
        Ok(seen)
    }

    /// Whether there is a plan that keeps the limits.
    ///
    /// # Errors
    /// A robot that breaks one already.
    pub(crate) fn within_limits(&self) -> Result<(), ObservationError> {
        let speed = length(self.robot.velocity());
        if speed > 1.001 * VELOCITY { Err(ObservationError::TooFast { speed }) } else { Ok(()) }
    }

    fn sort(&mut self) {
        let at = self.robot.position;
        self.obstacles.sort_by(|a, b| a.clearance(at).total_cmp(&b.clearance(at)));
    }

    fn check(&self) -> Result<(), ObservationError> {
        let own = [self.robot.previous, self.robot.position, self.goal];
        let others = self.obstacles.iter().flat_map(|o| [o.at, o.velocity, [o.radius; 2]]);
        let numbers = own.into_iter().chain(others).flatten();
        if let Some(index) = numbers.into_iter().position(|number| !number.is_finite()) {
            return Err(ObservationError::NotFinite { index });
        }
        let inside = self.obstacles.iter().position(|o| o.clearance(self.robot.position) < 0.0);
        match inside {
            Some(obstacle) => {
                let by = -self.obstacles[obstacle].clearance(self.robot.position);
                Err(ObservationError::Inside { obstacle, by })
            }
            None => Ok(()),
        }
    }

    /// What the network is told, `[WIDTH]`.
    pub(crate) fn numbers(&self) -> [f32; WIDTH] {
        let mut told = [0.0; WIDTH];
        let Robot { position, .. } = self.robot;
        let velocity = self.robot.velocity().map(|v| v / VELOCITY);
        // Of a far goal, the direction.
        let goal = less(self.goal, position);
        let near = f64::min(1.0, 1.5 / length(goal).max(1e-9));
        let (own, others) = told.split_at_mut(4);
        own.copy_from_slice(&[velocity[0], velocity[1], near * goal[0], near * goal[1]].map(|v| v as f32));
        for (slot, obstacle) in others.chunks_exact_mut(5).zip(&self.obstacles) {
            if obstacle.clearance(position) < RANGE {
                let [x, y] = less(obstacle.at, position);
                let [u, v] = obstacle.velocity;
                slot.copy_from_slice(&[x, y, 2.0 * u, 2.0 * v, 2.0 * obstacle.radius].map(|v| v as f32));
            }
        }
        told
    }

    /// What would have been seen `ticks` ago, by the robot `then`, of obstacles that have always moved as they do now.
    pub(crate) fn rewound(&self, then: &Robot, ticks: usize) -> Self {
        let back = |o: &Obstacle| Obstacle { at: add(o.at, o.velocity, -DT * ticks as f64), ..*o };
        let mut seen =
            Self { robot: *then, goal: self.goal, obstacles: self.obstacles.iter().map(back).collect() };
        seen.sort();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Map;

    #[test]
    fn what_cannot_be_planned_from_is_an_error() {
        let (world, robot) = World::draw(Map::Known, false, 4);
        assert!(Observation::of(&world, &robot).unwrap().within_limits().is_ok());
        let refused = |change: &dyn Fn(&mut World, &mut Robot)| {
            let (mut world, mut robot) = (world.clone(), robot);
            change(&mut world, &mut robot);
            Observation::of(&world, &robot).unwrap_err().to_string()
        };
        assert!(refused(&|_, robot| robot.position[1] = f64::NAN).contains("number 3 of the observation"));
        assert!(refused(&|world, _| world.goal[0] = f64::INFINITY).contains("number 4"));
        assert!(refused(&|world, _| world.obstacles[0].velocity[0] = f64::NAN).contains("number 8"));
        let inside = refused(&|world, robot| world.obstacles[2].at = robot.position);
        assert!(inside.contains("inside obstacle 2") && inside.contains("move it out"), "{inside}");
        let fast = Robot { previous: add(robot.position, [0.12, 0.0], 1.0), ..robot };
        let seen = Observation::of(&world, &fast).unwrap();
        assert!(seen.within_limits().unwrap_err().to_string().contains("1.200 m/s and its limit is 1 m/s"));
    }

    #[test]
    fn obstacles_that_go_on_look_the_same_in_hindsight() {
        let (mut world, mut robot) = World::draw(Map::Known, false, 6);
        let then = Observation::of(&world, &robot).unwrap();
        let start = robot;
        for _ in 0..3 {
            world.step();
            robot.go(add(robot.position, [0.05, 0.0], 1.0));
        }
        let rewound = Observation::of(&world, &robot).unwrap().rewound(&start, 3);
        for (a, b) in then.numbers().iter().zip(rewound.numbers()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        world.obstacles[0].velocity = [0.9, 0.9];
        let turned = Observation::of(&world, &robot).unwrap().rewound(&start, 3);
        assert_ne!(turned.numbers(), rewound.numbers());
    }
}
