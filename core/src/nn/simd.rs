//! Wide vectors where the CPU has them, from plain code.
//!
//! The kernels of this module are loops over [`LANES`] independent lanes, which every compiler turns into vector
//! instructions. [`dispatch`] compiles a kernel twice where that pays: once for the build's target and, with the
//! `std` feature on x86-64, once for AVX2, chosen at run time. Both copies do the same operations in the same order,
//! so they give the same bits; fused multiply-add is left out for that reason.

use super::Scalar;

/// Independent partial sums of a reduction: one AVX2 register of `f32`, two of SSE or Neon.
pub const LANES: usize = 8;

/// A computation that [`dispatch`] can compile for several instruction sets.
///
/// `run` and everything hot that it calls should be `#[inline(always)]`, or it keeps the build's own target.
pub trait Kernel {
    /// What it gives back.
    type Output;
    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Runs the kernel with the widest vectors that this build may use on this CPU.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[inline]
#[allow(unsafe_code)]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    extern crate std;

    /// # Safety
    ///
    /// The CPU must have AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run()
    }

    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has just said that it has AVX2, which is all that the function asks for.
        unsafe { avx2(kernel) }
    } else {
        kernel.run()
    }
}

/// Runs the kernel with the widest vectors that this build may use on this CPU.
///
/// Never inlined: a kernel gets the registers to itself, and is there once.
#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
#[inline(never)]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// The one order in which partial sums are added up.
#[inline(always)]
pub(crate) fn reduce<T: Scalar>(a: [T; LANES]) -> T {
    let b = [a[0] + a[4], a[1] + a[5], a[2] + a[6], a[3] + a[7]];
    (b[0] + b[2]) + (b[1] + b[3])
}

/// `sum_i values[i]`, in lanes.
#[inline(always)]
pub fn sum<T: Scalar>(values: &[T]) -> T {
    let mut acc = [T::ZERO; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            acc[lane] += chunk[lane];
        }
    }
    let mut total = reduce(acc);
    for &value in tail {
        total += value;
    }
    total
}

/// `sum_i a[i] b[i]` over the shorter length, in lanes.
#[inline(always)]
pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut acc = [T::ZERO; LANES];
    let (ca, cb) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (ta, tb) = (ca.remainder(), cb.remainder());
    for (x, y) in ca.zip(cb) {
        for lane in 0..LANES {
            acc[lane] += x[lane] * y[lane];
        }
    }
    let mut total = reduce(acc);
    for (&x, &y) in ta.iter().zip(tb) {
        total += x * y;
    }
    total
}
