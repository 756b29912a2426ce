//! A panel: a rectangle of the page with a range along each side.

use super::{
    canvas::{BEFORE, BELOW, Canvas, Drawn},
    colour::{FRAME, GRID, INK},
};
use plotters::style::RGBColor;

/// The height of the numbers at the ticks.
pub(super) const SMALL: f64 = 26.0;
/// The height of the axes' names.
pub(super) const NAME: f64 = 30.0;
/// The height of a panel's title.
pub(super) const TITLE: f64 = 36.0;

/// A panel's place and ranges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axes {
    /// The left upper corner on the page.
    pub(super) corner: (f64, f64),
    /// Width and height on the page.
    pub(super) size: (f64, f64),
    /// The range along x, left to right.
    pub(super) x: (f64, f64),
    /// The range along y, bottom to top.
    pub(super) y: (f64, f64),
}

impl Axes {
    /// The other corner on the page.
    pub(super) fn end(&self) -> (f64, f64) {
        (self.corner.0 + self.size.0, self.corner.1 + self.size.1)
    }

    /// Where a point lies on the page.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| (v - low) / (high - low);
        let (left, top) = self.corner;
        (left + part(x, self.x) * self.size.0, top + (1.0 - part(y, self.y)) * self.size.1)
    }

    /// Whether a point lies within both ranges.
    pub(super) fn holds(&self, (x, y): (f64, f64)) -> bool {
        (self.x.0..=self.x.1).contains(&x) && (self.y.0..=self.y.1).contains(&y)
    }

    /// Lines at about so many ticks along x and y.
    pub(super) fn grid(&self, canvas: &Canvas<'_, '_>, ticks: (usize, usize)) -> Drawn {
        let ((left, top), (right, bottom)) = (self.corner, self.end());
        for tick in Ticks::of(self.x, ticks.0).places {
            let x = self.at((tick, self.y.0)).0;
            canvas.line((x, top), (x, bottom), GRID, 1.5)?;
        }
        for tick in Ticks::of(self.y, ticks.1).places {
            let y = self.at((self.x.0, tick)).1;
            canvas.line((left, y), (right, y), GRID, 1.5)?;
        }
        Ok(())
    }

    /// The frame, over what was drawn.
    pub(super) fn frame(&self, canvas: &Canvas<'_, '_>) -> Drawn {
        let ((left, top), (right, bottom)) = (self.corner, self.end());
        for (from, to) in [
            ((left, top), (right, top)),
            ((left, bottom), (right, bottom)),
            ((left, top), (left, bottom)),
            ((right, top), (right, bottom)),
        ] {
            canvas.line(from, to, FRAME, 1.5)?;
        }
        Ok(())
    }

    /// The numbers and the name of the axis below, about `ticks` of them.
    pub(super) fn label_x(&self, canvas: &Canvas<'_, '_>, ticks: usize, name: &str) -> Drawn {
        let bottom = self.end().1;
        let ticks = Ticks::of(self.x, ticks);
        for &tick in &ticks.places {
            let x = self.at((tick, self.y.0)).0;
            canvas.line((x, bottom), (x, bottom + 8.0), FRAME, 1.5)?;
            canvas.text(&ticks.label(tick), (x, bottom + 14.0), SMALL, INK, BELOW)?;
        }
        let middle = self.corner.0 + self.size.0 / 2.0;
        canvas.text(name, (middle, bottom + 24.0 + SMALL), NAME, INK, BELOW)
    }

    /// The numbers and the name of the axis to the left, about `ticks` of them. The name's middle is
    /// `away` from the panel.
    pub(super) fn label_y(&self, canvas: &Canvas<'_, '_>, ticks: usize, name: &str, away: f64) -> Drawn {
        let left = self.corner.0;
        let ticks = Ticks::of(self.y, ticks);
        for &tick in &ticks.places {
            let y = self.at((self.x.0, tick)).1;
            canvas.line((left - 8.0, y), (left, y), FRAME, 1.5)?;
            canvas.text(&ticks.label(tick), (left - 14.0, y), SMALL, INK, BEFORE)?;
        }
        let middle = self.corner.1 + self.size.1 / 2.0;
        canvas.text_upwards(name, (left - away, middle), NAME, INK)
    }

    /// A line through points, cut where it leaves the panel.
    pub(super) fn path(
        &self,
        canvas: &Canvas<'_, '_>,
        points: impl IntoIterator<Item = (f64, f64)>,
        colour: RGBColor,
        width: f64,
    ) -> Drawn {
        let mut before = None;
        for point in points {
            if let Some((from, to)) = before.and_then(|before| self.cut(before, point)) {
                canvas.line(self.at(from), self.at(to), colour, width)?;
            }
            before = Some(point);
        }
        Ok(())
    }

    /// The part of a straight line within the ranges (Liang and Barsky's cut).
    fn cut(&self, from: (f64, f64), to: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let (mut begin, mut end) = (0.0_f64, 1.0_f64);
        for (d, room) in [
            (-dx, from.0 - self.x.0),
            (dx, self.x.1 - from.0),
            (-dy, from.1 - self.y.0),
            (dy, self.y.1 - from.1),
        ] {
            if d == 0.0 && room < 0.0 {
                return None;
            } else if d < 0.0 {
                begin = begin.max(room / d);
            } else if d > 0.0 {
                end = end.min(room / d);
            }
        }
        let on = |t: f64| (from.0 + t * dx, from.1 + t * dy);
        (begin <= end).then(|| (on(begin), on(end)))
    }
}

/// Round numbers in a range.
#[derive(Debug)]
pub(super) struct Ticks {
    /// The numbers.
    pub(super) places: Vec<f64>,
    decimals: usize,
}

impl Ticks {
    /// About `count` numbers in the range, 1, 2 or 5 times a power of ten apart.
    pub(super) fn of((low, high): (f64, f64), count: usize) -> Self {
        let wanted = (high - low) / count.max(1) as f64;
        let power = 10.0_f64.powf(wanted.log10().floor());
        let far = |step: f64| (step / wanted).ln().abs();
        let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
        let step = steps.into_iter().min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap_or(wanted);
        let first = (low / step - 1e-9).ceil();
        let places = (0..=4 * count)
            .map(|i| (first + i as f64) * step)
            .take_while(|v| *v <= high + 1e-9 * step)
            .collect();
        let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize;
        Self { places, decimals }
    }

    /// A number as it is written at its tick.
    pub(super) fn label(&self, tick: f64) -> String {
        if tick.abs() >= 1e6 {
            return format!("{tick:.0e}");
        }
        // Adding 0 makes -0 into 0; a true minus is as wide as a plus.
        let text = format!("{:.*}", self.decimals, tick + 0.0);
        match text.strip_prefix('-') {
            Some(digits) if digits.bytes().any(|d| matches!(d, b'1'..=b'9')) => format!("\u{2212}{digits}"),
            Some(digits) => digits.to_owned(),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let ticks = Ticks::of((-1.3, 1.2), 5);
        let labels: Vec<_> = ticks.places.iter().map(|tick| ticks.label(*tick)).collect();
        assert_eq!(labels, ["\u{2212}1.0", "\u{2212}0.5", "0.0", "0.5", "1.0"]);
        let ticks = Ticks::of((0.0, 1000.0), 5);
        assert_eq!(ticks.places, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(ticks.label(1000.0), "1000");
    }

    #[test]
    fn lines_are_cut_at_the_ranges() {
        let axes = Axes { corner: (0.0, 0.0), size: (10.0, 10.0), x: (0.0, 1.0), y: (0.0, 1.0) };
        assert_eq!(axes.cut((-1.0, 0.5), (2.0, 0.5)), Some(((0.0, 0.5), (1.0, 0.5))));
        assert_eq!(axes.cut((-1.0, 2.0), (2.0, 2.0)), None);
        assert_eq!(axes.cut((0.2, 0.2), (0.3, 0.4)), Some(((0.2, 0.2), (0.3, 0.4))));
        assert_eq!(axes.at((0.5, 1.0)), (5.0, 0.0));
    }
}
