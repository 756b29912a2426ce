//! Items in memory, in f32 or in half the room.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a data set's numbers are kept as in memory. Networks and losses compute in f32 whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stored {
    /// Single precision, 4 bytes a number.
    #[default]
    F32,
    /// Half precision, 2 bytes: 11 bits of a number, to 65504.
    F16,
    /// The upper half of f32, 2 bytes: 8 bits of a number, f32's range.
    Bf16,
}

/// The numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// All of them, decoded where they are not f32.
    pub(super) fn all(&self) -> Cow<'_, [f32]> {
        match self {
            Self::F32(values) => Cow::Borrowed(values),
            Self::F16(values) => values.iter().map(|v| v.to_f32()).collect(),
            Self::Bf16(values) => values.iter().map(|v| v.to_f32()).collect(),
        }
    }

    /// Those from `start` on into `out`.
    pub(super) fn copy(&self, start: usize, out: &mut [f32]) {
        match self {
            Self::F32(values) => out.iter_mut().zip(&values[start..]).for_each(|(out, v)| *out = *v),
            Self::F16(values) => out.iter_mut().zip(&values[start..]).for_each(|(out, v)| *out = v.to_f32()),
            Self::Bf16(values) => out.iter_mut().zip(&values[start..]).for_each(|(out, v)| *out = v.to_f32()),
        }
    }

    /// The same, rounded to what `stored` holds; numbers beyond half precision's range become its largest.
    pub(super) fn stored(&self, stored: Stored) -> Self {
        let all = self.all();
        let most = f16::MAX.to_f32();
        match stored {
            Stored::F32 => Self::F32(all.into_owned()),
            Stored::F16 => Self::F16(all.iter().map(|&v| f16::from_f32(v.clamp(-most, most))).collect()),
            Stored::Bf16 => Self::Bf16(all.iter().map(|&v| bf16::from_f32(v)).collect()),
        }
    }

    /// The rows `chosen` of `dim` numbers.
    pub(super) fn rows(&self, chosen: &[usize], dim: usize) -> Self {
        fn pick<T: Copy>(values: &[T], chosen: &[usize], dim: usize) -> Vec<T> {
            chosen.iter().flat_map(|&i| &values[i * dim..(i + 1) * dim]).copied().collect()
        }
        match self {
            Self::F32(values) => Self::F32(pick(values, chosen, dim)),
            Self::F16(values) => Self::F16(pick(values, chosen, dim)),
            Self::Bf16(values) => Self::Bf16(pick(values, chosen, dim)),
        }
    }
}
