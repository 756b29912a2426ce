//! How far samples are from data: the maximum mean discrepancy, and plain distances between two results.

use std::f64::consts::TAU;

/// Why a metric cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A kernel without a width.
    #[error("the kernel's bandwidth is {0}: it must be positive and finite (the paper's is 0.03)")]
    Bandwidth(f64),
    /// A buffer that does not hold whole points.
    #[error("{len} values are not whole points of {dim} coordinate(s): pass n * {dim} values, row by row")]
    Shape {
        /// The buffer's length.
        len: usize,
        /// The coordinates of a point.
        dim: usize,
    },
    /// Too few points for the estimate and its standard error.
    #[error("{0} point(s): the unbiased estimate and its standard error need at least 3 in each set")]
    TooFew(usize),
    /// A NaN or an infinity.
    #[error("value {value} at index {index} is not finite: the samples have diverged or the data are bad")]
    NotFinite {
        /// Its index in the buffer.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Two buffers to be compared entry by entry differ in length, or are empty.
    #[error("cannot compare {left} values with {right}: both must hold the same number, at least 1")]
    Lengths {
        /// The first's length.
        left: usize,
        /// The second's.
        right: usize,
    },
}

/// The Gaussian kernel k(x, y) = exp(-|x - y|^2 / (2 b)) / sqrt(2 pi b), b the bandwidth.
///
/// The factor is the same in every dimension, as in the contrastive diffusion paper (arXiv 2407.08946).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianKernel {
    bandwidth: f64,
}

impl Default for GaussianKernel {
    /// The paper's: b = 0.03.
    fn default() -> Self {
        Self { bandwidth: 0.03 }
    }
}

/// An estimate of the squared maximum mean discrepancy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmd {
    /// The unbiased estimate of MMD^2. Around 0, and below it about as often as above, where both sets come from
    /// one distribution.
    pub value: f64,
    /// The jackknife's standard error of `value`; see [`GaussianKernel::mmd`].
    pub standard_error: f64,
}

impl GaussianKernel {
    /// The kernel of bandwidth `b`, in squared units of the points.
    ///
    /// # Errors
    ///
    /// [`MetricError::Bandwidth`] unless b is positive and finite.
    pub fn new(bandwidth: f64) -> Result<Self, MetricError> {
        if bandwidth.is_normal() && bandwidth > 0.0 {
            Ok(Self { bandwidth })
        } else {
            Err(MetricError::Bandwidth(bandwidth))
        }
    }

    /// The bandwidth b.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// The unbiased estimate of MMD^2 between the points `x`, row-major `[n, dim]`, and `y`, `[m, dim]`:
    ///
    /// ```text
    /// sum_{i != j} k(x_i, x_j) / (n (n-1)) + sum_{i != j} k(y_i, y_j) / (m (m-1)) - 2 sum_{i, j} k(x_i, y_j) / (n m)
    /// ```
    ///
    /// (Gretton et al. 2012, eq. 3.) The standard error is the two-sample jackknife's: with T_i the estimate
    /// without x_i and U_j that without y_j, its square is (n-1)/n sum (T_i - mean T)^2 + (m-1)/m sum (U_j - mean U)^2.
    /// It costs nothing beside the estimate, since every T_i follows from sums over rows of the kernel matrix. Where
    /// both distributions are equal it errs upwards, by a factor of about sqrt 2, as the jackknife does for
    /// degenerate U-statistics. It is the error of these draws, not of another training run.
    ///
    /// Takes O((n + m)^2 dim) time, O(n + m) memory, and one thread, so that the sum's order is fixed.
    ///
    /// # Errors
    ///
    /// [`MetricError::Shape`] where a buffer does not hold whole points or `dim` is 0, [`MetricError::TooFew`]
    /// for fewer than 3 points in a set, [`MetricError::NotFinite`].
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::{data::Builtin, metrics::GaussianKernel};
    ///
    /// let data = Builtin::Dino.sample(500, 1)?;
    /// let fresh = Builtin::Dino.sample(500, 2)?;
    /// let mmd = GaussianKernel::default().mmd(&data.data(), &fresh.data(), data.dim())?;
    /// assert!(mmd.value.abs() < 4.0 * mmd.standard_error);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mmd(&self, x: &[f32], y: &[f32], dim: usize) -> Result<Mmd, MetricError> {
        let (x, y) = (Columns::new(x, dim)?, Columns::new(y, dim)?);
        let exponent = -0.5 / self.bandwidth;
        let (within_x, within_y) = (within(&x, exponent), within(&y, exponent));
        let (from_x, from_y) = across(&x, &y, exponent);
        let (n, m) = (x.len as f64, y.len as f64);
        let (sum_x, sum_y, sum_xy) =
            (within_x.iter().sum::<f64>(), within_y.iter().sum::<f64>(), from_x.iter().sum::<f64>());
        let value = sum_x / (n * (n - 1.0)) + sum_y / (m * (m - 1.0)) - 2.0 * sum_xy / (n * m);

        // Dropping x_i takes its row and its column off sum_x and its row off sum_xy; likewise for y.
        let without_x = within_x.iter().zip(&from_x).map(|(own, other)| {
            (sum_x - 2.0 * own) / ((n - 1.0) * (n - 2.0)) - 2.0 * (sum_xy - other) / ((n - 1.0) * m)
        });
        let without_y = within_y.iter().zip(&from_y).map(|(own, other)| {
            (sum_y - 2.0 * own) / ((m - 1.0) * (m - 2.0)) - 2.0 * (sum_xy - other) / ((m - 1.0) * n)
        });
        let variance = jackknife(without_x) + jackknife(without_y);
        let factor = 1.0 / (TAU * self.bandwidth).sqrt();
        Ok(Mmd { value: factor * value, standard_error: factor * variance.sqrt() })
    }
}

/// (n-1)/n sum (t_i - mean t)^2.
fn jackknife(estimates: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let n = estimates.len() as f64;
    let mean = estimates.clone().sum::<f64>() / n;
    (n - 1.0) / n * estimates.map(|t| (t - mean).powi(2)).sum::<f64>()
}

/// Points with each coordinate's values side by side, so that distances are computed several at a time.
struct Columns {
    /// `[dim, len]`.
    values: Vec<f64>,
    len: usize,
}

impl Columns {
    fn new(rows: &[f32], dim: usize) -> Result<Self, MetricError> {
        if dim == 0 || !rows.len().is_multiple_of(dim) {
            return Err(MetricError::Shape { len: rows.len(), dim });
        }
        let len = rows.len() / dim;
        if len < 3 {
            return Err(MetricError::TooFew(len));
        }
        if let Some(index) = rows.iter().position(|value| !value.is_finite()) {
            return Err(MetricError::NotFinite { index, value: rows[index] });
        }
        let column = |axis: usize| rows[axis..].iter().step_by(dim).map(|&v| f64::from(v));
        Ok(Self { values: (0..dim).flat_map(column).collect(), len })
    }

    /// exp(exponent |p - self_j|^2) for j >= `from`, into `out`; p is point `index` of `other`.
    fn kernels(&self, from: usize, other: &Self, index: usize, exponent: f64, out: &mut [f64]) {
        let out = &mut out[..self.len - from];
        out.fill(0.0);
        let columns = self.values.chunks_exact(self.len).zip(other.values.chunks_exact(other.len));
        for (own, theirs) in columns {
            let point = theirs[index];
            for (square, value) in out.iter_mut().zip(&own[from..]) {
                *square += (value - point) * (value - point);
            }
        }
        for square in out {
            *square = (*square * exponent).exp();
        }
    }
}

/// For each point, the sum of its kernels with the set's other points.
fn within(points: &Columns, exponent: f64) -> Vec<f64> {
    let mut sums = vec![0.0; points.len];
    let mut row = vec![0.0; points.len];
    for i in 0..points.len {
        // The kernel is symmetric: half of it serves both points.
        let rest = points.len - (i + 1);
        points.kernels(i + 1, points, i, exponent, &mut row);
        for (sum, kernel) in sums[i + 1..].iter_mut().zip(&row) {
            *sum += kernel;
        }
        sums[i] += row[..rest].iter().sum::<f64>();
    }
    sums
}

/// For each x the sum of its kernels with all y, and for each y that with all x.
fn across(x: &Columns, y: &Columns, exponent: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut from_x, mut from_y) = (vec![0.0; x.len], vec![0.0; y.len]);
    let mut row = vec![0.0; y.len];
    for (i, total) in from_x.iter_mut().enumerate() {
        y.kernels(0, x, i, exponent, &mut row);
        for (sum, kernel) in from_y.iter_mut().zip(&row) {
            *sum += kernel;
        }
        *total = row.iter().sum();
    }
    (from_x, from_y)
}

/// Absolute differences between two results, entry by entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The mean of |a_i - b_i|.
    pub mean: f64,
    /// The greatest |a_i - b_i|.
    pub max: f64,
}

/// The mean and the greatest absolute difference of two equally long buffers.
///
/// # Errors
///
/// [`MetricError::Lengths`] where they differ in length or are empty, [`MetricError::NotFinite`].
///
/// # Examples
///
/// ```
/// use picardy_trainer::metrics::distance;
///
/// let distance = distance(&[0.0, 1.0], &[0.5, 1.0])?;
/// assert_eq!((distance.mean, distance.max), (0.25, 0.5));
/// # Ok::<(), picardy_trainer::metrics::MetricError>(())
/// ```
pub fn distance(a: &[f32], b: &[f32]) -> Result<Distance, MetricError> {
    if a.len() != b.len() || a.is_empty() {
        return Err(MetricError::Lengths { left: a.len(), right: b.len() });
    }
    let (mut sum, mut max) = (0.0, 0.0f64);
    for (index, (&left, &right)) in a.iter().zip(b).enumerate() {
        if let Some(value) = [left, right].into_iter().find(|value| !value.is_finite()) {
            return Err(MetricError::NotFinite { index, value });
        }
        let difference = (f64::from(left) - f64::from(right)).abs();
        sum += difference;
        max = max.max(difference);
    }
    Ok(Distance { mean: sum / a.len() as f64, max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// n points of N(shift, variance I).
    fn gaussian(n: usize, dim: usize, shift: f32, variance: f32, seed: u64) -> Vec<f32> {
        let mut points = vec![0.0; n * dim];
        Rng::new(seed, 0).fill_normal(&mut points);
        points.iter_mut().for_each(|p| *p = shift + variance.sqrt() * *p);
        points
    }

    /// E k(x, y) for x - y ~ N(gap, variance I): (b/(b+v))^(d/2) exp(-|gap|^2 / (2 (b+v))) / sqrt(2 pi b).
    fn expected_kernel(b: f64, dim: usize, gap: f64, variance: f64) -> f64 {
        let wide = b + variance;
        let square = dim as f64 * gap * gap;
        (b / wide).powf(dim as f64 / 2.0) * (-0.5 * square / wide).exp() / (TAU * b).sqrt()
    }

    #[test]
    fn equal_distributions_give_zero_within_the_spread() {
        let kernel = GaussianKernel::default();
        let runs: Vec<Mmd> = (0..40)
            .map(|seed| {
                let (x, y) = (gaussian(300, 2, 0.0, 1.0, seed), gaussian(200, 2, 0.0, 1.0, 1000 + seed));
                kernel.mmd(&x, &y, 2).unwrap()
            })
            .collect();
        let count = runs.len() as f64;
        let mean = runs.iter().map(|r| r.value).sum::<f64>() / count;
        let spread = (runs.iter().map(|r| (r.value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        assert!(mean.abs() < 4.0 * spread / count.sqrt(), "mean {mean}, spread {spread}");
        // The jackknife's promise for equal distributions: not below the true spread, and not twice over it.
        let stated = runs.iter().map(|r| r.standard_error).sum::<f64>() / count;
        assert!((0.9..2.2).contains(&(stated / spread)), "stated {stated}, spread {spread}");
    }

    #[test]
    fn shifted_gaussians_give_the_closed_form() {
        for (dim, b, gap, u, v) in
            [(1, 0.03, 0.5, 1.0, 1.0), (2, 0.03, 0.4, 1.0, 0.5), (3, 0.5, 1.0, 0.3, 1.0)]
        {
            let kernel = GaussianKernel::new(b).unwrap();
            let exact = expected_kernel(b, dim, 0.0, 2.0 * u) + expected_kernel(b, dim, 0.0, 2.0 * v)
                - 2.0 * expected_kernel(b, dim, gap, u + v);
            let (mut values, mut errors) = (Vec::new(), Vec::new());
            for seed in 0..20 {
                let x = gaussian(500, dim, 0.0, u as f32, seed);
                let y = gaussian(400, dim, gap as f32, v as f32, 500 + seed);
                let mmd = kernel.mmd(&x, &y, dim).unwrap();
                values.push(mmd.value);
                errors.push(mmd.standard_error);
            }
            let mean = values.iter().sum::<f64>() / 20.0;
            let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 19.0).sqrt();
            let stated = errors.iter().sum::<f64>() / 20.0;
            assert!((mean - exact).abs() < 4.0 * spread / 20f64.sqrt(), "{dim}-D: {mean} against {exact}");
            assert!((0.6..1.6).contains(&(stated / spread)), "{dim}-D: stated {stated}, spread {spread}");
        }
    }

    #[test]
    fn the_jackknife_is_the_one_defined() {
        let kernel = GaussianKernel::new(0.4).unwrap();
        let (x, y) = (gaussian(6, 2, 0.0, 1.0, 1), gaussian(5, 2, 0.5, 1.0, 2));
        let without = |points: &[f32], i: usize| [&points[..2 * i], &points[2 * i + 2..]].concat();
        let spread = |values: Vec<f64>| jackknife(values.into_iter());
        let by_hand = spread((0..6).map(|i| kernel.mmd(&without(&x, i), &y, 2).unwrap().value).collect())
            + spread((0..5).map(|j| kernel.mmd(&x, &without(&y, j), 2).unwrap().value).collect());
        let stated = kernel.mmd(&x, &y, 2).unwrap().standard_error;
        assert!((stated - by_hand.sqrt()).abs() < 1e-12 * stated, "{stated} against {}", by_hand.sqrt());
    }

    #[test]
    fn order_and_sides_do_not_matter() {
        let kernel = GaussianKernel::default();
        let (x, y) = (gaussian(200, 2, 0.0, 1.0, 1), gaussian(300, 2, 0.2, 1.0, 2));
        let reversed: Vec<f32> = x.chunks_exact(2).rev().flatten().copied().collect();
        let first = kernel.mmd(&x, &y, 2).unwrap();
        for other in [kernel.mmd(&reversed, &y, 2).unwrap(), kernel.mmd(&y, &x, 2).unwrap()] {
            assert!((first.value - other.value).abs() < 1e-12);
            assert!((first.standard_error - other.standard_error).abs() < 1e-12);
        }
        assert_eq!(first, kernel.mmd(&x, &y, 2).unwrap());
    }

    #[test]
    fn bad_input_is_named() {
        let kernel = GaussianKernel::default();
        let good = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(GaussianKernel::new(bad), Err(MetricError::Bandwidth(_))));
        }
        assert_eq!(kernel.mmd(&good, &good[..5], 2), Err(MetricError::Shape { len: 5, dim: 2 }));
        assert_eq!(kernel.mmd(&good, &good, 0), Err(MetricError::Shape { len: 6, dim: 0 }));
        assert_eq!(kernel.mmd(&good[..4], &good, 2), Err(MetricError::TooFew(2)));
        assert_eq!(kernel.mmd(&[], &good, 2), Err(MetricError::TooFew(0)));
        let infinite = [0.0, 1.0, f32::INFINITY];
        assert_eq!(
            kernel.mmd(&good, &infinite, 1),
            Err(MetricError::NotFinite { index: 2, value: f32::INFINITY })
        );
        assert_eq!(distance(&[1.0], &[]), Err(MetricError::Lengths { left: 1, right: 0 }));
        assert_eq!(distance(&[], &[]), Err(MetricError::Lengths { left: 0, right: 0 }));
        assert!(matches!(distance(&[1.0], &[f32::NAN]), Err(MetricError::NotFinite { index: 0, .. })));
    }

    #[test]
    fn distances_of_extremes_stay_finite() {
        let far = GaussianKernel::default().mmd(&[f32::MAX; 3], &[f32::MIN; 3], 1).unwrap();
        assert!(far.value.is_finite() && far.standard_error == 0.0);
        assert_eq!(distance(&[f32::MAX], &[f32::MIN]).unwrap().max, 2.0 * f64::from(f32::MAX));
    }
}
