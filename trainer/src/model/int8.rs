//! int8 weights that change a network's output least.

use std::collections::BTreeMap;

use picardy::nn::WeightFormat;
use safetensors::tensor::Dtype;

use super::file::{Tensor, serialise};
use super::{Network, NetworkError, Precision, SaveError};

/// The largest whole number of a weight.
const LIMIT: f64 = 127.0;
/// Scales that are tried for an output: its largest weight's, and smaller ones that clip it.
const CANDIDATES: usize = 24;
/// Times that every weight of an output is rounded anew, given the others.
const SWEEPS: usize = 4;

/// A matrix of fewer inputs stays f32: its scales would take what it saves, and few inputs do not average the rounding.
const LEAST_INPUTS: usize = 16;

/// Means and products of what each matrix is multiplied with.
///
/// An output's error is `d^T C d` with `d` the change of its weights and `C` its inputs' covariance: what is constant in
/// the change goes into the bias. So these moments are all that calibration needs of the data.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    moments: BTreeMap<String, Moments>,
}

#[derive(Debug, Clone)]
struct Moments {
    rows: usize,
    /// `[n]`.
    sum: Vec<f64>,
    /// `[n, n]`.
    products: Vec<f64>,
}

impl Calibration {
    /// Takes in the inputs x [n, dim] and t `[n]` of a network, which is run on them without a condition.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn add(&mut self, model: &mut Network<f32>, x: &[f32], t: &[f32]) -> Result<(), NetworkError> {
        let none = vec![0.0; t.len() * model.condition()];
        model.forward(x, t, &none)?;
        for (weight, rows) in model.matrix_inputs() {
            let n = weight.shape[1];
            let name = weight.name.trim_end_matches(".weight").to_owned();
            let moments = self.moments.entry(name).or_insert_with(|| Moments {
                rows: 0,
                sum: vec![0.0; n],
                products: vec![0.0; n * n],
            });
            moments.rows += rows.len() / n.max(1);
            for row in rows.chunks_exact(n.max(1)) {
                moments.sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
                for (products, &a) in moments.products.chunks_exact_mut(n).zip(row) {
                    products.iter_mut().zip(row).for_each(|(sum, &b)| *sum += f64::from(a * b));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Calibration {
    /// The same without what the data say: every scale is then chosen, and every weight rounded, by itself.
    pub(crate) fn forgotten(&self) -> Self {
        let mut other = self.clone();
        for moments in other.moments.values_mut() {
            moments.sum.fill(0.0);
            let n = moments.sum.len();
            for (at, product) in moments.products.iter_mut().enumerate() {
                *product = if at / n == at % n { moments.rows as f64 } else { 0.0 };
            }
        }
        other
    }
}

impl Moments {
    /// Mean and covariance of the inputs; the covariance's diagonal is raised a little, so that inputs which do not vary
    /// keep their weights.
    fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let (n, rows) = (self.sum.len(), self.rows.max(1) as f64);
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / rows).collect();
        let mut covariance: Vec<f64> = self
            .products
            .iter()
            .enumerate()
            .map(|(at, sum)| sum / rows - mean[at / n] * mean[at % n])
            .collect();
        let trace: f64 = (0..n).map(|i| covariance[i * n + i]).sum();
        let raise = (1e-4 * trace / n as f64).max(1e-12);
        (0..n).for_each(|i| covariance[i * n + i] += raise);
        (mean, covariance)
    }
}

/// The matrices of a network in int8, and the biases that go with them.
#[derive(Debug, Clone)]
pub struct Int8 {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    whole: Vec<i8>,
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Int8 {
    /// The whole numbers and scales with the least error of each output over the calibration's rows.
    ///
    /// # Errors
    /// [`SaveError::Value`] where a parameter is NaN or infinite.
    pub fn new(model: &Network<f32>, calibration: &Calibration) -> Result<Self, SaveError> {
        for parameter in model.layout() {
            let values = &model.parameters()[parameter.range.clone()];
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                let name = parameter.name.clone();
                return Err(SaveError::Value { name, value: value.into(), precision: Precision::F32 });
            }
        }
        let mut layers = BTreeMap::new();
        let wide = calibration.moments.iter().filter(|(_, moments)| moments.sum.len() >= LEAST_INPUTS);
        for (name, moments) in wide {
            let parameter = |of: &str| model.parameter(&format!("{name}.{of}")).map_or(&[][..], |p| p.0);
            let (mean, covariance) = moments.statistics();
            let mut layer = Layer { whole: vec![], scale: vec![], bias: vec![] };
            for (row, bias) in parameter("weight").chunks_exact(mean.len()).zip(parameter("bias")) {
                let (whole, scale) = round_row(row, &covariance);
                let shift: f64 = (row.iter().zip(&whole).zip(&mean))
                    .map(|((w, q), mean)| (f64::from(*w) - q * f64::from(scale)) * mean)
                    .sum();
                layer.bias.push((f64::from(*bias) + shift) as f32);
                layer.whole.extend(whole.iter().map(|q| *q as i8));
                layer.scale.push(scale);
            }
            layers.insert(name.clone(), layer);
        }
        Ok(Self { layers })
    }
}

impl Network<f32> {
    /// The network as a safetensors file whose matrices are int8, but for those of fewer than 16 inputs.
    ///
    /// # Errors
    /// As [`Network::to_safetensors`].
    pub fn to_int8_safetensors(
        &self,
        int8: &Int8,
        metadata: &[(String, String)],
    ) -> Result<Vec<u8>, SaveError> {
        let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut tensors = Vec::new();
        for parameter in &self.layout {
            let values = &self.parameters[parameter.range.clone()];
            let (mut dtype, mut bytes) = (Dtype::F32, floats(values));
            let (layer, part) = parameter.name.rsplit_once('.').unwrap_or_default();
            if let Some(layer_of) = int8.layers.get(layer) {
                if part == "weight" {
                    (dtype, bytes) = (Dtype::I8, layer_of.whole.iter().map(|q| q.to_le_bytes()[0]).collect());
                    let (name, shape) = (format!("{layer}.scale"), vec![layer_of.scale.len()]);
                    tensors.push(Tensor { name, dtype: Dtype::F32, shape, bytes: floats(&layer_of.scale) });
                } else {
                    bytes = floats(&layer_of.bias);
                }
            }
            tensors.push(Tensor {
                name: parameter.name.clone(),
                dtype,
                shape: parameter.shape.clone(),
                bytes,
            });
        }
        serialise(&tensors, metadata, WeightFormat::Int8)
    }
}

/// Whole numbers (as f64) and a scale for the weights of one output, with the least `d^T C d` of those tried.
fn round_row(row: &[f32], covariance: &[f64]) -> (Vec<f64>, f32) {
    let largest = row.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
    if largest < f32::MIN_POSITIVE * 1e3 {
        return (vec![0.0; row.len()], 1.0);
    }
    let mut best: Option<(f64, Vec<f64>, f32)> = None;
    for candidate in 0..CANDIDATES {
        let clip = 1.0 - 0.5 * candidate as f64 / CANDIDATES as f64;
        let scale = (f64::from(largest) * clip / LIMIT) as f32;
        let whole = nearest(row, f64::from(scale));
        let error = quadratic(&change(row, &whole, f64::from(scale)), covariance);
        if best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, whole, scale));
        }
    }
    let (_, mut whole, scale) = best.unwrap_or_default();
    settle(row, &mut whole, f64::from(scale), covariance);
    (whole, scale)
}

fn nearest(row: &[f32], scale: f64) -> Vec<f64> {
    row.iter().map(|w| (f64::from(*w) / scale).round().clamp(-LIMIT, LIMIT)).collect()
}

fn change(row: &[f32], whole: &[f64], scale: f64) -> Vec<f64> {
    row.iter().zip(whole).map(|(w, q)| q * scale - f64::from(*w)).collect()
}

/// `d^T C d`.
fn quadratic(d: &[f64], covariance: &[f64]) -> f64 {
    let products =
        covariance.chunks_exact(d.len()).map(|row| row.iter().zip(d).map(|(c, d)| c * d).sum::<f64>());
    products.zip(d).map(|(product, d)| product * d).sum()
}

/// Rounds each weight anew to what is best given the others, until none moves: coordinate descent, which never raises
/// the error.
fn settle(row: &[f32], whole: &mut [f64], scale: f64, covariance: &[f64]) {
    let n = row.len();
    let d = change(row, whole, scale);
    let mut gradient: Vec<f64> =
        covariance.chunks_exact(n).map(|row| row.iter().zip(&d).map(|(c, d)| c * d).sum()).collect();
    for _ in 0..SWEEPS {
        let mut moved = false;
        for i in 0..n {
            let diagonal = covariance[i * n + i];
            let best = (whole[i] - gradient[i] / (diagonal * scale)).round().clamp(-LIMIT, LIMIT);
            let step = (best - whole[i]) * scale;
            if step != 0.0 {
                whole[i] = best;
                moved = true;
                let column = covariance[i * n..][..n].iter();
                gradient.iter_mut().zip(column).for_each(|(gradient, c)| *gradient += c * step);
            }
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Inputs that vary together: rounding each weight alone is far from the best.
    #[test]
    fn calibrated_rows_beat_rounding_to_the_largest_weight() {
        let (n, mut rng) = (24, Rng::new(5, 1));
        let mixing: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
        let mut covariance = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                // Six directions carry nearly all.
                let shared: f64 = (0..6).map(|k| mixing[i * n + k] * mixing[j * n + k]).sum();
                covariance[i * n + j] = shared + if i == j { 0.05 } else { 0.0 };
            }
        }
        let (mut calibrated, mut plain) = (0.0, 0.0);
        for _ in 0..20 {
            let row: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
            let (whole, scale) = round_row(&row, &covariance);
            assert!(whole.iter().all(|q| q.abs() <= LIMIT && q.fract() == 0.0) && scale > 0.0);
            calibrated += quadratic(&change(&row, &whole, scale.into()), &covariance);
            let largest = row.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            let scale = f64::from(largest) / LIMIT;
            plain += quadratic(&change(&row, &nearest(&row, scale), scale), &covariance);
        }
        assert!(calibrated < 0.4 * plain, "{calibrated} of {plain}");
    }

    #[test]
    fn weights_of_zero_stay_zero() {
        let (whole, scale) = round_row(&[0.0; 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!((whole, scale), (vec![0.0; 3], 1.0));
    }
}
