//! The links of a chain.

use crate::plan::{MAX_OUTPUTS, MAX_STATES};

/// The most rows that a [`Link`] goes back.
pub const MAX_CARRIES: usize = 8;

/// The most terms of a [`Link`]: each output of a step is made of four rows at most.
pub(super) const LINK_TERMS: usize = MAX_STATES + 4 * MAX_OUTPUTS + 1;

/// One row of a [`chain`](crate::Tensor::chain).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The row that it writes.
    pub row: usize,
    carries: [f64; MAX_CARRIES],
    terms: [(f64, usize); LINK_TERMS],
    len: usize,
}

impl Link {
    /// A link without terms.
    pub const fn new(row: usize) -> Self {
        Self { row, carries: [0.0; MAX_CARRIES], terms: [(0.0, 0); LINK_TERMS], len: 0 }
    }

    /// The same with so much more of the row that the chain wrote `back` links before; 0 is the link before. There is room for
    /// [`MAX_CARRIES`].
    #[must_use]
    pub fn carry(mut self, back: usize, weight: f64) -> Self {
        if let Some(carry) = self.carries.get_mut(back) {
            *carry += weight;
        }
        self
    }

    /// The same with so much more of another row; a weight of 0 is nothing. There is room for 19 rows.
    #[must_use]
    pub fn plus(mut self, weight: f64, row: usize) -> Self {
        if weight == 0.0 {
            return self;
        }
        if let Some(term) = self.terms.iter_mut().take(self.len).find(|term| term.1 == row) {
            term.0 += weight;
        } else if let Some(slot) = self.terms.get_mut(self.len) {
            *slot = (weight, row);
            self.len += 1;
        }
        self
    }

    /// The weights of the rows before, the last first.
    pub const fn carries(&self) -> &[f64; MAX_CARRIES] {
        &self.carries
    }

    /// The terms, (weight, row).
    pub fn terms(&self) -> &[(f64, usize)] {
        self.terms.get(..self.len).unwrap_or(&self.terms)
    }
}
