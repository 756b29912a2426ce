//! Pictures of samples: points of the plane, or images in a grid.

use crate::data::Dataset;
use plotters::prelude::{BitMapBackend, ChartBuilder, Circle, Color, IntoDrawingArea, RGBColor, WHITE};

/// The sides of a picture of points, in pixels.
const SIDE: usize = 640;
/// The most points of the data that are drawn, and the most images.
const POINTS: usize = 2000;
const IMAGES: usize = 64;
/// The least side of an image in the grid, in pixels.
const IMAGE_SIDE: usize = 48;
const DATA: RGBColor = RGBColor(205, 205, 205);
const SAMPLES: RGBColor = RGBColor(31, 90, 166);

/// A picture as a PNG file of three channels.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) png: Vec<u8>,
}

/// The samples [n, dim] in the network's coordinates; `None` where items are neither points of the plane nor images of one or three
/// channels.
pub(crate) fn draw(samples: &[f32], data: &Dataset) -> Result<Option<Picture>, String> {
    let samples = data.restore(samples);
    match *data.shape() {
        [2] => points(&samples, data).map(Some),
        [height, width, channels] if channels == 1 || channels == 3 => {
            grid(&samples, data, [height, width, channels]).map(Some)
        }
        _ => Ok(None),
    }
}

/// Points of the plane over those of the data.
fn points(samples: &[f64], data: &Dataset) -> Result<Picture, String> {
    let shown = data.len().min(POINTS);
    let mut items = vec![0.0; 2 * shown];
    for (index, slot) in items.chunks_exact_mut(2).enumerate() {
        data.copy_item(index, slot);
    }
    let items = data.restore(&items);
    let range = |axis: usize| {
        let values = || items.iter().skip(axis).step_by(2).copied();
        let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let margin = 0.1 * (high - low).max(f64::MIN_POSITIVE);
        low - margin..high + margin
    };
    let (x, y) = (range(0), range(1));
    let mut pixels = vec![0; SIDE * SIDE * 3];
    let mut drawn = || -> Result<(), Box<dyn std::error::Error>> {
        let area = BitMapBackend::with_buffer(&mut pixels, (SIDE as u32, SIDE as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area).margin(8).build_cartesian_2d(x.clone(), y.clone())?;
        for (points, size, colour) in [(&items[..], 2, DATA), (samples, 2, SAMPLES)] {
            // What is far off has no place on the page, and the library's arithmetic none for it.
            let points = points.chunks_exact(2).filter(|p| x.contains(&p[0]) && y.contains(&p[1]));
            chart.draw_series(points.map(|p| Circle::new((p[0], p[1]), size, colour.filled())))?;
        }
        area.present()?;
        Ok(())
    };
    drawn().map_err(|error| error.to_string())?;
    encode(SIDE, SIDE, &pixels)
}

/// Images in rows and columns, from the least of the data's numbers (black) to the greatest (white).
fn grid(samples: &[f64], data: &Dataset, [height, width, channels]: [usize; 3]) -> Result<Picture, String> {
    let dim = data.dim();
    let count = (samples.len() / dim).min(IMAGES);
    let columns = (count as f64).sqrt().ceil().max(1.0) as usize;
    let rows = count.div_ceil(columns).max(1);
    let (mut low, mut high) = (f64::MAX, f64::MIN);
    let mut row = vec![0.0; dim];
    for index in 0..data.len().min(POINTS) {
        data.copy_item(index, &mut row);
        for value in data.restore(&row) {
            (low, high) = (low.min(value), high.max(value));
        }
    }
    let scale = IMAGE_SIDE.div_ceil(height.max(width)).max(1);
    // A pixel between images.
    let (cell_width, cell_height) = (width * scale + 1, height * scale + 1);
    let (page_width, page_height) = (columns * cell_width, rows * cell_height);
    let mut pixels = vec![255; page_width * page_height * 3];
    for (index, image) in samples.chunks_exact(dim).take(count).enumerate() {
        let (left, top) = (index % columns * cell_width, index / columns * cell_height);
        for (y, x) in (0..height * scale).flat_map(|y| (0..width * scale).map(move |x| (y, x))) {
            let from = (y / scale * width + x / scale) * channels;
            let to = ((top + y) * page_width + left + x) * 3;
            for channel in 0..3 {
                let value = image[from + channel.min(channels - 1)];
                // A value that is none is black.
                pixels[to + channel] = (255.0 * (value - low) / (high - low)) as u8;
            }
        }
    }
    encode(page_width, page_height, &pixels)
}

fn encode(width: usize, height: usize, pixels: &[u8]) -> Result<Picture, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|error| error.to_string())?;
    Ok(Picture { width, height, png: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Builtin, digits};

    fn decoded(picture: &Picture) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels.len(), picture.width * picture.height * 3);
        pixels
    }

    #[test]
    fn points_lie_where_they_are() {
        let data = Builtin::TwoMoons.sample(500, 0).unwrap();
        let picture = draw(&[0.0, 0.0, f32::NAN, 1.0, 1e30, 0.0], &data).unwrap().unwrap();
        let pixels = decoded(&picture);
        let blue = pixels.chunks(3).filter(|p| p == &[31, 90, 166]).count();
        let grey = pixels.chunks(3).filter(|p| p == &[205, 205, 205]).count();
        assert!((5..60).contains(&blue) && grey > 1000, "{blue} {grey}");
        let line = Builtin::TwoModes.sample(50, 0).unwrap();
        assert!(draw(&[0.0], &line).unwrap().is_none());
    }

    #[test]
    fn images_are_their_pixels() {
        let data = digits().unwrap();
        let all = data.data();
        let picture = draw(&all[..3 * 64], &data).unwrap().unwrap();
        let pixels = decoded(&picture);
        assert_eq!((picture.width, picture.height), (2 * 49, 2 * 49));
        // The first image's second row of pixels, by its middle.
        let at = |x: usize| pixels[((6 + 3) * picture.width + x * 6 + 3) * 3];
        let expected = [0, 0, 13, 15, 10, 15, 5, 0].map(|ink: u32| (ink * 255 / 16) as u8);
        for (x, expected) in expected.into_iter().enumerate() {
            assert!(at(x).abs_diff(expected) <= 1, "{x}: {} {expected}", at(x));
        }
    }
}
