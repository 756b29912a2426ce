//! What can go wrong on the way to a sample.

use core::convert::Infallible;
use core::fmt;
use picardy::horizon::HorizonError;
use picardy::nn::{ArtifactError, CardError, ModelError};
use picardy::{GuardError, MixtureError, PlanError, SampleError, ScheduleError};
use picardy_robot::{CycleError, ObservationError};

/// Why there is no sample.
#[derive(Debug)]
pub enum Error {
    /// The artifact is none.
    Artifact(ArtifactError),
    /// Its card says something else.
    Card(CardError),
    /// Its network does not fit.
    Model(ModelError),
    /// There is no such grid.
    Schedule(ScheduleError),
    /// There is no such plan.
    Plan(PlanError),
    /// The run failed.
    Sample(SampleError<ModelError>),
    /// There is no such guard.
    Guard(GuardError),
    /// A chunk of actions that does not fit.
    Horizon(HorizonError),
    /// There is no such mixture.
    Mixture(MixtureError),
    /// The run over it failed.
    Exact(SampleError<Infallible>),
    /// The robot sees nothing to plan from.
    Observation(ObservationError),
    /// The robot has no plan.
    Cycle(CycleError<ModelError>),
    /// Its numbers cannot be written.
    Write(fmt::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact(error) => error.fmt(f),
            Self::Card(error) => error.fmt(f),
            Self::Model(error) => error.fmt(f),
            Self::Schedule(error) => error.fmt(f),
            Self::Plan(error) => error.fmt(f),
            Self::Sample(error) => error.fmt(f),
            Self::Guard(error) => error.fmt(f),
            Self::Horizon(error) => error.fmt(f),
            Self::Mixture(error) => error.fmt(f),
            Self::Exact(error) => error.fmt(f),
            Self::Observation(error) => error.fmt(f),
            Self::Cycle(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

macro_rules! from {
    ($($variant:ident($error:ty)),* $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from!(
    Artifact(ArtifactError),
    Card(CardError),
    Model(ModelError),
    Schedule(ScheduleError),
    Plan(PlanError),
    Sample(SampleError<ModelError>),
    Guard(GuardError),
    Horizon(HorizonError),
    Mixture(MixtureError),
    Exact(SampleError<Infallible>),
    Observation(ObservationError),
    Cycle(CycleError<ModelError>),
    Write(fmt::Error),
);
