//! Patches of a value as rows to multiply with.

use super::program::{Padding, Shape};
use super::{Kernel, Scalar, dispatch};

/// How a convolution reads a value.
#[derive(Debug, Clone, Copy)]
pub struct Patches {
    /// The value's shape.
    pub shape: Shape,
    /// Height and width of a patch.
    pub kernel: [usize; 2],
    /// Places from a patch to the next.
    pub stride: usize,
    /// Zeros around the value.
    pub padding: Padding,
    /// Patches in a row.
    pub columns: usize,
}

impl Patches {
    /// Numbers of a patch.
    pub const fn len(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1]).saturating_mul(self.shape.channels)
    }

    /// Whether a patch has none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether patches are the value's own places, in their order.
    pub const fn are_places(&self) -> bool {
        let Padding { top, bottom, left, right } = self.padding;
        matches!(self.kernel, [1, 1]) && self.stride == 1 && top | bottom | left | right == 0
    }

    /// The patches from `first` on of one item x, as many as `rows` `[n, patch]` takes.
    pub fn gather<T: Scalar>(&self, x: &[T], first: usize, rows: &mut [T]) {
        dispatch(Gather { patches: *self, x, first, rows });
    }

    /// The reverse: adds the patches' numbers to those places of x that they come from.
    pub fn scatter<T: Scalar>(&self, rows: &[T], first: usize, x: &mut [T]) {
        dispatch(Scatter { patches: *self, rows, first, x });
    }

    /// For each row of a patch, where its part in the patch begins, where that lies in x, and its length in numbers; the
    /// rest of the patch is zeros.
    #[inline(always)]
    pub fn runs(self, patch: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let Shape { height, width, channels } = self.shape;
        let columns = self.columns.max(1);
        let (row, column) = (patch / columns * self.stride, patch % columns * self.stride);
        let (left, top) = (usize::from(self.padding.left), usize::from(self.padding.top));
        // In padded places: the patch's part that lies in the value.
        let from = column.max(left);
        let to = (column + self.kernel[1]).min(left + width);
        (0..self.kernel[0]).filter_map(move |k| {
            let y = (row + k).checked_sub(top).filter(|&y| y < height)?;
            let at = (k * self.kernel[1] + from.saturating_sub(column)) * channels;
            Some((at, (y * width + from.saturating_sub(left)) * channels, to.saturating_sub(from) * channels))
        })
    }
}

struct Gather<'a, T> {
    patches: Patches,
    x: &'a [T],
    first: usize,
    rows: &'a mut [T],
}

impl<T: Scalar> Kernel for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { patches, x, first, rows } = self;
        let inside = patches.kernel[0] * patches.kernel[1] * patches.shape.channels;
        for (patch, row) in (first..).zip(rows.chunks_exact_mut(inside.max(1))) {
            let mut written = 0;
            for (at, from, len) in patches.runs(patch) {
                if let (Some(to), Some(part)) = (row.get_mut(at..at + len), x.get(from..from + len)) {
                    to.copy_from_slice(part);
                }
                row.get_mut(written..at).unwrap_or_default().fill(T::ZERO);
                written = at + len;
            }
            row.get_mut(written..).unwrap_or_default().fill(T::ZERO);
        }
    }
}

struct Scatter<'a, T> {
    patches: Patches,
    rows: &'a [T],
    first: usize,
    x: &'a mut [T],
}

impl<T: Scalar> Kernel for Scatter<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { patches, rows, first, x } = self;
        for (patch, row) in (first..).zip(rows.chunks_exact(patches.len().max(1))) {
            for (at, to, len) in patches.runs(patch) {
                if let (Some(part), Some(to)) = (row.get(at..at + len), x.get_mut(to..to + len)) {
                    to.iter_mut().zip(part).for_each(|(to, &part)| *to += part);
                }
            }
        }
    }
}
