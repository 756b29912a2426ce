//! Anderson mixing of paths, triangular (ParaTAA, arXiv 2402.09970).
//!
//! A round makes of the path `X` the path `X + R`. From the last rounds' differences `dX_i`, `dR_i` (`i = 1 ..= h`), with
//! sums over the open nodes up to `k` only, so that no node is moved by what is less noisy,
//!
//! ```text
//! gamma = (B + 1e-3 tr B I)^-1 d,    B_il = sum_{j <= k} <dR_i, dR_l>_j,    d_i = sum_{j <= k} <dR_i, R>_j
//! x_k <- x_k + R_k - sum_i gamma_i (dX_i + dR_i)_k
//! ```

use super::MAX_ANDERSON;
use super::rows::Rows;
use crate::Tensor;
use crate::sampler::small;
use core::ops::RangeInclusive;

/// Of the trace, on the diagonal.
const RIDGE: f64 = 1e-3;

/// The mixing of one item in one round. Rounds are kept in `history + 1` slots, in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixing {
    pub(super) rows: Rows,
    pub(super) item: usize,
    pub(super) history: usize,
    pub(super) round: usize,
}

impl Mixing {
    /// The slot of the round `back` before this one.
    fn slot(&self, back: usize) -> usize {
        (self.round + back * self.history) % self.history.saturating_add(1)
    }

    fn path(&self, back: usize, node: usize) -> usize {
        self.rows.path(self.item, self.slot(back), node)
    }

    fn change(&self, back: usize, node: usize) -> usize {
        self.rows.change(self.item, self.slot(back), node)
    }

    /// Keeps the path that a sweep begins with.
    pub(super) fn remember<F: Tensor>(&self, frames: &mut F, nodes: RangeInclusive<usize>) {
        for k in nodes {
            frames.combine(self.path(0, k), &[(1.0, self.rows.state(self.item, k))]);
        }
    }

    /// Mixes the path that the sweep has left, from `nodes` on. States after `known` are in their first sweep.
    pub(super) fn mix<F: Tensor>(
        &self,
        frames: &mut F,
        swept: RangeInclusive<usize>,
        from: usize,
        known: usize,
    ) {
        let mut gram = [[0.0; MAX_ANDERSON]; MAX_ANDERSON];
        let mut rhs = [0.0; MAX_ANDERSON];
        for k in swept {
            let (state, change) = (self.rows.state(self.item, k), self.change(0, k));
            frames.combine(change, &[(1.0, state), (-1.0, self.path(0, k))]);
            if k > known {
                // No history: no difference.
                for back in 1..=self.history {
                    frames.combine(self.path(back, k), &[(1.0, self.path(0, k))]);
                    frames.combine(self.change(back, k), &[(1.0, change)]);
                }
            }
            if k < from {
                continue;
            }
            let residual = |i: usize| (self.change(i, k), self.change(i + 1, k));
            for (i, (row, rhs)) in gram.iter_mut().zip(&mut rhs).enumerate().take(self.history) {
                for (l, entry) in row.iter_mut().enumerate().take(i + 1) {
                    *entry += frames.dot(residual(i), residual(l));
                }
                *rhs += frames.dot(residual(i), (state, self.path(0, k)));
            }
            let trace: f64 = gram.iter().enumerate().filter_map(|(i, row)| row.get(i)).sum();
            let (mut lower, mut gamma) = (gram, rhs);
            if !small::solve(&mut lower, &mut gamma, self.history, RIDGE * trace) {
                continue;
            }
            for (i, gamma) in gamma.iter().enumerate().take(self.history) {
                frames.extrapolate(state, state, -gamma, self.path(i, k), self.path(i + 1, k));
                frames.extrapolate(state, state, -gamma, self.change(i, k), self.change(i + 1, k));
            }
        }
    }
}
