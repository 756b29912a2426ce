//! Rings over the nodes: rows that are used again when a window moves on.

/// The place of a node in a ring of `len` rows. One that never wraps divides nothing, and an empty one (there is none) leaves no
/// panic in an image.
#[inline(always)]
pub(super) const fn slot(node: usize, len: usize) -> usize {
    if node < len || len == 0 { node } else { node % len }
}
