//! The robot, what is in its way, and how that moves.

use picardy_trainer::rng::Rng;

/// Seconds of a tick: the loop runs at 10 Hz.
pub(crate) const DT: f64 = 0.1;
/// The robot's limits, in m/s and m/s^2, and its radius in m.
pub(crate) const VELOCITY: f64 = 1.0;
pub(crate) const ACCELERATION: f64 = 2.0;
pub(crate) const RADIUS: f64 = 0.15;
/// Half a side of the square that obstacles stay in, in m.
pub(crate) const ARENA: f64 = 3.0;

/// Metres in the plane.
pub(crate) type Point = [f64; 2];

pub(crate) fn add(a: Point, b: Point, factor: f64) -> Point {
    [a[0] + factor * b[0], a[1] + factor * b[1]]
}

pub(crate) fn less(a: Point, b: Point) -> Point {
    add(a, b, -1.0)
}

pub(crate) fn length(a: Point) -> f64 {
    a[0].hypot(a[1])
}

/// A point that is moved through the plane, with where it was one tick before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Robot {
    pub(crate) previous: Point,
    pub(crate) position: Point,
}

impl Robot {
    pub(crate) fn at_rest(position: Point) -> Self {
        Self { previous: position, position }
    }

    /// In m/s.
    pub(crate) fn velocity(&self) -> Point {
        less(self.position, self.previous).map(|d| d / DT)
    }

    pub(crate) fn go(&mut self, to: Point) {
        *self = Self { previous: self.position, position: to };
    }
}

/// A disc that moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Obstacle {
    pub(crate) at: Point,
    /// In m/s.
    pub(crate) velocity: Point,
    pub(crate) radius: f64,
}

impl Obstacle {
    /// One tick on, back from the arena's border.
    fn step(&mut self) {
        self.at = add(self.at, self.velocity, DT);
        for (at, velocity) in self.at.iter().zip(&mut self.velocity) {
            if at.abs() > ARENA && at * *velocity > 0.0 {
                *velocity = -*velocity;
            }
        }
    }

    /// Metres between the robot's and the disc's edge; below 0 they touch.
    pub(crate) fn clearance(&self, robot: Point) -> f64 {
        length(less(robot, self.at)) - self.radius - RADIUS
    }
}

/// Kinds of places to cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// What the demonstrations are of: five discs on straight ways.
    Known,
    /// Never seen in training: seven discs, faster, which turn without warning.
    Unseen,
}

impl Map {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Unseen => "unseen",
        }
    }
}

/// An obstacle course at one moment.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) obstacles: Vec<Obstacle>,
    pub(crate) goal: Point,
    /// The probability with which an obstacle turns in a tick.
    turning: f64,
    rng: Rng,
}

impl World {
    /// A course and a robot at rest on one side of it, or anywhere and moving (`anywhere`, for demonstrations).
    pub(crate) fn draw(map: Map, anywhere: bool, seed: u64) -> (Self, Robot) {
        let mut rng = Rng::new(seed, 0x4E41_5649_0000_0000);
        let (count, radii, speeds, turning) = match map {
            Map::Known => (5, [0.25, 0.5], [0.0, 0.4], 0.0),
            Map::Unseen => (7, [0.2, 0.5], [0.2, 0.5], 0.02),
        };
        let within = |rng: &mut Rng, [low, high]: [f64; 2]| low + (high - low) * rng.uniform();
        let side = [-ARENA, ARENA];
        let (start, goal) = if anywhere {
            (
                [within(&mut rng, side), within(&mut rng, side)],
                [within(&mut rng, side), within(&mut rng, side)],
            )
        } else {
            ([-2.7, within(&mut rng, [-2.0, 2.0])], [2.7, within(&mut rng, [-2.0, 2.0])])
        };
        let mut obstacles: Vec<Obstacle> = Vec::with_capacity(count);
        while obstacles.len() < count {
            let radius = within(&mut rng, radii);
            let at = [within(&mut rng, side), within(&mut rng, side)];
            let (sin, cos) = (std::f64::consts::TAU * rng.uniform()).sin_cos();
            let speed = within(&mut rng, speeds);
            let obstacle = Obstacle { at, velocity: [speed * cos, speed * sin], radius };
            if obstacle.clearance(start) > 0.4 && obstacle.clearance(goal) > 0.4 {
                obstacles.push(obstacle);
            }
        }
        let mut robot = Robot::at_rest(start);
        if anywhere && rng.uniform() < 0.7 {
            let (sin, cos) = (std::f64::consts::TAU * rng.uniform()).sin_cos();
            let speed = VELOCITY * rng.uniform().sqrt();
            robot.previous = add(start, [speed * cos, speed * sin], -DT);
        }
        (Self { obstacles, goal, turning, rng }, robot)
    }

    /// One tick on.
    pub(crate) fn step(&mut self) {
        for obstacle in &mut self.obstacles {
            if self.turning > 0.0 && self.rng.uniform() < self.turning {
                let speed = length(obstacle.velocity);
                let (sin, cos) = (std::f64::consts::TAU * self.rng.uniform()).sin_cos();
                obstacle.velocity = [speed * cos, speed * sin];
            }
            obstacle.step();
        }
    }
}
