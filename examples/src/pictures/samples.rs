//! Clouds of points side by side, to one scale.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::style::RGBColor;

use super::{
    axes::{Axes, NAME, SMALL, TITLE},
    canvas::{BELOW, Canvas, Drawn, paint},
    check::{finite, quantiles, widened},
    colour::{INK, PALE_INK},
};

/// A panel's side.
const SIDE: f64 = 480.0;
/// Between panels.
const GAP: f64 = 28.0;
/// Left of a row of panels, for the numbers and the name of the axis.
const LEFT: f64 = 118.0;
/// Above a row, for the titles.
const ABOVE: f64 = 112.0;
/// Below a row, for the numbers and the name of the axis.
const UNDER: f64 = 108.0;
/// The most panels in a row.
const COLUMNS: usize = 5;

/// One cloud of points.
#[derive(Debug, Clone)]
pub struct Panel<'a> {
    /// What is seen, in a few words; a second line, after a newline, is written smaller.
    pub title: String,
    /// The points, [n, 2] in row-major order.
    pub points: &'a [f32],
    /// Their colour: [`DATA`](super::DATA), [`STANDARD`](super::STANDARD), [`CONTRASTIVE`](super::CONTRASTIVE).
    pub colour: RGBColor,
}

/// Draws the panels in a row (in more rows from six panels on), all to the same scale in x and in y,
/// to the PNG file `path`.
///
/// The scale fits all but the outermost points, so that a stray sample does not shrink the rest; each
/// panel says how many of its points lie outside.
///
/// # Errors
/// There is no panel, or one without points, with half a point, or with a number that is not finite;
/// the file cannot be written.
pub fn samples(path: &Path, panels: &[Panel<'_>]) -> Result<()> {
    check(panels).with_context(|| format!("cannot draw the samples to `{}`", path.display()))?;
    let rows = panels.len().div_ceil(COLUMNS);
    let columns = panels.len().div_ceil(rows);
    let width = LEFT + columns as f64 * (SIDE + GAP);
    let height = rows as f64 * (ABOVE + SIDE + UNDER);
    let (x, y) = common_square(panels);
    paint(path, (width as u32, height as u32), |canvas| {
        for (index, shown) in panels.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let corner = (LEFT + column as f64 * (SIDE + GAP), ABOVE + row as f64 * (ABOVE + SIDE + UNDER));
            panel(canvas, shown, &Axes { corner, size: (SIDE, SIDE), x, y }, column == 0)?;
        }
        Ok(())
    })
}

fn check(panels: &[Panel<'_>]) -> Result<()> {
    ensure!(!panels.is_empty(), "there is no panel");
    for Panel { title, points, .. } in panels {
        ensure!(!points.is_empty(), "`{title}` has no points");
        ensure!(
            points.len() % 2 == 0,
            "`{title}` has {} numbers, which is no whole count of points in 2-D",
            points.len()
        );
        finite(title, points.iter().map(|v| f64::from(*v)))?;
    }
    Ok(())
}

/// The points of a panel.
fn points<'a>(panel: &'a Panel<'_>) -> impl Iterator<Item = (f64, f64)> + 'a {
    panel.points.chunks_exact(2).map(|point| (f64::from(point[0]), f64::from(point[1])))
}

/// Ranges of one length for x and y that hold nearly all points.
fn common_square(panels: &[Panel<'_>]) -> ((f64, f64), (f64, f64)) {
    // Each panel counts alike, however many points it has.
    let range = |pick: fn((f64, f64)) -> f64| {
        panels
            .iter()
            .map(|panel| quantiles(points(panel).map(pick), [0.002, 0.998]))
            .map(|[low, high]| (low, high))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .map_or((0.0, 1.0), |range| widened(range, 0.08))
    };
    let (x, y) = (range(|point| point.0), range(|point| point.1));
    let half = (x.1 - x.0).max(y.1 - y.0) / 2.0;
    let around = |(low, high): (f64, f64)| ((low + high) / 2.0 - half, (low + high) / 2.0 + half);
    (around(x), around(y))
}

fn panel(canvas: &Canvas<'_, '_>, shown: &Panel<'_>, axes: &Axes, first: bool) -> Drawn {
    let middle = axes.corner.0 + axes.size.0 / 2.0;
    let (title, note) = shown.title.split_once('\n').unwrap_or((&shown.title, ""));
    let top = axes.corner.1;
    canvas.text(title, (middle, top - 92.0), canvas.fitting(title, TITLE, SIDE)?, INK, BELOW)?;
    canvas.text(note, (middle, top - 46.0), NAME, PALE_INK, BELOW)?;
    axes.grid(canvas, (5, 5))?;
    // A large cloud needs small and pale points to show its density.
    let (radius, strength) = match shown.points.len() / 2 {
        0..=300 => (5.0, 0.75),
        301..=1500 => (3.5, 0.6),
        1501..=6000 => (2.5, 0.45),
        _ => (2.0, 0.3),
    };
    let mut outside = 0_usize;
    for point in points(shown) {
        if axes.holds(point) {
            canvas.dot(axes.at(point), radius, shown.colour, strength)?;
        } else {
            outside += 1;
        }
    }
    if outside > 0 {
        let at = (middle, axes.end().1 - 14.0 - SMALL);
        canvas.text(&format!("{outside} outside"), at, SMALL, PALE_INK, BELOW)?;
    }
    axes.frame(canvas)?;
    axes.label_x(canvas, 5, "x\u{2081}")?;
    if first { axes.label_y(canvas, 5, "x\u{2082}", 86.0) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{CONTRASTIVE, DATA, probe},
        *,
    };

    #[test]
    fn panels_are_drawn() {
        let dir = probe::Folder::new("samples");
        let ring: Vec<f32> = (0..400).flat_map(|i| [(i as f32).cos(), (i as f32).sin()]).collect();
        let path = dir.path("samples.png");
        let panels = [
            Panel { title: "data".into(), points: &ring, colour: DATA },
            Panel { title: "contrastive\nMMD 0.1".into(), points: &ring[..20], colour: CONTRASTIVE },
        ];
        samples(&path, &panels).unwrap();
        probe::is_picture(&path, (1134, 700));
        assert_eq!(dir.files(), 1);
    }

    #[test]
    fn bad_input_is_named_and_leaves_nothing() {
        let dir = probe::Folder::new("samples-bad");
        let path = dir.path("samples.png");
        for (points, said) in [
            (&[][..], "`ring` has no points"),
            (&[1.0, 2.0, 3.0], "3 numbers"),
            (&[1.0, f32::NAN], "number 1 is NaN"),
            (&[f32::INFINITY, 0.0], "number 0 is inf"),
        ] {
            let panel = Panel { title: "ring".into(), points, colour: DATA };
            let message = format!("{:#}", samples(&path, &[panel]).unwrap_err());
            assert!(message.contains(said), "{message}");
        }
        assert!(samples(&path, &[]).is_err());
        let panel = Panel { title: "ring".into(), points: &[1.0, 2.0], colour: DATA };
        let missing = dir.path("missing").join("samples.png");
        let message = samples(&missing, std::slice::from_ref(&panel)).unwrap_err().to_string();
        assert!(message.contains("missing"), "{message}");
        assert_eq!(dir.files(), 0);
        // Extreme numbers are drawn, if not well.
        let panel = Panel { points: &[f32::MAX, f32::MIN, 0.0, 1e-38], ..panel };
        samples(&path, &[panel]).unwrap();
    }
}
