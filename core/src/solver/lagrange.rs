//! Exact integrals of Lagrange polynomials: what linear multistep coefficients are.

use crate::math;

/// The most nodes of a polynomial: its degree is at most 3.
pub(super) const MAX: usize = 4;

/// `integral over [from, to] of L_j(u) du`, `L_j` the polynomial that is 1 at `at[j]` and 0 at the other nodes.
///
/// By Gauss's rule of two points, which is exact up to degree 3.
pub(super) fn integral(at: &[f64], j: usize, from: f64, to: f64) -> f64 {
    let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
    let offset = half / math::sqrt(3.0);
    half * (value(at, j, middle - offset) + value(at, j, middle + offset))
}

fn value(at: &[f64], j: usize, u: f64) -> f64 {
    let Some(here) = at.get(j) else { return 0.0 };
    let others = at.iter().enumerate().filter(|(l, _)| *l != j);
    others.fold(1.0, |product, (_, other)| product * (u - other) / (here - other))
}
