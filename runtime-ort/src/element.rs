//! The element types of a model's inputs and outputs, and host memory of each.
//!
//! States are f32 on this side. A model of another float type is shown each number rounded to the
//! nearest of that type (f16 keeps 11 bits and ends at 65504, bf16 keeps 8), and its answers are
//! widened, which is exact for both.

use std::fmt;

use half::{bf16, f16, slice::HalfFloatSliceExt};
use ort::{
    memory::Allocator,
    value::{DynTensor, PrimitiveTensorElementType, TensorElementType},
};

use crate::error::OrtError;

/// The element types that this crate writes and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit floats with the exponent of 32-bit floats.
    Bf16,
    /// 64-bit floats.
    F64,
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// Bytes.
    U8,
    /// Truth values.
    Bool,
}

impl Element {
    /// The type that ONNX Runtime names; `None` where this crate does not write it.
    #[must_use]
    pub fn of(element: TensorElementType) -> Option<Self> {
        Some(match element {
            TensorElementType::Float32 => Self::F32,
            TensorElementType::Float16 => Self::F16,
            TensorElementType::Bfloat16 => Self::Bf16,
            TensorElementType::Float64 => Self::F64,
            TensorElementType::Int64 => Self::I64,
            TensorElementType::Int32 => Self::I32,
            TensorElementType::Uint8 => Self::U8,
            TensorElementType::Bool => Self::Bool,
            _ => return None,
        })
    }

    /// ONNX Runtime's name for it.
    #[must_use]
    pub const fn ort(self) -> TensorElementType {
        match self {
            Self::F32 => TensorElementType::Float32,
            Self::F16 => TensorElementType::Float16,
            Self::Bf16 => TensorElementType::Bfloat16,
            Self::F64 => TensorElementType::Float64,
            Self::I64 => TensorElementType::Int64,
            Self::I32 => TensorElementType::Int32,
            Self::U8 => TensorElementType::Uint8,
            Self::Bool => TensorElementType::Bool,
        }
    }

    /// Whether it holds fractions.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64)
    }

    /// The whole numbers it holds, first and last; `None` for floats.
    pub(crate) const fn whole_range(self) -> Option<(i64, i64)> {
        match self {
            Self::I64 => Some((i64::MIN, i64::MAX)),
            Self::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::U8 => Some((0, u8::MAX as i64)),
            Self::Bool => Some((0, 1)),
            _ => None,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ort().fmt(f)
    }
}

/// A tensor in host memory that this crate writes or reads by element numbers.
#[derive(Debug)]
pub(crate) struct Buffer {
    element: Element,
    tensor: DynTensor,
}

/// What a tensor's numbers are made of.
trait Number: PrimitiveTensorElementType + Copy {
    fn write(slots: &mut [Self], values: &[f32]);
    fn read(slots: &[Self], values: &mut [f32]);
    fn of_f64(value: f64) -> Self;
    fn of_i64(value: i64) -> Self;
}

macro_rules! number {
    ($type:ty, |$slots:ident, $values:ident| $write:expr, |$from:ident, $to:ident| $read:expr, $f64:expr, $i64:expr) => {
        impl Number for $type {
            fn write($slots: &mut [Self], $values: &[f32]) {
                $write
            }
            fn read($from: &[Self], $to: &mut [f32]) {
                $read
            }
            fn of_f64(value: f64) -> Self {
                ($f64)(value)
            }
            fn of_i64(value: i64) -> Self {
                ($i64)(value)
            }
        }
    };
    ($type:ty) => {
        number!(
            $type,
            |slots, values| slots.iter_mut().zip(values).for_each(|(slot, &value)| *slot = value as $type),
            |slots, values| slots.iter().zip(values).for_each(|(&slot, value)| *value = slot as f32),
            |value: f64| value as $type,
            |value: i64| value as $type
        );
    };
}

number!(
    f32,
    |slots, values| slots.copy_from_slice(values),
    |slots, values| values.copy_from_slice(slots),
    |value: f64| value as f32,
    |value: i64| value as f32
);
number!(
    f16,
    |slots, values| slots.convert_from_f32_slice(values),
    |slots, values| slots.convert_to_f32_slice(values),
    f16::from_f64,
    |value: i64| f16::from_f64(value as f64)
);
number!(
    bf16,
    |slots, values| slots.convert_from_f32_slice(values),
    |slots, values| slots.convert_to_f32_slice(values),
    bf16::from_f64,
    |value: i64| bf16::from_f64(value as f64)
);
number!(f64);
number!(i64);
number!(i32);
number!(u8);
number!(
    bool,
    |slots, values| slots.iter_mut().zip(values).for_each(|(slot, &value)| *slot = value != 0.0),
    |slots, values| slots.iter().zip(values).for_each(|(&slot, value)| *value = f32::from(u8::from(slot))),
    |value: f64| value != 0.0,
    |value: i64| value != 0
);

/// Does the same with each element type.
macro_rules! by_element {
    ($element:expr, $type:ident => $body:expr) => {
        match $element {
            Element::F32 => {
                type $type = f32;
                $body
            }
            Element::F16 => {
                type $type = f16;
                $body
            }
            Element::Bf16 => {
                type $type = bf16;
                $body
            }
            Element::F64 => {
                type $type = f64;
                $body
            }
            Element::I64 => {
                type $type = i64;
                $body
            }
            Element::I32 => {
                type $type = i32;
                $body
            }
            Element::U8 => {
                type $type = u8;
                $body
            }
            Element::Bool => {
                type $type = bool;
                $body
            }
        }
    };
}

impl Buffer {
    /// Memory of this shape, all zero.
    pub(crate) fn new(element: Element, shape: &[usize]) -> Result<Self, OrtError> {
        let shape: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
        let tensor = DynTensor::new(&Allocator::default(), element.ort(), shape)?;
        Ok(Self { element, tensor })
    }

    pub(crate) fn element(&self) -> Element {
        self.element
    }

    pub(crate) fn tensor(&self) -> &DynTensor {
        &self.tensor
    }

    pub(crate) fn tensor_mut(&mut self) -> &mut DynTensor {
        &mut self.tensor
    }

    /// Writes `values` from element `at` on.
    pub(crate) fn write(&mut self, at: usize, values: &[f32]) -> Result<(), OrtError> {
        by_element!(self.element, T => Number::write(self.slots::<T>(at, values.len())?, values));
        Ok(())
    }

    /// Writes whole numbers from element `at` on.
    pub(crate) fn write_whole(&mut self, at: usize, values: &[i64]) -> Result<(), OrtError> {
        by_element!(self.element, T => {
            let slots = self.slots::<T>(at, values.len())?;
            slots.iter_mut().zip(values).for_each(|(slot, &value)| *slot = Number::of_i64(value));
        });
        Ok(())
    }

    /// Writes zeros from element `at` on.
    pub(crate) fn write_zeros(&mut self, at: usize, count: usize) -> Result<(), OrtError> {
        by_element!(self.element, T => self.slots::<T>(at, count)?.fill(Number::of_i64(0)));
        Ok(())
    }

    /// Writes the first elements, as many as `values` gives up to the memory's end.
    pub(crate) fn write_each(&mut self, values: impl Iterator<Item = f64>) -> Result<(), OrtError> {
        by_element!(self.element, T => {
            let (_, slots) = self.tensor.try_extract_tensor_mut::<T>()?;
            slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = Number::of_f64(value));
        });
        Ok(())
    }

    /// Reads from element `at` on.
    pub(crate) fn read(&self, at: usize, values: &mut [f32]) -> Result<(), OrtError> {
        by_element!(self.element, T => {
            let (_, slots) = self.tensor.try_extract_tensor::<T>()?;
            Number::read(slots.get(at..at + values.len()).ok_or_else(beyond)?, values);
        });
        Ok(())
    }

    fn slots<T: Number>(&mut self, at: usize, count: usize) -> Result<&mut [T], OrtError> {
        let (_, slots) = self.tensor.try_extract_tensor_mut::<T>()?;
        slots.get_mut(at..at + count).ok_or_else(beyond)
    }
}

/// The caller's counts are checked before; a slip there must not panic.
fn beyond() -> OrtError {
    OrtError::Run(ort::Error::new("the tensor holds fewer numbers than the call has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_to_the_nearest() {
        crate::ensure_runtime().unwrap();
        let values = [0.1f32, -1.0, 65504.0, 1e-9, f32::INFINITY];
        for (element, bound) in [
            (Element::F32, 0.0),
            (Element::F64, 0.0),
            (Element::F16, 2f32.powi(-11)),
            (Element::Bf16, 2f32.powi(-8)),
        ] {
            let mut buffer = Buffer::new(element, &[2, 5]).unwrap();
            buffer.write(5, &values).unwrap();
            let mut back = [7.0f32; 10];
            buffer.read(0, &mut back).unwrap();
            assert_eq!(back[..5], [0.0; 5]);
            for (value, back) in values.iter().zip(&back[5..]) {
                // 1e-9 is less than half of f16's smallest number.
                let least = if element == Element::F16 { 1e-8 } else { 0.0 };
                let error = (value - back).abs();
                assert!(
                    value.is_infinite() || error <= bound * value.abs() + least,
                    "{element}: {value} {back}"
                );
                assert_eq!(value.is_finite(), back.is_finite());
            }
            assert!(buffer.write(6, &values).is_err());
        }
    }

    #[test]
    fn whole_numbers_stay_whole() {
        crate::ensure_runtime().unwrap();
        for element in [Element::I64, Element::I32, Element::U8, Element::F16] {
            let mut buffer = Buffer::new(element, &[3]).unwrap();
            buffer.write_whole(0, &[7, 200, 1]).unwrap();
            buffer.write_zeros(2, 1).unwrap();
            let mut back = [1.0f32; 3];
            buffer.read(0, &mut back).unwrap();
            assert_eq!(back, [7.0, 200.0, 0.0], "{element}");
        }
    }
}
