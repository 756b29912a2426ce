//! A generator of Darcy fields: random media, and the pressures that the flow through them has.

use super::{Darcy, DarcyError};
use crate::data::Dataset;
use crate::model::{MAX_BYTES, has_room};
use crate::rng::Rng;
use faer::linalg::solvers::SolveCore;
use faer::sparse::linalg::solvers::{Llt, SymbolicLlt};
use faer::sparse::{SparseColMat, Triplet};
use faer::{Conj, MatMut, Side};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, SQRT_2};

/// How permeabilities are drawn, from a Gaussian random field G of mean 0, variance 1 (averaged over the square) and
/// covariance about `exp(-|x - y|^2/(2 length^2))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Medium {
    /// `K = exp(deviation G)`.
    LogNormal {
        /// The correlation length, in sides of the square.
        length: f64,
        /// The standard deviation of ln K.
        deviation: f64,
    },
    /// `K = high` where G > 0 and `low` elsewhere.
    TwoPhase {
        /// The correlation length, in sides of the square.
        length: f64,
        /// The smaller permeability.
        low: f64,
        /// The larger one.
        high: f64,
    },
}

impl Default for Medium {
    fn default() -> Self {
        Self::LogNormal { length: 0.1, deviation: 1.0 }
    }
}

impl Medium {
    fn length(&self) -> f64 {
        match *self {
            Self::LogNormal { length, .. } | Self::TwoPhase { length, .. } => length,
        }
    }

    fn check(&self) -> Result<(), DarcyError> {
        let wrong = |name, value, expected| Err(DarcyError::Medium { name, value, expected });
        let length = self.length();
        if !(0.01..=10.0).contains(&length) {
            return wrong("length", length, "from 0.01 to 10");
        }
        match *self {
            Self::LogNormal { deviation, .. } if !(0.0..=5.0).contains(&deviation) => {
                wrong("deviation", deviation, "from 0 to 5")
            }
            Self::TwoPhase { low, .. } if !(1e-6..=1e6).contains(&low) => {
                wrong("low", low, "from 1e-6 to 1e6")
            }
            Self::TwoPhase { low, high, .. } if !(low..=1e6).contains(&high) => {
                wrong("high", high, "at least `low` and at most 1e6")
            }
            _ => Ok(()),
        }
    }
}

/// Draws media and solves [`Darcy`]'s equation for their pressures, of mean 0, with a sparse Cholesky factorisation each.
///
/// Sample i of a seed is the same whatever the number of samples and threads.
///
/// ```
/// use picardy_trainer::physics::{Darcy, DarcyData, Medium, mean_residual};
/// let fields = DarcyData { size: 16, medium: Medium::default() }.sample(2, 7)?;
/// assert_eq!(fields.len(), 2 * 2 * 16 * 16);
/// assert!(mean_residual(&Darcy::new(16)?, &fields, 512) < 1e-10);
/// # Ok::<(), picardy_trainer::physics::DarcyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DarcyData {
    /// Cells a side; 64 is the paper's.
    pub size: usize,
    /// The random medium.
    pub medium: Medium,
}

/// The first stream of the media: one per sample.
const STREAM: u64 = 0x4441_5243_5900_0000;
/// The most samples: their streams end before another user's begin.
const MOST: usize = 1 << 24;

impl DarcyData {
    /// `count` samples [count, size, size, 2]: each cell's pressure and permeability, in their own units.
    ///
    /// # Errors
    ///
    /// [`DarcyError`]: a size, a count or a medium out of range, or permeabilities too far apart to solve for.
    pub fn sample(&self, count: usize, seed: u64) -> Result<Vec<f64>, DarcyError> {
        let darcy = Darcy::new(self.size)?;
        self.medium.check()?;
        let cells = self.size * self.size;
        let most = MOST.min((MAX_BYTES / 16) as usize / cells);
        if !(1..=most).contains(&count) || !has_room(16 * count as u128 * cells as u128) {
            return Err(DarcyError::Count { count, size: self.size, most });
        }
        let field = Field::new(self.size, self.medium.length());
        // All matrices have the same places: their order of elimination is found once.
        let places = matrix(&darcy, &vec![1.0; cells])
            .and_then(|matrix| SymbolicLlt::try_new(matrix.symbolic(), Side::Lower).ok());
        let places = places.ok_or(DarcyError::Size(self.size))?;
        let mut out = vec![0.0; 2 * cells * count];
        out.par_chunks_exact_mut(2 * cells).enumerate().try_for_each(|(sample, item)| {
            let (mut p, mut k) = (vec![0.0; cells], vec![0.0; cells]);
            field.draw(&mut Rng::new(seed, STREAM + sample as u64), &mut k);
            for k in k.iter_mut() {
                *k = match self.medium {
                    Medium::LogNormal { deviation, .. } => (deviation * *k).exp(),
                    Medium::TwoPhase { low, high, .. } => {
                        if *k > 0.0 {
                            high
                        } else {
                            low
                        }
                    }
                };
            }
            solve(&darcy, &places, &k, &mut p).ok_or_else(|| DarcyError::Solve {
                sample,
                least: k.iter().copied().fold(f64::INFINITY, f64::min),
                most: k.iter().copied().fold(0.0, f64::max),
            })?;
            for (cell, (p, k)) in item.chunks_exact_mut(2).zip(p.into_iter().zip(k)) {
                cell.copy_from_slice(&[p, k]);
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// `count` samples as a data set of images [size, size, 2], each of the two fields centred and divided by its own standard
    /// deviation over all cells and samples. To hold some out, [`Dataset::split`] it: another draw has other moments
    /// ([`DarcyData::dataset_like`] keeps them).
    ///
    /// # Errors
    ///
    /// As [`DarcyData::sample`]; [`DarcyError::Medium`] where all permeabilities are equal.
    pub fn dataset(&self, count: usize, seed: u64) -> Result<Dataset, DarcyError> {
        let points = self.sample(count, seed)?;
        let mut moments = [(0.0, 1.0); 2];
        for ((field, moments), name) in (0..).zip(&mut moments).zip(["pressure", "permeability"]) {
            let values = || points.iter().skip(field).step_by(2);
            let n = (points.len() / 2) as f64;
            let middle = values().sum::<f64>() / n;
            let spread = (values().map(|v| (v - middle).powi(2)).sum::<f64>() / n).sqrt();
            if spread <= 1e-12 * middle.abs() {
                let expected = "larger: all fields are equal, and nothing is left to learn";
                return Err(DarcyError::Medium { name, value: spread, expected });
            }
            *moments = (middle, spread);
        }
        let (mean, scale) = moments.iter().copied().cycle().take(2 * self.size * self.size).unzip();
        Ok(self.standardised(&points, mean, scale))
    }

    /// The same in another set's coordinates: centred and divided by what `known` is, which is of fields of this size.
    ///
    /// # Errors
    ///
    /// As [`DarcyData::sample`]; [`DarcyError::Dim`] where `known` is of another size.
    pub fn dataset_like(&self, known: &Dataset, count: usize, seed: u64) -> Result<Dataset, DarcyError> {
        let points = self.sample(count, seed)?;
        if known.dim() != 2 * self.size * self.size {
            return Err(DarcyError::Dim(known.dim()));
        }
        Ok(self.standardised(&points, known.mean().to_vec(), known.scale().to_vec()))
    }

    fn standardised(&self, points: &[f64], mean: Vec<f64>, scale: Vec<f64>) -> Dataset {
        let name = format!("darcy-{0}x{0}", self.size);
        Dataset::standardised(name, points, mean, scale).shaped(vec![self.size, self.size, 2])
    }
}

/// A Gaussian random field on the cells' centres by its cosine modes:
///
/// ```text
/// G(x, y) = sum_ij sqrt(lambda_ij) xi_ij c_i(x) c_j(y),   c_0 = 1, c_k(x) = sqrt 2 cos(k pi x),
/// lambda_ij ~ exp(-(pi length)^2 (i^2 + j^2)/2),  sum lambda = 1, without (0, 0)
/// ```
struct Field {
    /// [modes, size]
    cosines: Vec<f64>,
    /// The roots of lambda, [modes, modes].
    roots: Vec<f64>,
    modes: usize,
    size: usize,
}

impl Field {
    fn new(size: usize, length: f64) -> Self {
        // Beyond these modes lambda is below 1e-8 of the largest.
        let modes = ((2.0 / length).ceil() as usize).clamp(3, size);
        let centre = |i: usize| (i as f64 + 0.5) / size as f64;
        let cosines = (0..modes)
            .flat_map(|k| (0..size).map(move |i| (k, i)))
            .map(|(k, i)| if k == 0 { 1.0 } else { SQRT_2 * (PI * k as f64 * centre(i)).cos() })
            .collect();
        // Relative to the first mode's, so that long lengths do not underflow.
        let weight = |i: usize, j: usize| match i * i + j * j {
            0 => 0.0,
            square => (-0.5 * (PI * length).powi(2) * (square - 1) as f64).exp(),
        };
        let mut roots: Vec<f64> = (0..modes * modes).map(|mode| weight(mode / modes, mode % modes)).collect();
        let total: f64 = roots.iter().sum();
        roots.iter_mut().for_each(|weight| *weight = (*weight / total).sqrt());
        Self { cosines, roots, modes, size }
    }

    /// Fills `out`, [size, size].
    fn draw(&self, rng: &mut Rng, out: &mut [f64]) {
        let Self { cosines, roots, modes, size } = self;
        let mut rows = vec![0.0; modes * size];
        for (row, roots) in rows.chunks_exact_mut(*size).zip(roots.chunks_exact(*modes)) {
            for (root, cosines) in roots.iter().zip(cosines.chunks_exact(*size)) {
                let xi = root * rng.normal();
                row.iter_mut().zip(cosines).for_each(|(sum, cosine)| *sum += xi * cosine);
            }
        }
        out.fill(0.0);
        for (i, out) in out.chunks_exact_mut(*size).enumerate() {
            for (row, cosines) in rows.chunks_exact(*size).zip(cosines.chunks_exact(*size)) {
                out.iter_mut().zip(row).for_each(|(out, sum)| *out += cosines[i] * sum);
            }
        }
    }
}

/// The lower triangle of the equation's matrix for pressures. Without flow through the border they are known up to a constant;
/// the first cell's is made 0: its own permeability on the diagonal says so, since the source sums to 0.
fn matrix(darcy: &Darcy, k: &[f64]) -> Option<SparseColMat<u32, f64>> {
    let scale = 0.5 * (darcy.size() * darcy.size()) as f64;
    let mut diagonal = vec![0.0; k.len()];
    diagonal[0] = 2.0 * scale * k[0];
    let mut entries = Vec::with_capacity(3 * k.len());
    darcy.faces(|a, b| {
        let conductance = scale * (k[a] + k[b]);
        diagonal[a] += conductance;
        diagonal[b] += conductance;
        entries.push(Triplet::new(b as u32, a as u32, -conductance));
    });
    entries.extend(diagonal.iter().enumerate().map(|(a, &value)| Triplet::new(a as u32, a as u32, value)));
    SparseColMat::try_new_from_triplets(k.len(), k.len(), &entries).ok()
}

/// The pressures for permeabilities k, of mean 0; `None` where the factorisation fails or they are no numbers.
fn solve(darcy: &Darcy, places: &SymbolicLlt<u32>, k: &[f64], p: &mut [f64]) -> Option<()> {
    let matrix = matrix(darcy, k)?;
    let factor = Llt::try_new_with_symbolic(places.clone(), matrix.as_ref(), Side::Lower).ok()?;
    p.copy_from_slice(darcy.source());
    let cells = p.len();
    factor.solve_in_place_with_conj(Conj::No, MatMut::from_column_major_slice_mut(p, cells, 1));
    let mean = p.iter().sum::<f64>() / cells as f64;
    p.iter_mut().for_each(|p| *p -= mean);
    p.iter().all(|p| p.is_finite()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::mean_residual;

    const PHASES: Medium = Medium::TwoPhase { length: 0.2, low: 1.0, high: 12.0 };

    #[test]
    fn fields_fulfil_the_equation() {
        for (size, medium) in [(16, Medium::default()), (16, PHASES), (5, PHASES)] {
            let fields = DarcyData { size, medium }.sample(3, 1).unwrap();
            let darcy = Darcy::new(size).unwrap();
            let residual = mean_residual(&darcy, &fields, 2 * size * size);
            assert!(residual < 1e-9, "{size}: {residual:e}");
            for item in fields.chunks_exact(2 * size * size) {
                let [p, k] = [0, 1].map(|f| item.iter().skip(f).step_by(2).copied().collect::<Vec<f64>>());
                assert!(p.iter().sum::<f64>().abs() < 1e-9);
                // Flow goes from the source to the sink.
                assert!(p[0] > 0.0 && p[size * size - 1] < 0.0);
                assert!(k.iter().all(|k| *k > 0.0) && k.iter().any(|v| *v != k[0]));
            }
        }
    }

    #[test]
    fn samples_do_not_depend_on_threads_or_their_number() {
        let data = DarcyData { size: 8, medium: Medium::default() };
        let many = data.sample(9, 5).unwrap();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| data.sample(4, 5)).unwrap(), many[..4 * 128]);
        }
        assert_ne!(data.sample(1, 6).unwrap(), many[..128]);
    }

    #[test]
    fn ln_k_has_the_moments_that_were_asked_for() {
        let medium = Medium::LogNormal { length: 0.1, deviation: 0.7 };
        let fields = DarcyData { size: 32, medium }.sample(200, 2).unwrap();
        let k: Vec<f64> = fields.iter().skip(1).step_by(2).map(|k| k.ln() / 0.7).collect();
        let mean = k.iter().sum::<f64>() / k.len() as f64;
        let variance = k.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / k.len() as f64;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        // The correlation away from the border, where the variance is less than its mean.
        let (mut product, mut square) = (0.0, 0.0);
        for field in k.chunks_exact(1024) {
            for (i, j) in (8..24).flat_map(|i| (8..20).map(move |j| (i, j))) {
                product += field[32 * i + j] * field[32 * i + j + 3];
                square += 0.5 * (field[32 * i + j].powi(2) + field[32 * i + j + 3].powi(2));
            }
        }
        let want = (-0.5f64 * (3.0f64 / 32.0 / 0.1).powi(2)).exp();
        assert!((product / square - want).abs() < 0.06, "{} where {want}", product / square);
    }

    #[test]
    fn a_data_set_is_standardised_by_field() {
        let data = DarcyData { size: 8, medium: PHASES }.dataset(30, 1).unwrap();
        assert_eq!((data.len(), data.shape(), data.name()), (30, &[8, 8, 2][..], "darcy-8x8"));
        for first in [0, 1] {
            let field: Vec<f64> = data.data().iter().skip(first).step_by(2).map(|v| f64::from(*v)).collect();
            let mean = field.iter().sum::<f64>() / field.len() as f64;
            let variance = field.iter().map(|v| v * v).sum::<f64>() / field.len() as f64;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
        }
        let back = data.restore(&data.data());
        assert!(mean_residual(&Darcy::new(8).unwrap(), &back, 128) < 1e-2);
        let generator = DarcyData { size: 8, medium: PHASES };
        let again = generator.dataset_like(&data, 30, 1).unwrap();
        assert!(again == data && generator.dataset_like(&data, 2, 2).unwrap().mean() == data.mean());
        let other = DarcyData { size: 4, medium: PHASES }.dataset_like(&data, 2, 2).unwrap_err().to_string();
        assert!(other.contains("128"), "{other}");
        let even = DarcyData { size: 8, medium: Medium::TwoPhase { length: 0.2, low: 2.0, high: 2.0 } };
        assert!(even.dataset(3, 0).unwrap_err().to_string().contains("permeability"));
    }

    #[test]
    fn hostile_settings_are_errors() {
        let refused =
            |size, medium, count| DarcyData { size, medium }.sample(count, 0).unwrap_err().to_string();
        for count in [0, usize::MAX, 1 << 40] {
            assert!(refused(16, PHASES, count).contains(&count.to_string()));
        }
        assert!(refused(3, PHASES, 1).contains("3 x 3"));
        for (medium, name) in [
            (Medium::LogNormal { length: f64::NAN, deviation: 1.0 }, "length"),
            (Medium::LogNormal { length: 1e-9, deviation: 1.0 }, "length"),
            (Medium::LogNormal { length: 0.1, deviation: -1.0 }, "deviation"),
            (Medium::TwoPhase { length: 0.1, low: 0.0, high: 1.0 }, "low"),
            (Medium::TwoPhase { length: 0.1, low: 2.0, high: f64::INFINITY }, "high"),
        ] {
            let said = refused(8, medium, 1);
            assert!(said.contains(name) && said.contains("must be"), "{said}");
        }
    }
}
