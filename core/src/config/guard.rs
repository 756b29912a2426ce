//! The guards that a configuration can name.

use super::ConfigError;
use super::fields::Fields;
use super::solver::Class;
use crate::guard::{Clamp, DynamicThreshold, RawNoise};
use crate::{Guard, GuardError, HostTensor, Row};

/// A configuration's guard on one run: see [`SchedulerConfig::guarded`](super::SchedulerConfig::guarded).
#[derive(Debug)]
pub struct RunGuard<'a, T>(pub(super) Applied<'a, T>);

#[derive(Debug)]
pub(super) enum Applied<'a, T> {
    None,
    Plain(ConfigGuard),
    KeepingNoise(RawNoise<'a, ConfigGuard, T>),
}

impl<F: HostTensor + ?Sized> Guard<F> for RunGuard<'_, F::Scalar> {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        match &mut self.0 {
            Applied::None => Ok(()),
            Applied::Plain(guard) => guard.apply(at, frames, row),
            Applied::KeepingNoise(guard) => guard.apply(at, frames, row),
        }
    }
}

/// A guard that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConfigGuard {
    /// `clip_sample` with `clip_sample_range`.
    Clamp(Clamp),
    /// `thresholding` with `dynamic_thresholding_ratio` and `sample_max_value`.
    DynamicThreshold(DynamicThreshold),
}

impl<F: HostTensor + ?Sized> Guard<F> for ConfigGuard {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        match self {
            Self::Clamp(guard) => guard.apply(at, frames, row),
            Self::DynamicThreshold(guard) => guard.apply(at, frames, row),
        }
    }
}

/// What `thresholding` and `clip_sample` ask for.
pub(super) fn guard(fields: &Fields, class: &Class) -> Result<Option<ConfigGuard>, ConfigError> {
    if class.thresholds && fields.flag("thresholding", false)? {
        let ratio = fields.number("dynamic_thresholding_ratio", 0.995)?;
        let most = fields.bound("sample_max_value", 1.0)?;
        return match DynamicThreshold::within(ratio, 1.0, most) {
            Ok(guard) => Ok(Some(ConfigGuard::DynamicThreshold(guard))),
            Err(GuardError::Quantile(_)) => {
                Err(fields.refuse("dynamic_thresholding_ratio", "give a number in (0, 1], 0.995 is usual"))
            }
            Err(_) => Err(fields.refuse("sample_max_value", "give a number of at least 1")),
        };
    }
    match class.clips {
        Some(clips) if fields.flag("clip_sample", clips)? => {
            let range = fields.bound("clip_sample_range", 1.0)?;
            let clamp = Clamp::symmetric(range);
            let clamp = clamp.map_err(|_| fields.refuse("clip_sample_range", "give a positive number"))?;
            Ok(Some(ConfigGuard::Clamp(clamp)))
        }
        _ => Ok(None),
    }
}
