//! The learning rate of each step.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How the rate goes over the steps after its warm-up. With s from 0 to 1 over those steps, p the peak and f the floor:
///
/// ```text
/// constant    p
/// cosine      f + (p - f) (1 + cos(pi s)) / 2                        (arXiv 1608.03983, eq. 5, one cycle)
/// linear      f + (p - f) (1 - s)
/// one-cycle   p/25 to p along half a cosine for the first 30%, then p to f along another   (arXiv 1708.07120)
/// step        p factor^(steps / every), the division cut off, not below f
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateShape {
    /// The peak throughout.
    Constant,
    /// Down along half a cosine.
    #[default]
    Cosine,
    /// Down along a line.
    Linear,
    /// Up and down again along half cosines.
    OneCycle,
    /// Down by a factor every so many steps.
    Step,
}

/// What a one-cycle rate begins with, as a share of its peak.
const CYCLE_START: f64 = 0.04;
/// The share of the steps over which a one-cycle rate rises.
const CYCLE_RISE: f64 = 0.3;

/// A learning rate that rises linearly for `warmup` steps and then takes its shape's course to the last step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Its course.
    pub shape: RateShape,
    /// The highest rate.
    pub peak: f64,
    /// The last rate, and the lowest; not used by `constant`.
    pub floor: f64,
    /// Steps of the rise.
    pub warmup: u64,
    /// All steps.
    pub total: u64,
    /// `step`: the steps between falls, at least 1.
    pub every: u64,
    /// `step`: what a fall multiplies the rate by.
    pub factor: f64,
}

impl Rate {
    /// Half a cosine from `peak` to 0 over `total` steps.
    pub const fn cosine(peak: f64, total: u64) -> Self {
        Self { shape: RateShape::Cosine, peak, floor: 0.0, warmup: 0, total, every: 1, factor: 1.0 }
    }

    /// The rate of step `step`, from 0. Past the end it stays at its last value.
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::optimiser::{Rate, RateShape};
    /// let shape = RateShape::Cosine;
    /// let rate = Rate { shape, peak: 1.0, floor: 0.0, warmup: 10, total: 110, every: 1, factor: 1.0 };
    /// assert_eq!((rate.at(0), rate.at(9), rate.at(10), rate.at(110)), (0.1, 1.0, 1.0, 0.0));
    /// assert!((rate.at(60) - 0.5).abs() < 1e-12);
    /// ```
    pub fn at(&self, step: u64) -> f64 {
        let Self { shape, peak, floor, warmup, total, every, factor } = *self;
        if step < warmup {
            return peak * (step + 1) as f64 / warmup as f64;
        }
        let after = step - warmup;
        let part = if step >= total { 1.0 } else { after as f64 / (total - warmup) as f64 };
        let between = |from: f64, to: f64, part: f64| to + (from - to) * 0.5 * (1.0 + (PI * part).cos());
        match shape {
            RateShape::Constant => peak,
            RateShape::Cosine if part >= 1.0 => floor,
            RateShape::Cosine => between(peak, floor, part),
            RateShape::Linear => floor + (peak - floor) * (1.0 - part),
            RateShape::OneCycle if part < CYCLE_RISE => between(CYCLE_START * peak, peak, part / CYCLE_RISE),
            RateShape::OneCycle => between(peak, floor, (part - CYCLE_RISE) / (1.0 - CYCLE_RISE)),
            RateShape::Step => {
                let falls = (after / every.max(1)).min(i32::MAX as u64) as i32;
                (peak * factor.powi(falls)).max(floor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(shape: RateShape) -> Rate {
        Rate { shape, peak: 2.0, floor: 0.5, warmup: 4, total: 104, every: 10, factor: 0.5 }
    }

    #[test]
    fn every_shape_warms_up_and_takes_its_course() {
        use RateShape::{Constant, Cosine, Linear, OneCycle, Step};
        for shape in [Constant, Cosine, Linear, OneCycle, Step] {
            let rate = rate(shape);
            assert_eq!((rate.at(0), rate.at(3)), (0.5, 2.0), "{shape:?}");
        }
        // Steps 4, 54 and 104: the beginning, the middle and the end of what follows the warm-up.
        for (shape, expected) in [
            (Constant, [2.0, 2.0, 2.0]),
            (Cosine, [2.0, 1.25, 0.5]),
            (Linear, [2.0, 1.25, 0.5]),
            (OneCycle, [0.08, 0.5 + 1.5 * 0.5 * (1.0 + (PI * 0.2 / 0.7).cos()), 0.5]),
            (Step, [2.0, 0.5, 0.5]),
        ] {
            for (step, expected) in [4, 54, 104].into_iter().zip(expected) {
                let got = rate(shape).at(step);
                assert!((got - expected).abs() < 1e-12, "{shape:?} at {step}: {got}, not {expected}");
            }
        }
        assert_eq!((rate(Step).at(13), rate(Step).at(14)), (2.0, 1.0));
        assert!((rate(OneCycle).at(34) - 2.0).abs() < 1e-12, "the top of the cycle");
        for shape in [Constant, Cosine, Linear, OneCycle, Step] {
            assert_eq!(rate(shape).at(u64::MAX), rate(shape).at(104), "{shape:?}");
        }
    }
}
