//! What centred coordinates are divided by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the coordinates are divided by once their means are subtracted: x = (p - mean) / scale.
///
/// With the standard deviation `s_j` of coordinate j (population variance) and d coordinates,
///
/// ```text
/// per-column  scale_j = s_j                        each coordinate has unit variance
/// overall     scale_j = sqrt((s_1^2 + ... + s_d^2) / d)   the mean variance is 1
/// ```
///
/// Coordinates of different units (a position, an angle) are scaled per column. Pixels have one unit: an overall scale
/// keeps the picture's contrasts, and a pixel that never changes stays 0, where per column it has no scale.
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::Scaling;
///
/// assert_eq!("overall".parse::<Scaling>()?, Scaling::Overall);
/// assert_eq!(Scaling::Overall.scales(&[3.0, 1.0, 0.0]), [(10f64 / 3.0).sqrt(); 3]);
/// # Ok::<(), picardy_trainer::data::UnknownScaling>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Every coordinate by its own standard deviation.
    #[default]
    PerColumn,
    /// All coordinates by one number: the root of their mean variance.
    Overall,
}

impl Scaling {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PerColumn, Self::Overall];

    /// The name that [`str::parse`] reads: `per-column` or `overall`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerColumn => "per-column",
            Self::Overall => "overall",
        }
    }

    /// The scales, `[d]`, of coordinates with these standard deviations, `[d]`.
    pub fn scales(self, deviations: &[f64]) -> Vec<f64> {
        match self {
            Self::PerColumn => deviations.to_vec(),
            Self::Overall => {
                // In units of the largest, squares neither overflow nor vanish.
                let largest = deviations.iter().copied().fold(0.0, f64::max);
                let squares: f64 = deviations.iter().map(|s| (s / largest).powi(2)).sum();
                let overall = largest * (squares / deviations.len() as f64).sqrt();
                vec![overall; deviations.len()]
            }
        }
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no scaling's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no scaling is named \"{0}\": use per-column or overall")]
pub struct UnknownScaling(String);

impl FromStr for Scaling {
    type Err = UnknownScaling;

    fn from_str(text: &str) -> Result<Self, UnknownScaling> {
        let found = Self::ALL.into_iter().find(|scaling| scaling.name() == text);
        found.ok_or_else(|| UnknownScaling(text.to_owned()))
    }
}
