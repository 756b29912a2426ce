//! How far the rest of the last chunk is held.

use super::{Chunk, HorizonError};
use crate::{Real, math};

/// The weights of real-time chunking (arXiv 2506.07339, eq. 5) over the shifted chunk, with H places, s executed actions and
/// the delay d, in actions, from the observation to the new chunk:
///
/// ```text
/// w[i] = 1                                i < d           executed before the new chunk is there
///      = c (e^c - 1)/(e - 1)              d <= i < H - s  c = (H - s - i)/(H - s - d + 1)
///      = 0                                H - s <= i      behind the last chunk's end
/// ```
///
/// For [`Inpaint`](crate::guard::Inpaint), whose blend of the data estimate stands in for the paper's guidance term: no backward
/// pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// d: actions that are executed while the chunk is computed.
    pub delay: usize,
    /// s: actions of the last chunk that were executed, which is by how much it was shifted.
    pub executed: usize,
}

impl Overlap {
    /// The weight of place `i` of a chunk of so many places.
    ///
    /// # Errors
    /// [`HorizonError::Executed`] and [`HorizonError::Delay`] where the last chunk does not reach so far.
    ///
    /// ```
    /// use picardy::horizon::Overlap;
    /// let overlap = Overlap { delay: 2, executed: 4 };
    /// assert_eq!((overlap.weight(16, 1)?, overlap.weight(16, 12)?), (1.0, 0.0));
    /// assert!(overlap.weight(16, 2)? > overlap.weight(16, 3)?);
    /// # Ok::<(), picardy::horizon::HorizonError>(())
    /// ```
    pub fn weight(self, places: usize, i: usize) -> Result<f64, HorizonError> {
        let Self { delay, executed } = self;
        let left = places.checked_sub(executed).filter(|left| *left > 0);
        let left = left.ok_or(HorizonError::Executed { executed, places })?;
        if delay > left {
            return Err(HorizonError::Delay { delay, left });
        }
        Ok(if i < delay {
            1.0
        } else if i < left {
            let c = (left - i) as f64 / (left - delay + 1) as f64;
            c * math::expm1(c) / math::expm1(1.0)
        } else {
            0.0
        })
    }

    /// The weights of all numbers: `mask` `[batch, places, channels]`.
    ///
    /// # Errors
    /// As for [`weight`](Self::weight); [`HorizonError::Length`] for no whole items.
    pub fn fill<T: Real>(self, chunk: Chunk, mask: &mut [T]) -> Result<(), HorizonError> {
        if mask.is_empty() || mask.len() % chunk.dim() != 0 {
            return Err(HorizonError::Length { needed: chunk.dim(), given: mask.len() });
        }
        for (i, place) in mask.chunks_exact_mut(chunk.channels()).enumerate() {
            place.fill(T::from_f64(self.weight(chunk.places(), i % chunk.places())?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_from_the_delay_to_the_end() {
        let overlap = Overlap { delay: 3, executed: 5 };
        let weights: [f64; 16] = core::array::from_fn(|i| overlap.weight(16, i).unwrap());
        assert!(weights[..3].iter().all(|w| *w == 1.0) && weights[11..].iter().all(|w| *w == 0.0));
        assert!(weights[2..11].windows(2).all(|w| w[0] > w[1]) && weights[10] > 0.0);
        // c = 8/9 at the delay, by hand.
        assert!((weights[3] - 0.888_888_888_9 * 1.432_425_8 / 1.718_281_8).abs() < 1e-6, "{}", weights[3]);
        // Everything left is held where the delay is as long.
        assert_eq!(Overlap { delay: 4, executed: 4 }.weight(8, 3), Ok(1.0));
        assert_eq!(
            Overlap { delay: 5, executed: 4 }.weight(8, 0),
            Err(HorizonError::Delay { delay: 5, left: 4 })
        );
        for executed in [8, usize::MAX] {
            let error = Overlap { delay: 0, executed }.weight(8, 0);
            assert_eq!(error, Err(HorizonError::Executed { executed, places: 8 }));
        }
    }

    #[test]
    fn masks_are_each_items() {
        let chunk = Chunk::new(4, 2).unwrap();
        let mut mask = [9.0f32; 16];
        Overlap { delay: 1, executed: 2 }.fill(chunk, &mut mask).unwrap();
        assert_eq!(mask[..8], mask[8..]);
        assert!(mask[0] == 1.0 && mask[1] == 1.0 && mask[2] == mask[3] && mask[4..8] == [0.0; 4]);
        let error = Overlap::default().fill(chunk, &mut mask[..9]);
        assert_eq!(error, Err(HorizonError::Length { needed: 8, given: 9 }));
    }
}
