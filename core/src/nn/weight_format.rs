//! The names of what weights are stored as.

use core::fmt;
use core::str::FromStr;

/// What an artifact's matrices are stored as; its vectors (biases, layer norms, scales) are always `f32`.
///
/// ```
/// use picardy::nn::WeightFormat;
/// assert_eq!("int8".parse(), Ok(WeightFormat::Int8));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// IEEE 754 half precision.
    F16,
    /// 8-bit whole numbers with a scale for each output.
    Int8,
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        })
    }
}

/// A name that is none of f32, f16 and int8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWeights;

impl fmt::Display for UnknownWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights are f32, f16 or int8: name one of them")
    }
}

impl core::error::Error for UnknownWeights {}

impl FromStr for WeightFormat {
    type Err = UnknownWeights;

    fn from_str(name: &str) -> Result<Self, UnknownWeights> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "int8" => Ok(Self::Int8),
            _ => Err(UnknownWeights),
        }
    }
}
