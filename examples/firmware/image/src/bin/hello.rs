//! The least that runs: a line over semihosting.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use semihosting::{eprintln, println, process};

#[entry]
fn main() -> ! {
    println!("hello from a Cortex-M4F");
    process::exit(0)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(1)
}
