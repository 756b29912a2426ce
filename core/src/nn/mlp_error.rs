//! What can be wrong when a network is loaded or run.

use core::fmt;

use super::{ArtifactError, CardError, ProgramError, ShapeError};
use crate::Name;

/// Why a network cannot be loaded from an artifact or run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelError {
    /// The file itself, or one of its tensors, cannot be read.
    Artifact {
        /// The tensor, empty where it is the file.
        name: Name,
        /// What is wrong with it.
        error: ArtifactError,
    },
    /// A card that is there but wrong.
    Card(CardError),
    /// A tensor's shape does not fit the others.
    Shape {
        /// The tensor.
        name: Name,
        /// The shape it should have; a vector's second axis is 0.
        expected: [usize; 2],
        /// The shape it has, of the first two axes.
        got: [usize; 2],
    },
    /// A half-precision weight that is infinite or NaN.
    NotFinite {
        /// The tensor.
        name: Name,
        /// Which element, from 0.
        index: usize,
    },
    /// An int8 matrix's scale that is not a positive finite number.
    Scale {
        /// The tensor.
        name: Name,
        /// Which element, from 0.
        index: usize,
        /// The element's bits, as [`f32::to_bits`] gives them (a NaN is not equal to itself).
        bits: u32,
    },
    /// An int8 matrix with more inputs than whole numbers can be summed.
    Inputs {
        /// The tensor.
        name: Name,
        /// Its inputs.
        got: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A weight that is no matrix.
    Rank {
        /// The tensor.
        name: Name,
        /// Its axes.
        got: usize,
    },
    /// A network of items without coordinates.
    NoCoordinates,
    /// A width that the embedding cannot have (half sines, half cosines).
    OddWidth {
        /// The width.
        width: usize,
    },
    /// No blocks, or more than [`super::MAX_BLOCKS`].
    Blocks {
        /// How many there are, as far as they were counted.
        got: usize,
    },
    /// A network of a kind that this version cannot run.
    UnknownModel,
    /// A program that cannot be built.
    Program(ProgramError),
    /// Conditions of another length than the rows ask for.
    Condition {
        /// Numbers of all rows' conditions.
        expected: usize,
        /// Numbers there are.
        got: usize,
    },
    /// An input that is not a whole number of rows, or an output of another length.
    Rows(ShapeError),
    /// States of another dimension than the network's.
    Dimension {
        /// The network's.
        network: usize,
        /// The states'.
        state: usize,
    },
    /// Fewer conditioning numbers than rows.
    Times {
        /// Rows of the input.
        rows: usize,
        /// Numbers there were.
        got: usize,
    },
    /// A scratch too small for a single row.
    Scratch {
        /// Elements that one row needs.
        needed: usize,
        /// Elements there are.
        got: usize,
    },
}

impl From<ProgramError> for ModelError {
    fn from(error: ProgramError) -> Self {
        Self::Program(error)
    }
}

impl From<ShapeError> for ModelError {
    fn from(error: ShapeError) -> Self {
        Self::Rows(error)
    }
}

impl From<CardError> for ModelError {
    fn from(error: CardError) -> Self {
        Self::Card(error)
    }
}

impl From<ArtifactError> for ModelError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact { name: Name::new(format_args!("")), error }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Artifact { name, error } if name.as_str().is_empty() => error.fmt(f),
            Self::Artifact { name, error } => write!(f, "tensor `{name}`: {error}"),
            Self::Card(error) => error.fmt(f),
            Self::Shape { name, expected: [n, 0], got } => {
                write!(f, "tensor `{name}` has shape {got:?} where the network's is [{n}]")
            }
            Self::Shape { name, expected, got } => {
                write!(f, "tensor `{name}` has shape {got:?} where the network's is {expected:?}")
            }
            Self::NotFinite { name, index } => {
                write!(
                    f,
                    "element {index} of tensor `{name}` is not finite: the network diverged or its weights do not fit \
                     F16; export it as f32"
                )
            }
            Self::Scale { name, index, bits } => {
                let value = f32::from_bits(bits);
                write!(
                    f,
                    "element {index} of tensor `{name}` is {value} where a scale is positive and finite; export the \
                     network again"
                )
            }
            Self::Inputs { name, got, limit } => {
                write!(
                    f,
                    "the int8 tensor `{name}` has {got} inputs where {limit} are the most; export the network as f16"
                )
            }
            Self::Rank { name, got } => {
                write!(
                    f,
                    "tensor `{name}` has {got} axes where a matrix [outputs, inputs] belongs; export the network again"
                )
            }
            Self::NoCoordinates => {
                write!(f, "`input.weight` has no columns: a network of 0 coordinates; export it again")
            }
            Self::OddWidth { width } => {
                write!(f, "the network's width {width} is not a positive even number")
            }
            Self::Blocks { got } => {
                write!(f, "the network has {got} blocks where it may have 1 to {}", super::MAX_BLOCKS)
            }
            Self::UnknownModel => {
                write!(f, "the artifact's `picardy.model` is another network, or its items have another rank")
            }
            Self::Program(error) => error.fmt(f),
            Self::Condition { expected, got } => {
                write!(
                    f,
                    "{got} numbers of conditions where the rows ask for {expected}; give each row its own"
                )
            }
            Self::Rows(error) => error.fmt(f),
            Self::Dimension { network, state } => {
                write!(
                    f,
                    "states of {state} numbers for a network of {network}; make the frames of dimension {network}"
                )
            }
            Self::Times { rows, got } => {
                write!(f, "{got} conditioning numbers were given for {rows} rows: give one for each")
            }
            Self::Scratch { needed, got } => {
                write!(f, "the scratch has {got} elements, a row needs {needed}: see `scratch_len`")
            }
        }
    }
}

impl core::error::Error for ModelError {}
