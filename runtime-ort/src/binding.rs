//! Memory bound to a session's inputs and output for one number of rows.
//!
//! A run over bound memory costs two copies of the rows, into the input and out of the output, and
//! spares the making of three tensors and the look-up of their names in every call, which is more
//! for a small network than the network itself.

use std::fmt::Debug;

use ort::{
    memory::Allocator,
    session::IoBinding,
    value::{PrimitiveTensorElementType, Tensor},
};

use crate::{denoiser::TimeType, error::OrtError, session::Model};

/// The memory of the timesteps, in the model's type.
#[derive(Debug)]
pub(crate) enum Times {
    F32(Tensor<f32>),
    F64(Tensor<f64>),
    I64(Tensor<i64>),
    I32(Tensor<i32>),
}

/// Bound memory for `rows` rows.
#[derive(Debug)]
pub(crate) struct Bound {
    binding: IoBinding,
    rows: usize,
    dim: usize,
    shape: Vec<i64>,
    x: Tensor<f32>,
    t: Times,
    names: [String; 2],
}

impl Bound {
    pub(crate) fn new(
        model: &mut Model,
        rows: usize,
        item: &[usize],
        time: TimeType,
    ) -> Result<Self, OrtError> {
        let shape: Vec<i64> =
            std::iter::once(rows).chain(item.iter().copied()).map(|extent| extent as i64).collect();
        let allocator = Allocator::default();
        let x = Tensor::<f32>::new(&allocator, shape.clone())?;
        let t = match time {
            TimeType::F32 => Times::F32(Tensor::new(&allocator, [rows])?),
            TimeType::F64 => Times::F64(Tensor::new(&allocator, [rows])?),
            TimeType::I64 => Times::I64(Tensor::new(&allocator, [rows])?),
            TimeType::I32 => Times::I32(Tensor::new(&allocator, [rows])?),
        };
        let names = [model.inputs()[0].name.clone(), model.inputs()[1].name.clone()];
        let output = model.outputs()[0].name.clone();
        let mut binding = model.session_mut().create_binding()?;
        let out = Tensor::<f32>::new(&allocator, shape.clone())?;
        binding.bind_output(output, out)?;
        Ok(Self { binding, rows, dim: item.iter().product(), shape, x, t, names })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Evaluates the model: `x` and `out` hold `rows * dim` numbers, `t` gives `rows`.
    pub(crate) fn run(
        &mut self,
        model: &mut Model,
        x: &[f32],
        t: impl Iterator<Item = f64>,
        out: &mut [f32],
    ) -> Result<(), OrtError> {
        let (rows, dim) = (self.rows, self.dim);
        self.t.fill(rows, t)?;
        self.x.try_extract_tensor_mut::<f32>()?.1.copy_from_slice(x);
        // ort promises that a run sees what the memory held when it was bound, so it is bound anew.
        // That is 0.2 microseconds, and nothing is copied.
        let [x_name, t_name] = &self.names;
        self.binding.bind_input(x_name.as_str(), &self.x)?;
        match &self.t {
            Times::F32(t) => self.binding.bind_input(t_name.as_str(), t),
            Times::F64(t) => self.binding.bind_input(t_name.as_str(), t),
            Times::I64(t) => self.binding.bind_input(t_name.as_str(), t),
            Times::I32(t) => self.binding.bind_input(t_name.as_str(), t),
        }?;
        let outputs = model.session_mut().run_binding(&self.binding)?;
        let shape_error = |got: Vec<i64>| OrtError::OutputShape { got, rows, dim };
        let Some(answer) = outputs.values().next() else {
            return Err(shape_error(Vec::new()));
        };
        let (shape, values) = answer.try_extract_tensor::<f32>()?;
        if **shape != *self.shape || values.len() != out.len() {
            return Err(shape_error(shape.to_vec()));
        }
        out.copy_from_slice(values);
        Ok(())
    }
}

impl Times {
    /// Writes `rows` times, each in the model's type.
    fn fill(&mut self, rows: usize, times: impl Iterator<Item = f64>) -> Result<(), OrtError> {
        match self {
            Self::F32(tensor) => write(tensor, rows, times, |_, t| Ok(t as f32)),
            Self::F64(tensor) => write(tensor, rows, times, |_, t| Ok(t)),
            Self::I64(tensor) => {
                write(tensor, rows, times, |row, t| whole(row, t, i64::MAX as f64).map(|t| t as i64))
            }
            Self::I32(tensor) => {
                write(tensor, rows, times, |row, t| whole(row, t, f64::from(i32::MAX)).map(|t| t as i32))
            }
        }
    }
}

fn write<T: PrimitiveTensorElementType + Debug>(
    tensor: &mut Tensor<T>,
    rows: usize,
    mut times: impl Iterator<Item = f64>,
    convert: impl Fn(usize, f64) -> Result<T, OrtError>,
) -> Result<(), OrtError> {
    let (_, slots) = tensor.try_extract_tensor_mut::<T>()?;
    let length = |got| OrtError::Length { what: "t", got, rows, dim: 1 };
    for (row, slot) in slots.iter_mut().enumerate() {
        *slot = convert(row, times.next().ok_or_else(|| length(row))?)?;
    }
    match times.count() {
        0 => Ok(()),
        more => Err(length(rows + more)),
    }
}

/// The whole number that `t` is, within a thousandth: timesteps pass through f32 and logarithms.
pub(crate) fn whole(row: usize, t: f64, limit: f64) -> Result<f64, OrtError> {
    let nearest = t.round();
    if (t - nearest).abs() <= 1e-3 && nearest.abs() < limit {
        Ok(nearest)
    } else {
        Err(OrtError::FractionalTime { row, value: t })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_times_are_whole() {
        assert_eq!(whole(0, 999.0002, 1e18).unwrap(), 999.0);
        assert_eq!(whole(0, -1.0, 1e18).unwrap(), -1.0);
        for t in [0.5, f64::NAN, f64::INFINITY, 1e19] {
            let error = whole(3, t, 1e18).unwrap_err();
            assert!(error.to_string().contains("row 3"), "{error}");
        }
    }
}
