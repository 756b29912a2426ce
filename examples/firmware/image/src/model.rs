//! A network of no size, so that an image's size is the samplers'.

use core::convert::Infallible;
use core::hint::black_box;
use core::ops::Range;
use picardy::{Batch, Denoiser, HostTensor};

/// What the compiler cannot see through: a factor of the state, in place of a network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Model;

impl<F: HostTensor<Scalar = f32>> Denoiser<F> for Model {
    type Error = Infallible;

    fn evaluate(
        &mut self,
        _: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Infallible> {
        let (x, out) = frames.slices(x, out);
        network(x, out);
        Ok(())
    }
}

#[inline(never)]
fn network(x: &[f32], out: &mut [f32]) {
    for (x, out) in x.iter().zip(out) {
        *out = black_box(0.5) * x;
    }
}
