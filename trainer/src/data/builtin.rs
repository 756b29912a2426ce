//! The built-in data sets by name.

use std::fmt;
use std::str::FromStr;

use super::{
    DataError, Dataset, Scaling, checkerboard, dino, eight_gaussians, spirals, swiss_roll, two_modes,
    two_moons,
};
use crate::rng::Rng;

/// The most points that [`Builtin::sample`] draws in one call: half a gigabyte of f64 in the plane.
pub const MAX_POINTS: usize = 1 << 25;

/// The stream of the points, apart from those that training draws under the same seed.
const POINT_STREAM: u64 = 0x504F_494E_5400_0000;

/// A data set that Picardy carries: a distribution that can be drawn from without end.
///
/// Draws of different seeds are independent and share one mean and scale, so a held-out set is another seed.
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::Builtin;
///
/// let builtin: Builtin = "dino".parse()?;
/// let train = builtin.sample(5000, 1)?;
/// let fresh = builtin.sample(2000, 2)?;
/// assert_eq!((train.len(), train.dim()), (5000, 2));
/// assert_eq!(train.mean(), fresh.mean());
/// # Ok::<(), picardy_trainer::data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// The datasaurus' 142 points, jittered by a normal of standard deviation 0.15 in their published coordinates
    /// (0 to 100).
    Dino,
    /// The plane's spiral of scikit-learn's swiss roll.
    SwissRoll,
    /// Two interleaved half circles.
    TwoMoons,
    /// Two spiral arms, each the other's mirror image through the origin.
    Spirals,
    /// The black squares of a 4 by 4 board.
    Checkerboard,
    /// Eight Gaussians on a circle.
    EightGaussians,
    /// Two Gaussians on the line: see [`Builtin::mixture`] for their exact parameters.
    TwoModes,
}

impl Builtin {
    /// Every built-in data set.
    pub const ALL: [Self; 7] = [
        Self::Dino,
        Self::SwissRoll,
        Self::TwoMoons,
        Self::Spirals,
        Self::Checkerboard,
        Self::EightGaussians,
        Self::TwoModes,
    ];

    /// The name that [`str::parse`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dino => "dino",
            Self::SwissRoll => "swiss-roll",
            Self::TwoMoons => "two-moons",
            Self::Spirals => "spirals",
            Self::Checkerboard => "checkerboard",
            Self::EightGaussians => "eight-gaussians",
            Self::TwoModes => "two-modes",
        }
    }

    /// Coordinates of a point.
    pub fn dim(self) -> usize {
        if self == Self::TwoModes { 1 } else { 2 }
    }

    /// Draws `n` points, standardised by the distribution's exact mean and standard deviation.
    ///
    /// The same (n, seed) gives the same bits on every run; a shorter draw is a longer one's beginning.
    ///
    /// # Errors
    ///
    /// [`DataError::PointCount`] unless 1 <= n <= [`MAX_POINTS`].
    pub fn sample(self, n: usize, seed: u64) -> Result<Dataset, DataError> {
        self.sample_scaled(n, seed, Scaling::PerColumn)
    }

    /// As [`sample`](Self::sample), the coordinates divided by what `scaling` makes of their exact deviations.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sample_scaled(self, n: usize, seed: u64, scaling: Scaling) -> Result<Dataset, DataError> {
        if n == 0 || n > MAX_POINTS {
            return Err(DataError::PointCount { asked: n, limit: MAX_POINTS });
        }
        let mut rng = Rng::new(seed, POINT_STREAM);
        let (points, moments) = match self {
            Self::Dino => draw(n, &mut rng, dino::point, dino::moments()),
            Self::SwissRoll => draw(n, &mut rng, swiss_roll::point, swiss_roll::moments()),
            Self::TwoMoons => draw(n, &mut rng, two_moons::point, two_moons::moments()),
            Self::Spirals => draw(n, &mut rng, spirals::point, spirals::moments()),
            Self::Checkerboard => draw(n, &mut rng, checkerboard::point, checkerboard::moments()),
            Self::EightGaussians => draw(n, &mut rng, eight_gaussians::point, eight_gaussians::moments()),
            Self::TwoModes => draw(n, &mut rng, two_modes::point, two_modes::moments()),
        };
        let mean = moments.iter().map(|m| m.mean).collect();
        let deviations: Vec<f64> = moments.iter().map(|m| m.variance.sqrt()).collect();
        let scale = scaling.scales(&deviations);
        Ok(Dataset::standardised(self.name().to_owned(), &points, mean, scale))
    }

    /// The exact mixture in standardised coordinates, where the set is a 1-D mixture of Gaussians.
    pub fn mixture(self) -> Option<super::Mixture> {
        (self == Self::TwoModes).then(super::Mixture::two_modes)
    }
}

/// A coordinate's exact mean and variance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// `n` raw points, row-major, and their distribution's moments.
fn draw<const D: usize>(
    n: usize,
    rng: &mut Rng,
    point: fn(&mut Rng) -> [f64; D],
    moments: [Moments; D],
) -> (Vec<f64>, Vec<Moments>) {
    ((0..n).flat_map(|_| point(rng)).collect(), moments.to_vec())
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Builtin {
    type Err = DataError;

    /// Reads a name, in any case and with `_` for `-`.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|builtin| builtin.name() == wanted).ok_or_else(|| DataError::UnknownName {
            name: text.to_owned(),
            known: format!("{}, digits", Self::ALL.map(Self::name).join(", ")),
        })
    }
}
