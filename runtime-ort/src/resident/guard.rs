//! Core's guards on rows that stay on the device: they are recorded, and run with the sampler's own operations.

use picardy::guard::{Clamp, Inpaint};
use picardy::{Guard, GuardError, Row};

use super::ResidentFrames;

macro_rules! guards {
    ($($frames:ty),*) => {$(
        impl Guard<$frames> for Clamp {
            fn apply(&mut self, _: &Row, frames: &mut $frames, row: usize) -> Result<(), GuardError> {
                let (low, high) = self.range();
                frames.clamp(row, low as f32, high as f32);
                Ok(())
            }

            fn keeps_finite(&self) -> bool {
                true
            }
        }

        impl Guard<$frames> for Inpaint<'_, f32> {
            fn apply(&mut self, at: &Row, frames: &mut $frames, row: usize) -> Result<(), GuardError> {
                let (mask, values) = self.of_item(at.item, picardy::Tensor::dim(&*frames))?;
                frames.blend(row, mask, values);
                Ok(())
            }

            fn keeps_finite(&self) -> bool {
                true
            }
        }
    )*};
}

guards!(ResidentFrames, &mut ResidentFrames);
