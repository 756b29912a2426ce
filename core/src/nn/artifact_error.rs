//! What can be wrong with an artifact's bytes.

use core::fmt;

/// Why bytes are not a usable safetensors file. Offsets count from the header's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Fewer bytes than the header says there are.
    Truncated {
        /// Bytes that the header asks for.
        needed: u64,
        /// Bytes there are.
        got: usize,
    },
    /// A header longer than [`super::MAX_HEADER`].
    HeaderTooLong {
        /// The length that the file gives.
        length: u64,
    },
    /// The header is not UTF-8.
    NotUtf8 {
        /// The first byte that is not.
        offset: usize,
    },
    /// The header is not the JSON of a safetensors file.
    Syntax {
        /// Where.
        offset: usize,
    },
    /// A string with a backslash, which cannot be read in place.
    Escape {
        /// Where.
        offset: usize,
    },
    /// A number larger than memory.
    Overflow {
        /// Where.
        offset: usize,
    },
    /// More tensors than [`super::MAX_TENSORS`].
    TooManyTensors,
    /// Two tensors or two metadata entries of one name.
    Duplicate {
        /// Which entry of the header repeats an earlier one, from 0.
        entry: usize,
    },
    /// An element type other than F32, F16 and I8.
    Dtype {
        /// Which tensor, from 0.
        entry: usize,
    },
    /// More axes than [`super::MAX_RANK`].
    Rank {
        /// Which tensor, from 0.
        entry: usize,
    },
    /// A tensor without dtype, shape or offsets, or with one of them twice.
    Incomplete {
        /// Which tensor, from 0.
        entry: usize,
    },
    /// Offsets out of range or out of order, or not the size that dtype and shape give.
    Offsets {
        /// Which tensor, from 0.
        entry: usize,
        /// Its first byte in the data.
        begin: usize,
        /// The byte after its last.
        end: usize,
        /// Bytes of data there are.
        data: usize,
    },
    /// Two tensors share bytes.
    Overlap {
        /// The later one of the two, from 0.
        entry: usize,
    },
    /// Bytes of the data that belong to no tensor.
    Unused {
        /// How many.
        bytes: usize,
    },
    /// No tensor of that name.
    Missing,
    /// The tensor's element type is not the one asked for.
    WrongDtype,
    /// The bytes lie at an address that the element type cannot be read from.
    Misaligned {
        /// The alignment that is needed.
        alignment: usize,
    },
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => {
                write!(f, "the artifact has {got} bytes of the {needed} it needs: copy or export it again")
            }
            Self::HeaderTooLong { length } => write!(
                f,
                "the header's length is {length}, over the limit of {}: this is no artifact of picardy",
                super::MAX_HEADER
            ),
            Self::NotUtf8 { offset } => {
                write!(f, "byte {offset} of the header is not UTF-8: the file is damaged")
            }
            Self::Syntax { offset } => {
                write!(
                    f,
                    "byte {offset} of the header is not what a safetensors file has there: export it again"
                )
            }
            Self::Escape { offset } => {
                write!(
                    f,
                    "byte {offset} of the header is an escape: use names and metadata without backslashes"
                )
            }
            Self::Overflow { offset } => {
                write!(f, "the number at byte {offset} of the header is out of range: export it again")
            }
            Self::TooManyTensors => {
                write!(f, "the artifact has over {} tensors: it is for a larger runtime", super::MAX_TENSORS)
            }
            Self::Duplicate { entry } => {
                write!(f, "entry {entry} of the header has an earlier one's name: export it again")
            }
            Self::Dtype { entry } => {
                write!(f, "tensor {entry} is not F32, F16 or I8: convert it before it is read here")
            }
            Self::Rank { entry } => write!(
                f,
                "tensor {entry} has over {} axes: reshape it before it is read here",
                super::MAX_RANK
            ),
            Self::Incomplete { entry } => {
                write!(
                    f,
                    "tensor {entry} does not have dtype, shape and data_offsets once each: export it again"
                )
            }
            Self::Offsets { entry, begin, end, data } => write!(
                f,
                "tensor {entry} lies at bytes {begin} to {end} of {data}, which does not fit its dtype and shape: export it again"
            ),
            Self::Overlap { entry } => {
                write!(f, "tensor {entry} shares bytes with an earlier one: export it again")
            }
            Self::Unused { bytes } => {
                write!(f, "{bytes} bytes of the data belong to no tensor: export it again")
            }
            Self::Missing => {
                write!(f, "the artifact has no tensor of that name: export it with picardy-train")
            }
            Self::WrongDtype => write!(
                f,
                "the tensor's element type is not the one asked for: ask for the one that `dtype` names"
            ),
            Self::Misaligned { alignment } => write!(
                f,
                "the tensor's address is not a multiple of {alignment}: keep the bytes in `picardy::nn::Aligned`"
            ),
        }
    }
}

impl core::error::Error for ArtifactError {}
