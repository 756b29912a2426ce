//! What a panic does in the static library: it traps. The calls of this border have no known way to one.

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
