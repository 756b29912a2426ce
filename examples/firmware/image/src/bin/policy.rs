//! Plans of a small diffusion policy, DDIM in ten steps of a temporal U-Net, with f32 and int8 weights in flash: the bits must be the
//! host's, and the memory what was computed beforehand.

#![no_std]
#![no_main]

#[path = "../room.rs"]
mod room;

use picardy_firmware::entry;
use picardy_firmware_shared::{Error, Policy};
use static_cell::StaticCell;

include!(concat!(env!("OUT_DIR"), "/policies.rs"));

// What was computed on the host is what it takes here.
const _: () = assert!(size_of::<f32::Room>() == f32::RAM);
const _: () = assert!(size_of::<int8::Room>() == int8::RAM);

static F32: StaticCell<f32::Room> = StaticCell::new();
static INT8: StaticCell<int8::Room> = StaticCell::new();

#[entry]
fn main() -> ! {
    picardy_firmware::finish(run())
}

/// Gives back how many numbers have other bits than the host's.
fn run() -> Result<usize, Error> {
    Ok(F32.init_with(f32::Room::new).run("f32", &Policy::SMALL, &f32::FILE.0, f32::PARAMETERS, &f32::PLAN)?
        + INT8.init_with(int8::Room::new).run(
            "int8",
            &Policy::SMALL,
            &int8::FILE.0,
            int8::PARAMETERS,
            &int8::PLAN,
        )?)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
