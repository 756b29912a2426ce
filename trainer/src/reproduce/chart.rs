//! Lines with their spreads.

use super::spread::Spread;
use picardy_ort::picture::{PALETTE, label_style, legend, write_png};
use plotters::prelude::*;
use std::path::Path;

/// A line of a chart: its name, and (x, y, spread of y).
pub(super) type Line = (String, Vec<(f64, Spread)>);

/// Draws lines with their spreads to the PNG file `path`; y from 0.
pub(super) fn chart(
    path: &Path,
    title: &str,
    x_label: &str,
    y_label: &str,
    lines: &[Line],
) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let right = points().map(|(x, _)| *x).fold(0.0, f64::max).max(1e-9) * 1.04;
    let top = points().map(|(_, y)| y.mean + y.spread).fold(0.0, f64::max).max(1e-9) * 1.08;
    write_png(path, (800, 560), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .caption(title, label_style(24))
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(-0.02 * right..right, 0.0..top)?;
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(y_label)
            .label_style(label_style(17))
            .axis_desc_style(label_style(18))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (index, (name, points)) in lines.iter().enumerate() {
            let colour = PALETTE[index % PALETTE.len()];
            let line = points.iter().map(|(x, y)| (*x, y.mean));
            chart
                .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
                .label(name.as_str())
                .legend(move |(x, y)| Rectangle::new([(x, y - 3), (x + 14, y + 3)], colour.filled()));
            chart.draw_series(points.iter().map(|(x, y)| {
                let ends = vec![(*x, (y.mean - y.spread).max(0.0)), (*x, y.mean + y.spread)];
                PathElement::new(ends, colour.stroke_width(1))
            }))?;
            chart.draw_series(points.iter().map(|(x, y)| Circle::new((*x, y.mean), 4, colour.filled())))?;
        }
        legend(&mut chart)
    })?;
    Ok(())
}
