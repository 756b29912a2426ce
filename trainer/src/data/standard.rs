//! Mean and standard deviation of a file's columns, without overflow.

use std::path::Path;

use super::{DataError, Dataset, Scaling};

/// A column's range and moments.
struct Column {
    min: f64,
    max: f64,
    mean: f64,
    /// 0 where the column is constant, or varies by a subnormal number.
    deviation: f64,
}

/// Standardises `points`, row-major `[n, dim]`, all finite, by their own moments (population variance).
///
/// # Errors
///
/// [`DataError::Empty`], [`DataError::TooFewRows`], [`DataError::Constant`], [`DataError::AllConstant`],
/// [`DataError::TooWide`], [`DataError::BeyondSingle`], [`DataError::BelowSingle`].
pub(super) fn standardise(
    path: &Path,
    points: &[f64],
    dim: usize,
    scaling: Scaling,
) -> Result<Dataset, DataError> {
    if points.is_empty() || dim == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let rows = points.len() / dim;
    if rows < 2 {
        return Err(DataError::TooFewRows { path: path.into(), rows });
    }
    let columns: Vec<Column> = (0..dim).map(|index| column(&points[index..], dim, rows)).collect();
    for (index, &Column { min, max, .. }) in columns.iter().enumerate() {
        if !(max - min).is_finite() {
            return Err(DataError::TooWide { path: path.into(), column: index + 1, min, max });
        }
    }
    let deviations: Vec<f64> = columns.iter().map(|column| column.deviation).collect();
    let scale = scaling.scales(&deviations);
    for (index, (&Column { min, max, .. }, &deviation)) in columns.iter().zip(&scale).enumerate() {
        let (path, column, largest) = (path.into(), index + 1, min.abs().max(max.abs()));
        if !deviation.is_normal() {
            return Err(match scaling {
                Scaling::PerColumn => DataError::Constant { path, column, value: min },
                Scaling::Overall => DataError::AllConstant { path },
            });
        }
        if largest > f64::from(f32::MAX) {
            return Err(DataError::BeyondSingle { path, column, min, max });
        }
        if deviation < f64::from(f32::MIN_POSITIVE).max(largest * f64::from(f32::EPSILON)) {
            return Err(DataError::BelowSingle { path, column, min, max, deviation });
        }
    }
    let mean = columns.iter().map(|column| column.mean).collect();
    Ok(Dataset::standardised(path.display().to_string(), points, mean, scale))
}

/// The column that begins `points`, of which every `dim`th number belongs to it.
fn column(points: &[f64], dim: usize, rows: usize) -> Column {
    let column = || points.iter().step_by(dim).copied();
    let (min, max) = column().fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p), high.max(p)));
    let range = max - min;
    if !range.is_normal() {
        // There is nothing to divide by: a range of 0, or one that divides badly.
        return Column { min, max, mean: min, deviation: 0.0 };
    }
    // In units of the range from the minimum, squares neither overflow nor vanish, whatever the column's size.
    let unit = |p: f64| (p - min) / range;
    let centre = column().map(unit).sum::<f64>() / rows as f64;
    let variance = column().map(|p| (unit(p) - centre).powi(2)).sum::<f64>() / rows as f64;
    Column { min, max, mean: min + range * centre, deviation: range * variance.sqrt() }
}
