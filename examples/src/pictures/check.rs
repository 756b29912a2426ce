//! Refuses what cannot be drawn, and finds what is common in what can.

use anyhow::{Result, bail};

/// Refuses a number that is not finite; `what` says whose it is.
pub(super) fn finite(what: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, value)) => bail!("{what}: number {index} is {value}, which cannot be drawn"),
        None => Ok(()),
    }
}

/// The values at the fractions `q` of the sorted values, of which there must be one.
pub(super) fn quantiles<const N: usize>(values: impl IntoIterator<Item = f64>, q: [f64; N]) -> [f64; N] {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    q.map(|q| values[(q * last as f64).round() as usize])
}

/// A range around `low` and `high`, a `margin` of their distance wider on both sides and never empty.
pub(super) fn widened((low, high): (f64, f64), margin: f64) -> (f64, f64) {
    let room = ((high - low) * margin).max(low.abs().max(high.abs()) * 1e-3).max(1e-6);
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_number_is_named() {
        let message = finite("data", [1.0, f64::NAN, f64::INFINITY]).unwrap_err().to_string();
        assert!(message.contains("data: number 1 is NaN"), "{message}");
        assert!(finite("data", [1.0, -2.0]).is_ok());
    }

    #[test]
    fn quantiles_and_ranges() {
        assert_eq!(quantiles((0..101).rev().map(f64::from), [0.0, 0.25, 1.0]), [0.0, 25.0, 100.0]);
        assert_eq!(widened((0.0, 10.0), 0.1), (-1.0, 11.0));
        let (low, high) = widened((3.0, 3.0), 0.1);
        assert!(low < 3.0 && high > 3.0);
    }
}
