//! Known entries on the device: for each mask and its values the rows `1 - mask` and `mask values`.

use crate::{
    device::{self, DeviceMemory, DeviceTensor},
    error::OrtError,
};

/// The most pairs that are kept: one for each item of a batch.
const PAIRS: usize = 1024;

/// Pairs of rows `[2 pairs, dim]`: what a blend keeps of a row, and what it adds. They are brought to the device once.
#[derive(Debug, Default)]
pub(super) struct Known {
    pairs: Vec<[Vec<f32>; 2]>,
    pub(super) tensor: Option<DeviceTensor<f32>>,
    /// Where the last pair was found: an item's nodes come together.
    last: usize,
}

impl Known {
    pub(super) fn is_full(&self) -> bool {
        self.pairs.len() >= PAIRS
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The place of a mask's pair.
    pub(super) fn place(&mut self, mask: &[f32], values: &[f32]) -> usize {
        let same = |[keep, add]: &[Vec<f32>; 2]| {
            let rows = keep.iter().zip(add).zip(mask.iter().zip(values));
            rows.into_iter().all(|((keep, add), (mask, value))| (*keep, *add) == pair(*mask, *value))
        };
        if !self.pairs.get(self.last).is_some_and(same) {
            self.last = self.pairs.iter().position(same).unwrap_or_else(|| {
                let rows = mask.iter().zip(values).map(|(mask, value)| pair(*mask, *value));
                let (keep, add) = rows.unzip();
                self.pairs.push([keep, add]);
                self.tensor = None;
                self.pairs.len() - 1
            });
        }
        self.last
    }

    /// Brings them to the device, where they are not all there. Gives the rows that it moved.
    pub(super) fn upload(&mut self, memory: &DeviceMemory, dim: usize) -> Result<usize, OrtError> {
        if self.tensor.is_some() || self.pairs.is_empty() {
            return Ok(0);
        }
        let rows = 2 * self.pairs.len();
        let mut tensor = memory.tensor::<f32>(&[rows, dim])?;
        let numbers: Vec<f32> = self.pairs.iter().flatten().flatten().copied().collect();
        device::upload(&numbers, &mut tensor)?;
        self.tensor = Some(tensor);
        Ok(rows)
    }
}

/// What is kept of a number, and what comes to it. A value without weight may be NaN.
fn pair(mask: f32, value: f32) -> (f32, f32) {
    (1.0 - mask, if mask > 0.0 { mask * value } else { 0.0 })
}
