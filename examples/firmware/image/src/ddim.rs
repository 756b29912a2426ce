//! DDIM in sequence over a plan in flash: the least that a sampler needs.

use crate::{Model, plans};
use core::hint::black_box;
use picardy::{Form, Noise, Plan, Reach, Sampler, Sequential, SliceFrames, Workspace};

/// Dimension of the item.
pub const DIM: usize = 64;

/// The numbers of a run: all its static memory.
#[derive(Debug)]
pub struct Memory {
    x: [f32; DIM],
    /// A state and an output.
    rows: [f32; Sequential::rows(Reach::ONE_STEP, 1) * DIM],
}

impl Memory {
    /// Nothing in it yet.
    pub const fn new() -> Self {
        Self { x: [0.0; DIM], rows: [0.0; 2 * DIM] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Samples one item. Not inlined, so that its stack is the same in every image.
#[inline(never)]
pub fn run(Memory { x, rows }: &mut Memory) -> Option<()> {
    let plan = Plan::new(&plans::DDIM, Form::Data).ok()?;
    let noise = Noise::seeded(black_box(7));
    start(&plan, &noise, x);
    sample(&plan, &noise, x, rows)
}

/// Not inlined: the start's stack is free again when the sampler's begins.
#[inline(never)]
fn start(plan: &Plan<'_>, noise: &Noise<'_>, x: &mut [f32]) {
    plan.start(noise, DIM, x);
}

#[inline(never)]
fn sample(plan: &Plan<'_>, noise: &Noise<'_>, x: &mut [f32], rows: &mut [f32]) -> Option<()> {
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), &mut []);
    Sequential.run(plan, &mut Model, noise, x, &mut workspace).ok()?;
    black_box(x);
    Some(())
}
