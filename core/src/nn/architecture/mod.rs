//! The networks: each a function that writes its program down.

use super::program::{Builder, ProgramError, Shape, Source, Value};
use crate::Name;

mod residual_mlp;
mod unet1d;
mod unet2d;

pub use unet1d::Unet1d;
pub use unet2d::Unet2d;

/// The most levels of a U-Net.
pub const MAX_LEVELS: usize = 6;

/// Channels of a U-Net's levels, 1 to [`MAX_LEVELS`] of them.
///
/// ```
/// use picardy::nn::Widths;
/// let widths = Widths::new(&[64, 128, 256]).unwrap();
/// assert_eq!(widths.as_slice(), [64, 128, 256]);
/// assert!(Widths::new(&[]).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    channels: [usize; MAX_LEVELS],
    levels: usize,
}

impl Widths {
    /// The widths; none where there are none or too many.
    pub fn new(widths: &[usize]) -> Option<Self> {
        let mut channels = [0; MAX_LEVELS];
        channels.get_mut(..widths.len()).filter(|slots| !slots.is_empty())?.copy_from_slice(widths);
        Some(Self { channels, levels: widths.len() })
    }

    /// The widths, from the first level on.
    pub fn as_slice(&self) -> &[usize] {
        self.channels.get(..self.levels).unwrap_or(&[])
    }

    /// The first level's.
    fn first(&self) -> usize {
        self.channels[0]
    }

    /// The last level's.
    fn last(&self) -> usize {
        self.as_slice().last().copied().unwrap_or(0)
    }
}

impl core::fmt::Display for Widths {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (i, width) in self.as_slice().iter().enumerate() {
            write!(f, "{}{width}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Which network, and its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// The residual MLP of [`ResidualMlp`](super::ResidualMlp), for items of any shape.
    ResidualMlp {
        /// Numbers of its state, even.
        width: usize,
        /// Residual blocks.
        blocks: usize,
    },
    /// A temporal U-Net, for items `[places, channels]`.
    Unet1d(Unet1d),
    /// A U-Net for images `[height, width, channels]`.
    Unet2d(Unet2d),
    /// No network: the exact denoiser of a finite data set.
    ExactPoints {
        /// Its points.
        points: usize,
    },
}

impl Architecture {
    /// The field's name: `residual-mlp`, `unet1d`, `unet2d`; `exact-points`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ResidualMlp { .. } => "residual-mlp",
            Self::Unet1d(_) => "unet1d",
            Self::Unet2d(_) => "unet2d",
            Self::ExactPoints { .. } => "exact-points",
        }
    }

    /// Room for the program's steps.
    pub fn steps(&self, condition: usize) -> usize {
        match self {
            Self::ResidualMlp { blocks, .. } => residual_mlp::steps(*blocks, condition),
            Self::Unet1d(unet) => unet.steps(condition),
            Self::Unet2d(unet) => unet.steps(condition),
            Self::ExactPoints { .. } => 0,
        }
    }

    /// How the network sees an item of this shape (outermost axis first); none where it cannot.
    pub fn item(&self, shape: &[usize]) -> Option<Shape> {
        let len = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
        let item = match (self, shape) {
            (Self::ResidualMlp { .. } | Self::ExactPoints { .. }, _) => Shape::vector(len),
            (Self::Unet1d(_), &[width, channels]) => Shape::series(width, channels),
            (Self::Unet2d(_), &[height, width, channels]) => Shape { height, width, channels },
            _ => return None,
        };
        (len > 0).then_some(item)
    }

    /// Writes the network's program; gives its output.
    ///
    /// # Errors
    /// [`ProgramError`] for sizes that the network cannot have, and the source's own.
    pub fn build<S: Source>(&self, builder: &mut Builder<'_, S>) -> Result<Value, S::Error> {
        match self {
            Self::ResidualMlp { width, blocks } => residual_mlp::build(*width, *blocks, builder),
            Self::Unet1d(unet) => unet.build(builder),
            Self::Unet2d(unet) => unet.build(builder),
            Self::ExactPoints { points } => Err(ProgramError::size(
                "points",
                *points,
                "those of another artifact: this one has no network",
            ))?,
        }
    }
}

/// `PREFIX.PART`.
fn part(prefix: Name, name: &str) -> Name {
    Name::new(format_args!("{prefix}.{name}"))
}

/// A name.
fn name(name: &str) -> Name {
    Name::new(format_args!("{name}"))
}
