//! The small tensor trait: rows of states, and the few things samplers do with them.

use crate::{Noise, Real};
use core::ops::Range;

/// A matrix of rows, each one state or one output: all that a sampler knows of memory.
///
/// Everything samplers do is affine in rows, or an inner product of differences of rows. So a device
/// implementation may record calls and run them as one triangular product when a number is asked for
/// ([`dot`](Tensor::dot)) or the network is called.
///
/// Samplers check [`rows`](Tensor::rows) before they start. An implementation must not panic all the same:
/// a row that is not there reads as nothing and keeps nothing.
pub trait Tensor {
    /// An element.
    type Scalar: Real;
    /// The number of rows.
    fn rows(&self) -> usize;

    /// The numbers in a row.
    fn dim(&self) -> usize;

    /// A run begins: nothing that rows hold is used any more. Samplers say so before their first [`load`](Self::load), and a
    /// tensor that can fail forgets what failed.
    fn begin(&mut self) {}

    /// Copies values into a row.
    fn load(&mut self, row: usize, values: &[Self::Scalar]);

    /// Copies a row out.
    fn store(&mut self, row: usize, values: &mut [Self::Scalar]);

    /// `dst <- sum_i weight_i row_i`, summed in the order given; `dst` may be among the rows.
    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]);

    /// `dst <- base + weight (a - b)`; `dst` may be any of them.
    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize);

    /// `dst <- dst + weight z`, `z` the unit noise of `item` at `node`.
    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize);

    /// `<a.0 - a.1, b.0 - b.1>`; NaN or infinite where an element is.
    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64;

    /// `<dx, dx>`, `<dx, dm>` and `<dm, dm>` of `dx = x.0 - x.1` and `dm = m.0 - m.1`: what a secant slope is made of.
    fn secant(&mut self, x: (usize, usize), m: (usize, usize)) -> [f64; 3] {
        [self.dot(x, x), self.dot(x, m), self.dot(m, m)]
    }

    /// Whether all elements of a row are finite.
    fn is_finite(&mut self, row: usize) -> bool;

    /// Many [`dot`](Self::dot)s: `answer` is told the place in `asks` and the product. A device answers all in one trip.
    fn dots(&mut self, asks: impl Iterator<Item = [(usize, usize); 2]>, mut answer: impl FnMut(usize, f64))
    where
        Self: Sized,
    {
        for (place, [a, b]) in asks.enumerate() {
            answer(place, self.dot(a, b));
        }
    }

    /// Many [`dot`](Self::dot)s of one difference with itself: `answer` is told the place in `asks` and the product. A device
    /// answers all in one trip.
    fn squares(&mut self, asks: impl Iterator<Item = (usize, usize)>, mut answer: impl FnMut(usize, f64))
    where
        Self: Sized,
    {
        for (place, ask) in asks.enumerate() {
            answer(place, self.dot(ask, ask));
        }
    }

    /// Many [`secant`](Self::secant)s: `answer` is told the place in `asks` and the products. Where a row of `finite` is not
    /// finite, it is told nothing, and the first such row is returned. A device answers all in one trip.
    fn secants(
        &mut self,
        mut finite: Range<usize>,
        asks: impl Iterator<Item = [(usize, usize); 2]>,
        mut answer: impl FnMut(usize, [f64; 3]),
    ) -> Option<usize>
    where
        Self: Sized,
    {
        let spoilt = finite.find(|row| !self.is_finite(*row));
        if spoilt.is_none() {
            for (place, [x, m]) in asks.enumerate() {
                answer(place, self.secant(x, m));
            }
        }
        spoilt
    }

    /// Whether [`chain`](Self::chain) is more to this tensor than one [`combine`](Self::combine) after the other. Samplers then
    /// prefer it, and are the sequential run to rounding, not to the bit.
    fn has_chains(&self) -> bool {
        false
    }

    /// Links in order: each `row <- carry before + sum_i weight_i row_i`, where `before` is the row of the link before it
    /// (`from` for the first), and the terms are of no row that the chain writes. A device runs it as one lower-triangular product.
    fn chain(&mut self, from: usize, links: impl Iterator<Item = Link>)
    where
        Self: Sized,
    {
        let mut before = from;
        for link in links {
            let mut terms = [(0.0, 0); 1 + LINK_TERMS];
            let all = core::iter::once((link.carry, before)).chain(link.terms().iter().copied());
            let mut len = 0;
            for (slot, term) in terms.iter_mut().zip(all) {
                *slot = term;
                len += 1;
            }
            self.combine(link.row, terms.get(..len).unwrap_or(&terms));
            before = link.row;
        }
    }
}

impl<T: Tensor> Tensor for &mut T {
    type Scalar = T::Scalar;

    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn begin(&mut self) {
        (**self).begin();
    }

    fn load(&mut self, row: usize, values: &[Self::Scalar]) {
        (**self).load(row, values);
    }

    fn store(&mut self, row: usize, values: &mut [Self::Scalar]) {
        (**self).store(row, values);
    }

    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]) {
        (**self).combine(dst, terms);
    }

    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize) {
        (**self).extrapolate(dst, base, weight, a, b);
    }

    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize) {
        (**self).add_noise(dst, weight, noise, item, node);
    }

    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64 {
        (**self).dot(a, b)
    }

    fn secant(&mut self, x: (usize, usize), m: (usize, usize)) -> [f64; 3] {
        (**self).secant(x, m)
    }

    fn is_finite(&mut self, row: usize) -> bool {
        (**self).is_finite(row)
    }

    fn dots(&mut self, asks: impl Iterator<Item = [(usize, usize); 2]>, answer: impl FnMut(usize, f64)) {
        (**self).dots(asks, answer);
    }

    fn squares(&mut self, asks: impl Iterator<Item = (usize, usize)>, answer: impl FnMut(usize, f64)) {
        (**self).squares(asks, answer);
    }

    fn secants(
        &mut self,
        finite: Range<usize>,
        asks: impl Iterator<Item = [(usize, usize); 2]>,
        answer: impl FnMut(usize, [f64; 3]),
    ) -> Option<usize> {
        (**self).secants(finite, asks, answer)
    }

    fn has_chains(&self) -> bool {
        (**self).has_chains()
    }

    fn chain(&mut self, from: usize, links: impl Iterator<Item = Link>) {
        (**self).chain(from, links);
    }
}

/// The most terms of a [`Link`].
const LINK_TERMS: usize = 6;

/// One row of a [`chain`](Tensor::chain).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// The row that it writes.
    pub row: usize,
    /// The weight of the row before.
    pub carry: f64,
    terms: [(f64, usize); LINK_TERMS],
    len: usize,
}

impl Link {
    /// A link without other terms.
    pub const fn new(row: usize, carry: f64) -> Self {
        Self { row, carry, terms: [(0.0, 0); LINK_TERMS], len: 0 }
    }

    /// The same with one more term, weight and row; a weight of 0 is none. There is room for six.
    #[must_use]
    pub fn plus(mut self, weight: f64, row: usize) -> Self {
        if let (Some(slot), true) = (self.terms.get_mut(self.len), weight != 0.0) {
            *slot = (weight, row);
            self.len += 1;
        }
        self
    }

    /// The terms, (weight, row).
    pub fn terms(&self) -> &[(f64, usize)] {
        self.terms.get(..self.len).unwrap_or(&self.terms)
    }
}

/// Frames in host memory, row-major: what most denoisers work on.
pub trait HostTensor: Tensor {
    /// The rows `x` to read and the rows `out` to write; both empty where the ranges overlap.
    fn slices(&mut self, x: Range<usize>, out: Range<usize>) -> (&[Self::Scalar], &mut [Self::Scalar]);

    /// The numbers of one row; none where the row is not there.
    fn row_mut(&mut self, row: usize) -> &mut [Self::Scalar] {
        let after = row.saturating_add(1);
        self.slices(after..after, row..after).1
    }
}

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
        let inside = |range: &Range<usize>| range.end <= self.memory.len();
        let [from, to] = [row, dst].map(|row| self.range(row..row.saturating_add(1)).filter(inside));
        if let (Some(from), Some(to)) = (from, to) {
            self.memory.copy_within(from, to.start);
        }
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
            to.copy_from_slice(values);
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
/// before the target is written, so that the target may be one of the rows.
const CHUNK: usize = 32;

/// Partial sums of an inner product.
const LANES: usize = 8;

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
        for (to, from) in self.numbers(row).iter_mut().zip(values) {
            *to = *from;
        }
    }

    fn store(&mut self, row: usize, values: &mut [T]) {
        for (to, from) in values.iter_mut().zip(self.row(row)) {
            *to = *from;
        }
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
