//! Instructions per multiply-add of a dense layer and of a whole network, with f32, f16 and int8 weights.
//!
//! For QEMU's mps2-an386 with `-icount shift=6` alone: each instruction takes 64 ns of its time then, and the 25 MHz timer
//! counts 8 ticks in 5 of them. `tests/firmware_count.sh` runs it and checks the counts. A loop of known length is counted
//! first, to show that they are exact, and each network's output must be the host's to the bit.

#![no_std]
#![no_main]

use core::arch::asm;
use picardy::nn::{Aligned, Artifact, ModelError, ResidualMlp, linear};
use picardy_firmware::entry;
use semihosting::{eprintln, println, process};
use static_cell::ConstStaticCell;

include!(concat!(env!("OUT_DIR"), "/networks.rs"));

/// The board's first timer (CMSDK): its control, its value and what it starts from.
const TIMER: [usize; 3] = [0x4000_0000, 0x4000_0004, 0x4000_0008];
/// Inputs and outputs of the dense layer.
const WIDTH: usize = 128;

static SCRATCH: ConstStaticCell<[f32; 1024]> = ConstStaticCell::new([0.0; 1024]);
static WEIGHT: [f32; WIDTH * WIDTH] = [0.01; WIDTH * WIDTH];

#[entry]
fn main() -> ! {
    picardy_firmware::finish(run(SCRATCH.take()).map(|()| 0))
}

fn run(scratch: &mut [f32]) -> Result<(), ModelError> {
    let [control, _, reload] = TIMER;
    store(reload, u32::MAX);
    store(control, 1);
    println!("loop {} {}", 2 * 1_000, instructions(|| spin(1_000)) - instructions(|| spin(0)));
    println!("loop {} {}", 2 * 100_000, instructions(|| spin(100_000)) - instructions(|| spin(0)));

    let (x, bias, mut y) = ([0.3; WIDTH], [0.1; WIDTH], [0.0; WIDTH]);
    let mut result = Ok(());
    let count = instructions(|| result = linear(&x, &WEIGHT, &bias, &mut y));
    result?;
    println!("dense f32 {}", f64::from(count) / (WIDTH * WIDTH) as f64);

    for (name, bytes, x, want) in NETWORKS {
        let model = ResidualMlp::from_artifact(&Artifact::parse(&bytes.0)?)?;
        let mut out = [0.0; 2];
        let mut result = Ok(());
        let count = instructions(|| result = model.forward(&x, [500.0], &mut out, scratch));
        result?;
        println!("network {name} {}", f64::from(count) / f64::from(PRODUCTS));
        if out.map(f32::to_bits) != want {
            eprintln!("the {name} network gives {out:?}, the host {:?}", want.map(f32::from_bits));
            process::exit(1)
        }
    }
    Ok(())
}

/// Instructions of `work`, with the few of the call and of reading the timer.
fn instructions(work: impl FnOnce()) -> u32 {
    let [_, value, _] = TIMER;
    let before = load(value);
    work();
    let ticks = before.wrapping_sub(load(value));
    // 8 ticks of 40 ns are 5 instructions of 64 ns.
    (u64::from(ticks) * 5).div_ceil(8) as u32
}

/// Two instructions a turn, and four for none.
#[inline(never)]
#[allow(unsafe_code)]
fn spin(turns: u32) {
    // SAFETY: it counts a register down.
    unsafe {
        asm!(
            "cbz {n}, 3f",
            "2: subs {n}, {n}, #1",
            "bne 2b",
            "3:",
            n = inout(reg) turns => _,
            options(nomem, nostack)
        );
    }
}

#[allow(unsafe_code)]
fn store(address: usize, value: u32) {
    // SAFETY: the addresses are `TIMER`'s, registers of the one board that this image is for.
    unsafe { core::ptr::write_volatile(address as *mut u32, value) }
}

#[allow(unsafe_code)]
fn load(address: usize) -> u32 {
    // SAFETY: as in `store`.
    unsafe { core::ptr::read_volatile(address as *const u32) }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
