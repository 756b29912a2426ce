//! Grids of flow matching.

use super::ScheduleError;
use crate::{Grid, Level};

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
        let (train_steps, shift) = (self.train_steps, self.shift);
        if steps == 0 {
            return Err(ScheduleError::NoSteps);
        }
        if train_steps == 0 {
            return Err(ScheduleError::NoTrainSteps);
        }
        if steps > train_steps {
            return Err(ScheduleError::TooManySteps { asked: steps, train_steps });
        }
        if !(shift > 0.0 && shift.is_finite()) {
            return Err(ScheduleError::Shift(shift));
        }
        let given = levels.len();
        let levels = levels.get_mut(..steps + 1).ok_or(ScheduleError::Buffer { needed: steps + 1, given })?;
        let train = train_steps as f64;
        let shifted = |u: f64| shift * u / (1.0 + (shift - 1.0) * u);
        let least = shifted(1.0 / train);
        for (i, level) in levels[..steps].iter_mut().enumerate() {
            let u = if i == 0 { 1.0 } else { 1.0 + i as f64 / (steps - 1) as f64 * (least - 1.0) };
            let sigma = shifted(u);
            *level = Level { alpha: 1.0 - sigma, sigma, t: train * sigma };
        }
        levels[steps] = Level::DATA;
        Grid::new(levels)
    }
}
