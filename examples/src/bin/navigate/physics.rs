//! The robot's limits as inequalities of a chunk.

use picardy::Real;
use picardy_robot::{ACCELERATION, DT, NOW, VELOCITY};
use picardy_trainer::physics::Residual;

/// The part of a limit that training asks for, so that what is left of an error stays within the whole.
const PART: f64 = 0.95;

/// For every place after now, of the differences d and second differences e of a chunk `[places, 2]` in metres:
///
/// ```text
/// |d|^2/(0.95 v dt)^2 - 1 <= 0,    |e|^2/(0.95 a dt^2)^2 - 1 <= 0
/// ```
///
/// Both are convex, so that the mean of chunks that fulfil them does too: the loss may ask them of the mean estimate at any
/// noise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithinLimits {
    pub(crate) places: usize,
}

/// The weights of places i, i-1, i-2 in a difference, and its limit.
fn terms() -> [([f64; 3], f64); 2] {
    [([1.0, -1.0, 0.0], PART * VELOCITY * DT), ([1.0, -2.0, 1.0], PART * ACCELERATION * DT * DT)]
}

impl WithinLimits {
    /// Every inequality: its place, weights and limit, in order.
    fn each(self) -> impl Iterator<Item = (usize, [f64; 3], f64)> {
        terms().into_iter().flat_map(move |(weights, limit)| {
            (NOW + 1..self.places).map(move |place| (place, weights, limit))
        })
    }
}

/// Channel `c` of a difference at `place`.
fn difference<T: Real>(x: &[T], place: usize, weights: [f64; 3], c: usize) -> T {
    weights
        .iter()
        .enumerate()
        .fold(T::ZERO, |sum, (back, weight)| sum + T::from_f64(*weight) * x[2 * (place - back) + c])
}

impl<T: Real> Residual<T> for WithinLimits {
    fn len(&self, dim: usize) -> Option<usize> {
        (dim == 2 * self.places).then_some(0)
    }

    fn residual(&self, _x: &[T], _r: &mut [T]) {}

    fn pull_back(&self, _x: &[T], _dr: &[T], _dx: &mut [T]) {}

    fn inequalities(&self) -> usize {
        self.each().count()
    }

    fn inequality(&self, x: &[T], g: &mut [T]) {
        for (g, (place, weights, limit)) in g.iter_mut().zip(self.each()) {
            let [a, b] = [0, 1].map(|c| difference(x, place, weights, c));
            *g = T::from_f64(1.0 / (limit * limit)) * (a * a + b * b) - T::ONE;
        }
    }

    fn pull_back_inequality(&self, x: &[T], dg: &[T], dx: &mut [T]) {
        for (dg, (place, weights, limit)) in dg.iter().zip(self.each()) {
            let factor = T::from_f64(2.0 / (limit * limit)) * *dg;
            for c in 0..2 {
                let slope = factor * difference(x, place, weights, c);
                for (back, weight) in weights.iter().enumerate() {
                    dx[2 * (place - back) + c] += T::from_f64(*weight) * slope;
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
        assert!(check_pull_back(&within, &x) < 1e-6);
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
