//! What a panic does in the static library: it traps.
//!
//! This border has no indexing and no unwrap; a build has checks that panic nevertheless: the bounds of kernels and solvers,
//! which index slices whose lengths were compared before, and those in functions of `core` (chunks of 0, floats to and from
//! text). No input is known that reaches one; tests/fuzz looks for such.

use core::panic::PanicInfo;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        // SAFETY: the instruction ends the program here, and touches nothing.
        unsafe {
            core::arch::asm!("ud2", options(noreturn, nomem, nostack))
        };
        #[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
        // SAFETY: the instruction ends the program here, and touches nothing.
        unsafe {
            core::arch::asm!("udf #0", options(noreturn, nomem, nostack))
        };
        #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
        // SAFETY: the instruction ends the program here, and touches nothing.
        unsafe {
            core::arch::asm!("unimp", options(noreturn, nomem, nostack))
        };
    }
}
