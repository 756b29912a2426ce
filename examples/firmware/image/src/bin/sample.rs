//! Samples on a Cortex-M4F, or a RISC-V without an FPU, from an artifact in flash, in sequence and in parallel over time, without a heap.
//!
//! Prints digests of what must be the same bits on every target, the samples, and how deep the stack went.

#![no_std]
#![no_main]

use core::fmt::Write;
use picardy_firmware::{Output, Paint, entry};
use picardy_firmware_shared::{
    Buffers, DIM, Error, ITEMS, Kind, sample, write_digests, write_horizons, write_samples,
};
use static_cell::ConstStaticCell;

/// Not on the stack, whose depth is measured.
static BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());

#[entry]
fn main() -> ! {
    picardy_firmware::finish(run(BUFFERS.take(), &mut Output).map(|()| 0))
}

fn run(buffers: &mut Buffers, out: &mut Output) -> Result<(), Error> {
    write_digests(out)?;
    write_horizons(out)?;
    for kind in Kind::ALL {
        let mut x = [0.0; ITEMS * DIM];
        let stack = Paint::new();
        let report = sample(kind, &mut x, buffers)?;
        let deepest = stack.deepest();
        write_samples(kind, &x, &report, out)?;
        writeln!(out, "stack {} {deepest}", kind.name())?;
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
