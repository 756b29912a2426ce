//! The links of a chain.

/// The most terms of a [`Link`].
pub(super) const LINK_TERMS: usize = 6;

/// One row of a [`chain`](crate::Tensor::chain).
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
