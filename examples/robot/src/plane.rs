//! What moves through the plane.

use crate::{ACCELERATION, ARENA, DT, RADIUS, VELOCITY};

/// Metres in the plane.
pub type Point = [f64; 2];

/// `a + factor b`.
pub fn add(a: Point, b: Point, factor: f64) -> Point {
    [a[0] + factor * b[0], a[1] + factor * b[1]]
}

/// `a - b`.
pub fn less(a: Point, b: Point) -> Point {
    add(a, b, -1.0)
}

/// Its Euclidean length.
pub fn length(a: Point) -> f64 {
    libm::sqrt(a[0] * a[0] + a[1] * a[1])
}

/// The part of a step that is left of it in the next tick, where its length falls by `most` at most.
pub(crate) fn slowing(step: Point, most: f64) -> f64 {
    let speed = length(step);
    if speed > most { 1.0 - most / speed } else { 0.0 }
}

/// Where the robot is, and where it was one tick before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robot {
    /// One tick ago.
    pub previous: Point,
    /// Now.
    pub position: Point,
}

impl Robot {
    /// One that stands.
    pub const fn at_rest(position: Point) -> Self {
        Self { previous: position, position }
    }

    /// In m/s.
    pub fn velocity(&self) -> Point {
        less(self.position, self.previous).map(|d| d / DT)
    }

    /// Where it is in a tick if it comes to rest as fast as it may: what to do without a plan.
    ///
    /// ```
    /// use picardy_robot::Robot;
    /// let mut robot = Robot { previous: [-0.1, 0.0], position: [0.0; 2] }; // at 1 m/s
    /// for speed in [0.8, 0.6, 0.4, 0.2, 0.0] {
    ///     robot.go(robot.braking());
    ///     assert!((robot.velocity()[0] - speed).abs() < 1e-9);
    /// }
    /// ```
    pub fn braking(&self) -> Point {
        let step = less(self.position, self.previous);
        add(self.position, step, slowing(step, ACCELERATION * DT * DT))
    }

    /// One tick on.
    pub fn go(&mut self, to: Point) {
        *self = Self { previous: self.position, position: to };
    }
}

/// Whether a move after another breaks one of the robot's limits, by more than one part in a hundred.
pub fn breaks(before: &Robot, after: &Robot) -> bool {
    const SLACK: f64 = 1.01;
    let change = length(less(after.velocity(), before.velocity())) / DT;
    length(after.velocity()) > SLACK * VELOCITY || change > SLACK * ACCELERATION
}

/// A disc that moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Obstacle {
    /// Its middle.
    pub at: Point,
    /// In m/s.
    pub velocity: Point,
    /// In m.
    pub radius: f64,
}

impl Obstacle {
    /// One tick on, back from the arena's border.
    pub fn step(&mut self) {
        self.at = add(self.at, self.velocity, DT);
        for (at, velocity) in self.at.iter().zip(&mut self.velocity) {
            if (*at > ARENA && *velocity > 0.0) || (*at < -ARENA && *velocity < 0.0) {
                *velocity = -*velocity;
            }
        }
    }

    /// Where it will be in so many ticks, or was, if it goes on as it does.
    #[must_use]
    pub fn in_ticks(&self, ticks: f64) -> Self {
        Self { at: add(self.at, self.velocity, ticks * DT), ..*self }
    }

    /// Metres between the robot's edge and its own; below 0 they touch.
    pub fn clearance(&self, robot: Point) -> f64 {
        length(less(robot, self.at)) - self.radius - RADIUS
    }
}
