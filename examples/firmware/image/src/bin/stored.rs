//! The samplers alone, over plans that were computed on the host: sequential and Picard.
//!
//! The image says nothing; it ends well where the runs did. tests/firmware.sh measures it.

#![no_std]
#![no_main]

use core::hint::black_box;
use picardy::{Form, Mark, Node, Noise, Picard, Plan, Sampler, Sequential, SliceFrames, Span, Workspace};
use picardy_firmware::{Model, entry, plans};
use semihosting::process;

const DIM: usize = 16;
const NODES: usize = 11;

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory {
        x: [0.0; DIM],
        rows: [0.0; 128 * DIM],
        spans: [Span::EMPTY; 2],
        marks: [Mark::EMPTY; NODES + 1],
    };
    process::exit(i32::from(run(MEMORY).is_none()))
}

struct Memory {
    x: [f32; DIM],
    rows: [f32; 128 * DIM],
    spans: [Span; 2],
    marks: [Mark; NODES + 1],
}

fn run(memory: &mut Memory) -> Option<()> {
    let Memory { x, rows, spans, marks } = memory;
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), spans).with_marks(marks);
    sample(&Sequential, &plans::DDIM, x, &mut workspace)?;
    sample(&Sequential, &plans::DPM_SOLVER_PP, x, &mut workspace)?;
    sample(&Picard::default(), &plans::DPM_SOLVER_PP, x, &mut workspace)
}

fn sample(
    sampler: &impl Sampler,
    nodes: &[Node],
    x: &mut [f32; DIM],
    workspace: &mut Workspace<'_, SliceFrames<'_, f32>>,
) -> Option<()> {
    let plan = Plan::new(nodes, Form::Data).ok()?;
    let noise = Noise::seeded(black_box(7));
    plan.start(&noise, DIM, x);
    sampler.run(&plan, &mut Model, &noise, x, workspace).ok()?;
    black_box(x);
    Some(())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    process::exit(2)
}
