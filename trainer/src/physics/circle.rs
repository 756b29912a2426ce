//! The unit circle, and spheres of more dimensions.

use super::Residual;
use crate::data::{DataError, Dataset, MAX_POINTS};
use crate::rng::Rng;
use picardy::Real;

/// `r(x) = |x|^2 - 1`: the toy of the physics-informed loss's paper (arXiv 2403.14404, appendix F.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Circle;

/// The stream of the points.
const STREAM: u64 = 0x4349_5243_4C45_0000;

impl Circle {
    /// `count` points drawn evenly from the unit circle, standardised by the moments of the distribution: mean 0, scale
    /// 1/sqrt 2.
    ///
    /// # Errors
    ///
    /// [`DataError::PointCount`] unless `count` is 1 to [`MAX_POINTS`].
    ///
    /// ```
    /// use picardy_trainer::physics::{Circle, mean_residual};
    /// let data = Circle.sample(100, 0)?;
    /// assert!(mean_residual(&Circle, &data.restore(&data.data()), 2) < 1e-6);
    /// # Ok::<(), picardy_trainer::data::DataError>(())
    /// ```
    pub fn sample(&self, count: usize, seed: u64) -> Result<Dataset, DataError> {
        if !(1..=MAX_POINTS).contains(&count) {
            return Err(DataError::PointCount { asked: count, limit: MAX_POINTS });
        }
        let mut rng = Rng::new(seed, STREAM);
        let points: Vec<f64> = (0..count)
            .flat_map(|_| {
                let (sin, cos) = (std::f64::consts::TAU * rng.uniform()).sin_cos();
                [cos, sin]
            })
            .collect();
        let scale = std::f64::consts::FRAC_1_SQRT_2;
        Ok(Dataset::standardised("circle".to_owned(), &points, vec![0.0; 2], vec![scale; 2]))
    }
}

impl<T: Real> Residual<T> for Circle {
    fn len(&self, dim: usize) -> Option<usize> {
        (dim > 0).then_some(1)
    }

    fn residual(&self, x: &[T], r: &mut [T]) {
        let square = x.iter().fold(T::ZERO, |sum, &x| sum + x * x);
        r.fill(square - T::ONE);
    }

    fn pull_back(&self, x: &[T], dr: &[T], dx: &mut [T]) {
        let slope = dr.iter().fold(T::ZERO, |sum, &dr| sum + dr + dr);
        for (dx, &x) in dx.iter_mut().zip(x) {
            *dx += slope * x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::{check_pull_back, mean_residual};

    #[test]
    fn values_and_slopes() {
        assert!(check_pull_back(&Circle, &[0.3, -1.7]) < 1e-7);
        assert!(check_pull_back(&Circle, &[0.3, -1.7, 2.0]) < 1e-7);
        assert_eq!(mean_residual(&Circle, &[0.0f64, 0.0, 3.0, 4.0], 2), (1.0 + 24.0) / 2.0);
        assert!(mean_residual(&Circle, &[0.0f64], 0).is_nan());
    }

    #[test]
    fn the_data_have_unit_variance_and_lie_on_the_circle() {
        let data = Circle.sample(4000, 3).unwrap();
        let squares: f64 = data.data().iter().map(|x| f64::from(*x).powi(2)).sum();
        // |x|^2 is 2 exactly, in the standardised plane.
        assert!((squares / 8000.0 - 1.0).abs() < 1e-6);
        let mean = data.data().iter().map(|x| f64::from(*x)).sum::<f64>() / 8000.0;
        assert!(mean.abs() < 0.06, "{mean}");
        assert_eq!(data, Circle.sample(4000, 3).unwrap());
        assert_ne!(data, Circle.sample(4000, 4).unwrap());
        for count in [0, usize::MAX] {
            assert!(Circle.sample(count, 0).unwrap_err().to_string().contains(&count.to_string()));
        }
    }
}
