//! A diffusion policy's plan, in static memory. (No part of the library: the samplers' images would link what it needs.)

use picardy::nn::{Step, Weights};
use picardy_firmware::Paint;
use picardy_firmware_shared::{Error, Policy, PolicyMemory, plan_actions};
use semihosting::println;

/// All the memory of a plan but levels, nodes and stack.
#[derive(Debug)]
pub(crate) struct Room<
    const STEPS: usize,
    const SCRATCH: usize,
    const OBSERVATION: usize,
    const STATES: usize,
> {
    program: [Step<Weights<'static>>; STEPS],
    scratch: [f32; SCRATCH],
    observation: [f32; OBSERVATION],
    states: [f32; STATES],
}

impl<const STEPS: usize, const SCRATCH: usize, const OBSERVATION: usize, const STATES: usize>
    Room<STEPS, SCRATCH, OBSERVATION, STATES>
{
    /// Nothing in it yet.
    pub(crate) fn new() -> Self {
        Self {
            program: [Step::default(); STEPS],
            scratch: [0.0; SCRATCH],
            observation: [0.0; OBSERVATION],
            states: [0.0; STATES],
        }
    }

    /// Plans, and prints `policy NAME PARAMETERS weights BYTES memory BYTES stack BYTES others N of M`: how many numbers have other bits
    /// than `want`, which it gives back.
    ///
    /// # Errors
    /// Weights that are not the policy's.
    pub(crate) fn run(
        &mut self,
        name: &str,
        policy: &Policy,
        weights: &'static [u8],
        parameters: usize,
        want: &[u32],
    ) -> Result<usize, Error> {
        let Self { program, scratch, observation, states } = self;
        let mut x = [0.0; 64];
        let x = x.get_mut(..policy.dim()).unwrap_or_default();
        let mut memory = PolicyMemory { program, scratch, observation, states };
        let stack = Paint::new();
        plan_actions(policy, weights, x, &mut memory)?;
        let stack = stack.deepest();
        let others = x.iter().zip(want).filter(|(x, want)| x.to_bits() != **want).count();
        println!(
            "policy {name} {parameters} weights {} memory {} stack {stack} others {others} of {}",
            weights.len(),
            size_of::<Self>(),
            want.len()
        );
        Ok(others)
    }
}
