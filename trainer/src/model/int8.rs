//! int8 weights that change a network's output least.

use std::collections::BTreeMap;

use picardy::nn::WeightFormat;
use safetensors::tensor::Dtype;

use rayon::prelude::*;

use super::calibration::{BLOCK, Calibration};
use super::file::{Tensor, serialise};
use super::{Network, Precision, SaveError};

/// The largest whole number of a weight.
const LIMIT: f64 = 127.0;
/// Scales that are tried for an output: its largest weight's, and smaller ones that clip it.
const CANDIDATES: usize = 24;
/// Times that every weight of an output is rounded anew, given the others.
const SWEEPS: usize = 4;

/// A matrix or a convolution of fewer inputs stays f32: its scales would take what it saves, and few inputs do not average the rounding.
const LEAST_INPUTS: usize = 16;

/// The matrices and convolutions of a network in int8, and the biases that go with them.
#[derive(Debug, Clone)]
pub struct Int8 {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    whole: Vec<i8>,
    scale: Vec<f32>,
    /// Empty where it is another layer's too, and stays.
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
        for (name, moments) in calibration.matrices().filter(|(_, moments)| moments.inputs() >= LEAST_INPUTS)
        {
            let parameter = |of: &str| model.parameter(&format!("{name}.{of}")).map(|p| p.0);
            let (weight, bias) = (parameter("weight").unwrap_or_default(), parameter("bias"));
            let (mean, covariance) = moments.statistics(bias.is_some());
            let rows: Vec<_> =
                weight.par_chunks_exact(mean.len()).map(|row| round_row(row, &covariance)).collect();
            let mut layer = Layer { whole: vec![], scale: vec![], bias: vec![] };
            for ((whole, scale), (row, bias)) in
                rows.iter().zip(weight.chunks_exact(mean.len()).zip(bias.unwrap_or_default()))
            {
                let shift: f64 = (row.iter().zip(whole).zip(&mean))
                    .map(|((w, q), mean)| (f64::from(*w) - q * f64::from(*scale)) * mean)
                    .sum();
                layer.bias.push((f64::from(*bias) + shift) as f32);
            }
            for (whole, scale) in rows {
                layer.whole.extend(whole.iter().map(|q| *q as i8));
                layer.scale.push(scale);
            }
            layers.insert(name.to_owned(), layer);
        }
        Ok(Self { layers })
    }
}

impl Network<f32> {
    /// The network as a safetensors file whose matrices and convolutions are int8, but for those of fewer than 16 inputs (of a
    /// convolution, the numbers of a patch).
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
///
/// `covariance` is that of the inputs, each [`BLOCK`] of them alone.
fn round_row(row: &[f32], covariance: &[Vec<f64>]) -> (Vec<f64>, f32) {
    let largest = row.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
    if largest < f32::MIN_POSITIVE * 1e3 {
        return (vec![0.0; row.len()], 1.0);
    }
    let mut best: Option<(f64, Vec<f64>, f32)> = None;
    for candidate in 0..CANDIDATES {
        let clip = 1.0 - 0.5 * candidate as f64 / CANDIDATES as f64;
        let scale = (f64::from(largest) * clip / LIMIT) as f32;
        let whole = nearest(row, f64::from(scale));
        let d = change(row, &whole, f64::from(scale));
        let error: f64 = d.chunks(BLOCK).zip(covariance).map(|(d, c)| quadratic(d, c)).sum();
        if best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, whole, scale));
        }
    }
    let (_, mut whole, scale) = best.unwrap_or_default();
    for ((row, whole), covariance) in row.chunks(BLOCK).zip(whole.chunks_mut(BLOCK)).zip(covariance) {
        settle(row, whole, f64::from(scale), covariance);
    }
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
            let (whole, scale) = round_row(&row, std::slice::from_ref(&covariance));
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
        let (whole, scale) = round_row(&[0.0; 3], &[vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]]);
        assert_eq!((whole, scale), (vec![0.0; 3], 1.0));
    }
}
