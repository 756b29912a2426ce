//! The robot's limits as inequalities of a chunk.

use picardy::Real;
use picardy_robot::{ACCELERATION, DT, NOW, VELOCITY};
use picardy_trainer::physics::Residual;

/// The part of a limit that training asks for, so that what is left of an error stays within the whole. The demonstrations keep 0.95.
const PART: f64 = 0.97;

/// How much more a velocity counts: it is the sum of many changes, and beyond its limit by a smaller part than they are.
const GAIN: f64 = 5.0;

/// For every place after now, of the differences d and second differences e of a chunk `[places, 2]` in metres:
///
/// ```text
/// 5 (|d|^2/(0.97 v dt)^2 - 1) <= 0,    |e|^2/(0.97 a dt^2)^2 - 1 <= 0
/// ```
///
/// Both are convex, so that the mean of chunks that fulfil them does too: the loss may ask them of the mean estimate at any
/// noise. What was before a plan is given to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithinLimits {
    pub(crate) places: usize,
}

/// One inequality.
#[derive(Clone, Copy, Debug)]
struct Term {
    place: usize,
    /// The weights of the places `place`, `place - 1`, `place - 2` in the difference.
    weights: [f64; 3],
    limit: f64,
    gain: f64,
}

impl WithinLimits {
    /// Every inequality, in order.
    fn each(self) -> impl Iterator<Item = Term> {
        let velocity = ([1.0, -1.0, 0.0], PART * VELOCITY * DT, GAIN);
        let acceleration = ([1.0, -2.0, 1.0], PART * ACCELERATION * DT * DT, 1.0);
        [velocity, acceleration].into_iter().flat_map(move |(weights, limit, gain)| {
            (NOW + 1..self.places).map(move |place| Term { place, weights, limit, gain })
        })
    }
}

/// Channel `c` of a difference.
fn difference<T: Real>(x: &[T], Term { place, weights, .. }: Term, c: usize) -> T {
    weights
        .iter()
        .enumerate()
        .fold(T::ZERO, |sum, (back, weight)| sum + T::from_f64(*weight) * x[2 * (place - back) + c])
}

impl<T: Real> Residual<T> for WithinLimits {
    fn len(&self, dim: usize) -> Option<usize> {
        (dim == 2 * self.places).then_some(0)
    }

    fn is_given(&self, index: usize) -> bool {
        index < 2 * (NOW + 1)
    }

    fn residual(&self, _x: &[T], _r: &mut [T]) {}

    fn pull_back(&self, _x: &[T], _dr: &[T], _dx: &mut [T]) {}

    fn inequalities(&self) -> usize {
        self.each().count()
    }

    fn inequality(&self, x: &[T], g: &mut [T]) {
        for (g, term) in g.iter_mut().zip(self.each()) {
            let [a, b] = [0, 1].map(|c| difference(x, term, c));
            let square = T::from_f64(1.0 / (term.limit * term.limit)) * (a * a + b * b);
            *g = T::from_f64(term.gain) * (square - T::ONE);
        }
    }

    fn pull_back_inequality(&self, x: &[T], dg: &[T], dx: &mut [T]) {
        for (dg, term) in dg.iter().zip(self.each()) {
            let factor = T::from_f64(2.0 * term.gain / (term.limit * term.limit)) * *dg;
            for c in 0..2 {
                let slope = factor * difference(x, term, c);
                for (back, weight) in term.weights.iter().enumerate() {
                    dx[2 * (term.place - back) + c] += T::from_f64(*weight) * slope;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use picardy_trainer::physics::check_pull_back;

    #[test]
    fn slopes_are_right_and_limits_are_found() {
        let within = WithinLimits { places: 6 };
        let x: Vec<f64> = (0..12).map(|i| (i as f64 * 1.7).sin() * 0.1).collect();
        assert!(check_pull_back(&within, &x) < 1e-5);
        let given: Vec<bool> = (0..12).map(|index| Residual::<f64>::is_given(&within, index)).collect();
        assert_eq!(given, [[true; 4].as_slice(), &[false; 8]].concat(), "the places before and now");
        // At 0.9 of the speed limit, and then faster.
        let mut x: Vec<f64> = (0..6).flat_map(|i| [0.09 * i as f64, 0.0]).collect();
        let mut g = [0.0; 8];
        within.inequality(&x, &mut g);
        assert!(g.iter().all(|g| *g < 0.0), "{g:?}");
        x[10] += 0.03;
        within.inequality(&x, &mut g);
        assert!(g[3] > 0.0 && g[7] > 0.0 && g[..3].iter().all(|g| *g < 0.0), "{g:?}");
        assert_eq!(Residual::<f64>::len(&within, 11), None);
    }
}
