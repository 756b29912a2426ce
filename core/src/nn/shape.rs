//! The error of a slice that has the wrong length for an operation.

use core::fmt;

/// A slice's length does not fit the other shapes of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeError {
    /// Which argument.
    pub argument: &'static str,
    /// The length (or the divisor of the length) that was expected.
    pub expected: usize,
    /// The length it has.
    pub got: usize,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argument, expected, got } = self;
        write!(
            f,
            "`{argument}` has {got} elements where the other shapes ask for {expected}; pass matching slices"
        )
    }
}

impl core::error::Error for ShapeError {}

/// An error unless `got` is `expected`.
pub(crate) fn expect(argument: &'static str, expected: usize, got: usize) -> Result<(), ShapeError> {
    if got == expected { Ok(()) } else { Err(ShapeError { argument, expected, got }) }
}

/// How many rows of `width` elements `len` is, or an error where it is not a whole number of them.
pub(crate) fn rows(argument: &'static str, len: usize, width: usize) -> Result<usize, ShapeError> {
    if width != 0 && len % width == 0 {
        Ok(len / width)
    } else {
        Err(ShapeError { argument, expected: width, got: len })
    }
}
