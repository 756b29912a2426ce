//! The Gaussian fitted to the data, which the likelihood's integrand is measured against.

use super::{LossError, items, sigmoid};

/// The entropy and the covariance's eigenvalues of the Gaussian that is fitted to the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    eigenvalues: Vec<f64>,
    entropy: f64,
}

/// Eigenvalues below this share of the largest are the rounding errors of a singular covariance of f32 data.
const NOTHING: f64 = 1e-12;

/// The most coordinates whose full covariance is taken; above, the variances stand for the eigenvalues.
const FULL: usize = 64;

impl Gaussian {
    /// The Gaussian with these covariance eigenvalues; its entropy is `1/2 sum ln(2 pi e eig_i)` nats.
    ///
    /// # Errors
    ///
    /// [`LossError::Eigenvalue`] where one is not positive.
    pub fn new(eigenvalues: Vec<f64>) -> Result<Self, LossError> {
        if let Some(&value) = eigenvalues.iter().find(|&&e| !(e > 0.0 && e.is_finite())) {
            return Err(LossError::Eigenvalue { value });
        }
        let two_pi_e = 2.0 * std::f64::consts::PI * std::f64::consts::E;
        let entropy = 0.5 * eigenvalues.iter().map(|e| (two_pi_e * e).ln()).sum::<f64>();
        Ok(Self { eigenvalues, entropy })
    }

    /// The Gaussian fitted to data [n, dim]: the full covariance up to 64 coordinates, its diagonal above.
    ///
    /// # Errors
    ///
    /// [`LossError::Items`] or [`LossError::Empty`] where the data is not whole items, [`LossError::TooFewRows`] or
    /// [`LossError::Eigenvalue`] where its covariance is singular.
    pub fn fit(data: &[f32], dim: usize) -> Result<Self, LossError> {
        let rows = items(data.len(), dim)?;
        let n = rows as f64;
        let mut mean = vec![0.0; dim];
        for row in data.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x) / n);
        }
        if dim > FULL {
            let mut variances = vec![0.0; dim];
            for row in data.chunks_exact(dim) {
                let centred = row.iter().zip(&mean).map(|(&x, m)| f64::from(x) - m);
                variances.iter_mut().zip(centred).for_each(|(v, d)| *v += d * d / n);
            }
            return Self::new(variances);
        }
        if rows <= dim {
            return Err(LossError::TooFewRows { rows, dim });
        }
        let mut covariance = vec![0.0; dim * dim];
        for row in data.chunks_exact(dim) {
            for i in 0..dim {
                for j in 0..dim {
                    covariance[i * dim + j] +=
                        (f64::from(row[i]) - mean[i]) * (f64::from(row[j]) - mean[j]) / n;
                }
            }
        }
        let eigenvalues = eigenvalues(&mut covariance, dim);
        let largest = eigenvalues.iter().copied().fold(0.0, f64::max);
        match eigenvalues.iter().find(|&&value| value <= NOTHING * largest) {
            Some(&value) => Err(LossError::Eigenvalue { value }),
            None => Self::new(eigenvalues),
        }
    }

    /// The covariance's eigenvalues.
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// The entropy in nats.
    pub fn entropy(&self) -> f64 {
        self.entropy
    }

    /// `sum_i sig(l + ln eig_i)`: the mean squared noise error of this Gaussian's own best denoiser at log-SNR l.
    pub fn noise_error(&self, log_snr: f64) -> f64 {
        self.eigenvalues.iter().map(|e| sigmoid(log_snr + e.ln())).sum()
    }
}

/// The eigenvalues of a symmetric matrix, which is overwritten (Jacobi's method, by rows).
fn eigenvalues(a: &mut [f64], n: usize) -> Vec<f64> {
    let scale: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..60 {
        let off: f64 = (0..n * n).filter(|i| i / n != i % n).map(|i| a[i] * a[i]).sum();
        if off <= 1e-28 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(a, n, p, q);
            }
        }
    }
    (0..n).map(|i| a[i * n + i]).collect()
}

/// The rotation in the plane (p, q) that makes that element 0.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        // The second-difference matrix plus signs: eigenvalues 2 - sqrt 2, 2, 2 + sqrt 2.
        let mut a = vec![2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0];
        let mut found = eigenvalues(&mut a, 3);
        found.sort_by(f64::total_cmp);
        let root = 2.0f64.sqrt();
        for (got, want) in found.iter().zip([2.0 - root, 2.0, 2.0 + root]) {
            assert!((got - want).abs() < 1e-12);
        }
    }

    #[test]
    fn fits_and_refuses() {
        let data = [1.0, 2.0, -1.0, -2.0, 1.0, -2.0, -1.0, 2.0];
        let fit = Gaussian::fit(&data, 2).unwrap();
        assert_eq!(fit.eigenvalues(), [1.0, 4.0]);
        let two_pi_e = 2.0 * std::f64::consts::PI * std::f64::consts::E;
        assert!((fit.entropy() - (two_pi_e.ln() + 0.5 * 4.0f64.ln())).abs() < 1e-12);
        let few = Gaussian::fit(&[1.0, 5.0, 2.0, 6.0], 2);
        assert_eq!(few, Err(LossError::TooFewRows { rows: 2, dim: 2 }));
        let constant = Gaussian::fit(&[1.0, 5.0, 2.0, 5.0, 3.0, 5.0], 2);
        assert!(matches!(constant, Err(LossError::Eigenvalue { .. })), "{constant:?}");
        // The second column is the first's, but for rounding.
        let repeated: Vec<f32> = (0..50).flat_map(|i| [i as f32 * 0.1, i as f32 * 0.3 + 1.0]).collect();
        let repeated = Gaussian::fit(&repeated, 2);
        assert!(matches!(repeated, Err(LossError::Eigenvalue { .. })), "{repeated:?}");
        assert!(matches!(Gaussian::fit(&[1.0; 3], 2), Err(LossError::Items { .. })));
        assert!(matches!(Gaussian::fit(&[], 2), Err(LossError::Empty(_))));
    }
}
