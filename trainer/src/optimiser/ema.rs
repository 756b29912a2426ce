//! The weights' running average.

use picardy::nn::{Kernel, Scalar, dispatch};

/// How much of the average a step keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EmaDecay {
    /// Nothing: the average is the weights themselves.
    None,
    /// `d` at every step.
    Constant {
        /// d, in [0, 1).
        decay: f64,
    },
    /// `min(d, (1 + k) / (10 + k))` at step k from 0, so that the first weights are soon forgotten.
    WarmUp {
        /// d, in [0, 1).
        decay: f64,
    },
    /// EDM's (arXiv 2206.00364, its training loop): `0.5^(b / min(h, r k b))` at step k from 0, where a step sees b items.
    HalfLife {
        /// h, the items over which a weight's share halves.
        items: f64,
        /// r, the share of the items seen that the half-life never exceeds.
        ramp_up: f64,
        /// b.
        batch: f64,
    },
    /// The power function of EDM2 (arXiv 2312.02696, section 3.1): `(1 - 1/k)^(gamma + 1)` at step k from 1, whose profile has
    /// the relative standard deviation `sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3))`.
    Power {
        /// gamma, at least 0; [`EmaDecay::power`] gives it for a standard deviation.
        gamma: f64,
    },
}

/// The relative standard deviation of a power function's profile with gamma 0, which is the widest: 1/sqrt 12.
pub const MAX_SIGMA_REL: f64 = 0.288_675_134_594_812_9;

impl EmaDecay {
    /// The power function whose profile has the relative standard deviation `sigma_rel`; `None` unless it lies in
    /// (0, [`MAX_SIGMA_REL`]].
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::optimiser::EmaDecay;
    /// // arXiv 2312.02696, section 3.1: 5% is gamma 16.97, 10% is gamma 6.94.
    /// let Some(EmaDecay::Power { gamma }) = EmaDecay::power(0.05) else { panic!() };
    /// assert!((gamma - 16.97).abs() < 5e-3);
    /// assert_eq!(EmaDecay::power(0.3), None);
    /// ```
    pub fn power(sigma_rel: f64) -> Option<Self> {
        if !(sigma_rel > 0.0 && sigma_rel <= MAX_SIGMA_REL) {
            return None;
        }
        let sigma = |gamma: f64| (gamma + 1.0).sqrt() / ((gamma + 2.0) * (gamma + 3.0).sqrt());
        // The deviation falls with gamma, and is below 1 / gamma.
        let (mut low, mut high) = (0.0, 1.0 / sigma_rel);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if sigma(middle) > sigma_rel {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(Self::Power { gamma: 0.5 * (low + high) })
    }

    /// What step `step`, from 0, keeps of the average.
    pub fn at(&self, step: u64) -> f64 {
        let k = step as f64;
        match *self {
            Self::None => 0.0,
            Self::Constant { decay } => decay,
            Self::WarmUp { decay } => decay.min((1.0 + k) / (10.0 + k)),
            Self::HalfLife { items, ramp_up, batch } => {
                0.5f64.powf(batch / items.min(ramp_up * k * batch).max(1e-8))
            }
            Self::Power { gamma } => (1.0 - 1.0 / (k + 1.0)).powf(gamma + 1.0),
        }
    }
}

/// A running average of the parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Ema<T> {
    decay: EmaDecay,
    average: Vec<T>,
    steps: u64,
}

impl<T: Scalar> Ema<T> {
    /// An average that starts at `parameters`.
    pub fn new(decay: EmaDecay, parameters: &[T]) -> Self {
        Self { decay, average: parameters.to_vec(), steps: 0 }
    }

    /// `average <- d average + (1 - d) parameters`, d what [`EmaDecay::at`] gives for this step.
    ///
    /// # Panics
    ///
    /// Where the lengths differ.
    pub fn update(&mut self, parameters: &[T]) {
        assert_eq!(parameters.len(), self.average.len(), "parameters");
        let rest = 1.0 - self.decay.at(self.steps);
        if rest >= 1.0 {
            // Not a + 1 (p - a), which rounds.
            self.average.copy_from_slice(parameters);
        } else {
            dispatch(Average { average: &mut self.average, parameters, rest: T::from_f64(rest) });
        }
        self.steps += 1;
    }

    /// The average.
    pub fn average(&self) -> &[T] {
        &self.average
    }

    /// Updates taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes up a state that [`Ema::average`] and [`Ema::steps`] gave.
    ///
    /// # Panics
    ///
    /// Where the length is not the average's.
    pub fn restore(&mut self, average: &[T], steps: u64) {
        self.average.copy_from_slice(average);
        self.steps = steps;
    }
}

struct Average<'a, T> {
    average: &'a mut [T],
    parameters: &'a [T],
    rest: T,
}

impl<T: Scalar> Kernel for Average<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (average, &parameter) in self.average.iter_mut().zip(self.parameters) {
            *average += self.rest * (parameter - *average);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The averages of the weights 1, 2, 3, ... after each of the first steps.
    fn averages(decay: EmaDecay, steps: usize) -> Vec<f64> {
        let mut ema = Ema::new(decay, &[0.0f64]);
        (1..=steps)
            .map(|k| {
                ema.update(&[k as f64]);
                ema.average()[0]
            })
            .collect()
    }

    #[test]
    fn averages_by_hand() {
        assert_eq!(averages(EmaDecay::None, 3), [1.0, 2.0, 3.0]);
        assert_eq!(averages(EmaDecay::Constant { decay: 0.5 }, 3), [0.5, 1.25, 2.125]);
        // Decays 1/10, 2/11, and 0.15 where that is less.
        let warm = averages(EmaDecay::WarmUp { decay: 0.15 }, 2);
        assert!((warm[0] - 0.9).abs() < 1e-12 && (warm[1] - (0.15 * 0.9 + 0.85 * 2.0)).abs() < 1e-12);
        // Half-lives of 0, 1, 2 and 2 batches: nothing is kept, then 1/2, then 1/sqrt 2.
        let decay = EmaDecay::HalfLife { items: 64.0, ramp_up: 1.0, batch: 32.0 };
        let kept = [0.0, 0.5, 0.5f64.sqrt(), 0.5f64.sqrt()];
        for (step, kept) in kept.into_iter().enumerate() {
            assert!((decay.at(step as u64) - kept).abs() < 1e-12);
        }
        // A power function weights the weights of step k by k^gamma - in the limit; for gamma 0 exactly evenly.
        let even = averages(EmaDecay::Power { gamma: 0.0 }, 5);
        assert!((even[4] - 3.0).abs() < 1e-12, "the mean of 1 to 5");
    }

    #[test]
    fn a_power_functions_profile_is_as_wide_as_asked() {
        for sigma_rel in [0.05, 0.1, 0.25, MAX_SIGMA_REL] {
            let decay = EmaDecay::power(sigma_rel).unwrap();
            // The share of the weights of each step in the average after 4000 steps.
            let (steps, mut rest) = (4000u64, 1.0);
            let (mut mean, mut square) = (0.0, 0.0);
            for k in (0..steps).rev() {
                let share = rest * (1.0 - decay.at(k));
                rest *= decay.at(k);
                let place = (k as f64 + 0.5) / steps as f64;
                mean += share * place;
                square += share * place * place;
            }
            let deviation = (square - mean * mean).sqrt();
            assert!((deviation / sigma_rel - 1.0).abs() < 2e-3, "{deviation} for {sigma_rel}");
        }
        for bad in [0.0, -0.1, 0.29, f64::NAN] {
            assert_eq!(EmaDecay::power(bad), None);
        }
    }

    #[test]
    fn the_average_follows() {
        let mut ema = Ema::new(EmaDecay::WarmUp { decay: 0.999 }, &[0.0f64]);
        for _ in 0..20_000 {
            ema.update(&[1.0]);
        }
        assert!((ema.average()[0] - 1.0).abs() < 1e-6);
    }
}
