//! What the data estimate passes between evaluation and use: limits, known entries, the caller's own rules.
//!
//! ```text
//! network's output --> m = x0-hat --> GUARD --> m, used by the recurrence                data form
//!                  --> m = eps-hat --> x0-hat --> GUARD --> eps-hat                      noise form
//! ```
//!
//! A guard works per item and node, so it serves the sequential and the parallel samplers alike, and a parallel
//! run to the end stays the sequential one to the bit. [`Guarded`] puts one around a denoiser; a denoiser without
//! one costs nothing.

mod clamp;
mod from_fn;
mod guarded;
mod inpaint;
mod limits;
#[cfg(test)]
mod limits_tests;
mod raw_noise;
mod threshold;

pub use clamp::Clamp;
pub use from_fn::{FnGuard, from_fn};
pub use guarded::Guarded;
pub use inpaint::Inpaint;
pub use limits::Limits;
pub use raw_noise::RawNoise;
pub use threshold::DynamicThreshold;

use crate::{Row, Tensor};
use core::fmt;

/// Mends data estimates, one row at a time.
///
/// The result must be a function of `at` and the row alone, or parallel and sequential runs would differ: a
/// parallel run asks at a node as often as it evaluates it.
///
/// Guards in a row are tuples: `(a, b)` applies `a`, then `b`. `Option<G>` may be none, and `()` is none.
///
/// The guards of this crate work on [host memory](crate::HostTensor). A device implements the trait for those that it has
/// operations for, and its own tensor, as picardy-ort does for [`Clamp`] and [`Inpaint`].
pub trait Guard<F: Tensor + ?Sized> {
    /// Mends the estimate of the data in `row` of `frames`. `at` names its item, its node and the level of the state
    /// that it was made from.
    ///
    /// # Errors
    /// Where the guard does not fit the row. The run can go on: the same rows are asked for again.
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError>;

    /// Whether of a finite row it always makes a finite one. Samplers then do not look at each row that it made, where to
    /// look at one is dear, as on a device; what is spoilt all the same is found a call later.
    fn keeps_finite(&self) -> bool {
        false
    }
}

/// Why a guard cannot be made or applied.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum GuardError {
    /// A range that is empty, or NaN.
    Range {
        /// Its lower end.
        low: f64,
        /// Its upper end.
        high: f64,
    },
    /// A quantile outside (0, 1].
    Quantile(f64),
    /// A threshold's bounds that are not `0 < floor <= ceiling`, `floor` finite.
    Bounds {
        /// The least threshold.
        floor: f64,
        /// The largest.
        ceiling: f64,
    },
    /// Known values and their mask have different lengths, or there are none.
    Mask {
        /// The length of the mask.
        mask: usize,
        /// The number of values.
        values: usize,
    },
    /// A mask's weight outside [0, 1].
    Weight {
        /// Its place.
        index: usize,
        /// The weight.
        weight: f64,
    },
    /// A known value that is not finite.
    Value {
        /// Its place.
        index: usize,
    },
    /// The known values are neither one state nor one state for each item.
    Length {
        /// The numbers given.
        values: usize,
        /// The numbers in a state.
        dim: usize,
        /// The item that is asked for.
        item: usize,
    },
    /// A limit that is negative, or NaN.
    Limit(f64),
    /// Numbers that are no places of so many channels, or no channels.
    Channels {
        /// The channels.
        channels: usize,
        /// The numbers given.
        given: usize,
    },
    /// A velocity beyond its own limit.
    Speed {
        /// The item.
        item: usize,
        /// How many times the limit it is.
        times: f64,
    },
    /// The plan is not a one-step one in data form.
    Plan {
        /// The node that is not.
        node: usize,
    },
    /// The scratch is shorter than a state.
    Scratch {
        /// The numbers in a state.
        needed: usize,
        /// The numbers in the scratch.
        given: usize,
    },
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Range { low, high } => write!(f, "the range {low} to {high} is empty; give low < high"),
            Self::Quantile(p) => write!(f, "quantile {p} lies outside (0, 1]; 0.995 is usual"),
            Self::Bounds { floor, ceiling } => write!(
                f,
                "a threshold from {floor} to {ceiling}; give 0 < floor <= ceiling, floor finite (1 and infinity are usual)"
            ),
            Self::Mask { mask, values } => write!(
                f,
                "a mask of {mask} numbers for {values} known values; give both the same length, at least one state"
            ),
            Self::Weight { index, weight } => {
                write!(f, "the mask's weight {weight} at {index} lies outside [0, 1]; 1 is known, 0 is free")
            }
            Self::Value { index } => {
                write!(f, "the known value at {index} is not finite; mend it, or set its weight to 0")
            }
            Self::Length { values, dim, item } => write!(
                f,
                "{values} known values do not reach item {item} of states of {dim}; give {dim}, or {dim} for each item"
            ),
            Self::Limit(limit) => write!(f, "the limit {limit} is none; give 0 or more, infinity for none"),
            Self::Channels { channels, given } => {
                write!(
                    f,
                    "{given} numbers are no places of {channels} channels; give whole places of at least one"
                )
            }
            Self::Speed { item, times } => write!(
                f,
                "item {item} moves at {times} times its limit already; brake first, or give a larger limit"
            ),
            Self::Plan { node } => write!(
                f,
                "node {node} does not go on from the node before it alone, in data form; use DDIM's plan"
            ),
            Self::Scratch { needed, given } => {
                write!(f, "the guard's scratch has {given} numbers; give it {needed}")
            }
        }
    }
}

impl core::error::Error for GuardError {}

impl<F: Tensor + ?Sized> Guard<F> for () {
    fn apply(&mut self, _: &Row, _: &mut F, _: usize) -> Result<(), GuardError> {
        Ok(())
    }

    fn keeps_finite(&self) -> bool {
        true
    }
}

impl<F: Tensor + ?Sized, G: Guard<F> + ?Sized> Guard<F> for &mut G {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        (**self).apply(at, frames, row)
    }

    fn keeps_finite(&self) -> bool {
        (**self).keeps_finite()
    }
}

impl<F: Tensor + ?Sized, G: Guard<F>> Guard<F> for Option<G> {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        self.as_mut().map_or(Ok(()), |guard| guard.apply(at, frames, row))
    }

    fn keeps_finite(&self) -> bool {
        self.as_ref().is_none_or(G::keeps_finite)
    }
}

impl<F: Tensor + ?Sized, A: Guard<F>, B: Guard<F>> Guard<F> for (A, B) {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        self.0.apply(at, frames, row)?;
        self.1.apply(at, frames, row)
    }

    fn keeps_finite(&self) -> bool {
        self.0.keeps_finite() && self.1.keeps_finite()
    }
}

impl<F: Tensor + ?Sized, A: Guard<F>, B: Guard<F>, C: Guard<F>> Guard<F> for (A, B, C) {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        self.0.apply(at, frames, row)?;
        self.1.apply(at, frames, row)?;
        self.2.apply(at, frames, row)
    }

    fn keeps_finite(&self) -> bool {
        self.0.keeps_finite() && self.1.keeps_finite() && self.2.keeps_finite()
    }
}
