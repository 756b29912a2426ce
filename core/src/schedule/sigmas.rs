//! Grids of sigmas in the variance-exploding process (EDM).

use super::{ScheduleError, SigmaShape};
use crate::{Grid, Level};

/// How sigmas run from `sigma_max` down to `sigma_min` over `N` levels `i = 0 .. N`, `u = i/(N-1)`.
///
/// ```
/// use picardy::{Level, Sigmas};
/// let mut levels = [Level::default(); 19];
/// let grid = Sigmas::Karras { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 }.grid(18, 0.0, &mut levels)?;
/// assert!((grid.levels()[0].sigma - 80.0).abs() < 1e-12);
/// assert_eq!(grid.levels()[18].sigma, 0.0);
/// # Ok::<(), picardy::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sigmas {
    /// `(sigma_max^(1/rho) + u (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho` (arXiv 2206.00364, eq. 5).
    Karras {
        /// The last sigma before the final one.
        sigma_min: f64,
        /// The first sigma.
        sigma_max: f64,
        /// 7 in the paper: larger puts more levels at low noise.
        rho: f64,
    },
    /// `exp` of equal steps in `ln sigma`: the same as [`LogLinear`](Self::LogLinear), under the name
    /// that samplers give it.
    Exponential {
        /// The last sigma before the final one.
        sigma_min: f64,
        /// The first sigma.
        sigma_max: f64,
    },
    /// `sigma_max (sigma_min / sigma_max)^u` (arXiv 2306.04848).
    LogLinear {
        /// The last sigma before the final one.
        sigma_min: f64,
        /// The first sigma.
        sigma_max: f64,
    },
    /// `sigma_min + (sigma_max - sigma_min) Q(1 - u)`, `Q` the quantile of the beta distribution (arXiv 2407.12173).
    Beta {
        /// The last sigma before the final one.
        sigma_min: f64,
        /// The first sigma.
        sigma_max: f64,
        /// 0.6 in the paper.
        alpha: f64,
        /// 0.6 in the paper.
        beta: f64,
    },
}

impl Sigmas {
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
        let (sigma_min, sigma_max, shape) = match *self {
            Self::Karras { sigma_min, sigma_max, rho } => (sigma_min, sigma_max, SigmaShape::Karras { rho }),
            Self::Exponential { sigma_min, sigma_max } | Self::LogLinear { sigma_min, sigma_max } => {
                (sigma_min, sigma_max, SigmaShape::Exponential)
            }
            Self::Beta { sigma_min, sigma_max, alpha, beta } => {
                (sigma_min, sigma_max, SigmaShape::Beta { alpha, beta })
            }
        };
        if steps == 0 {
            return Err(ScheduleError::NoSteps);
        }
        shape.check(sigma_min, sigma_max)?;
        let given = levels.len();
        let levels = levels.get_mut(..steps + 1).ok_or(ScheduleError::Buffer { needed: steps + 1, given })?;
        for (i, level) in levels[..steps].iter_mut().enumerate() {
            *level = Level::ve(shape.sigma(i, steps, sigma_min, sigma_max));
        }
        levels[steps] = Level::ve(final_sigma);
        Grid::new(levels)
    }
}
