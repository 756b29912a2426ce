//! A discrete schedule walked along a curve of sigmas.

use super::betas::{Table, at_ratio, ratio};
use super::{Betas, Final, ScheduleError, SigmaShape, Spacing, room};
use crate::{Grid, Level, math};

/// How what the network is told is made of a timestep that is a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// As it is: for networks that take fractions.
    #[default]
    Fractional,
    /// Rounded to the nearest.
    Rounded,
    /// Cut to the one below.
    Truncated,
}

/// Sigmas (here `sigma/alpha`) along a curve between two training timesteps, in place of a spacing of timesteps.
///
/// What the network is told of a sigma is the timestep that has it, linear in `ln sigma` between two timesteps. Levels
/// follow from the sigmas, so two of them that round to the same timestep are still two: nothing loses its place.
///
/// | library's sampler | between | told |
/// |---|---|---|
/// | Euler, Heun | `Some(spacing)` | fractional |
/// | DPM-Solver++ | `None` | rounded; truncated with cosine betas |
/// | UniPC, DEIS | `None` | rounded |
///
/// ```
/// use picardy::{Betas, Curve, Final, Level};
/// let mut levels = [Level::default(); 21];
/// let grid = Betas::cosine(1000).respaced(20, &Curve::karras(), Final::Data, &mut levels)?;
/// assert_eq!(grid.levels()[0].t, 999.0);
/// # Ok::<(), picardy::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// The curve.
    pub shape: SigmaShape,
    /// Between the first and the last timestep of this spacing; `None`: of the whole schedule.
    pub between: Option<Spacing>,
    /// What the network is told.
    pub told: Told,
}

impl Curve {
    /// Karras' curve with `rho = 7` over the whole schedule.
    pub const fn karras() -> Self {
        Self { shape: SigmaShape::Karras { rho: 7.0 }, between: None, told: Told::Fractional }
    }
}

impl Betas {
    /// The `steps + 1` levels of a run along a curve of sigmas, noisiest first, in the front of `levels`.
    ///
    /// # Errors
    /// As [`grid`](Self::grid); a schedule of zero terminal SNR, whose sigma has no bound.
    pub fn respaced<'a>(
        &self,
        steps: usize,
        curve: &Curve,
        last: Final,
        levels: &'a mut [Level],
    ) -> Result<Grid<'a>, ScheduleError> {
        self.check()?;
        let train_steps = self.train_steps;
        let levels = room(steps, train_steps, levels)?;

        let (top, bottom) = match curve.between {
            None => ((train_steps - 1) as f64, 0.0),
            Some(spacing) => {
                (spacing.timestep(0, steps, train_steps), spacing.timestep(steps - 1, steps, train_steps))
            }
        };
        let mut table = Table::new(self)?;
        let first = ratio(table.bar);
        let mut sigma_at = |t| table.level(t).map(|level| level.sigma / level.alpha);
        // At timestep 0 the same bits as the final level there, so that the last step may stand still.
        let sigma_min = if bottom == 0.0 { first } else { sigma_at(bottom)? };
        let sigma_max = sigma_at(top)?;
        if steps > 1 {
            curve.shape.check(sigma_min, sigma_max)?;
        }

        if let Some((end, run)) = levels.split_last_mut() {
            *end = match last {
                Final::Data => Level::DATA,
                Final::FirstTimestep => at_ratio(first, 0.0),
            };
            // Sigmas rise as the place in the run falls, so one walk over the betas finds all their timesteps.
            let mut table = Table::new(self)?;
            for (i, level) in run.iter_mut().enumerate().rev() {
                let sigma = curve.shape.sigma(i, steps, sigma_min, sigma_max);
                while ratio(table.above) <= sigma && table.timestep + 2 < train_steps {
                    table.step();
                }
                let (low, high) = (math::ln(ratio(table.bar)), math::ln(ratio(table.above)));
                let part =
                    if high > low { ((math::ln(sigma) - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
                let t = table.timestep as f64 + part;
                let told = match curve.told {
                    Told::Fractional => t,
                    Told::Rounded => math::rint(t),
                    // A hair, so that a timestep met exactly but for rounding is not the one below.
                    Told::Truncated => math::floor(t + 1e-9),
                };
                *level = at_ratio(sigma, told);
            }
        }
        Grid::new(levels)
    }
}
