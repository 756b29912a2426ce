//! The noise levels that a network was trained at, whatever its process.

use super::{Betas, Final, FlowShift, ScheduleError, Sigmas, Spacing};
use crate::{Grid, Level};

/// The process and the levels of a network's training: what a run from noise to data walks down.
///
/// | name | states | the network is told |
/// |---|---|---|
/// | `vp` | variance preserving, [`Betas`] | the timestep |
/// | `flow` | `(1 - s) x0 + s eps`, [`FlowShift`] (arXiv 2210.02747) | `train_steps s` |
/// | `ve` | `x0 + sigma eps`, EDM's [`Sigmas`] (arXiv 2206.00364) | sigma |
/// | `pinned` | `tau x1 + sqrt(v tau (1 - tau)) eps`, [`Level::pinned`] (arXiv 2305.09605) | the timestep of the betas |
///
/// All solvers go over any of these grids, but those that look levels up in a table of betas (`Tcd`, `DdimStride`, `Pndm`), which
/// are for `vp` alone, and `Lcm`, which reckons with timesteps, on `ve`.
///
/// ```
/// use picardy::{Betas, FlowShift, Level, NoiseSchedule};
/// let mut levels = [Level::default(); 11];
/// let betas = Betas::linear(1000, 1e-4, 2e-2);
/// let pinned = NoiseSchedule::Pinned { betas, variance: 1.0 };
/// assert_eq!(pinned.trailing(10, &mut levels)?.levels()[0].t, 999.0);
/// let flow = NoiseSchedule::Flow(FlowShift { train_steps: 1000, shift: 1.0 });
/// assert_eq!(flow.trailing(10, &mut levels)?.levels()[0].t, 1000.0);
/// # Ok::<(), picardy::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoiseSchedule {
    /// Variance preserving.
    Vp(Betas),
    /// Flow matching.
    Flow(FlowShift),
    /// Variance exploding, along Karras' curve.
    Ve {
        /// The smallest sigma before none at all.
        sigma_min: f64,
        /// The largest one.
        sigma_max: f64,
        /// The curve's exponent; 7 is usual.
        rho: f64,
    },
    /// The pinned (Foellmer) process, at the signal-to-noise ratios of betas.
    Pinned {
        /// The betas.
        betas: Betas,
        /// v, the variance of the noise per unit of time.
        variance: f64,
    },
}

impl From<Betas> for NoiseSchedule {
    fn from(betas: Betas) -> Self {
        Self::Vp(betas)
    }
}

impl NoiseSchedule {
    /// The process' name: `vp`, `flow`, `ve` or `pinned`.
    pub const fn process(&self) -> &'static str {
        match self {
            Self::Vp(_) => "vp",
            Self::Flow(_) => "flow",
            Self::Ve { .. } => "ve",
            Self::Pinned { .. } => "pinned",
        }
    }

    /// The betas; `None` of a process that has none.
    pub const fn betas(&self) -> Option<Betas> {
        match *self {
            Self::Vp(betas) | Self::Pinned { betas, .. } => Some(betas),
            Self::Flow(_) | Self::Ve { .. } => None,
        }
    }

    /// The most steps of a run: the timesteps of the training, and [`Betas::MOST_STEPS`] where there are none.
    pub const fn most_steps(&self) -> usize {
        match self {
            Self::Vp(betas) | Self::Pinned { betas, .. } => betas.train_steps,
            Self::Flow(flow) => flow.train_steps,
            Self::Ve { .. } => Betas::MOST_STEPS,
        }
    }

    /// The `steps + 1` levels of a run to data without noise, noisiest first, in the front of `levels`.
    ///
    /// # Errors
    /// As [`grid`](Self::grid).
    pub fn trailing<'a>(&self, steps: usize, levels: &'a mut [Level]) -> Result<Grid<'a>, ScheduleError> {
        self.grid(steps, Spacing::Trailing, levels)
    }

    /// [`trailing`](Self::trailing) with another choice of timesteps, where the process has betas. `spacing` says nothing of the
    /// others.
    ///
    /// # Errors
    /// No steps or too many, a slice that is too short, settings out of range: as the schedule's own `grid`.
    pub fn grid<'a>(
        &self,
        steps: usize,
        spacing: Spacing,
        levels: &'a mut [Level],
    ) -> Result<Grid<'a>, ScheduleError> {
        self.check()?;
        match *self {
            Self::Vp(betas) => betas.grid(steps, spacing, Final::Data, levels),
            Self::Flow(flow) => flow.grid(steps, levels),
            Self::Ve { sigma_min, sigma_max, rho } => {
                super::room(steps, Betas::MOST_STEPS, levels)?;
                Sigmas::karras(sigma_min, sigma_max, rho).grid(steps, 0.0, levels)
            }
            Self::Pinned { betas, variance } => {
                let levels = super::room(steps, betas.train_steps, levels)?;
                betas.grid(steps, spacing, Final::Data, levels)?;
                for level in levels.iter_mut() {
                    *level = level.pinned(variance);
                }
                Grid::new(levels)
            }
        }
    }

    /// Whether it is a schedule.
    ///
    /// # Errors
    /// As [`Betas::check`]; a shift, a range of sigmas, a rho or a variance that is none; betas without signal at their end where
    /// the process is pinned, whose states begin there as points.
    pub fn check(&self) -> Result<(), ScheduleError> {
        match *self {
            Self::Vp(betas) => betas.check(),
            Self::Flow(FlowShift { train_steps, shift }) => match train_steps {
                0 => Err(ScheduleError::NoTrainSteps),
                n if n > Betas::MOST_STEPS => Err(ScheduleError::TooManyTrainSteps(n)),
                _ if shift > 0.0 && shift.is_finite() => Ok(()),
                _ => Err(ScheduleError::Shift(shift)),
            },
            Self::Ve { sigma_min, sigma_max, rho } => {
                super::SigmaShape::Karras { rho }.check(sigma_min, sigma_max)
            }
            Self::Pinned { betas, variance } => {
                if !(variance > 0.0 && variance.is_finite()) {
                    return Err(ScheduleError::Variance(variance));
                }
                betas.check()?;
                if betas.zero_snr && betas.last_alpha_bar == 0.0 {
                    return Err(ScheduleError::AlphaBar { timestep: betas.train_steps - 1, value: 0.0 });
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETAS: Betas = Betas::linear(100, 1e-3, 0.2);

    #[test]
    fn every_process_has_its_own_levels_at_the_same_ratio() {
        let (mut vp, mut pinned) = ([Level::default(); 11], [Level::default(); 11]);
        let vp = NoiseSchedule::from(BETAS).trailing(10, &mut vp).unwrap();
        let pinned = NoiseSchedule::Pinned { betas: BETAS, variance: 0.4 }.trailing(10, &mut pinned).unwrap();
        for (vp, pinned) in vp.levels().iter().zip(pinned.levels()).take(10) {
            assert_eq!(vp.t, pinned.t);
            // tau/(1 - tau) = v SNR.
            let odds = pinned.alpha / (1.0 - pinned.alpha);
            assert!((odds / (0.4 * (vp.alpha / vp.sigma).powi(2)) - 1.0).abs() < 1e-9);
            let want = (0.4 * pinned.alpha * (1.0 - pinned.alpha)).sqrt();
            assert!((pinned.sigma - want).abs() < 1e-12);
            // A level between two of the process is of the process.
            let between = pinned.with_ratio(1.1 * pinned.sigma / pinned.alpha, 0.0);
            let want = (0.4 * between.alpha * (1.0 - between.alpha)).sqrt();
            assert!((between.sigma - want).abs() < 1e-9, "{between:?}");
        }
        assert_eq!(pinned.levels()[10], Level::DATA);
        let mut ve = [Level::default(); 11];
        let ve =
            NoiseSchedule::Ve { sigma_min: 0.01, sigma_max: 10.0, rho: 7.0 }.trailing(10, &mut ve).unwrap();
        assert!((ve.levels()[0].sigma - 10.0).abs() < 1e-12 && ve.levels()[3].t == ve.levels()[3].sigma);
    }

    /// What is asked of a grid reaches the schedule that makes it.
    #[test]
    fn spacing_and_shift_are_the_grids() {
        let leading = Spacing::Leading { offset: 0 };
        for schedule in [NoiseSchedule::Vp(BETAS), NoiseSchedule::Pinned { betas: BETAS, variance: 0.4 }] {
            let first = |spacing| {
                let mut levels = [Level::default(); 11];
                schedule.grid(10, spacing, &mut levels).unwrap().levels()[0].t
            };
            assert_eq!((first(Spacing::Trailing), first(leading)), (99.0, 90.0), "{schedule:?}");
        }
        let (mut levels, mut own) = ([Level::default(); 11], [Level::default(); 11]);
        let shifted = FlowShift { train_steps: 100, shift: 3.0 };
        let grid = NoiseSchedule::Flow(shifted).grid(10, leading, &mut levels).unwrap();
        assert_eq!(grid.levels(), shifted.grid(10, &mut own).unwrap().levels());
    }

    #[test]
    fn what_a_schedule_says_of_itself() {
        let pinned = |betas| NoiseSchedule::Pinned { betas, variance: 0.4 };
        assert_eq!((pinned(BETAS).betas(), pinned(BETAS).most_steps()), (Some(BETAS), 100));
        let flow = NoiseSchedule::Flow(FlowShift { train_steps: 70, shift: 1.0 });
        assert_eq!((flow.betas(), flow.most_steps()), (None, 70));
        let ve = NoiseSchedule::Ve { sigma_min: 0.01, sigma_max: 10.0, rho: 7.0 };
        assert_eq!((ve.betas(), ve.most_steps()), (None, Betas::MOST_STEPS));
        // A pinned process begins with a signal: none at all is refused by its timestep, a little is enough.
        let silent = ScheduleError::AlphaBar { timestep: 99, value: 0.0 };
        assert_eq!(pinned(BETAS.zero_snr()).check(), Err(silent));
        let faint = pinned(BETAS.zero_snr().ending_at(1e-6));
        assert_eq!(faint.check(), Ok(()));
        assert!(faint.trailing(10, &mut [Level::default(); 11]).is_ok());
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let ve = |sigma_min, sigma_max, rho| NoiseSchedule::Ve { sigma_min, sigma_max, rho };
        let flow = |train_steps, shift| NoiseSchedule::Flow(FlowShift { train_steps, shift });
        let mut levels = [Level::default(); 11];
        for bad in [
            NoiseSchedule::Pinned { betas: BETAS, variance: 0.0 },
            NoiseSchedule::Pinned { betas: BETAS, variance: f64::NAN },
            NoiseSchedule::Pinned { betas: BETAS, variance: f64::INFINITY },
            NoiseSchedule::Pinned { betas: Betas::linear(0, 1e-3, 0.2), variance: 1.0 },
            NoiseSchedule::Pinned { betas: BETAS.zero_snr(), variance: 1.0 },
            NoiseSchedule::Vp(Betas::linear(0, 1e-3, 0.2)),
            flow(0, 1.0),
            flow(usize::MAX, 1.0),
            flow(100, f64::INFINITY),
            flow(100, -1.0),
            flow(100, 0.0),
            ve(0.0, 1.0, 7.0),
            ve(2.0, 1.0, 7.0),
            ve(0.1, f64::NAN, 7.0),
            ve(0.1, 1.0, 0.0),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
            assert!(bad.trailing(10, &mut levels).is_err(), "{bad:?}");
        }
        let good = ve(0.1, 1.0, 7.0);
        assert!(matches!(good.trailing(11, &mut levels), Err(ScheduleError::Buffer { .. })));
        assert!(matches!(good.trailing(usize::MAX, &mut levels), Err(ScheduleError::TooManySteps { .. })));
    }
}
