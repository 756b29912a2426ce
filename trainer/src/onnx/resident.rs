//! What of a training stays on the device, and the graphs that run there.

use picardy_ort::device::{DeviceMemory, DeviceTensor, download, upload};
use picardy_ort::{Model, Options, OrtError};

/// A vector on the device, and room for the next one.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) now: DeviceTensor<f32>,
    pub(super) next: DeviceTensor<f32>,
}

impl Resident {
    pub(super) fn new(memory: &DeviceMemory, values: &[f32]) -> Result<Self, OrtError> {
        let mut now = memory.tensor(&[values.len()])?;
        upload(values, &mut now)?;
        Ok(Self { now, next: memory.tensor(&[values.len()])? })
    }

    pub(super) fn get(&self, len: usize) -> Result<Vec<f32>, OrtError> {
        let mut values = vec![0.0; len];
        download(&self.now, &mut values)?;
        Ok(values)
    }

    pub(super) fn swap(&mut self) {
        std::mem::swap(&mut self.now, &mut self.next);
    }
}

/// A graph that is loaded when it is first run.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) bytes: Vec<u8>,
    pub(super) model: Option<Model>,
}

impl Graph {
    pub(super) fn model(&mut self, options: &Options) -> Result<&mut Model, OrtError> {
        let model = match self.model.take() {
            Some(model) => model,
            None => Model::from_bytes(&self.bytes, options.clone())?,
        };
        Ok(self.model.insert(model))
    }
}
