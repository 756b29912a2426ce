//! The caller's own rule.

use super::{Guard, GuardError};
use crate::{HostTensor, Row};

/// A guard from a function of (row, `x0` as `[dim]`): see [`from_fn`].
#[derive(Clone, Copy, Debug)]
pub struct FnGuard<P>(P);

/// Makes a guard of a function on host memory: a projection, a penalty's gradient step. What it leaves must be finite,
/// or the run ends with [`SampleError::NotFinite`](crate::SampleError::NotFinite).
///
/// ```
/// use picardy::{Row, guard};
/// // Out of the obstacle: a disc of radius 1/2 around the origin.
/// let around = guard::from_fn(|_: &Row, x0: &mut [f32]| {
///     let radius = (x0[0] * x0[0] + x0[1] * x0[1]).sqrt().max(1e-6);
///     let scale = (0.5 / radius).max(1.0);
///     x0.iter_mut().for_each(|x| *x *= scale);
/// });
/// # let _ = around;
/// ```
pub fn from_fn<T, P: FnMut(&Row, &mut [T])>(project: P) -> FnGuard<P> {
    FnGuard(project)
}

impl<F, P> Guard<F> for FnGuard<P>
where
    F: HostTensor + ?Sized,
    P: FnMut(&Row, &mut [F::Scalar]),
{
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        (self.0)(at, frames.row_mut(row));
        Ok(())
    }
}
