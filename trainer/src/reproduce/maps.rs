//! Fields as pictures.

use picardy_ort::picture::{PictureError, label_style, write_png};
use plotters::prelude::{Color, RGBColor, Rectangle, Text};
use std::path::Path;

/// A field of `rows` by `columns` numbers, its first row at the top, with a line above it.
pub(super) struct Map<'a> {
    pub(super) title: String,
    pub(super) values: &'a [f64],
    pub(super) columns: usize,
    /// What the darkest and the brightest colour stand for.
    pub(super) range: (f64, f64),
}

impl<'a> Map<'a> {
    /// A map whose colours span its own values.
    pub(super) fn own(title: String, values: &'a [f64], columns: usize) -> Self {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let range = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        Self { title, values, columns, range }
    }
}

/// A map's longer side, at least.
const SIDE: u32 = 240;
const MARGIN: u32 = 10;
const TITLE: u32 = 26;

/// From dark to bright, even in lightness.
const COLOURS: [[f64; 3]; 5] = [
    [16.0, 10.0, 60.0],
    [94.0, 26.0, 120.0],
    [184.0, 55.0, 90.0],
    [244.0, 136.0, 50.0],
    [250.0, 240.0, 170.0],
];

fn colour(unit: f64) -> RGBColor {
    // What is no number is dark.
    let at = unit.clamp(0.0, 1.0).max(0.0) * (COLOURS.len() - 1) as f64;
    let low = (at as usize).min(COLOURS.len() - 2);
    let [r, g, b] = std::array::from_fn(|i| {
        (COLOURS[low][i] + (at - low as f64) * (COLOURS[low + 1][i] - COLOURS[low][i])) as u8
    });
    RGBColor(r, g, b)
}

/// Draws maps in rows of `across`.
pub(super) fn draw(path: &Path, maps: &[Map<'_>], across: usize) -> Result<(), PictureError> {
    let across = across.clamp(1, maps.len().max(1));
    let shape = |map: &Map<'_>| {
        let columns = map.columns.max(1);
        (columns as u32, map.values.len().div_ceil(columns).max(1) as u32)
    };
    let scale = |map: &Map<'_>| SIDE.div_ceil(shape(map).0.max(shape(map).1)).max(1);
    let width = maps.iter().map(|map| shape(map).0 * scale(map)).max().unwrap_or(1) + MARGIN;
    let height = maps.iter().map(|map| shape(map).1 * scale(map)).max().unwrap_or(1) + TITLE + MARGIN;
    let size = (width * across as u32 + MARGIN, height * maps.len().div_ceil(across).max(1) as u32 + MARGIN);
    write_png(path, size, |area| {
        for (index, map) in maps.iter().enumerate() {
            let left = (index % across) as u32 * width + MARGIN;
            let top = (index / across) as u32 * height + MARGIN;
            area.draw(&Text::new(map.title.clone(), (left as i32, top as i32), label_style(16)))?;
            let (low, high) = map.range;
            let side = scale(map);
            for (cell, value) in map.values.iter().enumerate() {
                let (row, column) = ((cell / map.columns.max(1)) as u32, (cell % map.columns.max(1)) as u32);
                let corner = ((left + column * side) as i32, (top + TITLE + row * side) as i32);
                // Its far edges are not part of a filled rectangle.
                let end = (corner.0 + side as i32, corner.1 + side as i32);
                area.draw(&Rectangle::new([corner, end], colour((value - low) / (high - low)).filled()))?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_is_dark_and_high_is_bright() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        let values = [0.0, 1.0, f64::NAN, 0.5];
        draw(&path, &[Map::own("a map".into(), &values, 2), Map::own("the same".into(), &values, 2)], 2)
            .unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let width = reader.info().width as usize;
        assert_eq!(width, 2 * 250 + 10);
        let at = |x: usize, y: usize| &pixels[3 * (y * width + x)..3 * (y * width + x) + 3];
        assert_eq!(at(70, 100), [16, 10, 60]);
        assert_eq!(at(190, 100), [250, 240, 170]);
        assert_eq!(at(70, 220), [16, 10, 60]);
        assert_eq!(at(190, 220), [184, 55, 90]);
    }
}
