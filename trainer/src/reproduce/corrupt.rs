//! Digits that are none: images of 8 by 8 pixels of 0 to 16, spoilt.

use crate::rng::Rng;

/// Pixels of a side, and the ink of a black one.
const SIDE: usize = 8;
const INK: f64 = 16.0;

/// What spoils an image. What comes out is rounded to whole pixels of 0 to 16, as the images are: the scale alone tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Corruption {
    /// Normal noise of a quarter of the ink.
    Noise,
    /// The mean of 3 by 3 pixels (of those there are).
    Blur,
    /// A square of 3 by 3 pixels, paper for ink and ink for paper.
    Block,
    /// Paper for ink and ink for paper.
    Inverted,
    /// Turned by 90 degrees to the left.
    QuarterTurn,
    /// Turned by 180 degrees: some digits are digits still.
    HalfTurn,
    /// All pixels in another order.
    Shuffled,
}

impl Corruption {
    pub(super) const ALL: [Self; 7] = [
        Self::Noise,
        Self::Blur,
        Self::Block,
        Self::Inverted,
        Self::QuarterTurn,
        Self::HalfTurn,
        Self::Shuffled,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Blur => "blur",
            Self::Block => "block",
            Self::Inverted => "inverted",
            Self::QuarterTurn => "quarter-turn",
            Self::HalfTurn => "half-turn",
            Self::Shuffled => "shuffled",
        }
    }

    /// The spoilt image of 64 pixels.
    pub(super) fn apply(self, image: &[f64], rng: &mut Rng) -> Vec<f64> {
        let at = |row: usize, column: usize| image[row * SIDE + column];
        let corner = [rng.below(SIDE - 2), rng.below(SIDE - 2)];
        let mut order: Vec<usize> = (0..image.len()).collect();
        if self == Self::Shuffled {
            rng.shuffle(&mut order);
        }
        let pixel = |index: usize| {
            let (row, column) = (index / SIDE, index % SIDE);
            let inside =
                (corner[0]..corner[0] + 3).contains(&row) && (corner[1]..corner[1] + 3).contains(&column);
            match self {
                Self::Noise => at(row, column),
                Self::Blur => {
                    let near = |i: usize| i.saturating_sub(1)..(i + 2).min(SIDE);
                    let (rows, columns) = (near(row), near(column));
                    let count = (rows.len() * columns.len()) as f64;
                    rows.flat_map(|r| columns.clone().map(move |c| (r, c)))
                        .map(|(r, c)| at(r, c))
                        .sum::<f64>()
                        / count
                }
                Self::Block if inside => INK - at(row, column),
                Self::Block => at(row, column),
                Self::Inverted => INK - at(row, column),
                Self::QuarterTurn => at(column, SIDE - 1 - row),
                Self::HalfTurn => at(SIDE - 1 - row, SIDE - 1 - column),
                Self::Shuffled => image[order[index]],
            }
        };
        let noise = if self == Self::Noise { INK / 4.0 } else { 0.0 };
        (0..image.len()).map(|index| (pixel(index) + noise * rng.normal()).round().clamp(0.0, INK)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits;

    #[test]
    fn each_spoils_in_its_way() {
        let data = digits().unwrap();
        let image: Vec<f64> = data.restore(&data.row(3).unwrap()).iter().map(|p| p.round()).collect();
        let mut rng = Rng::new(1, 0);
        for corruption in Corruption::ALL {
            let spoilt = corruption.apply(&image, &mut rng);
            assert!(spoilt.iter().all(|p| (0.0..=INK).contains(p) && *p == p.round()), "{corruption:?}");
            assert_ne!(spoilt, image, "{corruption:?}");
            let sorted = |image: &[f64]| {
                let mut image = image.to_vec();
                image.sort_by(f64::total_cmp);
                image
            };
            let moved =
                [Corruption::QuarterTurn, Corruption::HalfTurn, Corruption::Shuffled].contains(&corruption);
            assert_eq!(sorted(&spoilt) == sorted(&image), moved, "{corruption:?}");
        }
        let mut turned = image.clone();
        (0..4).for_each(|_| turned = Corruption::QuarterTurn.apply(&turned, &mut rng));
        assert_eq!(turned, image);
        let changed =
            Corruption::Block.apply(&image, &mut rng).iter().zip(&image).filter(|(a, b)| a != b).count();
        assert!((1..=9).contains(&changed));
    }
}
