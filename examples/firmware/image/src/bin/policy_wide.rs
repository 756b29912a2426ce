//! A plan of a diffusion policy of PyTorch's usual size (channels 64, 128, 256): int8 weights of 4.2 MB outside of the chip, everything else
//! in its memory. The bits must be the host's.

#![no_std]
#![no_main]

#[path = "../room.rs"]
mod room;

use picardy_firmware::entry;
use picardy_firmware_shared::{Error, Policy};
use static_cell::StaticCell;

include!(concat!(env!("OUT_DIR"), "/policy_wide.rs"));

// What was computed on the host is what it takes here.
const _: () = assert!(size_of::<int8::Room>() == int8::RAM);

static INT8: StaticCell<int8::Room> = StaticCell::new();

#[entry]
fn main() -> ! {
    picardy_firmware::finish(run())
}

/// Gives back how many numbers have other bits than the host's.
fn run() -> Result<usize, Error> {
    INT8.init_with(int8::Room::new).run("int8", &Policy::WIDE, &int8::FILE.0, int8::PARAMETERS, &int8::PLAN)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
