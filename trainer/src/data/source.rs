//! A data set by name: built-in or a file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::digits::digits_scaled;
use super::{Builtin, DataError, Dataset, Scaling, images, read_file_scaled};

/// Where data come from, as a user names it on a command line.
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::{Builtin, Source};
///
/// assert_eq!("dino".parse::<Source>()?, Source::Builtin(Builtin::Dino));
/// assert_eq!("runs/points.csv".parse::<Source>()?, Source::File("runs/points.csv".into()));
/// let error = "dyno".parse::<Source>().unwrap_err().to_string();
/// assert!(error.contains("swiss-roll"));
/// # Ok::<(), picardy_trainer::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A built-in distribution.
    Builtin(Builtin),
    /// The handwritten digits ([`digits`](super::digits())).
    Digits,
    /// A user's file, or a folder of images.
    File(PathBuf),
}

impl Source {
    /// Draws `n` points with `seed` from a built-in set, or reads the whole file (`n` and `seed` are not used then);
    /// coordinates are divided by what `scaling` says.
    ///
    /// # Errors
    ///
    /// Those of [`Builtin::sample`] and [`read_file`](super::read_file).
    pub fn load(&self, n: usize, seed: u64, scaling: Scaling) -> Result<Dataset, DataError> {
        match self {
            Self::Builtin(builtin) => builtin.sample_scaled(n, seed, scaling),
            Self::Digits => digits_scaled(scaling),
            Self::File(path) if path.is_dir() => images::read(path)?.standardised(path, scaling),
            Self::File(path) => read_file_scaled(path, scaling),
        }
    }
}

impl FromStr for Source {
    type Err = DataError;

    /// A built-in name wins; whatever has a dot or a path separator, or exists, is a file's path.
    fn from_str(text: &str) -> Result<Self, DataError> {
        if text == "digits" {
            return Ok(Self::Digits);
        }
        match text.parse() {
            Ok(builtin) => Ok(Self::Builtin(builtin)),
            Err(error) => {
                let path = PathBuf::from(text);
                let looks_like_a_path = text.contains(['.', '/', std::path::MAIN_SEPARATOR]) || path.exists();
                if looks_like_a_path { Ok(Self::File(path)) } else { Err(error) }
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(builtin) => builtin.fmt(f),
            Self::Digits => f.pad("digits"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
