//! Networks and layers of odd sizes, with f32, f16 and int8 weights: the bits of their outputs must be the host's.

#![no_std]
#![no_main]

use picardy::nn::{Aligned, Artifact, ModelError, ResidualMlp, linear};
use picardy_firmware::entry;
use semihosting::println;
use static_cell::ConstStaticCell;

include!(concat!(env!("OUT_DIR"), "/odd.rs"));

static SCRATCH: ConstStaticCell<[f32; 1024]> = ConstStaticCell::new([0.0; 1024]);

#[entry]
fn main() -> ! {
    picardy_firmware::finish(run(SCRATCH.take()))
}

/// Gives back how many outputs have other bits.
fn run(scratch: &mut [f32]) -> Result<usize, ModelError> {
    let (mut numbers, mut others) = (0, 0);
    let mut y = [0.0; 128];
    for (name, bytes, x, want) in NETWORKS {
        let model = ResidualMlp::from_artifact(&Artifact::parse(&bytes.0)?)?;
        let y = &mut y[..x.len()];
        model.forward(x, [500.0; 2], y, scratch)?;
        let other = count_others(y, want);
        println!("network {name} {} {} {other} of {}", model.dim(), model.width(), y.len());
        numbers += y.len();
        others += other;
    }
    for (x, weight, bias, want) in LAYERS {
        let y = &mut y[..want.len()];
        linear(x, weight, bias, y)?;
        let other = count_others(y, want);
        println!("layer f32 {} {} {other} of {}", weight.len() / bias.len(), bias.len(), y.len());
        numbers += y.len();
        others += other;
    }
    println!("others {others} of {numbers}");
    Ok(others)
}

fn count_others(y: &[f32], want: &[u32]) -> usize {
    y.iter().zip(want).filter(|(y, want)| y.to_bits() != **want).count()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    picardy_firmware::panicked(info)
}
