//! Grids of flow matching.

use super::ScheduleError;
use crate::{Grid, Level, math};

/// The sigmas of flow matching, shifted towards noise (arXiv 2403.03206, eq. 23), the network told `train_steps sigma`:
///
/// ```text
/// shift(u) = k u/(1 + (k - 1) u),    sigma_i = shift(1 + i/(N - 1) (shift(1/T) - 1)),    then no noise
/// ```
///
/// The shift is applied twice at the low end, once to find it and once to all: what public implementations do, and what
/// their models' recommended shifts assume.
///
/// ```
/// use picardy::{FlowShift, Level};
/// let mut levels = [Level::default(); 5];
/// let grid = FlowShift { train_steps: 1000, shift: 3.0 }.grid(4, &mut levels)?;
/// assert_eq!((grid.levels()[0].sigma, grid.levels()[0].t), (1.0, 1000.0));
/// assert!(grid.levels()[2].sigma > 0.5); // more steps at high noise
/// # Ok::<(), picardy::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowShift {
    /// `T`.
    pub train_steps: usize,
    /// `k`: 1 for none, 3 for Stable Diffusion 3.
    pub shift: f64,
}

impl FlowShift {
    /// `steps` sigmas and then none, in the front of `levels`.
    ///
    /// # Errors
    /// No steps, more steps than timesteps, a shift that is not positive, a slice that is too short.
    pub fn grid<'a>(&self, steps: usize, levels: &'a mut [Level]) -> Result<Grid<'a>, ScheduleError> {
        let levels = self.room(steps, levels)?;
        let train = self.train_steps as f64;
        let least = self.shifted(1.0 / train);
        if let Some((end, run)) = levels.split_last_mut() {
            for (i, level) in run.iter_mut().enumerate() {
                let u = if i == 0 { 1.0 } else { 1.0 + i as f64 / (steps - 1) as f64 * (least - 1.0) };
                let sigma = self.shifted(u);
                *level = Level { alpha: 1.0 - sigma, sigma, t: train * sigma };
            }
            *end = Level::DATA;
        }
        Grid::new(levels)
    }

    /// `steps` sigmas `shift(top + i/N (bottom - top))` and then none: as the multistep solvers' first libraries have it,
    /// which leave one interval to the last step, shift once and tell the network whole timesteps, cut.
    ///
    /// The first sigma stays a millionth below 1, where multistep solvers have no log-SNR.
    ///
    /// ```
    /// use picardy::{FlowShift, Level};
    /// let mut levels = [Level::default(); 5];
    /// let grid = FlowShift { train_steps: 1000, shift: 1.0 }.open_grid(4, 1.0, 0.001, &mut levels)?;
    /// assert_eq!(grid.levels().iter().map(|level| level.t).collect::<Vec<_>>(), [999.0, 750.0, 500.0, 250.0, 0.0]);
    /// # Ok::<(), picardy::ScheduleError>(())
    /// ```
    ///
    /// # Errors
    /// As [`grid`](Self::grid); sigmas that do not fall, or leave [0, 1].
    pub fn open_grid<'a>(
        &self,
        steps: usize,
        top: f64,
        bottom: f64,
        levels: &'a mut [Level],
    ) -> Result<Grid<'a>, ScheduleError> {
        let levels = self.room(steps, levels)?;
        if !(bottom >= 0.0 && bottom < top && top <= 1.0) {
            return Err(ScheduleError::SigmaRange { sigma_min: bottom, sigma_max: top });
        }
        if let Some((end, run)) = levels.split_last_mut() {
            for (i, level) in run.iter_mut().enumerate() {
                let sigma = self.shifted(top + i as f64 / steps as f64 * (bottom - top)).min(1.0 - 1e-6);
                *level = Level { alpha: 1.0 - sigma, sigma, t: math::floor(self.train_steps as f64 * sigma) };
            }
            *end = Level::DATA;
        }
        Grid::new(levels)
    }

    fn shifted(&self, u: f64) -> f64 {
        self.shift * u / (1.0 + (self.shift - 1.0) * u)
    }

    /// The front of `levels` that a run takes, once it is known to be one.
    fn room<'a>(&self, steps: usize, levels: &'a mut [Level]) -> Result<&'a mut [Level], ScheduleError> {
        let (train_steps, shift) = (self.train_steps, self.shift);
        if train_steps == 0 {
            return Err(ScheduleError::NoTrainSteps);
        }
        if !(shift > 0.0 && shift.is_finite()) {
            return Err(ScheduleError::Shift(shift));
        }
        super::room(steps, train_steps, levels)
    }
}
