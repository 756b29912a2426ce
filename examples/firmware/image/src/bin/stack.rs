//! How deep the stack of `ddim`'s run goes. An image of its own, as one that prints has panics and texts.

#![no_std]
#![no_main]

use picardy_firmware::ddim::{Memory, run};
use picardy_firmware::{Paint, entry};
use semihosting::{println, process};

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    let stack = Paint::new();
    let sampled = run(MEMORY);
    let deepest = stack.deepest();
    println!("stack ddim-stored {deepest}");
    process::exit(i32::from(sampled.is_none()))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
