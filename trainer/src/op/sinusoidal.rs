//! The embedding of the conditioning number. It has no parameters and its input needs no gradient.

use picardy::nn::{Scalar, ShapeError, frequencies, sinusoidal};

/// `e = (sin(t f), cos(t f))` with the frequencies of [`picardy::nn::frequencies`].
#[derive(Debug, Clone)]
pub struct Sinusoidal<T> {
    frequencies: Vec<T>,
}

impl<T: Scalar> Sinusoidal<T> {
    /// An embedding of `width` numbers, half sines and half cosines.
    pub fn new(width: usize) -> Self {
        let mut f = vec![T::ZERO; width / 2];
        frequencies(&mut f);
        Self { frequencies: f }
    }

    /// The frequencies `[width / 2]`, which the ONNX lowering stores as a constant.
    pub fn frequencies(&self) -> &[T] {
        &self.frequencies
    }

    /// t `[n]` into out [n, width].
    ///
    /// # Errors
    ///
    /// [`ShapeError`] where the lengths do not fit.
    pub fn forward(&self, t: &[T], out: &mut [T]) -> Result<(), ShapeError> {
        sinusoidal(t, &self.frequencies, out)
    }
}
