//! The Frechet distance of Gaussian fits, in pixels and in a fixed random feature space.

use crate::rng::Rng;
use anyhow::Context;
use faer::{Mat, Side};

/// Features of an item.
const FEATURES: usize = 128;
/// Where the features' weights come from.
const SEED: u64 = 1;
const STREAM: u64 = 0x4645_4154_5552_4553;

/// The Gaussian fitted to rows.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    mean: Vec<f64>,
    covariance: Mat<f64>,
}

impl Fit {
    /// The mean and the covariance (over n - 1) of rows `[n, dim]`, n at least 2.
    pub(super) fn of(rows: &[f32], dim: usize) -> anyhow::Result<Self> {
        let n = rows.len() / dim.max(1);
        anyhow::ensure!(n > 1 && rows.len() == n * dim, "{} numbers are no two rows of {dim}", rows.len());
        anyhow::ensure!(rows.iter().all(|x| x.is_finite()), "a sample is not finite: the run has diverged");
        let mut mean = vec![0.0; dim];
        for row in rows.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x) / n as f64);
        }
        let centred = Mat::from_fn(n, dim, |i, j| f64::from(rows[i * dim + j]) - mean[j]);
        let covariance = centred.transpose() * &centred * faer::Scale(1.0 / (n - 1) as f64);
        Ok(Self { mean, covariance })
    }

    /// `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2))`: the squared Wasserstein distance of the two Gaussians (arXiv
    /// 1706.08500, eq. 6).
    pub(super) fn distance(&self, other: &Self) -> anyhow::Result<f64> {
        let dim = self.mean.len();
        anyhow::ensure!(dim == other.mean.len(), "fits of {dim} and of {} numbers", other.mean.len());
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let (c1, c2) = (&self.covariance, &other.covariance);
        let eigen = c1.self_adjoint_eigen(Side::Lower).ok().context("no eigenvalues of a covariance")?;
        let (u, s) = (eigen.U(), eigen.S().column_vector());
        // Rounding makes eigenvalues of nothing slightly negative.
        let scaled = Mat::from_fn(dim, dim, |i, j| u[(i, j)] * s[j].max(0.0).sqrt());
        let root = &scaled * u.transpose();
        let inner = &root * c2 * &root;
        let inner = Mat::from_fn(dim, dim, |i, j| 0.5 * (inner[(i, j)] + inner[(j, i)]));
        let values =
            inner.self_adjoint_eigenvalues(Side::Lower).ok().context("no eigenvalues of a product")?;
        let cross: f64 = values.iter().map(|v| v.max(0.0).sqrt()).sum();
        let trace: f64 = (0..dim).map(|i| c1[(i, i)] + c2[(i, i)]).sum();
        Ok(means + trace - 2.0 * cross)
    }
}

/// `f = max(W x + b, 0)`, 128 numbers: the rows of W are N(0, I/dim), b is N(0, 1/4), drawn once and for all.
pub(super) fn features(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut rng = Rng::new(SEED, STREAM);
    let (mut weights, mut biases) = (vec![0.0f32; FEATURES * dim], vec![0.0f32; FEATURES]);
    rng.fill_normal(&mut weights);
    rng.fill_normal(&mut biases);
    let scale = 1.0 / (dim as f32).sqrt();
    let mut out = Vec::with_capacity(rows.len() / dim * FEATURES);
    for x in rows.chunks_exact(dim) {
        for (w, b) in weights.chunks_exact(dim).zip(&biases) {
            let sum: f32 = w.iter().zip(x).map(|(w, x)| w * x).sum();
            out.push((scale * sum + 0.5 * b).max(0.0));
        }
    }
    out
}

/// The data's two fits.
pub(super) struct Reference {
    dim: usize,
    pixels: Fit,
    features: Fit,
}

/// A set's two distances to the data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distances {
    pub(super) pixels: f64,
    pub(super) features: f64,
}

impl Reference {
    pub(super) fn new(rows: &[f32], dim: usize) -> anyhow::Result<Self> {
        let features = Fit::of(&features(rows, dim), FEATURES)?;
        Ok(Self { dim, pixels: Fit::of(rows, dim)?, features })
    }

    pub(super) fn distances(&self, rows: &[f32]) -> anyhow::Result<Distances> {
        let features = Fit::of(&features(rows, self.dim), FEATURES)?;
        Ok(Distances {
            pixels: self.pixels.distance(&Fit::of(rows, self.dim)?)?,
            features: self.features.distance(&features)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(mean: [f64; 2], c: [[f64; 2]; 2]) -> Fit {
        Fit { mean: mean.to_vec(), covariance: Mat::from_fn(2, 2, |i, j| c[i][j]) }
    }

    #[test]
    fn two_gaussians_are_as_far_as_the_closed_form_says() {
        // In the plane tr((C1 C2)^(1/2)) = sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)).
        let (a, b) = (fit([1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]]), fit([0.0, 4.0], [[1.0, -0.3], [-0.3, 3.0]]));
        let product = 2.0 * 1.0 - 0.5 * 0.3 - 0.5 * 0.3 + 3.0;
        let (d1, d2): (f64, f64) = (2.0 - 0.25, 3.0 - 0.09);
        let expected = 5.0 + 3.0 + 4.0 - 2.0 * (product + 2.0 * (d1 * d2).sqrt()).sqrt();
        assert!((a.distance(&b).unwrap() - expected).abs() < 1e-12);
        assert!((b.distance(&a).unwrap() - expected).abs() < 1e-12);
        assert!(a.distance(&a).unwrap().abs() < 1e-12);
    }

    #[test]
    fn a_fit_is_the_mean_and_the_covariance() {
        let fit = Fit::of(&[1.0, 0.0, 3.0, 1.0, 5.0, 5.0], 2).unwrap();
        assert_eq!(fit.mean, [3.0, 2.0]);
        assert!((fit.covariance[(0, 0)] - 4.0).abs() < 1e-12 && (fit.covariance[(0, 1)] - 5.0).abs() < 1e-12);
        assert!(Fit::of(&[1.0, f32::NAN, 0.0, 0.0], 2).unwrap_err().to_string().contains("not finite"));
        assert!(Fit::of(&[1.0, 2.0], 2).is_err());
    }

    #[test]
    fn features_see_what_pixels_moments_do_not() {
        // The same mean and covariance: normal numbers, and signs.
        let mut rng = Rng::new(3, 0);
        let mut normal = vec![0.0f32; 2000 * 8];
        rng.fill_normal(&mut normal);
        let mut signs = vec![0.0f32; 2000 * 8];
        rng.fill_normal(&mut signs);
        signs.iter_mut().for_each(|x| *x = x.signum());
        let mut again = vec![0.0f32; 2000 * 8];
        rng.fill_normal(&mut again);
        // One coordinate that two others decide.
        for row in signs.chunks_mut(8) {
            row[2] = row[0] * row[1];
        }
        let reference = Reference::new(&normal, 8).unwrap();
        let (same, other) = (reference.distances(&again).unwrap(), reference.distances(&signs).unwrap());
        assert!(other.pixels < 3.0 * same.pixels, "{other:?} {same:?}");
        assert!(other.features > 1.5 * same.features, "{other:?} {same:?}");
    }
}
