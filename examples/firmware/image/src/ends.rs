//! How an image ends: with a code that QEMU gives on.

use core::fmt::Display;
use core::panic::PanicInfo;
use semihosting::{eprintln, process};

/// Ends with 0, or 1 where numbers have other bits than the host's, or after an error, which it prints.
pub fn finish<E: Display>(others: Result<usize, E>) -> ! {
    match others {
        Ok(others) => process::exit(i32::from(others > 0)),
        Err(error) => {
            eprintln!("error: {error}");
            process::exit(1)
        }
    }
}

/// Ends with 2, and prints where. For images that may link what prints numbers; the others' handlers end alone.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(2)
}
