//! Why a configuration cannot be taken.

use crate::{PlanError, ScheduleError};
use alloc::string::String;
use core::fmt;

/// Why a configuration cannot be taken.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is no JSON, or no object.
    Json(String),
    /// A key that is needed is not there.
    Missing {
        /// The key.
        key: &'static str,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A value that is not taken.
    Value {
        /// The key.
        key: &'static str,
        /// The value, as JSON, cut where it is long.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// The betas are no schedule, or a run does not go with it.
    Schedule(ScheduleError),
    /// The solver has no plan for a run.
    Plan(PlanError),
}

impl From<PlanError> for ConfigError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<ScheduleError> for ConfigError {
    fn from(error: ScheduleError) -> Self {
        Self::Schedule(error)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "not a scheduler configuration: {error}"),
            Self::Missing { key, allowed } => write!(f, "{key} is missing; {allowed}"),
            Self::Value { key, value, allowed } => write!(f, "{key} is {value}; {allowed}"),
            Self::Plan(error) => error.fmt(f),
            Self::Schedule(error @ ScheduleError::Beta { .. }) => write!(f, "beta_start, beta_end: {error}"),
            Self::Schedule(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConfigError {}
