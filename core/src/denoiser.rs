//! What a sampler asks of a network: many rows in one call, each at its own level.

use crate::guard::Guard;
use crate::prediction::Readout;
use crate::{HostTensor, Level, Node, Tensor};
use core::ops::Range;

/// A rectangle of rows: some items, each at some nodes; with it a parallel sampler's account of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub(crate) first_item: usize,
    pub(crate) items: usize,
    /// The first open node.
    pub(crate) first_node: usize,
    /// One past the last node.
    pub(crate) end_node: usize,
    /// Of these nodes, every `stride`-th (counted from node 0) has rows; 0 counts as 1.
    pub(crate) stride: usize,
    /// A Picard run's account of the item: the nodes whose states are final,
    pub(crate) done: usize,
    /// one past the last node that did not move far,
    pub(crate) front: usize,
    /// the end of the last sweep, 0 before the first,
    pub(crate) swept: usize,
    /// and where the span that was evaluated last ended, and its stride.
    pub(crate) seen: usize,
    pub(crate) seen_stride: usize,
}

/// One row of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The item's place in the batch.
    pub item: usize,
    /// The plan's node.
    pub node: usize,
    /// The level of the row as it is shown to the network, with what the network is told
    /// ([`Level::t`]).
    pub level: Level,
    /// Whether the network gets what it is conditioned on (a class, a text, an observation), where it takes any:
    /// false only under [`Guided`](crate::Guided).
    pub conditional: bool,
}

/// Which rows a call has, in their order: all nodes of one item, then the next item's. A call under
/// [`Guided`](crate::Guided) has all of them twice: first without their condition, then with it.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    nodes: &'a [Node],
    spans: &'a [Span],
    /// Of the spans' rows, where those of this batch begin, and how many there are.
    once: (usize, usize),
    parts: &'static [bool],
    /// Of all parts' rows, where those of this batch begin, and how many there are.
    skip: usize,
    rows: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(nodes: &'a [Node], spans: &'a [Span]) -> Self {
        let rows_of = |span: &Span| span.items * span.nodes(nodes).count();
        let rows = spans.iter().map(rows_of).sum();
        Self { nodes, spans, once: (0, rows), parts: &[true], skip: 0, rows }
    }

    /// The same rows once for each part, which says whether they are conditional.
    pub(crate) const fn in_parts(&self, parts: &'static [bool]) -> Self {
        let once = self.rows / self.parts.len();
        // Of rows that are there once, a part's are as many; rows of several parts are all taken.
        let from = if self.parts.len() == 1 { self.once.0 + self.skip } else { self.once.0 };
        Self { parts, once: (from, once), skip: 0, rows: once * parts.len(), ..*self }
    }

    /// The rows `rows` of this batch (as many of them as there are), in the same order: what a call that is made in parts
    /// shows to each.
    ///
    /// ```
    /// use picardy::{Batch, denoiser};
    /// // A model that takes at most two rows at a time.
    /// let limited = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
    ///     for ((first, x), out) in (0..).step_by(2).zip(x.chunks(2)).zip(out.chunks_mut(2)) {
    ///         for ((row, x), out) in batch.part(first..first + 2).iter().zip(x).zip(out) {
    ///             *out = row.level.alpha as f32 * x;
    ///         }
    ///     }
    ///     Ok::<(), core::convert::Infallible>(())
    /// });
    /// ```
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        let (start, end) = (rows.start.min(self.rows), rows.end.min(self.rows));
        Self { skip: self.skip + start, rows: end.saturating_sub(start), ..*self }
    }

    /// The number of rows.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is nothing to evaluate.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row> + Clone + 'a {
        let (nodes, spans, (from, once)) = (self.nodes, self.spans, self.once);
        let part = move |conditional: bool| {
            spans.iter().flat_map(move |span| rows(nodes, span, conditional)).skip(from).take(once)
        };
        self.parts.iter().copied().flat_map(part).skip(self.skip).take(self.rows)
    }
}

/// The rows of one span.
fn rows<'a>(nodes: &'a [Node], span: &'a Span, conditional: bool) -> impl Iterator<Item = Row> + Clone + 'a {
    (0..span.items).flat_map(move |i| {
        span.nodes(nodes).map(move |(k, level, read)| {
            let Level { alpha, sigma, t } = level;
            let level = Level { alpha: read.input * alpha, sigma: read.input * sigma, t };
            Row { item: span.first_item + i, node: k, level, conditional }
        })
    })
}

impl Span {
    /// All zero, which is no rows: what a static array of spans begins as, at no cost in flash.
    pub const EMPTY: Self = Self {
        first_item: 0,
        items: 0,
        first_node: 0,
        end_node: 0,
        stride: 0,
        done: 0,
        front: 0,
        swept: 0,
        seen: 0,
        seen_stride: 0,
    };

    /// The nodes that have rows.
    fn nodes<'a>(&self, nodes: &'a [Node]) -> impl Iterator<Item = (usize, Level, Readout)> + Clone + 'a {
        let (first, stride) = (self.first_node, self.stride.max(1));
        let skip = first.next_multiple_of(stride) - first;
        let nodes =
            nodes.get(first..self.end_node).unwrap_or(&[]).iter().enumerate().skip(skip).step_by(stride);
        nodes.filter_map(move |(k, node)| node.evaluate.map(|read| (first + k, node.level, read)))
    }
}

/// A network, or anything that stands in for one.
///
/// It is shown the rows `x` of `frames` (`batch.len()` of them), told each row's level, and writes the
/// network's raw output to the rows `out`; the plan knows how to read it. Rows must not influence each other,
/// or parallel and sequential runs would differ.
pub trait Denoiser<F: Tensor + ?Sized> {
    /// Why an evaluation failed. The run can go on: the same rows are asked for again.
    type Error;

    /// Evaluates all rows.
    ///
    /// # Errors
    /// The denoiser's own.
    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Self::Error>;

    /// What the estimates made of its outputs pass before they are used: see [`Guarded`](crate::guard::Guarded).
    fn guard(&mut self) -> Option<&mut dyn Guard<F>> {
        None
    }
}

impl<F: Tensor + ?Sized, D: Denoiser<F> + ?Sized> Denoiser<F> for &mut D {
    type Error = D::Error;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Self::Error> {
        (**self).evaluate(batch, frames, x, out)
    }

    fn guard(&mut self) -> Option<&mut dyn Guard<F>> {
        (**self).guard()
    }
}

/// A denoiser from a function of (rows, `x`, `out`), both `[batch.len(), dim]` row-major: see [`from_fn`].
#[derive(Clone, Copy, Debug)]
pub struct FnDenoiser<D>(D);

/// Makes a denoiser of a function on host memory.
///
/// ```
/// use picardy::{Batch, denoiser};
/// // The exact x0-prediction for unit Gaussian data.
/// let unit = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
///     let dim = x.len() / batch.len();
///     for ((row, x), out) in batch.iter().zip(x.chunks(dim)).zip(out.chunks_mut(dim)) {
///         for (x, out) in x.iter().zip(out) {
///             *out = row.level.alpha as f32 * x;
///         }
///     }
///     Ok::<(), core::convert::Infallible>(())
/// });
/// ```
pub fn from_fn<T, E, D>(function: D) -> FnDenoiser<D>
where
    D: FnMut(&Batch<'_>, &[T], &mut [T]) -> Result<(), E>,
{
    FnDenoiser(function)
}

impl<F, D, E> Denoiser<F> for FnDenoiser<D>
where
    F: HostTensor + ?Sized,
    D: FnMut(&Batch<'_>, &[F::Scalar], &mut [F::Scalar]) -> Result<(), E>,
{
    type Error = E;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), E> {
        let (x, out) = frames.slices(x, out);
        (self.0)(batch, x, out)
    }
}
