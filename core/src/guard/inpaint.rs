//! Entries that are known.

use super::{Guard, GuardError};
use crate::{HostTensor, Real, Row};

/// Known entries of the data, in data coordinates:
///
/// ```text
/// x0 <- x0 + w (value - x0),    w = 1 known (exactly the value), w = 0 free, between them blended
/// ```
///
/// For inpainting, for a start and a goal, for actions that are already executed; weights between 0 and 1 for the soft
/// overlap of real-time chunking (arXiv 2506.07339).
///
/// ```
/// use picardy::guard::Inpaint;
/// // The first of three actions is known, the second half.
/// let inpaint = Inpaint::new(&[1.0, 0.5, 0.0], &[0.3f32, 0.2, 0.0])?;
/// # let _ = inpaint;
/// # Ok::<(), picardy::guard::GuardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inpaint<'a, T> {
    mask: &'a [T],
    values: &'a [T],
}

impl<'a, T: Real> Inpaint<'a, T> {
    /// Weights and values, both `[dim]` for all items, or both `[batch, dim]` row-major, one state for each.
    ///
    /// # Errors
    /// Different lengths, weights outside [0, 1], values that count and are not finite.
    pub fn new(mask: &'a [T], values: &'a [T]) -> Result<Self, GuardError> {
        if mask.len() != values.len() || mask.is_empty() {
            return Err(GuardError::Mask { mask: mask.len(), values: values.len() });
        }
        for (index, (weight, value)) in mask.iter().zip(values).enumerate() {
            if !(*weight >= T::ZERO && *weight <= T::ONE) {
                return Err(GuardError::Weight { index, weight: weight.to_f64() });
            }
            if *weight > T::ZERO && !value.is_finite() {
                return Err(GuardError::Value { index });
            }
        }
        Ok(Self { mask, values })
    }

    /// The weights and the values of one item of `dim` numbers, for tensors of other memory.
    ///
    /// # Errors
    /// [`GuardError::Length`] where there are none.
    pub fn of_item(&self, item: usize, dim: usize) -> Result<(&'a [T], &'a [T]), GuardError> {
        let len = self.values.len();
        let from = if len == dim { 0 } else { item.saturating_mul(dim) };
        let (to, whole) = (from.saturating_add(dim), len.checked_rem(dim) == Some(0));
        match (whole, self.mask.get(from..to), self.values.get(from..to)) {
            (true, Some(mask), Some(values)) => Ok((mask, values)),
            _ => Err(GuardError::Length { values: len, dim, item }),
        }
    }
}

impl<F: HostTensor + ?Sized> Guard<F> for Inpaint<'_, F::Scalar> {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        let (mask, values) = self.of_item(at.item, frames.dim())?;
        for ((x, weight), value) in frames.row_mut(row).iter_mut().zip(mask).zip(values) {
            if *weight == F::Scalar::ONE {
                *x = *value;
            } else if *weight > F::Scalar::ZERO {
                *x += *weight * (*value - *x);
            }
        }
        Ok(())
    }

    fn keeps_finite(&self) -> bool {
        true
    }
}
