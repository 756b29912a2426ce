//! Noise levels: the timesteps that the network knows, and the levels that the likelihood is integrated over.

use super::{LossError, sigmoid};
use crate::rng::Rng;
use picardy::likelihood::LogSnrs;
use picardy::{Betas, FlowShift, Level, NoiseSchedule};

/// The schedule as the losses need it: signal and noise per timestep, and the way back from a log-SNR.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseTable {
    alphas_cumprod: Vec<f64>,
    /// ln(abar / (1 - abar)), falling with the timestep.
    log_snr: Vec<f64>,
}

impl NoiseTable {
    /// The schedule with these alpha-bars, one per timestep.
    ///
    /// # Errors
    ///
    /// [`LossError::Schedule`] where one is not in (0, 1) or does not fall, [`LossError::Empty`] where there is none.
    pub fn new(alphas_cumprod: Vec<f64>) -> Result<Self, LossError> {
        let mut last = 1.0;
        for (step, &value) in alphas_cumprod.iter().enumerate() {
            if !(value > 0.0 && value < last) {
                return Err(LossError::Schedule { step, value });
            }
            last = value;
        }
        if alphas_cumprod.is_empty() {
            return Err(LossError::Empty("timesteps"));
        }
        let log_snr = alphas_cumprod.iter().map(|a| (a / (1.0 - a)).ln()).collect();
        Ok(Self { alphas_cumprod, log_snr })
    }

    /// How many timesteps there are.
    pub fn train_steps(&self) -> usize {
        self.log_snr.len()
    }

    /// alpha-bar per timestep.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// log-SNR per timestep.
    pub fn log_snr(&self) -> &[f64] {
        &self.log_snr
    }

    /// The level of a timestep; of the last one past the end.
    pub fn level(&self, timestep: usize) -> Level {
        let timestep = timestep.min(self.alphas_cumprod.len() - 1);
        Level::vp(self.alphas_cumprod[timestep], timestep as f64)
    }

    /// The timestep whose log-SNR is nearest to `log_snr`; the first or the last one beyond the ends.
    pub fn nearest(&self, log_snr: f64) -> usize {
        let after = self.log_snr.partition_point(|&l| l > log_snr);
        match after {
            0 => 0,
            n if n == self.log_snr.len() => n - 1,
            n if self.log_snr[n - 1] - log_snr < log_snr - self.log_snr[n] => n - 1,
            n => n,
        }
    }
}

/// The forward process: which states the network is shown, and what it is told of their level.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Process {
    /// Variance preserving, at the schedule's timesteps.
    #[default]
    Vp,
    /// `z = (1 - s) x0 + s eps`, told `T s` for a schedule of T timesteps, as [`picardy::FlowShift`]'s grids have it (arXiv
    /// 2210.02747); `s = k u/(1 + (k - 1) u)`, u uniform in (0, 1) (arXiv 2403.03206, eq. 23).
    Flow {
        /// k; 1 for none, more for more noise.
        shift: f64,
    },
    /// The pinned (Foellmer) process (arXiv 2305.09605): `z = tau x1 + sqrt(v tau (1 - tau)) eps`, tau uniform in (0, 1) and
    /// taken to the nearest timestep's, by signal-to-noise ratio ([`Level::pinned`]); told that timestep. Its training loss is
    /// [`Denoising`](super::Denoising) with [`Output::Sample`](super::Output::Sample).
    Pinned {
        /// v, the variance of the noise per unit of time.
        variance: f64,
    },
}

impl Process {
    /// What a sampler walks down where a network was trained so, on the timesteps of `betas`.
    ///
    /// ```
    /// use picardy::{Betas, NoiseSchedule};
    /// use picardy_trainer::loss::Process;
    /// let schedule = Process::Flow { shift: 3.0 }.schedule(Betas::linear(1000, 1e-4, 2e-2));
    /// assert_eq!((schedule.process(), schedule.most_steps()), ("flow", 1000));
    /// ```
    pub const fn schedule(&self, betas: Betas) -> NoiseSchedule {
        match *self {
            Self::Vp => NoiseSchedule::Vp(betas),
            Self::Flow { shift } => NoiseSchedule::Flow(FlowShift { train_steps: betas.train_steps, shift }),
            Self::Pinned { variance } => NoiseSchedule::Pinned { betas, variance },
        }
    }

    /// A level to train at. Takes one draw (see [`Rng::below`]).
    pub fn draw(&self, table: &NoiseTable, rng: &mut Rng) -> Level {
        match *self {
            Self::Vp => table.level(rng.below(table.train_steps())),
            Self::Flow { shift } => {
                let u = rng.uniform_open();
                flow(shift * u / (1.0 + (shift - 1.0) * u), table)
            }
            Self::Pinned { variance } => {
                // tau/(1 - tau) = v SNR.
                let tau = rng.uniform_open();
                let log_snr = (tau / (1.0 - tau)).ln() - variance.ln();
                table.level(table.nearest(log_snr)).pinned(variance)
            }
        }
    }

    /// The level of a timestep; `None` for the flow, which has none.
    pub fn level(&self, table: &NoiseTable, timestep: usize) -> Option<Level> {
        match *self {
            Self::Vp => Some(table.level(timestep)),
            Self::Flow { .. } => None,
            Self::Pinned { variance } => Some(table.level(timestep).pinned(variance)),
        }
    }

    /// The level that the network is told for a variance-preserving state at `log_snr`, and what that state is multiplied by
    /// to be shown: the nearest timestep and 1, the flow's level of that SNR and `1/(a + s)`, the pinned one of the nearest
    /// timestep and `tau/a`.
    pub fn known(&self, table: &NoiseTable, log_snr: f64) -> (Level, f64) {
        match *self {
            Self::Vp => (table.level(table.nearest(log_snr)), 1.0),
            Self::Flow { .. } => {
                let (a, s) = (sigmoid(log_snr).sqrt(), sigmoid(-log_snr).sqrt());
                (flow(s / (a + s), table), 1.0 / (a + s))
            }
            Self::Pinned { variance } => {
                let level = table.level(table.nearest(log_snr)).pinned(variance);
                let a = sigmoid(log_snr).sqrt();
                // The state's own tau, not the timestep's: so its scale is the process's at every SNR.
                let tau = sigmoid(log_snr + variance.ln());
                (level, tau / a)
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), LossError> {
        match *self {
            Self::Flow { shift } if !(shift > 0.0 && shift.is_finite()) => {
                Err(LossError::setting("shift", shift))
            }
            Self::Pinned { variance } if !(variance > 0.0 && variance.is_finite()) => {
                Err(LossError::setting("variance", variance))
            }
            _ => Ok(()),
        }
    }
}

/// The flow's level at noise s.
fn flow(s: f64, table: &NoiseTable) -> Level {
    Level { alpha: 1.0 - s, sigma: s, t: table.train_steps() as f64 * s }
}

/// A distribution of log-SNRs to draw from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogSnrDraws {
    /// `loc + scale logit(u)`, u uniform in (sig(-clip), sig(clip)).
    Logistic {
        /// The middle.
        loc: f64,
        /// The width.
        scale: f64,
        /// Where the distribution is cut off, in scales from the middle.
        clip: f64,
    },
    /// Uniform in (low, high).
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
}

impl LogSnrDraws {
    /// The levels that the contrastive loss's paper integrates over: `loc = -mean ln eig`, scale 3, clip 3.
    pub fn for_eigenvalues(eigenvalues: &[f64]) -> Self {
        let loc = -eigenvalues.iter().map(|e| e.ln()).sum::<f64>() / eigenvalues.len() as f64;
        Self::Logistic { loc, scale: 3.0, clip: 3.0 }
    }

    /// A log-SNR and its weight, 1 over the density it was drawn with. Takes one draw.
    ///
    /// `E[weight f(l)]` is then the integral of f over the distribution's support; for the logistic one,
    /// `weight = scale tanh(clip / 2) / (sig(k) sig(-k))`, k = (l - loc) / scale.
    pub fn draw(&self, rng: &mut Rng) -> (f64, f64) {
        self.stratum(0, 1, rng)
    }

    /// [`draw`](Self::draw) from the `k`-th of `n` parts of equal probability. The mean over one draw from each part
    /// estimates the same integral as n free draws, with less variance. Takes one draw.
    pub fn stratum(&self, k: usize, n: usize, rng: &mut Rng) -> (f64, f64) {
        let u = (k as f64 + rng.uniform_open()) / n as f64;
        LogSnrs::from(*self).at(u)
    }

    pub(super) fn check(&self, name: &'static str) -> Result<(), LossError> {
        let value = match *self {
            Self::Logistic { scale, clip, loc } if loc.is_finite() => scale.min(clip),
            Self::Uniform { low, high } => high - low,
            Self::Logistic { loc, .. } => loc,
        };
        if value > 0.0 && value.is_finite() { Ok(()) } else { Err(LossError::setting(name, value)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_timestep() {
        let table = NoiseTable::new(vec![0.9, 0.5, 0.1]).unwrap();
        let (l, n) = (table.log_snr().to_vec(), |l| table.nearest(l));
        assert_eq!((n(99.0), n(l[0]), n(l[1]), n(l[2]), n(-99.0)), (0, 0, 1, 2, 2));
        assert_eq!((n(l[1] + 1.0), n(l[1] + 1.2)), (1, 0));
        assert!(NoiseTable::new(vec![0.5, 0.5]).is_err());
        assert!(NoiseTable::new(vec![1.0]).is_err());
        assert!(NoiseTable::new(vec![0.5, f64::NAN]).is_err());
        assert!(NoiseTable::new(vec![]).is_err());
    }

    #[test]
    fn a_flow_is_told_what_cores_grid_tells() {
        let table = NoiseTable::new(vec![0.9, 0.5, 0.1]).unwrap();
        let process = Process::Flow { shift: 1.0 };
        // a = s at log-SNR 0: half way, where the VP state is sqrt 2 of the flow's.
        let (level, input) = process.known(&table, 0.0);
        assert!((level.alpha - 0.5).abs() < 1e-15 && (level.t - 1.5).abs() < 1e-15);
        assert!((input - 0.5f64.sqrt()).abs() < 1e-15);
        assert!((level.log_snr()).abs() < 1e-12);
        let mut rng = Rng::new(1, 0);
        let mean = (0..4000).map(|_| process.draw(&table, &mut rng).sigma).sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
        let shifted = Process::Flow { shift: 3.0 };
        let mean = (0..4000).map(|_| shifted.draw(&table, &mut rng).sigma).sum::<f64>() / 4000.0;
        assert!(mean > 0.6, "{mean}");
        assert!(Process::Flow { shift: 0.0 }.check().unwrap_err().to_string().contains("shift"));
    }

    #[test]
    fn weighted_draws_integrate() {
        let mut rng = Rng::new(1, 1);
        let draws = LogSnrDraws::Logistic { loc: 1.0, scale: 2.0, clip: 3.0 };
        let n = 200_000;
        let (mut whole, mut part) = (0.0, 0.0);
        for _ in 0..n {
            let (l, w) = draws.draw(&mut rng);
            assert!((-5.0..=7.0).contains(&l));
            whole += w;
            part += w * f64::from(l > 1.0);
        }
        assert!((whole / f64::from(n) - 12.0).abs() < 0.1);
        assert!((part / f64::from(n) - 6.0).abs() < 0.1);
    }
}
