//! What a network cannot be.

use picardy::nn::{MAX_BLOCKS, ProgramError, ShapeError};

use super::MAX_BYTES;

/// Why a network cannot be built or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// Sizes that the network cannot have.
    #[error(transparent)]
    Program(ProgramError),
    /// No blocks, or too many.
    #[error("the network's `blocks` is {got}: it must be 1 to {MAX_BLOCKS}")]
    Blocks {
        /// How many.
        got: usize,
    },
    /// No levels, or too many.
    #[error("the network's `widths` are {got} levels: give 1 to {}", picardy::nn::MAX_LEVELS)]
    Levels {
        /// How many.
        got: usize,
    },
    /// Items of another rank than the network's.
    #[error(
        "items of shape {shape:?} are none for a {network}: unet1d takes [places, channels], unet2d [height, width, \
         channels], and none may be 0"
    )]
    Item {
        /// The network.
        network: &'static str,
        /// The items' shape.
        shape: Vec<usize>,
    },
    /// A size beyond all memory.
    #[error("a size of the network is {got}: at most {limit} are possible")]
    Size {
        /// The size.
        got: usize,
        /// The largest.
        limit: usize,
    },
    /// A network that takes more than [`MAX_BYTES`], or more than the system would give.
    #[error(
        "a network of {parameters} parameters for {max_batch} rows takes {:.1} GB of memory, more than there is (at \
         most {:.0} GB are taken): give smaller widths or fewer rows",
        *.bytes as f64 / 1e9, MAX_BYTES as f64 / 1e9
    )]
    Memory {
        /// Its parameters.
        parameters: usize,
        /// Its rows.
        max_batch: usize,
        /// What it takes.
        bytes: u128,
    },
    /// More rows than the network was built for.
    #[error("{got} rows were given to a network built for {max}: build it with a larger `max_batch`")]
    Batch {
        /// The rows given.
        got: usize,
        /// The most it can take.
        max: usize,
    },
    /// A slice of the wrong length.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The device that the network is trained on failed.
    #[error("{reason}")]
    Device {
        /// What it said.
        reason: String,
    },
}
