//! The memory of an estimate: the caller's.

#[cfg(feature = "alloc")]
use crate::SliceFrames;
use crate::{HostTensor, Node};

/// Frames and nodes for calls of the network; nothing is kept between estimates.
///
/// A call of `n` rows takes `2 n` rows of frames (states and outputs) and `n` nodes; several items in one call share the nodes. Where
/// not all evaluations fit, there are several calls, and the result is the same.
///
/// ```
/// use picardy::{Node, SliceFrames, likelihood::Buffers};
/// let (mut memory, mut nodes) = ([0.0f32; 2 * 32 * 3], [Node::default(); 32]);
/// let buffers = Buffers::new(SliceFrames::new(&mut memory, 3), &mut nodes); // 32 rows of 3 numbers a call
/// # let _ = buffers;
/// ```
#[derive(Debug)]
pub struct Buffers<'w, F> {
    pub(super) frames: F,
    pub(super) nodes: &'w mut [Node],
}

impl<'w, F: HostTensor> Buffers<'w, F> {
    /// Over any frames in host memory, and nodes of any content.
    pub const fn new(frames: F, nodes: &'w mut [Node]) -> Self {
        Self { frames, nodes }
    }
}

/// The buffers' memory on the heap: grows to what a call needs and is reused by the next.
///
/// ```
/// let mut memory = picardy::likelihood::LikelihoodMemory::<f32>::new();
/// let buffers = memory.buffers(256, 2); // 256 rows of 2 numbers a call
/// # let _ = buffers;
/// ```
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default)]
pub struct LikelihoodMemory<T> {
    numbers: alloc::vec::Vec<T>,
    nodes: alloc::vec::Vec<Node>,
}

#[cfg(feature = "alloc")]
impl<T: crate::Real> LikelihoodMemory<T> {
    /// No memory yet.
    pub const fn new() -> Self {
        Self { numbers: alloc::vec::Vec::new(), nodes: alloc::vec::Vec::new() }
    }

    /// Buffers for calls of so many rows of `dim` numbers. Allocates only to grow.
    pub fn buffers(&mut self, rows: usize, dim: usize) -> Buffers<'_, SliceFrames<'_, T>> {
        let numbers = rows.saturating_mul(2).saturating_mul(dim);
        self.numbers.resize(numbers, T::ZERO);
        self.nodes.resize(rows, Node::default());
        Buffers::new(SliceFrames::new(&mut self.numbers, dim), &mut self.nodes)
    }
}
