//! Training by ONNX Runtime on the processor: step by step what the native path does.

mod onnx_common;

use onnx_common::{apart, configs, network, normal, rows};
use picardy_ort::{Options, ensure_runtime};
use picardy_trainer::model::{Network, NetworkConfig};
use picardy_trainer::onnx::{Batch, OrtTrainer, Rates};
use picardy_trainer::optimiser::{Adam, AdamConfig, Ema, clip_scale};

const ROWS: usize = 6;

/// A step's rows: what [`Batch`] borrows.
struct Owned {
    inputs: [Vec<f32>; 3],
    target: Vec<f32>,
    weight: Vec<f32>,
}

impl Owned {
    fn new(config: &NetworkConfig, n: usize, step: u64) -> Self {
        let inputs = rows(config, n, step + 10);
        let target = normal(inputs[0].len(), step + 1000);
        let weight = (0..n).map(|row| 0.01 * (1.0 + row as f32)).collect();
        Self { inputs, target, weight }
    }

    fn batch(&self) -> Batch<'_> {
        let [x, t, condition] = &self.inputs;
        Batch { x, t, condition, target: &self.target, weight: &self.weight }
    }

    /// The loss, and its gradient with respect to the output.
    fn loss(&self, out: &[f32]) -> (f64, Vec<f32>) {
        let dim = out.len() / self.weight.len();
        let mut loss = 0.0;
        let dout = out.iter().zip(&self.target).enumerate().map(|(i, (out, target))| {
            let weight = self.weight[i / dim];
            loss += f64::from(weight) * f64::from(out - target).powi(2);
            2.0 * weight * (out - target)
        });
        let dout = dout.collect();
        (loss, dout)
    }
}

/// One step of the native path: the loss and the gradient's norm.
fn native(model: &mut Network<f32>, adam: &mut Adam<f32>, batch: &Owned, rates: Rates) -> (f64, f64) {
    let [x, t, c] = &batch.inputs;
    model.zero_gradients();
    let (loss, dout) = batch.loss(model.forward(x, t, c).unwrap());
    model.backward(&dout).unwrap();
    let (parameters, gradients) = model.parameters_and_gradients();
    let (norm, scale) = clip_scale(gradients, rates.clip);
    adam.step(rates.rate, scale, parameters, gradients);
    (loss, norm)
}

fn change(after: &[f32], before: &[f32]) -> Vec<f32> {
    after.iter().zip(before).map(|(a, b)| a - b).collect()
}

#[test]
fn twenty_steps_are_the_native_ones() {
    ensure_runtime().unwrap();
    let config = AdamConfig { weight_decay: 0.01, ..AdamConfig::default() };
    for network_config in configs() {
        let mut model = network(&network_config, ROWS);
        let mut mirror = model.clone();
        let mut adam = Adam::new(config, model.parameters().len());
        let mut ema = Ema::new(0.9, model.parameters());
        let mut trainer = OrtTrainer::new(&model, ROWS, config, Options::default()).unwrap();
        let mut worst = [0.0f64; 3];
        for step in 0..20 {
            // Some batches are not full.
            let batch = Owned::new(&network_config, if step % 5 == 4 { 2 } else { ROWS }, step);
            let rest = 1.0 - 0.9f64.min((1.0 + step as f64) / (10.0 + step as f64));
            // About half of the steps are clipped.
            let rates = Rates { rate: 1e-3, clip: 0.5, average_rest: rest };
            let before = model.parameters().to_vec();
            let told = trainer.step(batch.batch(), rates).unwrap();
            let (loss, norm) = native(&mut model, &mut adam, &batch, rates);
            ema.update(model.parameters());
            let start = mirror.parameters().to_vec();
            trainer.store(&mut mirror).unwrap();
            let moved = apart(&change(mirror.parameters(), &start), &change(model.parameters(), &before));
            let losses = (told.loss / loss - 1.0).abs();
            let norms = (told.norm / norm - 1.0).abs();
            for (worst, new) in worst.iter_mut().zip([moved, losses, norms]) {
                *worst = worst.max(new);
            }
        }
        println!("{network_config:?}: {worst:?}");
        assert!(worst.iter().all(|&worst| worst < 1e-4), "{network_config:?}: {worst:?}");
        assert_eq!(trainer.steps(), 20);
        assert!(apart(&trainer.average().unwrap(), ema.average()) < 1e-4);
    }
}
