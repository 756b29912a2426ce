//! Frames in host memory.

use super::{HostTensor, Tensor};
use crate::{Noise, Real};
use core::ops::Range;

/// Frames in host memory: row-major over a slice that the caller owns.
///
/// ```
/// use picardy::{SliceFrames, Tensor};
/// let mut memory = [0.0f32; 6];
/// let mut frames = SliceFrames::new(&mut memory, 2);
/// frames.load(0, &[1.0, 2.0]);
/// frames.combine(2, &[(3.0, 0), (1.0, 1)]);
/// assert_eq!(memory[4..], [3.0, 6.0]);
/// ```
#[derive(Debug)]
pub struct SliceFrames<'a, T> {
    memory: &'a mut [T],
    dim: usize,
}

impl<'a, T: Real> SliceFrames<'a, T> {
    /// Rows of `dim` numbers: as many as fit.
    pub fn new(memory: &'a mut [T], dim: usize) -> Self {
        Self { memory, dim }
    }

    /// Where rows lie; `None` past what a slice can hold.
    fn range(&self, rows: Range<usize>) -> Option<Range<usize>> {
        Some(rows.start.checked_mul(self.dim)?..rows.end.checked_mul(self.dim)?)
    }

    fn row(&self, row: usize) -> &[T] {
        self.range(row..row.saturating_add(1)).and_then(|range| self.memory.get(range)).unwrap_or(&[])
    }

    fn copy(&mut self, dst: usize, row: usize) {
        // The same row twice is no two rows, and stays as it is.
        let (from, to) = self.slices(row..row.saturating_add(1), dst..dst.saturating_add(1));
        set(to, from);
    }

    /// Where elements `at .. at + width` of a row lie.
    fn part(&self, row: usize, at: usize, width: usize) -> Option<Range<usize>> {
        let start = row.checked_mul(self.dim)?.checked_add(at)?;
        Some(start..start.checked_add(width)?)
    }

    fn chunk(&self, row: usize, at: usize, width: usize) -> &[T] {
        self.part(row, at, width).and_then(|part| self.memory.get(part)).unwrap_or(&[])
    }

    fn set_chunk(&mut self, row: usize, at: usize, values: &[T]) {
        if let Some(to) = self.part(row, at, values.len()).and_then(|part| self.memory.get_mut(part)) {
            set(to, values);
        }
    }

    /// Fills a row in chunks: `fill` is given where a chunk begins, and zeros to add to.
    #[inline(always)]
    fn in_chunks(&mut self, dst: usize, fill: impl Fn(&Self, usize, &mut [T])) {
        let mut at = 0;
        while at < self.dim {
            let mut sum = [T::ZERO; CHUNK];
            let width = CHUNK.min(self.dim - at);
            if let Some(sum) = sum.get_mut(..width) {
                fill(self, at, sum);
                self.set_chunk(dst, at, sum);
            }
            at += width;
        }
    }

    /// Fills a short row, which is one small chunk: `fill` is given zeros to add to.
    #[inline(always)]
    fn in_one(&mut self, dst: usize, fill: impl Fn(&Self, &mut [T; SMALL])) {
        let mut sum = [T::ZERO; SMALL];
        fill(self, &mut sum);
        for (to, from) in self.numbers(dst).iter_mut().zip(sum) {
            *to = from;
        }
    }

    fn numbers(&mut self, row: usize) -> &mut [T] {
        self.range(row..row.saturating_add(1)).and_then(|range| self.memory.get_mut(range)).unwrap_or(&mut [])
    }
}

/// Rows of at most so many numbers are worked on as one.
const SMALL: usize = 8;

/// Elements worked on at a time: they stay in registers or the first cache, and sums over rows are taken
/// before the target is written, so that the target may be one of the rows. A microcontroller has little stack.
const CHUNK: usize = if cfg!(cortex_m) { 16 } else { 32 };

/// Partial sums of an inner product.
const LANES: usize = 8;

/// Copies as much as there is of both. (`copy_from_slice` panics where that is not the same.)
#[inline(always)]
fn set<T: Real>(to: &mut [T], from: &[T]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The sum of the partial sums, of which a short row has used only the first.
fn total<T: Real>(sums: [T; LANES], dim: usize) -> f64 {
    sums.iter().take(dim).map(|sum| sum.to_f64()).sum()
}

impl<T: Real> Tensor for SliceFrames<'_, T> {
    type Scalar = T;
    fn rows(&self) -> usize {
        self.memory.len().checked_div(self.dim).unwrap_or(0)
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn load(&mut self, row: usize, values: &[T]) {
        set(self.numbers(row), values);
    }

    fn store(&mut self, row: usize, values: &mut [T]) {
        set(values, self.row(row));
    }

    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]) {
        if self.dim <= SMALL {
            return self.in_one(dst, |frames, sum| {
                for &(weight, row) in terms {
                    let weight = T::from_f64(weight);
                    for (s, x) in sum.iter_mut().zip(frames.row(row)) {
                        *s += weight * *x;
                    }
                }
            });
        }
        if let [(1.0, row)] = *terms {
            return self.copy(dst, row);
        }
        self.in_chunks(dst, |frames, at, sum| {
            for &(weight, row) in terms {
                let (weight, values) = (T::from_f64(weight), frames.chunk(row, at, sum.len()));
                for (s, x) in sum.iter_mut().zip(values) {
                    *s += weight * *x;
                }
            }
        });
    }

    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize) {
        let weight = T::from_f64(weight);
        if self.dim <= SMALL {
            return self.in_one(dst, |frames, sum| {
                let rows = frames.row(base).iter().zip(frames.row(a)).zip(frames.row(b));
                for (s, ((base, a), b)) in sum.iter_mut().zip(rows) {
                    *s = *base + weight * (*a - *b);
                }
            });
        }
        self.in_chunks(dst, |frames, at, sum| {
            let [base, a, b] = [base, a, b].map(|row| frames.chunk(row, at, sum.len()));
            for (((s, base), a), b) in sum.iter_mut().zip(base).zip(a).zip(b) {
                *s = *base + weight * (*a - *b);
            }
        });
    }

    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize) {
        noise.zip(item, node, self.numbers(dst), |x, z| *x += T::from_f64(weight * z));
    }

    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64 {
        let [a0, a1, b0, b1] = [a.0, a.1, b.0, b.1].map(|row| self.row(row));
        // Eight partial sums: shorter chains for the adder, smaller errors in f32.
        let mut sums = [T::ZERO; LANES];
        let chunks = a0.chunks(LANES).zip(a1.chunks(LANES)).zip(b0.chunks(LANES)).zip(b1.chunks(LANES));
        for (((a0, a1), b0), b1) in chunks {
            let lanes = a0.iter().zip(a1).zip(b0).zip(b1);
            for (sum, (((a0, a1), b0), b1)) in sums.iter_mut().zip(lanes) {
                *sum += (*a0 - *a1) * (*b0 - *b1);
            }
        }
        total(sums, self.dim)
    }

    fn secant(&mut self, x: (usize, usize), m: (usize, usize)) -> [f64; 3] {
        let [x0, x1, m0, m1] = [x.0, x.1, m.0, m.1].map(|row| self.row(row));
        let mut sums = [[T::ZERO; LANES]; 3];
        let [xx, xm, mm] = &mut sums;
        let chunks = x0.chunks(LANES).zip(x1.chunks(LANES)).zip(m0.chunks(LANES)).zip(m1.chunks(LANES));
        for (((x0, x1), m0), m1) in chunks {
            let lanes = x0.iter().zip(x1).zip(m0).zip(m1);
            let sums = xx.iter_mut().zip(xm.iter_mut()).zip(mm.iter_mut());
            for (((xx, xm), mm), (((x0, x1), m0), m1)) in sums.zip(lanes) {
                let (dx, dm) = (*x0 - *x1, *m0 - *m1);
                *xx += dx * dx;
                *xm += dx * dm;
                *mm += dm * dm;
            }
        }
        sums.map(|sums| total(sums, self.dim))
    }

    fn is_finite(&mut self, row: usize) -> bool {
        self.row(row).iter().all(|x| x.is_finite())
    }
}

impl<T: Real> HostTensor for SliceFrames<'_, T> {
    fn row_mut(&mut self, row: usize) -> &mut [T] {
        self.numbers(row)
    }

    fn slices(&mut self, x: Range<usize>, out: Range<usize>) -> (&[T], &mut [T]) {
        let apart = x.end <= out.start || out.end <= x.start;
        let (Some(x), Some(out), true) = (self.range(x), self.range(out), apart) else {
            return (&[], &mut []);
        };
        // The one that lies behind begins the upper part.
        let behind = x.start < out.start;
        let split = if behind { out.start } else { x.start };
        let Some((low, high)) = self.memory.split_at_mut_checked(split) else { return (&[], &mut []) };
        let moved = |range: Range<usize>| range.start - split..range.end - split;
        if behind {
            (low.get(x).unwrap_or(&[]), high.get_mut(moved(out)).unwrap_or(&mut []))
        } else {
            (high.get(moved(x)).unwrap_or(&[]), low.get_mut(out).unwrap_or(&mut []))
        }
    }
}

/// Frames over an `ndarray` view `[rows, dim]`, without a copy.
///
/// ```
/// use ndarray::Array2;
/// use picardy::{SliceFrames, Tensor};
/// let mut states = Array2::<f32>::zeros((3, 2));
/// let mut frames = SliceFrames::try_from(states.view_mut())?;
/// frames.load(1, &[1.0, 2.0]);
/// assert_eq!(states[[1, 1]], 2.0);
/// # Ok::<(), picardy::LayoutError>(())
/// ```
#[cfg(feature = "ndarray")]
impl<'a, T: Real> TryFrom<ndarray::ArrayViewMut2<'a, T>> for SliceFrames<'a, T> {
    type Error = LayoutError;

    fn try_from(view: ndarray::ArrayViewMut2<'a, T>) -> Result<Self, LayoutError> {
        let dim = view.ncols();
        view.into_slice().map(|memory| Self::new(memory, dim)).ok_or(LayoutError)
    }
}

/// An array whose rows do not lie one behind the other.
#[cfg(feature = "ndarray")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutError;

#[cfg(feature = "ndarray")]
impl core::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the array is not in row-major (standard) layout; copy it with as_standard_layout()")
    }
}

#[cfg(feature = "ndarray")]
impl core::error::Error for LayoutError {}
