//! The samplers and what makes their plans, and nothing else: schedule, DDIM, DPM-Solver++ 2M, sequential and Picard.
//!
//! The image says nothing; it ends well where the runs did. tests/firmware.sh measures it.

#![no_std]
#![no_main]

use core::hint::black_box;
use picardy::{
    Betas, Ddim, DpmSolverPp, Level, Mark, Node, Noise, Picard, Plan, Prediction, Sampler, Sequential,
    SliceFrames, Solver, Span, Workspace,
};
use picardy_firmware::{Model, entry};
use semihosting::process;

const STEPS: usize = 10;
const DIM: usize = 16;

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory {
        levels: [Level::EMPTY; STEPS + 1],
        nodes: [Node::EMPTY; STEPS + 1],
        x: [0.0; DIM],
        rows: [0.0; 128 * DIM],
        spans: [Span::EMPTY; 2],
        marks: [Mark::EMPTY; STEPS + 2],
    };
    process::exit(i32::from(run(MEMORY).is_none()))
}

struct Memory {
    levels: [Level; STEPS + 1],
    nodes: [Node; STEPS + 1],
    x: [f32; DIM],
    rows: [f32; 128 * DIM],
    spans: [Span; 2],
    marks: [Mark; STEPS + 2],
}

fn run(memory: &mut Memory) -> Option<()> {
    let Memory { levels, nodes, x, rows, spans, marks } = memory;
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), spans).with_marks(marks);
    let noise = Noise::seeded(black_box(7));
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(black_box(STEPS), levels).ok()?;
    let plan = Ddim { eta: 0.0 }.plan(&grid, Prediction::Epsilon, nodes).ok()?;
    sample(&Sequential, &plan, &noise, x, &mut workspace)?;
    let plan = DpmSolverPp::order2().plan(&grid, Prediction::Epsilon, nodes).ok()?;
    sample(&Sequential, &plan, &noise, x, &mut workspace)?;
    sample(&Picard::default(), &plan, &noise, x, &mut workspace)
}

fn sample(
    sampler: &impl Sampler,
    plan: &Plan<'_>,
    noise: &Noise<'_>,
    x: &mut [f32; DIM],
    workspace: &mut Workspace<'_, SliceFrames<'_, f32>>,
) -> Option<()> {
    plan.start(noise, DIM, x);
    sampler.run(plan, &mut Model, noise, x, workspace).ok()?;
    black_box(x);
    Some(())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    process::exit(2)
}
