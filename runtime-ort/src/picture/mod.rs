//! Pictures of samples and paths, as PNG files.
//!
//! The font is compiled in, so that labels appear on machines that have none. A file is written
//! under another name and moved, so that a failure leaves no half of a picture.

mod histogram;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Once,
};

use plotters::{
    coord::{
        Shift,
        ranged1d::{Ranged, ValueFormatter},
        types::RangedCoordf32,
    },
    prelude::*,
    style::{FontStyle, register_font},
};

pub use histogram::histogram;

/// The compiled-in font's name for plotters.
const FONT: &str = "picardy";

/// Pixels on a side.
const SIDE: u32 = 800;

/// The ink of the axes' labels and of the title.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x3a);

/// Colours that tell series apart, for the colour-blind too (after Okabe and Ito, darkened for thin lines).
pub const PALETTE: [RGBColor; 6] = [
    RGBColor(0x1f, 0x6f, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x8a, 0x66),
    RGBColor(0xb8, 0x4f, 0x8a),
    RGBColor(0xc0, 0x8a, 0x00),
    RGBColor(0x4a, 0xa3, 0xd9),
];

/// Why no picture was made.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// There is nothing that can be drawn.
    #[error("nothing to draw in `{title}`: {points} points, none of them finite")]
    Empty {
        /// The picture's title.
        title: String,
        /// The points given.
        points: usize,
    },
    /// The drawing failed.
    #[error("cannot draw `{}`: {said}", path.display())]
    Draw {
        /// The picture's file.
        path: PathBuf,
        /// What plotters said.
        said: String,
    },
    /// The file cannot be written.
    #[error("cannot write the picture `{}`: {source}", path.display())]
    Write {
        /// The picture's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is drawn in one colour.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// The legend's word; empty for none.
    pub label: &'a str,
    /// The points, [x, y] each. Those that are not finite are left out.
    pub points: &'a [[f32; 2]],
    /// Its colour.
    pub colour: RGBColor,
    /// Whether a line joins the points.
    pub joined: bool,
}

/// Draws a cloud of points, x and y to the same scale, to the PNG file `path`.
///
/// # Errors
/// [`PictureError`]: no finite point, or the file cannot be written.
pub fn scatter(points: &[[f32; 2]], path: &Path, title: &str) -> Result<(), PictureError> {
    let series = [Series { label: "", points, colour: PALETTE[0], joined: false }];
    draw(&series, path, title)
}

/// Draws several series over one another, x and y to the same scale, with a legend, to the PNG
/// file `path`.
///
/// # Errors
/// [`PictureError`]: no finite point, or the file cannot be written.
pub fn draw(series: &[Series<'_>], path: &Path, title: &str) -> Result<(), PictureError> {
    panels(&[(title, series)], path)
}

/// Draws panels side by side, each with its own title and series, and all to the same scale, so that
/// they compare at a glance. Four and more go into two rows.
///
/// # Errors
/// [`PictureError`]: a panel without a finite point, or the file cannot be written.
pub fn panels(panels: &[(&str, &[Series<'_>])], path: &Path) -> Result<(), PictureError> {
    let mut frame: Option<Frame> = None;
    for (title, series) in panels {
        let own = Frame::around(series).ok_or_else(|| PictureError::Empty {
            title: (*title).to_owned(),
            points: series.iter().map(|series| series.points.len()).sum(),
        })?;
        frame = Some(frame.map_or(own, |frame| frame.and(own)));
    }
    let Some(frame) = frame else {
        return Err(PictureError::Empty { title: String::new(), points: 0 });
    };
    let frame = frame.squared();
    let rows = if panels.len() > 3 { 2 } else { 1 };
    let columns = panels.len().div_ceil(rows);
    // Many panels on one page are drawn smaller.
    let side = if columns > 2 { SIDE * 3 / 4 } else { SIDE };
    let size = (side * columns as u32, side * rows as u32);
    write_png(path, size, |area| {
        for (area, (title, series)) in area.split_evenly((rows, columns)).iter().zip(panels) {
            panel(area, title, series, frame)?;
        }
        Ok(())
    })
}

/// A drawing's backend error, of whatever kind.
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws by `paint` into a PNG file of `size` pixels, which appears whole or not at all.
///
/// # Errors
/// [`PictureError`]: the drawing failed, or the file cannot be written.
pub fn write_png(
    path: &Path,
    size: (u32, u32),
    paint: impl FnOnce(&DrawingArea<BitMapBackend<'_>, Shift>) -> Drawn,
) -> Result<(), PictureError> {
    use_font();
    let write = |source| PictureError::Write { path: path.to_path_buf(), source };
    let draw = |said: String| PictureError::Draw { path: path.to_path_buf(), said };
    let temporary = crate::output::temporary(path, ".picture-", ".png").map_err(write)?;
    {
        let area = BitMapBackend::new(temporary.path(), size).into_drawing_area();
        area.fill(&WHITE).map_err(|error| draw(error.to_string()))?;
        paint(&area).map_err(|error| draw(error.to_string()))?;
        area.present().map_err(|error| draw(error.to_string()))?;
    }
    crate::output::keep(temporary, path).map_err(write)
}

/// Gives plotters the compiled-in font, once in a process.
fn use_font() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // It fails only for bytes that are no font; then labels are missing and the picture stands.
        let _ = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
}

/// The font at a height in pixels, in the ink of labels.
#[must_use]
pub fn label_style(height: u32) -> TextStyle<'static> {
    use_font();
    (FONT, height).into_font().color(&INK)
}

fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    series: &[Series<'_>],
    frame: Frame,
) -> Drawn
where
    B::ErrorType: 'static,
{
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(title, label_style(26))
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(frame.x.0..frame.x.1, frame.y.0..frame.y.1)?;
    mesh(&mut chart)?;
    for series in series {
        one_series(&mut chart, series)?;
    }
    if series.iter().any(|series| !series.label.is_empty()) {
        legend(&mut chart)?;
    }
    Ok(())
}

/// Draws the labels of a chart's series, in its upper right corner.
///
/// # Errors
/// What the drawing's backend fails with.
pub fn legend<'a, B: DrawingBackend + 'a, C: CoordTranslate>(chart: &mut ChartContext<'a, B, C>) -> Drawn
where
    B::ErrorType: 'static,
{
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(0xd0, 0xd0, 0xd8))
        .label_font(label_style(17))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    Ok(())
}

/// The grid and the axes that all pictures have.
fn mesh<B: DrawingBackend, X, Y>(chart: &mut ChartContext<'_, B, Cartesian2d<X, Y>>) -> Drawn
where
    B::ErrorType: 'static,
    X: Ranged<ValueType: std::fmt::Debug> + ValueFormatter<X::ValueType>,
    Y: Ranged<ValueType: std::fmt::Debug> + ValueFormatter<Y::ValueType>,
{
    chart
        .configure_mesh()
        .x_labels(8)
        .y_labels(8)
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xe6, 0xe6, 0xea))
        .axis_style(RGBColor(0xb0, 0xb0, 0xb8))
        .label_style(label_style(17))
        .draw()?;
    Ok(())
}

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf32, RangedCoordf32>>;

fn one_series<B: DrawingBackend>(chart: &mut Chart<'_, B>, series: &Series<'_>) -> Drawn
where
    B::ErrorType: 'static,
{
    let colour = series.colour;
    let finite =
        || series.points.iter().filter(|point| point.iter().all(|v| v.is_finite())).map(|&[x, y]| (x, y));
    if series.joined {
        chart.draw_series(LineSeries::new(finite(), colour.mix(0.8).stroke_width(2)))?;
    }
    // A large cloud needs small and pale points to show its density.
    let (size, strength) = match series.points.len() {
        0..=300 => (4, 0.75),
        301..=3000 => (3, 0.55),
        _ => (2, 0.35),
    };
    let drawn =
        chart.draw_series(finite().map(|point| Circle::new(point, size, colour.mix(strength).filled())))?;
    if !series.label.is_empty() {
        drawn.label(series.label).legend(move |(x, y)| Circle::new((x + 8, y), 5, colour.filled()));
    }
    Ok(())
}

/// The ranges of x and y.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame {
    x: (f32, f32),
    y: (f32, f32),
}

impl Frame {
    /// The smallest frame around the finite points; `None` without one.
    fn around(series: &[Series<'_>]) -> Option<Self> {
        series
            .iter()
            .flat_map(|series| series.points)
            .filter(|point| point.iter().all(|v| v.is_finite()))
            .map(|&[x, y]| Self { x: (x, x), y: (y, y) })
            .reduce(Self::and)
    }

    fn and(self, other: Self) -> Self {
        let join = |a: (f32, f32), b: (f32, f32)| (a.0.min(b.0), a.1.max(b.1));
        Self { x: join(self.x, other.x), y: join(self.y, other.y) }
    }

    /// A square frame with a margin, so that x and y have the same scale in a square panel.
    fn squared(self) -> Self {
        // Halved before they are added, so that huge values do not pass f32's range.
        let middle = |(a, b): (f32, f32)| a / 2.0 + b / 2.0;
        let half = |(a, b): (f32, f32)| b / 2.0 - a / 2.0;
        let (x, y) = (middle(self.x), middle(self.y));
        let radius = half(self.x).max(half(self.y)) * 1.06;
        // One point, or many in one place, still need a frame that is wider than f32's rounding.
        let radius = radius.max((x.abs().max(y.abs()) * 1e-3).max(1e-3));
        let around = |c: f32| ((c - radius).max(f32::MIN), (c + radius).min(f32::MAX));
        Self { x: around(x), y: around(y) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_written_whole_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.png");
        let points: Vec<[f32; 2]> =
            (0..500).map(|i| [(i as f32).sin() * 3.0, (i as f32 * 0.7).cos()]).collect();
        scatter(&points, &path, "points").unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[1..4], b"PNG");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.png");
        scatter(&[[f32::NAN, 0.0], [1.0, 2.0]], &path, "one").unwrap();
        let error = scatter(&[[f32::NAN, 0.0]], &path, "none").unwrap_err();
        assert!(error.to_string().contains("none of them finite"), "{error}");
        assert!(scatter(&[], &path, "empty").is_err());
    }

    #[test]
    fn extreme_values_are_drawn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.png");
        for points in [
            [[f32::MAX, f32::MIN], [f32::MIN, f32::MAX]],
            [[1e-30, 0.0], [-1e-30, 1e-38]],
            [[1e20, 1e20], [1e20, 1e20]],
        ] {
            scatter(&points, &path, "extreme").unwrap();
        }
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let path = Path::new("/nowhere/at/all/points.png");
        let message = scatter(&[[0.0, 0.0]], path, "t").unwrap_err().to_string();
        assert!(message.contains("/nowhere/at/all/points.png"), "{message}");
    }
}
