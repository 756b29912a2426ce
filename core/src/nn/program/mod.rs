//! A network as a program: a list of steps, each an operation on values of steps before.
//!
//! ```text
//! Architecture --build--> steps with their parameters ---> Network: forward without a heap, from an artifact
//!                              (any `Source`)         \--> the trainer: forward, backward, ONNX
//! ```
//!
//! A value is one item's `[height, width, channels]`, channels last, in rows of a batch; a series has height 1, and a vector one
//! place. An architecture is written once, as a function that calls a [`Builder`]; where the parameters come from is the
//! builder's [`Source`]: the bytes of an artifact, or the trainer's vector. What interprets the steps knows operations, not
//! architectures.

use super::ShapeError;
use crate::Name;

mod arena;
mod builder;
mod network;
mod op;
mod weights;

pub use builder::{Builder, LayerShape, Source};
pub use network::Network;
pub use op::{Activation, Op, Padding, Spacing};
pub use weights::Weights;

/// The shape of one item's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Rows of places, 1 of a series or a vector.
    pub height: usize,
    /// Places in a row, 1 of a vector.
    pub width: usize,
    /// Numbers of a place.
    pub channels: usize,
}

impl Shape {
    /// A vector.
    pub const fn vector(channels: usize) -> Self {
        Self { height: 1, width: 1, channels }
    }

    /// A series.
    pub const fn series(width: usize, channels: usize) -> Self {
        Self { height: 1, width, channels }
    }

    /// Places.
    pub const fn places(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Numbers.
    pub const fn len(&self) -> usize {
        self.places().saturating_mul(self.channels)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One of a program's values: an input, or a step's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Value(u16);

impl Value {
    /// The state that is denoised.
    pub const X: Self = Self(0);
    /// The number that the network is told (a timestep): a vector of one.
    pub const T: Self = Self(1);
    /// What it is conditioned on: a vector; all zeros is no condition.
    pub const CONDITION: Self = Self(2);
    /// Inputs; the steps' outputs come behind them.
    pub const INPUTS: usize = 3;

    /// The output of a step.
    pub const fn of_step(step: usize) -> Self {
        Self((step + Self::INPUTS) as u16)
    }

    /// The step whose output it is; none where it is an input.
    pub const fn step(self) -> Option<usize> {
        (self.0 as usize).checked_sub(Self::INPUTS)
    }

    /// Its place among inputs and outputs.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation with what it works on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Step<P> {
    /// What is done.
    pub op: Op,
    /// Its arguments; of operations with one, the second is not looked at.
    pub inputs: [Value; 2],
    /// The shape of its output.
    pub shape: Shape,
    /// Weight and bias, where it has them.
    pub parameters: P,
    /// Where its output lies in an item's scratch.
    pub(crate) place: usize,
}

/// Why a program cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgramError {
    /// More steps than there is room for.
    Steps {
        /// The room.
        room: usize,
    },
    /// A size that the architecture cannot have.
    Size {
        /// Which.
        what: Name,
        /// What it is.
        got: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// Two values that do not fit, which is a mistake of the architecture's author.
    Values(ShapeError),
}

impl ProgramError {
    pub(crate) fn size(what: &str, got: usize, expected: &'static str) -> Self {
        Self::Size { what: Name::new(format_args!("{what}")), got, expected }
    }
}

impl core::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Steps { room } => {
                write!(f, "the network has more than {room} steps: give room for `Architecture::steps()`")
            }
            Self::Size { what, got, expected } => {
                write!(f, "the network's `{what}` is {got}: it must be {expected}")
            }
            Self::Values(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ProgramError {}
