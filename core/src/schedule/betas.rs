//! The discrete variance-preserving schedules of DDPM and its kin.

use super::ScheduleError;
use crate::{Grid, Level, math};

/// How the betas run over the training timesteps `i = 0 .. T`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BetaKind {
    /// `beta_i` linear from `start` to `end` (arXiv 2006.11239).
    Linear {
        /// The first beta.
        start: f64,
        /// The last beta.
        end: f64,
    },
    /// `sqrt(beta_i)` linear from `sqrt(start)` to `sqrt(end)` (arXiv 2112.10752).
    ScaledLinear {
        /// The first beta.
        start: f64,
        /// The last beta.
        end: f64,
    },
    /// `beta_i = min(1 - f((i+1)/T) / f(i/T), 0.999)`, `f(u) = cos^2(pi/2 (u + 0.008)/1.008)`
    /// (arXiv 2102.09672, eq. 17); `squaredcos_cap_v2` elsewhere.
    Cosine,
    /// `beta_i = start + (end - start) sigmoid(6 (2i/(T-1) - 1))` (arXiv 2203.02923's).
    Sigmoid {
        /// The first beta, nearly.
        start: f64,
        /// The last beta, nearly.
        end: f64,
    },
}

/// Which of the `T` training timesteps a run of `N` steps visits (arXiv 2305.08891, table 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// `round(T - i T/N) - 1`: starts at the last timestep. The right choice for few steps.
    #[default]
    Trailing,
    /// `(N - 1 - i) floor(T/N) + offset`: ends at timestep `offset`, and never sees the last one.
    Leading {
        /// What is added to every timestep: 0 for DDPM, 1 for Stable Diffusion.
        offset: usize,
    },
    /// `round((T-1) (1 - i/(N-1)))`: both ends.
    Linspace,
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Final {
    /// At no noise: `alpha = 1`, `sigma = 0`.
    #[default]
    Data,
    /// At the level of training timestep 0 (DDIM's `set_alpha_to_one = false`).
    FirstTimestep,
}

/// A discrete schedule: `alpha_bar_t = prod_(i <= t) (1 - beta_i)`, `alpha = sqrt(alpha_bar)`, the network told `t`.
///
/// ```
/// use picardy::{Betas, Level};
/// let mut levels = [Level::default(); 51];
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(50, &mut levels)?;
/// assert_eq!(grid.levels()[0].t, 999.0);
/// assert_eq!(grid.levels()[50], Level::DATA);
/// # Ok::<(), picardy::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Betas {
    /// `T`, the number of training timesteps.
    pub train_steps: usize,
    /// The shape.
    pub kind: BetaKind,
}

impl Betas {
    /// [`BetaKind::Linear`]: DDPM's are `linear(1000, 1e-4, 2e-2)`.
    pub const fn linear(train_steps: usize, start: f64, end: f64) -> Self {
        Self { train_steps, kind: BetaKind::Linear { start, end } }
    }

    /// [`BetaKind::ScaledLinear`]: Stable Diffusion's are `scaled_linear(1000, 0.00085, 0.012)`.
    pub const fn scaled_linear(train_steps: usize, start: f64, end: f64) -> Self {
        Self { train_steps, kind: BetaKind::ScaledLinear { start, end } }
    }

    /// [`BetaKind::Cosine`]: Diffusion Policy's are `cosine(100)`.
    pub const fn cosine(train_steps: usize) -> Self {
        Self { train_steps, kind: BetaKind::Cosine }
    }

    /// [`BetaKind::Sigmoid`].
    pub const fn sigmoid(train_steps: usize, start: f64, end: f64) -> Self {
        Self { train_steps, kind: BetaKind::Sigmoid { start, end } }
    }

    /// The schedule of that name (`linear`, `scaled_linear`, `cosine` or `squaredcos_cap_v2`, `sigmoid`); `None` for
    /// another. Cosine betas have no ends.
    ///
    /// ```
    /// use picardy::Betas;
    /// assert_eq!(Betas::named("linear", 1000, 1e-4, 2e-2), Some(Betas::linear(1000, 1e-4, 2e-2)));
    /// ```
    pub fn named(name: &str, train_steps: usize, start: f64, end: f64) -> Option<Self> {
        let kind = match name {
            "linear" => BetaKind::Linear { start, end },
            "scaled_linear" => BetaKind::ScaledLinear { start, end },
            "cosine" | "squaredcos_cap_v2" => BetaKind::Cosine,
            "sigmoid" => BetaKind::Sigmoid { start, end },
            _ => return None,
        };
        Some(Self { train_steps, kind })
    }

    /// The name under which [`named`](Self::named) finds it.
    pub const fn name(&self) -> &'static str {
        match self.kind {
            BetaKind::Linear { .. } => "linear",
            BetaKind::ScaledLinear { .. } => "scaled_linear",
            BetaKind::Cosine => "cosine",
            BetaKind::Sigmoid { .. } => "sigmoid",
        }
    }

    /// The first and the last beta as given; 0 and 0 where the kind has none.
    pub const fn ends(&self) -> (f64, f64) {
        match self.kind {
            BetaKind::Linear { start, end }
            | BetaKind::ScaledLinear { start, end }
            | BetaKind::Sigmoid { start, end } => (start, end),
            BetaKind::Cosine => (0.0, 0.0),
        }
    }

    /// `beta_i`, unchecked: `i` past the end follows the formula on.
    pub fn beta(&self, i: usize) -> f64 {
        let steps = self.train_steps as f64;
        let unit = if self.train_steps > 1 { i as f64 / (steps - 1.0) } else { 0.0 };
        match self.kind {
            BetaKind::Linear { start, end } => start + (end - start) * unit,
            BetaKind::ScaledLinear { start, end } => {
                let (a, b) = (math::sqrt(start), math::sqrt(end));
                let root = a + (b - a) * unit;
                root * root
            }
            BetaKind::Cosine => {
                let f = |u: f64| {
                    let c = math::cos((u + 0.008) / 1.008 * core::f64::consts::FRAC_PI_2);
                    c * c
                };
                let beta = 1.0 - f((i + 1) as f64 / steps) / f(i as f64 / steps);
                if beta < 0.999 { beta } else { 0.999 }
            }
            BetaKind::Sigmoid { start, end } => {
                start + (end - start) / (1.0 + math::exp(-6.0 * (2.0 * unit - 1.0)))
            }
        }
    }

    /// Every `alpha_bar_t`, in the order of the timesteps.
    ///
    /// ```
    /// use picardy::Betas;
    /// assert_eq!(Betas::linear(1000, 1e-4, 2e-2).alpha_bars().count(), 1000);
    /// ```
    pub fn alpha_bars(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.train_steps).scan(1.0, |product, i| {
            *product *= 1.0 - self.beta(i);
            Some(*product)
        })
    }

    /// The level of one training timestep; costs a walk up to it.
    ///
    /// # Errors
    /// [`ScheduleError::Timestep`] for a timestep the schedule does not have.
    pub fn level(&self, timestep: usize) -> Result<Level, ScheduleError> {
        self.check()?;
        let found = self.alpha_bars().nth(timestep);
        let alpha_bar = found.ok_or(ScheduleError::Timestep { timestep, train_steps: self.train_steps })?;
        Ok(Level::vp(alpha_bar, timestep as f64))
    }

    /// [`grid`](Self::grid) with [`Spacing::Trailing`] and [`Final::Data`].
    ///
    /// # Errors
    /// As [`grid`](Self::grid).
    pub fn trailing<'a>(&self, steps: usize, levels: &'a mut [Level]) -> Result<Grid<'a>, ScheduleError> {
        self.grid(steps, Spacing::Trailing, Final::Data, levels)
    }

    /// The `steps + 1` levels of a run, noisiest first, in the front of `levels`.
    ///
    /// Exactly `steps` steps come out. One pass over the betas, no memory of its own.
    ///
    /// # Errors
    /// No steps, more steps than timesteps, a beta outside (0, 1), a slice that is too short.
    pub fn grid<'a>(
        &self,
        steps: usize,
        spacing: Spacing,
        last: Final,
        levels: &'a mut [Level],
    ) -> Result<Grid<'a>, ScheduleError> {
        self.check()?;
        if steps == 0 {
            return Err(ScheduleError::NoSteps);
        }
        if steps > self.train_steps {
            return Err(ScheduleError::TooManySteps { asked: steps, train_steps: self.train_steps });
        }
        let given = levels.len();
        let levels = levels.get_mut(..steps + 1).ok_or(ScheduleError::Buffer { needed: steps + 1, given })?;
        // Timesteps rise as the place in the run falls, so one walk over the betas meets them all.
        let mut bars = self.alpha_bars().enumerate();
        let mut at = bars.next();
        for (i, level) in levels[..steps].iter_mut().enumerate().rev() {
            let timestep = self.timestep(i, steps, spacing);
            while at.is_some_and(|(t, _)| t < timestep) {
                at = bars.next();
            }
            let Some((t, alpha_bar)) = at else {
                return Err(ScheduleError::Timestep { timestep, train_steps: self.train_steps });
            };
            // Products of large betas underflow, tiny betas vanish beside 1: no level is left then.
            if !(alpha_bar > 0.0 && alpha_bar < 1.0) {
                return Err(ScheduleError::AlphaBar { timestep: t, value: alpha_bar });
            }
            *level = Level::vp(alpha_bar, t as f64);
        }
        levels[steps] = match last {
            Final::Data => Level::DATA,
            Final::FirstTimestep => Level::vp(1.0 - self.beta(0), 0.0),
        };
        Grid::new(levels)
    }

    /// The timestep of step `i` of `steps`.
    fn timestep(&self, i: usize, steps: usize, spacing: Spacing) -> usize {
        let (train, n, i_f) = (self.train_steps as f64, steps as f64, i as f64);
        match spacing {
            // From the index, not by adding up: a float range can run one step long or short.
            Spacing::Trailing => math::rint(train - i_f * (train / n)) as usize - 1,
            Spacing::Leading { offset } => {
                ((steps - 1 - i) * (self.train_steps / steps)).saturating_add(offset)
            }
            Spacing::Linspace if steps == 1 => self.train_steps - 1,
            Spacing::Linspace => math::rint((train - 1.0) / (n - 1.0) * (n - 1.0 - i_f)) as usize,
        }
    }

    /// Whether it is a schedule. Betas rise or fall monotonically between their ends, so the two ends speak for all.
    ///
    /// # Errors
    /// No timesteps, or a beta outside (0, 1).
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.train_steps == 0 {
            return Err(ScheduleError::NoTrainSteps);
        }
        let (start, end) = self.ends();
        for (timestep, value) in [(0, self.beta(0)), (self.train_steps - 1, self.beta(self.train_steps - 1))]
        {
            if !(value > 0.0 && value < 1.0) {
                return Err(ScheduleError::Beta { timestep, value });
            }
        }
        // With one timestep the last beta is never reached, and still has to be one.
        match [start, end].iter().find(|end| !(0.0..1.0).contains(*end)) {
            Some(&value) => Err(ScheduleError::Beta { timestep: self.train_steps - 1, value }),
            None => Ok(()),
        }
    }
}
