//! The backward passes of the networks' operations, over the caller's buffers.
//!
//! The forward passes are `picardy::nn`'s own functions, the ones that firmware runs; only a convolution's products go through
//! a library here, which is faster and rounds otherwise. Each backward pass is checked against central finite
//! differences in `f64`. Gradients of parameters are added to what their buffer holds, so that several losses can share one
//! step; gradients of inputs are written.

use picardy::nn::{Kernel, dispatch};

mod accumulate;
mod activation;
mod attention;
mod conv;
mod film;
mod gemm;
mod group_norm;
mod join;
mod layer_norm;
#[cfg(test)]
pub(crate) mod testing;

pub use accumulate::{accumulate, add_places, column_sums};
pub use activation::through_slope;
pub use attention::{Attention, AttentionBuffers};
pub use conv::Conv;
pub use film::{film, film_backward};
pub use gemm::{Element, View, gemm, gemm_strided, gemm_tall};
pub use group_norm::group_norm_backward;
pub use join::{downsample, join, split, upsample};
pub use layer_norm::layer_norm_backward;

/// Runs `work` with the widest vectors that the CPU has: for a loop or two, which is inlined. More is a [`Kernel`] of its own.
#[inline]
pub(crate) fn wide<R>(work: impl FnOnce() -> R) -> R {
    struct Wide<F>(F);
    impl<R, F: FnOnce() -> R> Kernel for Wide<F> {
        type Output = R;

        #[inline(always)]
        fn run(self) -> R {
            (self.0)()
        }
    }
    dispatch(Wide(work))
}
