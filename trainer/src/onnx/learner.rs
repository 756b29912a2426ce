//! Losses that are taken on a device: they see a network, and rows go there and back.

use picardy::nn::ShapeError;

use super::{OrtTrainError, OrtTrainer};
use crate::model::{Learner, NetworkError};

impl From<OrtTrainError> for NetworkError {
    fn from(error: OrtTrainError) -> Self {
        match error {
            OrtTrainError::Rows { got, max } => Self::Batch { got, max },
            OrtTrainError::Length { what, got, expected } => {
                ShapeError { argument: what, expected, got }.into()
            }
            other => Self::Device { reason: other.to_string() },
        }
    }
}

/// A call takes two runs of graphs: the output of the rows that go up, and, of their slopes, gradients, which stay. The second
/// repeats the way forward, whose values do not stay.
impl Learner<f32> for OrtTrainer {
    fn dim(&self) -> usize {
        self.item_len()
    }

    fn condition(&self) -> usize {
        self.condition
    }

    fn max_batch(&self) -> usize {
        self.max_rows()
    }

    fn forward(&mut self, x: &[f32], t: &[f32], c: &[f32]) -> Result<&[f32], NetworkError> {
        Ok(self.evaluate(false, x, t, c)?)
    }

    fn backward(&mut self, dout: &[f32]) -> Result<(), NetworkError> {
        Ok(self.pull_back(dout, None)?)
    }

    fn backward_input(&mut self, dout: &[f32], dx: &mut [f32]) -> Result<(), NetworkError> {
        Ok(self.pull_back(dout, Some(dx))?)
    }
}

/// A trainer's network with the running average of its parameters, and no way back: gradients stay as they are.
#[derive(Debug)]
pub struct Averaged<'a>(pub(super) &'a mut OrtTrainer);

impl Learner<f32> for Averaged<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn condition(&self) -> usize {
        self.0.condition()
    }

    fn max_batch(&self) -> usize {
        self.0.max_batch()
    }

    fn forward(&mut self, x: &[f32], t: &[f32], c: &[f32]) -> Result<&[f32], NetworkError> {
        Ok(self.0.evaluate(true, x, t, c)?)
    }

    fn backward(&mut self, _: &[f32]) -> Result<(), NetworkError> {
        Ok(())
    }

    fn backward_input(&mut self, _: &[f32], dx: &mut [f32]) -> Result<(), NetworkError> {
        dx.fill(0.0);
        Ok(())
    }
}
