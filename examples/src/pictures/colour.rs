//! Colours: three for what is compared, and scales for what has an order.

use picardy_ort::picture::PALETTE;
use plotters::style::RGBColor;

/// Data, and whatever else is the truth.
pub const DATA: RGBColor = RGBColor(0x4a, 0x4a, 0x55);
/// The model of the standard loss.
pub const STANDARD: RGBColor = PALETTE[0];
/// The model of the contrastive loss.
pub const CONTRASTIVE: RGBColor = PALETTE[1];

/// Titles, names of axes, numbers.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x2a);
/// What is said in passing.
pub(super) const PALE_INK: RGBColor = RGBColor(0x66, 0x66, 0x70);
/// The lines around a panel.
pub(super) const FRAME: RGBColor = RGBColor(0xa8, 0xa8, 0xb2);
/// The lines at the ticks.
pub(super) const GRID: RGBColor = RGBColor(0xea, 0xea, 0xee);

/// An ordered scale: colours at equal distances.
pub(super) struct Scale(&'static [[u8; 3]]);

/// Rounds, first to last: the dark part of matplotlib's `plasma`, backwards, so that the last ones
/// stand out on white.
pub(super) const ROUNDS: Scale = Scale(&[
    [253, 180, 47],
    [251, 159, 58],
    [237, 121, 83],
    [216, 87, 107],
    [189, 55, 134],
    [156, 23, 158],
    [114, 1, 168],
    [70, 3, 159],
    [13, 8, 135],
]);

/// Errors, small to large: matplotlib's `cividis`.
pub(super) const ERRORS: Scale = Scale(&[
    [0, 34, 78],
    [18, 53, 112],
    [59, 73, 109],
    [87, 93, 109],
    [112, 113, 115],
    [138, 134, 120],
    [165, 156, 116],
    [195, 179, 105],
    [225, 204, 85],
    [254, 232, 56],
]);

impl Scale {
    /// The colour at `u`, 0 the first and 1 the last.
    pub(super) fn at(&self, u: f64) -> RGBColor {
        let last = self.0.len() - 1;
        let place = u.clamp(0.0, 1.0) * last as f64;
        let low = (place as usize).min(last - 1);
        let part = place - low as f64;
        let [r, g, b] = [0, 1, 2].map(|c| {
            let (from, to) = (f64::from(self.0[low][c]), f64::from(self.0[low + 1][c]));
            (from + (to - from) * part).round() as u8
        });
        RGBColor(r, g, b)
    }

    /// The colour of `round`, counted from 0, among `rounds`.
    pub(super) fn of(&self, round: usize, rounds: usize) -> RGBColor {
        self.at(if rounds > 1 { round as f64 / (rounds - 1) as f64 } else { 1.0 })
    }
}

/// A colour thinned with white, as an opaque one: `strength` 1 leaves it as it is.
pub(super) fn pale(colour: RGBColor, strength: f64) -> RGBColor {
    let thin = |c: u8| (255.0 - (255.0 - f64::from(c)) * strength).round() as u8;
    RGBColor(thin(colour.0), thin(colour.1), thin(colour.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_begin_and_end_where_they_say() {
        assert_eq!(ROUNDS.at(-1.0), RGBColor(253, 180, 47));
        assert_eq!(ROUNDS.at(1.0), RGBColor(13, 8, 135));
        assert_eq!(ERRORS.at(2.0), RGBColor(254, 232, 56));
        assert_eq!(ROUNDS.of(0, 1), ROUNDS.at(1.0));
        assert_eq!(pale(INK, 1.0), INK);
    }
}
