//! The least: DDIM in sequence over a plan in flash. Its RAM is a state and an output, the sample, and the stack.
//!
//! The image says nothing; it ends well where the run did. tests/firmware.sh measures it, and `stack` how deep it goes.

#![no_std]
#![no_main]

use picardy_firmware::ddim::{Memory, run};
use picardy_firmware::entry;
use semihosting::process;

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    process::exit(i32::from(run(MEMORY).is_none()))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    process::exit(2)
}
