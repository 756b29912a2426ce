//! Grids of sigmas in the variance-exploding process (EDM).

use super::{ScheduleError, SigmaShape, room};
use crate::{Grid, Level};

/// Sigmas from `sigma_max` down to `sigma_min` along a [`SigmaShape`], then a final one.
///
/// ```
/// use picardy::{Level, Sigmas};
/// let mut levels = [Level::default(); 19];
/// let grid = Sigmas::karras(0.002, 80.0, 7.0).grid(18, 0.0, &mut levels)?;
/// assert!((grid.levels()[0].sigma - 80.0).abs() < 1e-12);
/// assert_eq!(grid.levels()[18].sigma, 0.0);
/// # Ok::<(), picardy::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmas {
    /// The last sigma before the final one.
    pub sigma_min: f64,
    /// The first sigma.
    pub sigma_max: f64,
    /// How they run between the two.
    pub shape: SigmaShape,
}

impl Sigmas {
    /// [`SigmaShape::Karras`]: EDM's are `karras(0.002, 80.0, 7.0)`.
    pub const fn karras(sigma_min: f64, sigma_max: f64, rho: f64) -> Self {
        Self { sigma_min, sigma_max, shape: SigmaShape::Karras { rho } }
    }

    /// [`SigmaShape::Exponential`], equal steps in `ln sigma`: `sigma_max (sigma_min / sigma_max)^u` (arXiv 2306.04848).
    pub const fn log_linear(sigma_min: f64, sigma_max: f64) -> Self {
        Self { sigma_min, sigma_max, shape: SigmaShape::Exponential }
    }

    /// Fills `steps` sigmas and then `final_sigma` (0 for none) into the front of `levels`: `steps` steps.
    ///
    /// # Errors
    /// No steps, a range that is not one, a slice that is too short, a final sigma that is not the smallest.
    pub fn grid<'a>(
        &self,
        steps: usize,
        final_sigma: f64,
        levels: &'a mut [Level],
    ) -> Result<Grid<'a>, ScheduleError> {
        let Self { sigma_min, sigma_max, shape } = *self;
        shape.check(sigma_min, sigma_max)?;
        let levels = room(steps, usize::MAX, levels)?;
        if let Some((end, run)) = levels.split_last_mut() {
            for (i, level) in run.iter_mut().enumerate() {
                *level = Level::ve(shape.sigma(i, steps, sigma_min, sigma_max));
            }
            *end = Level::ve(final_sigma);
        }
        Grid::new(levels)
    }
}
