//! The small tensor trait: rows of states, and the few things samplers do with them.

mod foreseen;
mod link;
mod reference;
mod slice;

pub use foreseen::Foreseen;
pub use link::{Link, MAX_CARRIES};
#[cfg(feature = "ndarray")]
pub use slice::LayoutError;
pub use slice::SliceFrames;

use crate::{Noise, Real};
use core::ops::Range;
use link::LINK_TERMS;

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

    /// Links in order: each `row <- sum_b carry_b before_b + sum_i weight_i row_i`, where `before_b` is the row that was written `b`
    /// links before the last one (none where the chain has not that many), and the terms are of no row that the chain writes. A
    /// device runs it as one lower-triangular product.
    fn chain(&mut self, links: impl Iterator<Item = Link>)
    where
        Self: Sized,
    {
        let mut before = [0; MAX_CARRIES];
        for (there, link) in links.enumerate() {
            let mut terms = [(0.0, 0); MAX_CARRIES + LINK_TERMS];
            let carried = link.carries().iter().copied().zip(before).take(there);
            let carried = carried.filter(|(carry, _)| *carry != 0.0);
            let mut len = 0;
            for (slot, term) in terms.iter_mut().zip(carried.chain(link.terms().iter().copied())) {
                *slot = term;
                len += 1;
            }
            self.combine(link.row, terms.get(..len).unwrap_or(&terms));
            before.rotate_right(1);
            if let Some(last) = before.first_mut() {
                *last = link.row;
            }
        }
    }

    /// Says, before a call of the network, what its answer will be made into and what [`secants`](Self::secants) will then be asked,
    /// in the order of the call's rows. A device can answer that in the run of the network itself, as long as nothing else is made of these
    /// rows; it need not.
    fn foresee(&mut self, answers: impl Iterator<Item = Foreseen>)
    where
        Self: Sized,
    {
        drop(answers);
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
