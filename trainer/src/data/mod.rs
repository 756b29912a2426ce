//! Data sets: standardised points and the map back to the coordinates they came from.
//!
//! | kind | where |
//! |---|---|
//! | built-in: the dino, five more shapes of the plane, a 1-D mixture | [`Builtin`] |
//! | a user's `.csv`, `.tsv` or `.npy` file | [`read_file`] |
//! | a program's own numbers | [`Dataset::from_points`], [`Dataset::from_scaled`] |
//! | built-in or a file, by name | [`Source`] |
//! | either, with shape, labels or observations | [`DataConfig`] |
//! | a folder of PNG images | [`DataConfig`], [`Source`] |
//! | finite sets, whose exact denoisers are known | [`digits`], [`dino_points`] |
//!
//! A denoiser is trained on coordinates of zero mean and unit variance, x = (p - mean) / scale: of each coordinate,
//! or of all together ([`Scaling`]). Built-in sets are standardised by the moments of the distribution, not of the draw, so that every
//! draw lives in the same coordinates; a file is standardised by its own moments.

mod builtin;
mod checkerboard;
mod condition;
mod config;
mod dataset;
mod digits;
mod dino;
mod eight_gaussians;
mod error;
mod file;
mod given;
mod images;
mod item_error;
mod npy;
mod scaling;
mod source;
mod spirals;
mod standard;
mod storage;
mod swiss_roll;
mod table;
mod two_modes;
mod two_moons;

pub use builtin::{Builtin, MAX_POINTS};
pub use condition::{Conditions, MAX_CLASSES};
pub use config::{DataConfig, ScalingChoice};
pub use dataset::Dataset;
pub use digits::{digit_labels, digits};
pub use dino::dino_points;
pub use error::{DataError, Place};
pub use file::{read_file, read_file_scaled};
pub use item_error::ItemError;
pub use npy::{Array, read_npy};
pub use scaling::{Scaling, UnknownScaling};
pub use source::Source;
pub use storage::Stored;
pub use two_modes::Mixture;

#[cfg(test)]
mod tests;
