//! What int8 weights are chosen by: moments of what they are multiplied with.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Network, NetworkError};

/// Inputs whose products with each other are kept: of a wider matrix, a matrix of this size for each so many of its inputs. All
/// of them would be gigabytes, and inputs of one place of a convolution's patch, which vary together most, are neighbours.
pub(super) const BLOCK: usize = 512;

/// Means and products of what each matrix and convolution is multiplied with.
///
/// An output's error is `d^T C d` with `d` the change of its weights and `C` its inputs' covariance: what is constant in
/// the change goes into the bias. So these moments are all that calibration needs of the data. A convolution's inputs are the
/// patches that it reads.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    moments: BTreeMap<String, Moments>,
}

#[derive(Debug, Clone)]
pub(super) struct Moments {
    rows: usize,
    /// `[n]`.
    sum: Vec<f64>,
    /// `[m, m]` for each [`BLOCK`] of inputs, m = `BLOCK` but for the last.
    products: Vec<Vec<f64>>,
}

impl Calibration {
    /// Takes in the inputs x [n, dim], t `[n]` and c [n, [condition](Network::condition)] of a network, which is run on them. Of a
    /// convolution's patches two an item are taken, from changing places.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn add(
        &mut self,
        model: &mut Network<f32>,
        x: &[f32],
        t: &[f32],
        c: &[f32],
    ) -> Result<(), NetworkError> {
        model.forward(x, t, c)?;
        for (weight, rows) in model.matrix_inputs() {
            let n = weight.shape[1..].iter().product();
            let name = weight.name.trim_end_matches(".weight").to_owned();
            self.moments.entry(name).or_insert_with(|| Moments::new(n)).add(&rows);
        }
        Ok(())
    }

    /// The moments by the layers' names.
    pub(super) fn matrices(&self) -> impl Iterator<Item = (&str, &Moments)> {
        self.moments.iter().map(|(name, moments)| (name.as_str(), moments))
    }
}

#[cfg(test)]
impl Calibration {
    /// The same without what the data say: every scale is then chosen, and every weight rounded, by itself.
    pub(crate) fn forgotten(&self) -> Self {
        let mut other = self.clone();
        for moments in other.moments.values_mut() {
            moments.sum.fill(0.0);
            for (block, sum) in moments.products.iter_mut().zip(moments.sum.chunks(BLOCK)) {
                let n = sum.len();
                for (at, product) in block.iter_mut().enumerate() {
                    *product = if at / n == at % n { moments.rows as f64 } else { 0.0 };
                }
            }
        }
        other
    }
}

impl Moments {
    fn new(inputs: usize) -> Self {
        let sum = vec![0.0; inputs];
        let products = sum.chunks(BLOCK).map(|block| vec![0.0; block.len() * block.len()]).collect();
        Self { rows: 0, sum, products }
    }

    fn add(&mut self, rows: &[f32]) {
        let n = self.sum.len().max(1);
        self.rows += rows.len() / n;
        for row in rows.chunks_exact(n) {
            self.sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        for (block, products) in self.products.iter_mut().enumerate() {
            let first = block * BLOCK;
            let len = n.min(first + BLOCK) - first;
            products.par_chunks_exact_mut(len).enumerate().for_each(|(i, products)| {
                for row in rows.chunks_exact(n) {
                    let row = &row[first..first + len];
                    let a = row[i];
                    products.iter_mut().zip(row).for_each(|(sum, &b)| *sum += f64::from(a * b));
                }
            });
        }
    }

    /// How many numbers a row has.
    pub(super) fn inputs(&self) -> usize {
        self.sum.len()
    }

    /// Mean and covariance of the inputs, which is that of each block; its diagonal is raised a little, so that inputs which do not
    /// vary keep their weights. Not `centred`, the products' means: for a layer whose bias cannot take up what is constant.
    pub(super) fn statistics(&self, centred: bool) -> (Vec<f64>, Vec<Vec<f64>>) {
        let (n, rows) = (self.sum.len(), self.rows.max(1) as f64);
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / rows).collect();
        let mut covariance: Vec<Vec<f64>> = self.products.clone();
        for (block, mean) in covariance.iter_mut().zip(mean.chunks(BLOCK)) {
            for (row, a) in block.chunks_exact_mut(mean.len()).zip(mean) {
                for (sum, b) in row.iter_mut().zip(mean) {
                    *sum = *sum / rows - if centred { a * b } else { 0.0 };
                }
            }
        }
        let diagonal = |block: &Vec<f64>| -> f64 { block.iter().step_by(block.len().isqrt() + 1).sum() };
        let trace: f64 = covariance.iter().map(diagonal).sum();
        let raise = (1e-4 * trace / n as f64).max(1e-12);
        for block in &mut covariance {
            let step = block.len().isqrt() + 1;
            block.iter_mut().step_by(step).for_each(|value| *value += raise);
        }
        (mean, covariance)
    }
}
