//! The least: DDIM in sequence over a plan in flash. Its RAM is a state and an output, and the sample.
//!
//! The image says nothing; it ends well where the run did. tests/firmware.sh measures it.

#![no_std]
#![no_main]

use core::hint::black_box;
use picardy::{Form, Noise, Plan, Reach, Sampler, Sequential, SliceFrames, Workspace};
use picardy_firmware::{Model, entry, plans};
use semihosting::process;

const DIM: usize = 64;

#[entry]
fn main() -> ! {
    static mut X: [f32; DIM] = [0.0; DIM];
    static mut ROWS: [f32; Sequential::rows(Reach::ONE_STEP, 1) * DIM] = [0.0; 2 * DIM];
    process::exit(i32::from(run(X, ROWS).is_none()))
}

fn run(x: &mut [f32], rows: &mut [f32]) -> Option<()> {
    let plan = Plan::new(&plans::DDIM, Form::Data).ok()?;
    let noise = Noise::seeded(black_box(7));
    plan.start(&noise, DIM, x);
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), &mut []);
    Sequential.run(&plan, &mut Model, &noise, x, &mut workspace).ok()?;
    black_box(x);
    Some(())
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    process::exit(2)
}
