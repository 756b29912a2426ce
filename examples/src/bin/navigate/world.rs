//! Obstacle courses: how they are drawn, and how they move.

use picardy_robot::{ARENA, DT, Obstacle, Robot, VELOCITY, add, length};
use picardy_trainer::rng::Rng;

/// Kinds of places to cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// What the demonstrations are of: five discs on straight ways.
    Known,
    /// The same, but the discs turn without warning: what the alarm is calibrated on.
    Turning,
    /// Never seen in training: seven discs, faster, which turn without warning.
    Unseen,
}

impl Map {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Turning => "turning",
            Self::Unseen => "unseen",
        }
    }
}

/// An obstacle course at one moment.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) obstacles: Vec<Obstacle>,
    pub(crate) goal: picardy_robot::Point,
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
            Map::Turning => (5, [0.25, 0.5], [0.0, 0.4], 0.02),
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
            let speed = 0.95 * VELOCITY * rng.uniform().sqrt();
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
