//! What the noise levels are: the tables a model was trained on and the ways to walk them.
//!
//! A schedule fills a caller's `&mut [Level]` and hands it back as a [`Grid`](crate::Grid).

mod beta_quantile;
mod betas;
mod curve;
mod flow;
mod respaced;
mod sigmas;
mod spacing;
mod trained;

pub(crate) use betas::Table;
pub use betas::{BetaKind, Betas};
pub use curve::SigmaShape;
pub use flow::FlowShift;
pub use respaced::{Curve, Told};
pub use sigmas::Sigmas;
pub use spacing::{Final, Spacing};
pub use trained::NoiseSchedule;

use crate::Level;
use core::fmt;

/// Why a schedule or a grid could not be made.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No step was asked for.
    NoSteps,
    /// More steps were asked for than the schedule has.
    TooManySteps {
        /// The steps asked for.
        asked: usize,
        /// The timesteps the model was trained on.
        train_steps: usize,
    },
    /// A timestep that the schedule does not have.
    Timestep {
        /// The timestep asked for, or reached by the spacing's offset.
        timestep: usize,
        /// The timesteps there are.
        train_steps: usize,
    },
    /// `alpha_bar` is 0 or 1 in double precision: the betas are too large or too small.
    AlphaBar {
        /// The timestep.
        timestep: usize,
        /// Its `alpha_bar`.
        value: f64,
    },
    /// The caller's slice of levels is too short.
    Buffer {
        /// The levels that are needed: the steps and one more.
        needed: usize,
        /// The levels the slice holds.
        given: usize,
    },
    /// The schedule has no timesteps.
    NoTrainSteps,
    /// The schedule has more timesteps than [`Betas::MOST_STEPS`].
    TooManyTrainSteps(usize),
    /// A beta lies outside (0, 1).
    Beta {
        /// The timestep.
        timestep: usize,
        /// Its beta.
        value: f64,
    },
    /// The sigmas' range is not `0 < sigma_min < sigma_max`, finite.
    SigmaRange {
        /// The smallest sigma.
        sigma_min: f64,
        /// The largest sigma.
        sigma_max: f64,
    },
    /// Karras' rho is not positive and finite.
    Rho(f64),
    /// The shape of a beta distribution is not positive and finite.
    BetaShape {
        /// Its alpha.
        alpha: f64,
        /// Its beta.
        beta: f64,
    },
    /// The shift of a flow is not positive and finite.
    Shift(f64),
    /// The variance of the pinned process is not positive and finite.
    Variance(f64),
    /// A level is not finite, is negative, or is all zeros.
    Level {
        /// Its place in the grid.
        index: usize,
    },
    /// A level is not cleaner than the one before it.
    NotDecreasing {
        /// The place of the second of the two.
        index: usize,
    },
}

/// The front of `levels` that a run of so many steps takes, of at most `most`.
fn room(steps: usize, most: usize, levels: &mut [Level]) -> Result<&mut [Level], ScheduleError> {
    if steps == 0 {
        return Err(ScheduleError::NoSteps);
    }
    if steps > most {
        return Err(ScheduleError::TooManySteps { asked: steps, train_steps: most });
    }
    let (needed, given) = (steps.saturating_add(1), levels.len());
    levels.get_mut(..needed).ok_or(ScheduleError::Buffer { needed, given })
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoSteps => write!(f, "0 steps asked; ask for at least 1"),
            Self::TooManySteps { asked, train_steps } => write!(
                f,
                "{asked} steps asked, but the schedule has {train_steps} timesteps; ask for at most {train_steps}"
            ),
            Self::Timestep { timestep, train_steps } => write!(
                f,
                "timestep {timestep} of a schedule of {train_steps}; the last is {}, lower the offset or the timestep",
                train_steps.saturating_sub(1)
            ),
            Self::AlphaBar { timestep, value } => write!(
                f,
                "alpha_bar is {value} at timestep {timestep}; it must lie between 0 and 1, give larger or smaller betas"
            ),
            Self::Buffer { needed, given } => {
                write!(f, "the slice holds {given} levels; give {needed} (the steps and one more)")
            }
            Self::NoTrainSteps => write!(f, "a schedule of 0 timesteps; give it at least 1"),
            Self::TooManyTrainSteps(train_steps) => {
                write!(f, "a schedule of {train_steps} timesteps; give it at most {}", Betas::MOST_STEPS)
            }
            Self::Beta { timestep, value } => write!(
                f,
                "beta {value} at timestep {timestep} lies outside (0, 1); check the schedule's first and last beta"
            ),
            Self::SigmaRange { sigma_min, sigma_max } => write!(
                f,
                "sigmas from {sigma_max} down to {sigma_min}; they must be finite with 0 < sigma_min < sigma_max (a schedule of zero \
                 SNR has no largest one: give it Betas::ending_at, or a spacing in place of the curve)"
            ),
            Self::Rho(rho) => write!(f, "rho {rho}; it must be positive and finite (7 is usual)"),
            Self::BetaShape { alpha, beta } => {
                write!(
                    f,
                    "a beta distribution of {alpha} and {beta}; both must be positive and finite (0.6 is usual)"
                )
            }
            Self::Shift(shift) => write!(f, "shift {shift}; it must be positive and finite (1 is none)"),
            Self::Variance(variance) => {
                write!(
                    f,
                    "variance {variance} of the pinned process; it must be positive and finite (1 is usual)"
                )
            }
            Self::Level { index } => {
                write!(
                    f,
                    "level {index} is not finite, is negative or is all zero; mend its alpha, sigma or t"
                )
            }
            Self::NotDecreasing { index } => {
                write!(
                    f,
                    "level {index} is not cleaner than level {}; order levels from noise to data",
                    index - 1
                )
            }
        }
    }
}

impl core::error::Error for ScheduleError {}
