//! How a network is shown a state, and its estimate of the noise read.

use super::sigmoid;
use crate::{Form, Level, Prediction, Readout};

/// How a network is shown the variance-preserving state `z = sqrt(sig(l)) x + sqrt(sig(-l)) eps`, and eps-hat read:
///
/// ```text
/// eps_hat = state z + output network(input z, t)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// What the network is told.
    pub t: f64,
    /// The three factors.
    pub read: Readout,
}

impl View {
    /// The view of a network of `prediction` that is shown states of `level`'s process at the log-SNR `l`, and told `level.t`.
    ///
    /// `level` is the network's own level of (about) that log-SNR: variance preserving, exploding or of a flow.
    /// `None` where that tells nothing of the noise, or a number is not finite.
    ///
    /// ```
    /// use picardy::{Level, Prediction, likelihood::View};
    /// // EDM's states x0 + sigma eps are sqrt(1 + sigma^2) times the variance-preserving ones.
    /// let view = View::new(&Level::ve(2.0), Prediction::Epsilon).unwrap();
    /// assert!((view.t, view.read.output) == (2.0, 1.0) && (view.read.input - 5f64.sqrt()).abs() < 1e-12);
    /// ```
    pub fn new(level: &Level, prediction: Prediction) -> Option<Self> {
        let Level { alpha, sigma, t } = *level;
        let scale = crate::math::sqrt(alpha * alpha + sigma * sigma);
        let read = prediction.readout(level, Form::Noise)?;
        let read = Readout { input: scale * read.input, state: scale * read.state, output: read.output };
        Self { t, read }.sound()
    }

    /// The view at log-SNR `l` of a network that knows only `levels` (any order): told the nearest one's `t`, shown states of the
    /// log-SNR itself.
    ///
    /// A log-SNR beyond the levels' ends is told the end's `t`: draw log-SNRs that the network knows.
    ///
    /// `None` where there is no level with a finite log-SNR, or the output says nothing of the noise there.
    ///
    /// ```
    /// use picardy::{Betas, Level, Prediction, likelihood::View};
    /// let betas = Betas::linear(1000, 1e-4, 2e-2);
    /// let mut levels = [Level::default(); 1001];
    /// let levels = betas.trailing(1000, &mut levels)?.levels();
    /// let view = View::nearest(levels, Prediction::Epsilon, 0.0).unwrap();
    /// assert_eq!(view.t, 258.0); // where signal and noise are even
    /// # Ok::<(), picardy::ScheduleError>(())
    /// ```
    pub fn nearest(levels: &[Level], prediction: Prediction, l: f64) -> Option<Self> {
        let far = |level: &Level| {
            let distance = (level.log_snr() - l).abs();
            if distance.is_nan() { f64::INFINITY } else { distance }
        };
        let mut best = (f64::INFINITY, None);
        for level in levels {
            let distance = far(level);
            if distance < best.0 {
                best = (distance, Some(level));
            }
        }
        let level = best.1?;
        // The network is told the level's t; what it is shown, and what its output is read against, is the state at l itself.
        let norm = crate::math::sqrt(level.alpha * level.alpha + level.sigma * level.sigma);
        let (alpha, sigma) = (crate::math::sqrt(sigmoid(l)), crate::math::sqrt(sigmoid(-l)));
        Self::new(&Level { alpha: norm * alpha, sigma: norm * sigma, t: level.t }, prediction)
    }

    /// Itself where all numbers are finite.
    pub(super) fn sound(self) -> Option<Self> {
        let Readout { input, state, output } = self.read;
        [self.t, input, state, output].iter().all(|value| value.is_finite()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Betas;

    /// A network that knows ten levels and the one point 1 is right at any log-SNR, whatever it predicts.
    #[test]
    fn short_grids_are_read_at_the_states_own_level() {
        let mut levels = [Level::default(); 11];
        let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels).unwrap();
        for prediction in [Prediction::Sample, Prediction::V, Prediction::Epsilon] {
            for l in [-4.0, -1.3, 0.2, 3.1, 5.0] {
                let (a, s) = (crate::math::sqrt(sigmoid(l)), crate::math::sqrt(sigmoid(-l)));
                let eps = 0.7;
                let out = match prediction {
                    Prediction::Sample => 1.0,
                    Prediction::V => a * eps - s,
                    _ => eps,
                };
                let view = View::nearest(grid.levels(), prediction, l).unwrap();
                let found = view.read.state * (a + s * eps) + view.read.output * out;
                assert!(
                    (found - eps).abs() < 1e-9 && (view.read.input - 1.0).abs() < 1e-9,
                    "{prediction} {l}: {found}"
                );
            }
        }
    }
}
