//! What can be wrong with a horizon.

use core::fmt;

/// Why the next cycle cannot be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HorizonError {
    /// No places, no channels, or more numbers than an item can have.
    Chunk {
        /// The places.
        places: usize,
        /// The channels.
        channels: usize,
    },
    /// A slice of another length.
    Length {
        /// The numbers that are needed, or what they must be a multiple of.
        needed: usize,
        /// The numbers given.
        given: usize,
    },
    /// More actions executed than a chunk has.
    Executed {
        /// The actions.
        executed: usize,
        /// The chunk's places.
        places: usize,
    },
    /// A delay beyond what is left of the last chunk: the robot would stand without a plan.
    Delay {
        /// The delay in actions.
        delay: usize,
        /// The actions that are left.
        left: usize,
    },
    /// A number that is not finite.
    NotFinite {
        /// Its place.
        index: usize,
    },
}

impl fmt::Display for HorizonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Chunk { places, channels } => {
                write!(f, "a chunk of {places} places with {channels} channels; give at least one of both")
            }
            Self::Length { needed, given } => {
                write!(
                    f,
                    "{given} numbers where {needed} are needed (or, of items, so many for each); give whole items"
                )
            }
            Self::Executed { executed, places } => {
                write!(
                    f,
                    "{executed} actions were executed of a chunk of {places}; plan again before it ends"
                )
            }
            Self::Delay { delay, left } => write!(
                f,
                "a plan that takes {delay} actions to compute, with {left} left of the last one; execute fewer \
                 before planning again, or plan faster"
            ),
            Self::NotFinite { index } => {
                write!(
                    f,
                    "the number at {index} is not finite; mend the plan or the observation it came from"
                )
            }
        }
    }
}

impl core::error::Error for HorizonError {}

/// Whether `values` are whole items of `dim` numbers, all finite.
pub(super) fn check<T: crate::Real>(values: &[T], dim: usize) -> Result<(), HorizonError> {
    if dim == 0 || values.is_empty() || values.len() % dim != 0 {
        return Err(HorizonError::Length { needed: dim, given: values.len() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(HorizonError::NotFinite { index }),
        None => Ok(()),
    }
}
