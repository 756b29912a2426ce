//! The memory of a run: the caller's.

#[cfg(feature = "alloc")]
use crate::SliceFrames;
use crate::Tensor;
use crate::denoiser::Span;
use crate::sampler::picard::Mark;

/// How much memory a run takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Rows of `dim` numbers.
    pub rows: usize,
    /// [`Span`]s: none in sequential runs, one per item under Picard, two per item and block (and a few) under parareal.
    pub spans: usize,
    /// [`Mark`]s: one for each item and node of a Picard window, none in other runs.
    pub marks: usize,
}

impl Need {
    /// The numbers that the rows hold.
    pub const fn numbers(&self, dim: usize) -> usize {
        self.rows.saturating_mul(dim)
    }
}

/// Frames and spans for one run at a time; nothing is kept between runs.
#[derive(Debug)]
pub struct Workspace<'w, F> {
    pub(crate) frames: F,
    pub(crate) spans: &'w mut [Span],
    pub(crate) marks: &'w mut [Mark],
}

impl<'w, F: Tensor> Workspace<'w, F> {
    /// A workspace over any frames. A sequential run needs no spans.
    pub const fn new(frames: F, spans: &'w mut [Span]) -> Self {
        Self { frames, spans, marks: &mut [] }
    }

    /// The same with the marks that [`Picard`](crate::Picard) needs.
    #[must_use]
    pub fn with_marks(self, marks: &'w mut [Mark]) -> Self {
        Self { marks, ..self }
    }

    /// What it holds.
    pub fn size(&self) -> Need {
        Need { rows: self.frames.rows(), spans: self.spans.len(), marks: self.marks.len() }
    }

    /// The frames back.
    pub fn into_frames(self) -> F {
        self.frames
    }
}

/// A workspace's memory on the heap: grows to what a run needs and is reused by the next.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default)]
pub struct Memory<T> {
    numbers: alloc::vec::Vec<T>,
    spans: alloc::vec::Vec<Span>,
    marks: alloc::vec::Vec<Mark>,
}

#[cfg(feature = "alloc")]
impl<T: crate::Real> Memory<T> {
    /// No memory yet.
    pub const fn new() -> Self {
        Self { numbers: alloc::vec::Vec::new(), spans: alloc::vec::Vec::new(), marks: alloc::vec::Vec::new() }
    }

    /// A workspace of the size needed, for states of `dim` numbers. Allocates only to grow.
    pub fn workspace(&mut self, need: Need, dim: usize) -> Workspace<'_, SliceFrames<'_, T>> {
        if self.numbers.len() < need.numbers(dim) {
            self.numbers.resize(need.numbers(dim), T::ZERO);
        }
        if self.spans.len() < need.spans {
            self.spans.resize(need.spans, Span::default());
        }
        if self.marks.len() < need.marks {
            self.marks.resize(need.marks, Mark::default());
        }
        Workspace::new(SliceFrames::new(&mut self.numbers, dim), &mut self.spans).with_marks(&mut self.marks)
    }
}
