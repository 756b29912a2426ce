//! A page that is drawn at twice its size and then halved, so that every edge is smooth.
//!
//! All positions and sizes are in pixels of the finished picture, x to the right and y downwards.

use std::{error::Error, path::Path};

use picardy_ort::picture::{label_style, write_png};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Pixels drawn per pixel kept, along each side.
const FINE: u32 = 2;

/// What drawing returns.
pub(super) type Drawn = Result<(), Box<dyn Error>>;

/// Where a text lies from the point it is given.
pub(super) type Anchor = (HPos, VPos);
/// The text hangs centred below the point.
pub(super) const BELOW: Anchor = (HPos::Center, VPos::Top);
/// The text ends at the point, at half its height.
pub(super) const BEFORE: Anchor = (HPos::Right, VPos::Center);
/// The text begins at the point, at half its height.
pub(super) const AFTER: Anchor = (HPos::Left, VPos::Center);

/// The page.
pub(super) struct Canvas<'a, 'b> {
    area: &'a DrawingArea<BitMapBackend<'b>, Shift>,
}

/// Draws a page of `size` pixels into the PNG file `path`, which appears whole or not at all.
pub(super) fn paint(
    path: &Path,
    size: (u32, u32),
    draw: impl FnOnce(&Canvas<'_, '_>) -> Drawn,
) -> anyhow::Result<()> {
    let (width, height) = size;
    write_png(path, size, |page| {
        let fine = (width * FINE, height * FINE);
        let mut pixels = vec![255; fine.0 as usize * fine.1 as usize * 3];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, fine).into_drawing_area();
            draw(&Canvas { area: &area })?;
            area.present()?;
        }
        let halved = shrink(&pixels, width as usize);
        let image = BitMapElement::with_owned_buffer((0, 0), size, halved).ok_or("a page of another size")?;
        Ok(page.draw(&image)?)
    })?;
    Ok(())
}

/// The mean of every square of `FINE` pixels a side.
fn shrink(pixels: &[u8], width: usize) -> Vec<u8> {
    let fine = FINE as usize;
    let row = width * fine * 3;
    let mut out = Vec::with_capacity(pixels.len() / (fine * fine));
    for rows in pixels.chunks_exact(row * fine) {
        for x in 0..width {
            for c in 0..3 {
                let mut sum = 0;
                for line in rows.chunks_exact(row) {
                    for part in 0..fine {
                        sum += u32::from(line[(x * fine + part) * 3 + c]);
                    }
                }
                out.push(((sum + FINE * FINE / 2) / (FINE * FINE)) as u8);
            }
        }
    }
    out
}

/// A position on the fine page.
fn fine((x, y): (f64, f64)) -> (i32, i32) {
    let fine = f64::from(FINE);
    ((x * fine).round() as i32, (y * fine).round() as i32)
}

impl Canvas<'_, '_> {
    /// A straight line.
    pub(super) fn line(&self, from: (f64, f64), to: (f64, f64), colour: RGBColor, width: f64) -> Drawn {
        let width = (width * f64::from(FINE)).round().max(1.0) as u32;
        Ok(self.area.draw(&PathElement::new(vec![fine(from), fine(to)], colour.stroke_width(width)))?)
    }

    /// A disc, `strength` 1 for an opaque one.
    pub(super) fn dot(&self, at: (f64, f64), radius: f64, colour: RGBColor, strength: f64) -> Drawn {
        let radius = (radius * f64::from(FINE)).round() as i32;
        Ok(self.area.draw(&Circle::new(fine(at), radius, colour.mix(strength).filled()))?)
    }

    /// A filled rectangle between two corners.
    pub(super) fn block(&self, from: (f64, f64), to: (f64, f64), colour: RGBColor) -> Drawn {
        Ok(self.area.draw(&Rectangle::new([fine(from), fine(to)], colour.filled()))?)
    }

    /// A rectangle of colours: `colour(u, v)` at `u` of the way to the right and `v` of the way down.
    pub(super) fn shade(
        &self,
        from: (f64, f64),
        to: (f64, f64),
        colour: impl Fn(f64, f64) -> RGBColor,
    ) -> Drawn {
        let ((left, top), (right, bottom)) = (fine(from), fine(to));
        let (width, height) = ((right - left).max(1) as u32, (bottom - top).max(1) as u32);
        let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
        for y in 0..height {
            for x in 0..width {
                let RGBColor(r, g, b) =
                    colour((f64::from(x) + 0.5) / f64::from(width), (f64::from(y) + 0.5) / f64::from(height));
                pixels.extend([r, g, b]);
            }
        }
        let image = BitMapElement::with_owned_buffer((left, top), (width, height), pixels);
        Ok(self.area.draw(&image.ok_or("a shade of another size")?)?)
    }

    /// A line of text, `size` pixels high.
    pub(super) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        colour: RGBColor,
        anchor: Anchor,
    ) -> Drawn {
        // The font's letters lie above the middle of the height that plotters takes for theirs.
        let sunk = if matches!(anchor.1, VPos::Center) { size * 0.12 } else { 0.0 };
        let at = (at.0, at.1 + sunk);
        let style = label_style((size * f64::from(FINE)).round() as u32)
            .pos(Pos::new(anchor.0, anchor.1))
            .color(&colour);
        Ok(self.area.draw_text(text, &style, fine(at))?)
    }

    /// A line of text that runs upwards, centred at the point.
    pub(super) fn text_upwards(&self, text: &str, at: (f64, f64), size: f64, colour: RGBColor) -> Drawn {
        let style = label_style((size * f64::from(FINE)).round() as u32)
            .transform(FontTransform::Rotate270)
            .pos(Pos::new(HPos::Center, VPos::Center))
            .color(&colour);
        Ok(self.area.draw_text(text, &style, fine(at))?)
    }

    /// The height, `size` at most, at which a line of text is at most `width` wide.
    pub(super) fn fitting(&self, text: &str, size: f64, width: f64) -> Result<f64, Box<dyn Error>> {
        Ok((size * width / self.width_of(text, size)?.max(1.0)).min(size))
    }

    /// How wide a line of text is.
    pub(super) fn width_of(&self, text: &str, size: f64) -> Result<f64, Box<dyn Error>> {
        let style = label_style((size * f64::from(FINE)).round() as u32);
        Ok(f64::from(self.area.estimate_text_size(text, &style)?.0) / f64::from(FINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_takes_the_mean() {
        // Two pixels by two become one: 0, 100, 100, 200 in every colour.
        let pixels = [[0; 3], [100; 3], [100; 3], [200; 3]].concat();
        assert_eq!(shrink(&pixels, 1), [100; 3]);
    }
}
