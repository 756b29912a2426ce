//! The robot of the example `navigate` in a closed loop on a Cortex-M4F: the temporal U-Net in flash, guards and warm starts, no heap.
//!
//! Prints where the robot is at every tick, how deep the stack went, and how much static memory there is.

#![no_std]
#![no_main]

use core::fmt::Write;
use picardy_firmware::{Output, Paint, entry};
use picardy_firmware_shared::Error;
use picardy_firmware_shared::navigate::{Memory, navigate};
use static_cell::ConstStaticCell;

/// Not on the stack, whose depth is measured.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[entry]
fn main() -> ! {
    picardy_firmware::finish(run(MEMORY.take(), &mut Output).map(|()| 0))
}

fn run(memory: &mut Memory, out: &mut Output) -> Result<(), Error> {
    let stack = Paint::new();
    navigate(memory, out)?;
    writeln!(out, "stack navigate {}", stack.deepest())?;
    writeln!(out, "memory navigate {}", size_of::<Memory>())?;
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
