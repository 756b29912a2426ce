//! The mean of an integrand over strata, its control variates, and its standard error.

use super::CONTROLS;
use crate::math;

/// How much of its own size is added to each control's sum of squares: keeps controls that say the same apart.
const RIDGE: f64 = 1e-2;
/// Strata that a control takes: fewer, and fitting it would add more than it takes away.
const STRATA: usize = 8;

/// Values of strata in order, with the controls' values there, whose means are known to be 0.
///
/// The controls' factors are fitted to the differences of neighbouring strata, which the integrand's own course over the
/// strata does not enter; so is the variance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    strata: usize,
    value: f64,
    controls: [f64; CONTROLS],
    last: Option<(f64, [f64; CONTROLS])>,
    /// Sums over neighbours of dy^2, dc dy and dc dc.
    yy: f64,
    cy: [f64; CONTROLS],
    cc: [[f64; CONTROLS]; CONTROLS],
}

impl Tally {
    pub(super) fn add(&mut self, y: f64, c: [f64; CONTROLS]) {
        self.strata += 1;
        self.value += y;
        for (sum, c) in self.controls.iter_mut().zip(c) {
            *sum += c;
        }
        if let Some((before, controls)) = self.last {
            let dy = y - before;
            let mut dc = c;
            dc.iter_mut().zip(controls).for_each(|(d, before)| *d -= before);
            self.yy += dy * dy;
            for ((cy, row), di) in self.cy.iter_mut().zip(&mut self.cc).zip(dc) {
                *cy += di * dy;
                row.iter_mut().zip(dc).for_each(|(cc, dj)| *cc += di * dj);
            }
        }
        self.last = Some((y, c));
    }

    /// The mean and its standard error, infinite of one stratum.
    pub(super) fn mean(&self) -> (f64, f64) {
        let n = self.strata.max(1) as f64;
        let used = CONTROLS.min(self.strata / STRATA);
        let factors = self.factors(used);
        let (mut mean, mut rest) = (self.value / n, self.yy);
        for (((f, sum), cy), row) in factors.iter().zip(self.controls).zip(self.cy).zip(&self.cc) {
            mean -= f * sum / n;
            rest += f * (row.iter().zip(&factors).map(|(cc, f)| cc * f).sum::<f64>() - 2.0 * cy);
        }
        let free = self.strata.saturating_sub(1 + used);
        let error =
            if free == 0 { f64::INFINITY } else { math::sqrt(rest.max(0.0) / (2.0 * free as f64 * n)) };
        (mean, error)
    }

    /// The first `used` controls' factors by least squares (Gauss elimination of a positive definite matrix), the rest 0.
    fn factors(&self, used: usize) -> [f64; CONTROLS] {
        let (mut a, mut b) = (self.cc, self.cy);
        for (i, (row, b)) in a.iter_mut().zip(&mut b).enumerate() {
            for (j, entry) in row.iter_mut().enumerate() {
                if i >= used || j >= used {
                    *entry = 0.0;
                }
                if i == j {
                    // A control that never changes says nothing: 0/1.
                    *entry = if *entry > 0.0 { *entry * (1.0 + RIDGE) } else { 1.0 };
                }
            }
            if i >= used {
                *b = 0.0;
            }
        }
        for i in 0..CONTROLS {
            let (Some(&pivot), Some(&right)) = (a.get(i), b.get(i)) else { continue };
            let diagonal = pivot.get(i).copied().unwrap_or(1.0);
            for (j, (row, b)) in a.iter_mut().zip(&mut b).enumerate() {
                if j != i {
                    let factor = row.get(i).copied().unwrap_or(0.0) / diagonal;
                    row.iter_mut().zip(pivot).for_each(|(entry, p)| *entry -= factor * p);
                    *b -= factor * right;
                }
            }
        }
        let mut factors = [0.0; CONTROLS];
        for (i, ((f, row), b)) in factors.iter_mut().zip(&a).zip(b).enumerate() {
            *f = b / row.get(i).copied().unwrap_or(1.0);
        }
        factors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Noise;

    #[test]
    fn what_the_controls_explain_is_taken_away() {
        let noise = Noise::seeded(1);
        let mut tally = Tally::default();
        for i in 0..200 {
            let [a, b, c, d] = noise.block(0, i, 0);
            let course = 0.01 * i as f64;
            tally.add(course + 2.0 * a - b + 0.5 * c, [a, b, c, d]);
        }
        let (mean, error) = tally.mean();
        // The rest is the ridge's: 1% of the three factors.
        assert!((mean - 0.995).abs() < 0.01 && error < 0.01, "{mean} +- {error}");
    }

    #[test]
    fn few_strata_use_no_controls() {
        let mut tally = Tally::default();
        assert_eq!(tally.mean().1, f64::INFINITY);
        tally.add(3.0, [1.0; CONTROLS]);
        assert_eq!(tally.mean(), (3.0, f64::INFINITY));
        tally.add(5.0, [-1.0; CONTROLS]);
        // Of two values 2 apart: half their distance.
        assert_eq!(tally.mean(), (4.0, 1.0));
    }
}
