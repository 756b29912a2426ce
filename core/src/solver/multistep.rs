//! What the exponential multistep solvers share: log-SNRs, and orders at the two ends of a run.

use super::level_at;
use crate::{Grid, Level, PlanError, math};

/// DPM-Solver's lambda, half the log-SNR: `ln(a/s)`. Infinite at the two ends.
pub(super) fn lambda(level: &Level) -> f64 {
    math::ln(level.alpha) - math::ln(level.sigma)
}

/// The order of step `i`: `order`, but what the history allows at the start, and less at the end.
///
/// Without noise left, lambda is infinite and only order 1 has a limit. With `lower_order_final`, runs of fewer
/// than 15 steps end with orders 2 and 1, as public implementations do: extrapolation hurts where steps are large.
pub(super) fn order_at(grid: &Grid<'_>, i: usize, order: usize, lower_order_final: bool) -> usize {
    let (steps, levels) = (grid.steps(), grid.levels());
    let left = if lower_order_final && steps < 15 { steps - i } else { order };
    // A step that stands still has no polynomial.
    if level_at(levels, i + 1).sigma == 0.0 || level_at(levels, i + 1) == level_at(levels, i) {
        1
    } else {
        order.min(i + 1).min(left.max(1))
    }
}

/// Whether `order` is one of `1 ..= most`.
pub(super) fn check_order(order: usize, most: usize) -> Result<(), PlanError> {
    if (1..=most).contains(&order) { Ok(()) } else { Err(PlanError::Order { order, most }) }
}

/// `sum_(n > 0) z^n/(n + i)!`: the exponential integrals less their first terms, `phi_i(z)` less `1/i!`,
/// `i = 1, 2, 3`. By the series where the closed form would cancel.
pub(super) fn tail(z: f64, i: usize) -> f64 {
    if z.abs() > 0.5 {
        let (mut value, mut factorial) = (math::expm1(z) / z - 1.0, 1.0);
        for k in 2..=i {
            factorial *= k as f64;
            value = value / z - 1.0 / factorial;
        }
        return value;
    }
    let mut term = (1..=i).fold(1.0, |term, k| term / k as f64);
    let mut sum = 0.0;
    for n in 1..=14 {
        term *= z / (n + i) as f64;
        sum += term;
    }
    sum
}

/// `1 - (1 - e^-h)/h`: the weight of a slope in the data form, `h/2` for small `h`.
pub(super) fn phi2(h: f64) -> f64 {
    -tail(-h, 1)
}

/// `1/2 - (h - 1 + e^-h)/h^2`: that of a curvature, `h/6` for small `h`.
pub(super) fn phi3(h: f64) -> f64 {
    -tail(-h, 2)
}
