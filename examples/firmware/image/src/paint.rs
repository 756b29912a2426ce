//! How deep the stack goes.

use core::hint::black_box;
use core::ops::Range;
use core::ptr;

/// What free stack is painted with.
const COLOUR: u32 = 0xA5C3_5A3C;
/// How far below the caller it is painted, in bytes.
const REACH: usize = 128 * 1024;
/// What this module's own calls may take, in bytes: not painted.
const OWN: usize = 128;

/// The free stack, painted: what a call leaves of the paint tells how deep it went.
#[derive(Debug)]
pub struct Paint {
    top: usize,
    painted: Range<usize>,
}

impl Paint {
    /// Paints the free stack of the caller.
    #[inline(never)]
    pub fn new() -> Self {
        let here = 0u32;
        let top = ptr::from_ref(black_box(&here)) as usize;
        let painted = top.saturating_sub(REACH).max(stack_end())..top - OWN;
        for address in painted.clone().step_by(4) {
            write(address);
        }
        Self { top, painted }
    }

    /// The bytes between where [`new`](Self::new) was called and the lowest that was written since.
    #[inline(never)]
    pub fn deepest(&self) -> usize {
        let lowest = self.painted.clone().step_by(4).find(|address| read(*address) != COLOUR);
        self.top - lowest.unwrap_or(self.painted.end)
    }
}

impl Default for Paint {
    fn default() -> Self {
        Self::new()
    }
}

/// Where static memory ends: the lowest address that the stack may have.
#[allow(unsafe_code)]
fn stack_end() -> usize {
    unsafe extern "C" {
        #[cfg_attr(target_arch = "arm", link_name = "_stack_end")]
        #[cfg_attr(target_arch = "riscv32", link_name = "__eheap")]
        static STACK_END: u32;
    }
    // The linker script's: only its address means anything.
    (&raw const STACK_END) as usize
}

#[allow(unsafe_code)]
fn write(address: usize) {
    // SAFETY: the address lies between the end of static memory and the frame of the caller, which is still to be used: nothing
    // lives there. It is a word's, as both ends are.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(COLOUR) }
}

#[allow(unsafe_code)]
fn read(address: usize) -> u32 {
    // SAFETY: as in `write`, which has written it.
    unsafe { ptr::with_exposed_provenance::<u32>(address).read_volatile() }
}
