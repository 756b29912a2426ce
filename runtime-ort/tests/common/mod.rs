//! A network of pseudo-random weights, its ONNX file and its value by plain loops.

#![allow(dead_code)] // Each test program uses a part.

pub(crate) mod affine;
pub(crate) mod command;
pub(crate) mod rows;

use std::collections::HashMap;

use picardy_trainer::model::{MlpConfig, Network};
use picardy_trainer::onnx::export_network;

/// The residual MLP as plain parameters.
pub(crate) struct PlainMlp {
    pub(crate) dim: usize,
    pub(crate) width: usize,
    pub(crate) blocks: usize,
    pub(crate) parameters: HashMap<String, (Vec<f32>, Vec<usize>)>,
}

/// A linear congruential sequence of numbers in (-1, 1): all that a test's weights need.
pub(crate) fn pseudo_random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}

impl PlainMlp {
    pub(crate) fn new(dim: usize, width: usize, blocks: usize) -> Self {
        let mut next = pseudo_random(7);
        let mut parameters = HashMap::new();
        let mut add = |name: String, shape: Vec<usize>, middle: f32, scale: f32| {
            let values = (0..shape.iter().product()).map(|_| middle + scale * next()).collect();
            parameters.insert(name, (values, shape));
        };
        let mut linears = vec![("input".to_owned(), width, dim), ("output".to_owned(), dim, width)];
        let mut norms = vec!["norm".to_owned()];
        for block in 0..blocks {
            linears.push((format!("blocks.{block}.fc1"), width, width));
            linears.push((format!("blocks.{block}.fc2"), width, width));
            norms.push(format!("blocks.{block}.norm"));
        }
        for (name, outer, inner) in linears {
            add(format!("{name}.weight"), vec![outer, inner], 0.0, (inner as f32).powf(-0.5));
            add(format!("{name}.bias"), vec![outer], 0.0, 0.1);
        }
        for name in norms {
            add(format!("{name}.weight"), vec![width], 1.0, 0.2);
            add(format!("{name}.bias"), vec![width], 0.0, 0.1);
        }
        Self { dim, width, blocks, parameters }
    }

    /// The trainer's network of these parameters.
    pub(crate) fn network(&self) -> Network<f32> {
        let config = MlpConfig { dim: self.dim, width: self.width, blocks: self.blocks };
        let mut network = Network::new(config, 1, 0).unwrap();
        for parameter in network.layout().to_vec() {
            let (values, shape) = self.find(&parameter.name).unwrap();
            assert_eq!(shape, parameter.shape);
            network.parameters_mut()[parameter.range].copy_from_slice(values);
        }
        network
    }

    pub(crate) fn onnx(&self, metadata: &[(String, String)]) -> Vec<u8> {
        export_network(&self.network(), metadata).unwrap()
    }

    pub(crate) fn find(&self, name: &str) -> Option<(&[f32], &[usize])> {
        self.parameters.get(name).map(|(values, shape)| (&values[..], &shape[..]))
    }

    fn linear(&self, name: &str, u: &[f64]) -> Vec<f64> {
        let (weight, _) = self.find(&format!("{name}.weight")).unwrap();
        let (bias, _) = self.find(&format!("{name}.bias")).unwrap();
        weight
            .chunks(u.len())
            .zip(bias)
            .map(|(row, &b)| f64::from(b) + row.iter().zip(u).map(|(&w, u)| f64::from(w) * u).sum::<f64>())
            .collect()
    }

    fn norm(&self, name: &str, u: &[f64]) -> Vec<f64> {
        let (weight, _) = self.find(&format!("{name}.weight")).unwrap();
        let (bias, _) = self.find(&format!("{name}.bias")).unwrap();
        let n = u.len() as f64;
        let mean = u.iter().sum::<f64>() / n;
        let var = u.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / n;
        u.iter()
            .zip(weight.iter().zip(bias))
            .map(|(u, (&w, &b))| (u - mean) / (var + 1e-5).sqrt() * f64::from(w) + f64::from(b))
            .collect()
    }

    /// The network's value, in f64 but for the angles t f, which every implementation takes in f32.
    pub(crate) fn value(&self, x: &[f32], t: f32) -> Vec<f64> {
        let half = self.width / 2;
        let mut frequencies = vec![0.0f32; half];
        picardy::nn::frequencies(&mut frequencies);
        let angle = |i: usize| f64::from(t * frequencies[i]);
        let e: Vec<f64> =
            (0..half).map(|i| angle(i).sin()).chain((0..half).map(|i| angle(i).cos())).collect();
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let mut h = self.linear("input", &x);
        for block in 0..self.blocks {
            let name = |part: &str| format!("blocks.{block}.{part}");
            let u = self.norm(&name("norm"), &add(&h, &e));
            let mut u = self.linear(&name("fc1"), &u);
            for u in &mut u {
                *u = 0.5 * *u * (1.0 + libm::erf(*u * std::f64::consts::FRAC_1_SQRT_2));
            }
            h = add(&h, &self.linear(&name("fc2"), &u));
        }
        self.linear("output", &self.norm("norm", &h))
    }
}
