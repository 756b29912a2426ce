//! The robot of `navigate` in a closed loop: what a controller does at 10 Hz, with its network in flash.

use crate::Error;
use core::fmt;
use picardy::nn::{Aligned, Artifact, ModelCard, Network, NetworkDenoiser, Step};
use picardy_robot::{
    Buffers, Features, Observation, Obstacle, Plan, Point, Robot, WIDTH, length, less, plan,
};

/// A small network of the physics-informed loss (`data/train.sh`), its weights in half precision, read where they lie.
pub static NETWORK: &Aligned<[u8]> = &Aligned(*include_bytes!("../../data/navigate.safetensors"));

/// Ticks between plans, and in all.
const EVERY: usize = 4;
const TICKS: usize = 100;
const GOAL: Point = [2.2, 0.4];
/// Steps of the network's program.
const PROGRAM: usize = 96;
/// Numbers of the network's scratch: the host's kernels need 8155, a microcontroller's fewer.
const SCRATCH: usize = 8192;

/// All the memory of the loop but the network's program, which lies on the stack: static in an image.
#[derive(Debug)]
pub struct Memory {
    cycle: Buffers,
    scratch: [f32; SCRATCH],
}

impl Memory {
    /// Nothing in it yet.
    pub const fn new() -> Self {
        Self { cycle: Buffers::new(), scratch: [0.0; SCRATCH] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Crosses a course with all guards and warm starts of five steps. Writes `sample navigate TICK X Y` for every tick, and `run navigate PLANS
/// EVALUATIONS NEAREST LEFT`: the nearest that it came to an obstacle, and how far the goal is in the end, in mm.
///
/// # Errors
/// An artifact that is none, memory that is too small for it, a cycle without a plan; the writer's.
// Inlined, its frame would lie above where the stack is measured from.
#[inline(never)]
pub fn navigate(memory: &mut Memory, out: &mut impl fmt::Write) -> Result<(), Error> {
    let Memory { cycle, scratch } = memory;
    let artifact = Artifact::parse(&NETWORK.0)?;
    let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
    let mut program = [Step::default(); PROGRAM];
    let network = Network::from_artifact(&artifact, &card, &mut program)?;
    let mut obstacles = [
        Obstacle { at: [-0.6, 0.1], velocity: [0.0, -0.1], radius: 0.4 },
        Obstacle { at: [0.9, -1.2], velocity: [-0.05, 0.3], radius: 0.35 },
        Obstacle { at: [1.4, 1.6], velocity: [0.1, -0.25], radius: 0.3 },
    ];
    let mut robot = Robot::at_rest([-2.2, 0.0]);
    let features = Features { warm: Some(5), ..Features::ALL };
    let (mut followed, mut age) = (None::<Plan>, 0);
    let (mut plans, mut evaluations, mut nearest) = (0, 0, f64::INFINITY);
    for tick in 0..TICKS {
        if age == EVERY || followed.is_none() {
            let seen = Observation::new(robot, GOAL, &obstacles)?;
            let mut told = [1.0; WIDTH + 1];
            told[..WIDTH].copy_from_slice(&seen.numbers());
            let denoiser = NetworkDenoiser::new(network, &told, scratch);
            let last = followed.as_ref().map(|last| (last, age));
            let made = plan(denoiser, &seen, last, &features, tick as u64, cycle, || false)?;
            (plans, evaluations, age) = (plans + 1, evaluations + made.evaluations, 0);
            followed = Some(made);
        }
        if let Some(plan) = &followed {
            robot.go(plan.next(age).unwrap_or_else(|| robot.braking()));
            age += 1;
        }
        for obstacle in &mut obstacles {
            obstacle.step();
            nearest = obstacle.clearance(robot.position).min(nearest);
        }
        let [x, y] = robot.position;
        writeln!(out, "sample navigate {tick} {x} {y}")?;
    }
    let mm = |metres: f64| (1000.0 * metres) as i32;
    let left = mm(length(less(GOAL, robot.position)));
    writeln!(out, "run navigate {plans} {evaluations} {} {left}", mm(nearest))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_reached_and_nothing_touched() {
        extern crate std;
        let mut lines = std::string::String::new();
        navigate(&mut Memory::new(), &mut lines).unwrap();
        let run = lines.lines().find(|line| line.starts_with("run ")).unwrap();
        let numbers: std::vec::Vec<i32> = run.split(' ').skip(2).map(|n| n.parse().unwrap()).collect();
        // A plan every four ticks, of five evaluations but for the first and those of a robot that hardly moves.
        assert!(numbers[0] == 25 && (130..=190).contains(&numbers[1]), "{run}");
        assert!(numbers[2] > 0 && numbers[3] < 150, "{run}");
    }
}
