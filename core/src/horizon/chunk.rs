//! Chunks of actions.

use super::error::{HorizonError, check};
use crate::Real;

/// The shape of an item that is a chunk of actions: `[places, channels]`, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    places: usize,
    channels: usize,
}

impl Chunk {
    /// So many actions of so many numbers.
    ///
    /// # Errors
    /// [`HorizonError::Chunk`] where there are none, or more than a machine can count.
    pub const fn new(places: usize, channels: usize) -> Result<Self, HorizonError> {
        match places.checked_mul(channels) {
            Some(1..) => Ok(Self { places, channels }),
            _ => Err(HorizonError::Chunk { places, channels }),
        }
    }

    /// Actions: the horizon.
    pub const fn places(self) -> usize {
        self.places
    }

    /// Numbers of an action.
    pub const fn channels(self) -> usize {
        self.channels
    }

    /// Numbers of an item.
    pub const fn dim(self) -> usize {
        self.places * self.channels
    }
}

/// Moves the first `executed` actions of each item out of `x` `[batch, places, channels]`, in place; the last one is repeated
/// behind the rest.
///
/// # Errors
/// [`HorizonError::Executed`] where that is the whole chunk or more, [`HorizonError::Length`] for no whole items,
/// [`HorizonError::NotFinite`].
///
/// ```
/// use picardy::horizon::{Chunk, shift};
/// let mut x = [1.0f32, 2.0, 3.0, 4.0];
/// shift(Chunk::new(4, 1)?, 2, &mut x)?;
/// assert_eq!(x, [3.0, 4.0, 4.0, 4.0]);
/// # Ok::<(), picardy::horizon::HorizonError>(())
/// ```
pub fn shift<T: Real>(chunk: Chunk, executed: usize, x: &mut [T]) -> Result<(), HorizonError> {
    if executed >= chunk.places {
        return Err(HorizonError::Executed { executed, places: chunk.places });
    }
    check(x, chunk.dim())?;
    for item in x.chunks_exact_mut(chunk.dim()) {
        let from = executed * chunk.channels;
        item.copy_within(from.., 0);
        let (rest, repeated) = item.split_at_mut(chunk.dim() - from);
        let last = &rest[rest.len() - chunk.channels..];
        repeated.chunks_exact_mut(chunk.channels).for_each(|place| place.copy_from_slice(last));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_shifted_apart() {
        let mut x = [1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0, 5.0, -5.0, 6.0, -6.0];
        let chunk = Chunk::new(3, 2).unwrap();
        shift(chunk, 1, &mut x).unwrap();
        assert_eq!(x, [2.0, -2.0, 3.0, -3.0, 3.0, -3.0, 5.0, -5.0, 6.0, -6.0, 6.0, -6.0]);
        let mut long = [1.0, 2.0, 3.0, 4.0, 5.0];
        shift(Chunk::new(5, 1).unwrap(), 3, &mut long).unwrap();
        assert_eq!(long, [4.0, 5.0, 5.0, 5.0, 5.0]);
        let same = x;
        shift(chunk, 0, &mut x).unwrap();
        assert_eq!(x, same);
        assert_eq!(shift(chunk, 3, &mut x), Err(HorizonError::Executed { executed: 3, places: 3 }));
        assert_eq!(shift(chunk, 1, &mut x[..7]), Err(HorizonError::Length { needed: 6, given: 7 }));
        assert_eq!(shift(chunk, 1, &mut x[..0]), Err(HorizonError::Length { needed: 6, given: 0 }));
        x[4] = f64::NAN;
        assert_eq!(shift(chunk, 1, &mut x), Err(HorizonError::NotFinite { index: 4 }));
        for (places, channels) in [(0, 1), (1, 0), (usize::MAX, 2)] {
            assert_eq!(Chunk::new(places, channels), Err(HorizonError::Chunk { places, channels }));
        }
    }
}
