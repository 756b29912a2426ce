//! Mean and standard deviation of a file's columns, without overflow.

use std::path::Path;

use super::{DataError, Dataset};

/// Standardises `points`, row-major `[n, dim]`, all finite, by their own moments (population variance).
///
/// # Errors
///
/// [`DataError::Empty`], [`DataError::TooFewRows`], [`DataError::Constant`], [`DataError::TooWide`],
/// [`DataError::BeyondSingle`], [`DataError::BelowSingle`].
pub(super) fn standardise(path: &Path, points: &[f64], dim: usize) -> Result<Dataset, DataError> {
    if points.is_empty() || dim == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let rows = points.len() / dim;
    if rows < 2 {
        return Err(DataError::TooFewRows { path: path.into(), rows });
    }
    let (mut mean, mut scale) = (Vec::with_capacity(dim), Vec::with_capacity(dim));
    for index in 0..dim {
        let column = || points[index..].iter().step_by(dim).copied();
        let (min, max) = column().fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p), high.max(p)));
        let range = max - min;
        if !range.is_finite() {
            return Err(DataError::TooWide { path: path.into(), column: index + 1, min, max });
        }
        // In units of the range from the minimum, squares neither overflow nor vanish, whatever the column's size.
        let unit = |p: f64| (p - min) / range;
        let centre = column().map(unit).sum::<f64>() / rows as f64;
        let variance = column().map(|p| (unit(p) - centre).powi(2)).sum::<f64>() / rows as f64;
        let deviation = range * variance.sqrt();
        // A range of 0 gives NaN here, a subnormal one divides badly: neither is normal.
        if !deviation.is_normal() {
            return Err(DataError::Constant { path: path.into(), column: index + 1, value: min });
        }
        let (path, column, largest) = (path.into(), index + 1, min.abs().max(max.abs()));
        if largest > f64::from(f32::MAX) {
            return Err(DataError::BeyondSingle { path, column, min, max });
        }
        if deviation < f64::from(f32::MIN_POSITIVE).max(largest * f64::from(f32::EPSILON)) {
            return Err(DataError::BelowSingle { path, column, min, max, deviation });
        }
        mean.push(min + range * centre);
        scale.push(deviation);
    }
    Ok(Dataset::standardised(path.display().to_string(), points, mean, scale))
}
