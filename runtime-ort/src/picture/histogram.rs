//! Pictures of numbers: how many lie where.

use std::path::Path;

use plotters::prelude::*;

use super::{PALETTE, PictureError, SIDE, label_style, write_png};

/// Draws the histogram of `values`, those that are finite, to the PNG file `path`.
///
/// The number of bins is the square root of the number of values, 8 to 100: enough to show modes.
///
/// # Errors
/// [`PictureError`]: no finite value, or the file cannot be written.
pub fn histogram(values: &[f32], path: &Path, title: &str) -> Result<(), PictureError> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let low = finite().fold(f32::INFINITY, f32::min);
    let high = finite().fold(f32::NEG_INFINITY, f32::max);
    let count = finite().count();
    if count == 0 {
        return Err(PictureError::Empty { title: title.to_owned(), points: values.len() });
    }
    // In f64, so that neither a huge nor a tiny range leaves the numbers.
    let (low, high) = (f64::from(low), f64::from(high));
    let margin = ((high - low) * 0.03).max(low.abs().max(high.abs()) * 1e-3).max(1e-6);
    let (low, high) = (low - margin, high + margin);
    let bins = (count as f64).sqrt().clamp(8.0, 100.0) as usize;
    let width = (high - low) / bins as f64;
    let mut heights = vec![0usize; bins];
    for value in finite() {
        let bin = ((f64::from(value) - low) / width) as usize;
        heights[bin.min(bins - 1)] += 1;
    }
    let top = heights.iter().copied().max().unwrap_or(1) as f64 * 1.06;
    write_png(path, (SIDE, SIDE * 5 / 8), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .caption(title, label_style(26))
            .x_label_area_size(34)
            .y_label_area_size(54)
            .build_cartesian_2d(low..high, 0.0..top)?;
        super::mesh(&mut chart)?;
        chart.draw_series(heights.iter().enumerate().map(|(i, &height)| {
            let left = low + i as f64 * width;
            Rectangle::new([(left, 0.0), (left + width, height as f64)], PALETTE[0].mix(0.75).filled())
        }))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_finite_values_are_drawn_and_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values.png");
        for values in [&[0.0f32][..], &[1.0, 1.0], &[f32::MIN, f32::MAX], &[f32::NAN, 1e-40], &[-2.0, 3.0]] {
            histogram(values, &path, "values").unwrap();
        }
        assert!(histogram(&[f32::NAN], &path, "none").is_err());
    }
}
