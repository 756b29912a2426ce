//! An ONNX model over rows that stay on its device.

use std::ops::Range;

use ort::value::Tensor;
use picardy::{Batch, Denoiser};

use super::ResidentFrames;
use crate::{
    binding::whole,
    denoiser::{OrtDenoiser, TimeType},
    error::OrtError,
    provider::exclusive,
};

impl Denoiser<ResidentFrames> for OrtDenoiser {
    type Error = OrtError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut ResidentFrames,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), OrtError> {
        if frames.item_shape() != self.item_shape() {
            return Err(OrtError::Shape {
                rows: frames.item_shape().to_vec(),
                model: self.item_shape().to_vec(),
            });
        }
        let provider = self.model().provider();
        let _turn = exclusive(provider);
        let rows = frames.gather(x)?;
        let shape: Vec<usize> =
            std::iter::once(batch.len()).chain(self.item_shape().iter().copied()).collect();
        let mut answer = frames.memory().tensor::<f32>(&shape)?;
        let times = batch.iter().map(|row| row.level.t);
        let kind = self.time_type();
        let [x_name, t_name] = [0, 1].map(|i| self.model().inputs()[i].name.clone());
        let out_name = self.model().outputs()[0].name.clone();
        let session = self.model_mut().session_mut();
        let mut binding = session.create_binding()?;
        binding.bind_input(x_name, &rows)?;
        let n = vec![batch.len()];
        match kind {
            TimeType::F32 => {
                let times: Vec<f32> = times.map(|t| t as f32).collect();
                binding.bind_input(t_name, &Tensor::from_array((n, times))?)
            }
            TimeType::F64 => {
                binding.bind_input(t_name, &Tensor::from_array((n, times.collect::<Vec<f64>>()))?)
            }
            TimeType::I64 => {
                let times =
                    times.enumerate().map(|(row, t)| whole(row, t, i64::MAX as f64).map(|t| t as i64));
                binding.bind_input(t_name, &Tensor::from_array((n, times.collect::<Result<Vec<i64>, _>>()?))?)
            }
            TimeType::I32 => {
                let times =
                    times.enumerate().map(|(row, t)| whole(row, t, f64::from(i32::MAX)).map(|t| t as i32));
                binding.bind_input(t_name, &Tensor::from_array((n, times.collect::<Result<Vec<i32>, _>>()?))?)
            }
        }?;
        binding.bind_output(out_name, &mut *answer)?;
        session.run_binding(&binding)?;
        drop(binding);
        frames.put(answer, out);
        Ok(())
    }
}
