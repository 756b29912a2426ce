//! The discrete variance-preserving schedules of DDPM and its kin.

use super::{Final, ScheduleError, Spacing, room};
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
    /// Rescaled to zero terminal SNR: see [`zero_snr`](Self::zero_snr).
    pub zero_snr: bool,
    /// `alpha_bar` of the last timestep where `zero_snr`: see [`ending_at`](Self::ending_at).
    pub last_alpha_bar: f64,
}

impl Betas {
    /// The most training timesteps: more than any model has, and a walk over them ends soon.
    pub const MOST_STEPS: usize = 1_000_000;

    /// A schedule of any kind.
    pub const fn new(train_steps: usize, kind: BetaKind) -> Self {
        Self { train_steps, kind, zero_snr: false, last_alpha_bar: 0.0 }
    }

    /// The schedule rescaled so that its last timestep has no signal at all (arXiv 2305.08891, algorithm 1):
    ///
    /// ```text
    /// sqrt(alpha_bar_t) <- (sqrt(alpha_bar_t) - sqrt(alpha_bar_T-1)) sqrt(alpha_bar_0)/(sqrt(alpha_bar_0) - sqrt(alpha_bar_T-1))
    /// ```
    ///
    /// The first timestep keeps its level. Epsilon-prediction says nothing at the last; v-prediction does.
    ///
    /// ```
    /// use picardy::Betas;
    /// let betas = Betas::scaled_linear(1000, 0.00085, 0.012).zero_snr();
    /// assert_eq!(betas.alpha_bars().last(), Some(0.0));
    /// ```
    #[must_use]
    pub const fn zero_snr(self) -> Self {
        Self { zero_snr: true, ..self }
    }

    /// A schedule of [zero terminal SNR](Self::zero_snr) whose last timestep keeps a little signal after all: solvers and
    /// curves in `sigma/alpha` need it. Public implementations have `2^-24`, a `sigma/alpha` of 4096. Nothing for other schedules.
    ///
    /// ```
    /// use picardy::Betas;
    /// let betas = Betas::scaled_linear(1000, 0.00085, 0.012).zero_snr().ending_at(1e-7);
    /// assert_eq!(betas.alpha_bars().last(), Some(1e-7));
    /// ```
    #[must_use]
    pub const fn ending_at(self, last_alpha_bar: f64) -> Self {
        Self { last_alpha_bar, ..self }
    }

    /// [`BetaKind::Linear`]: DDPM's are `linear(1000, 1e-4, 2e-2)`.
    pub const fn linear(train_steps: usize, start: f64, end: f64) -> Self {
        Self::new(train_steps, BetaKind::Linear { start, end })
    }

    /// [`BetaKind::ScaledLinear`]: Stable Diffusion's are `scaled_linear(1000, 0.00085, 0.012)`.
    pub const fn scaled_linear(train_steps: usize, start: f64, end: f64) -> Self {
        Self::new(train_steps, BetaKind::ScaledLinear { start, end })
    }

    /// [`BetaKind::Cosine`]: Diffusion Policy's are `cosine(100)`.
    pub const fn cosine(train_steps: usize) -> Self {
        Self::new(train_steps, BetaKind::Cosine)
    }

    /// [`BetaKind::Sigmoid`].
    pub const fn sigmoid(train_steps: usize, start: f64, end: f64) -> Self {
        Self::new(train_steps, BetaKind::Sigmoid { start, end })
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
        Some(Self::new(train_steps, kind))
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

    /// `beta_i` before any rescaling, unchecked: `i` past the end follows the formula on.
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
        let (shift, scale) = self.rescaling();
        self.raw_alpha_bars().enumerate().map(move |(i, bar)| {
            if !self.zero_snr {
                bar
            } else if i > 0 && i + 1 == self.train_steps {
                self.last_alpha_bar
            } else {
                let root = (math::sqrt(bar) - shift) * scale;
                root * root
            }
        })
    }

    fn raw_alpha_bars(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.train_steps).scan(1.0, |product, i| {
            *product *= 1.0 - self.beta(i);
            Some(*product)
        })
    }

    /// What is taken from `sqrt(alpha_bar)` and what it is then multiplied by. A single timestep stays as it is.
    fn rescaling(&self) -> (f64, f64) {
        if !self.zero_snr || self.train_steps < 2 {
            return (0.0, 1.0);
        }
        let first = math::sqrt(1.0 - self.beta(0));
        let last = math::sqrt(self.raw_alpha_bars().last().unwrap_or(0.0));
        (last, first / (first - last))
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
        let levels = room(steps, self.train_steps, levels)?;
        // Timesteps rise as the place in the run falls, so one walk over the betas meets them all.
        let mut table = Table::new(self)?;
        if let Some((end, run)) = levels.split_last_mut() {
            *end = match last {
                Final::Data => Level::DATA,
                Final::FirstTimestep => Level::vp(table.bar, 0.0),
            };
            for (i, level) in run.iter_mut().enumerate().rev() {
                *level = table.level(spacing.timestep(i, steps, self.train_steps))?;
                // Products of large betas underflow, tiny betas vanish beside 1: no level is left then.
                if level.sigma == 0.0 || (level.alpha == 0.0 && !self.zero_snr) {
                    return Err(ScheduleError::AlphaBar { timestep: table.timestep, value: table.bar });
                }
            }
        }
        Grid::new(levels)
    }

    /// Whether it is a schedule. Betas rise or fall monotonically between their ends, so the two ends speak for all.
    ///
    /// # Errors
    /// No timesteps, more than [`MOST_STEPS`](Self::MOST_STEPS), or a beta outside (0, 1).
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.train_steps == 0 {
            return Err(ScheduleError::NoTrainSteps);
        }
        if self.train_steps > Self::MOST_STEPS {
            return Err(ScheduleError::TooManyTrainSteps(self.train_steps));
        }
        if !(0.0..1.0).contains(&self.last_alpha_bar) {
            let (timestep, value) = (self.train_steps - 1, self.last_alpha_bar);
            return Err(ScheduleError::AlphaBar { timestep, value });
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

/// A walk up the timesteps, at one of them.
pub(crate) struct Table<I> {
    bars: I,
    train_steps: usize,
    pub(super) timestep: usize,
    pub(super) bar: f64,
    /// The next timestep's; that of the last is its own.
    pub(super) above: f64,
}

impl<'a> Table<()> {
    pub(crate) fn new(betas: &'a Betas) -> Result<Table<impl Iterator<Item = f64> + 'a>, ScheduleError> {
        let mut bars = betas.alpha_bars();
        let bar = bars.next().ok_or(ScheduleError::NoTrainSteps)?;
        let above = bars.next().unwrap_or(bar);
        Ok(Table { bars, train_steps: betas.train_steps, timestep: 0, bar, above })
    }
}

impl<I: Iterator<Item = f64>> Table<I> {
    /// One timestep up. False at the last.
    pub(super) fn step(&mut self) -> bool {
        let more = self.timestep + 1 < self.train_steps;
        if more {
            self.timestep += 1;
            self.bar = self.above;
            self.above = self.bars.next().unwrap_or(self.bar);
        }
        more
    }

    /// The level at a timestep, which may be a fraction: there `sigma/alpha` is linear between its neighbours.
    pub(crate) fn level(&mut self, t: f64) -> Result<Level, ScheduleError> {
        let whole = math::floor(t);
        while (self.timestep as f64) < whole {
            if !self.step() {
                let timestep = whole as usize;
                return Err(ScheduleError::Timestep { timestep, train_steps: self.train_steps });
            }
        }
        if t == whole {
            return Ok(Level::vp(self.bar, t));
        }
        let (low, high) = (ratio(self.bar), ratio(self.above));
        Ok(at_ratio(low + (t - whole) * (high - low), t))
    }
}

/// `sigma/alpha` at an `alpha_bar`.
pub(super) fn ratio(alpha_bar: f64) -> f64 {
    math::sqrt((1.0 - alpha_bar) / alpha_bar)
}

/// The variance-preserving level with this `sigma/alpha`.
pub(super) fn at_ratio(ratio: f64, t: f64) -> Level {
    let alpha = 1.0 / math::sqrt(1.0 + ratio * ratio);
    Level { alpha, sigma: alpha * ratio, t }
}
