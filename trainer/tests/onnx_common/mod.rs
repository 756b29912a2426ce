//! Small networks of every kind, and rows for them.

#![allow(dead_code)] // Each test program uses a part.

use picardy_trainer::model::{Network, NetworkConfig, NetworkKind};
use picardy_trainer::rng::Rng;

/// Every architecture with and without a condition, with every choice of theirs.
pub(crate) fn configs() -> Vec<NetworkConfig> {
    let mlp = |width, blocks| NetworkKind::ResidualMlp { width, blocks };
    let unet1d = |scale, widths: &[usize], kernel| NetworkKind::Unet1d {
        widths: widths.to_vec(),
        embedding: 8,
        kernel,
        groups: 2,
        scale,
    };
    let unet2d = |blocks, widths: &[usize], heads| NetworkKind::Unet2d {
        widths: widths.to_vec(),
        embedding: 4,
        blocks,
        groups: 2,
        heads,
    };
    let config = |shape: &[usize], condition, kind: NetworkKind| NetworkConfig {
        shape: shape.to_vec(),
        condition,
        architecture: kind.architecture().unwrap(),
    };
    vec![
        config(&[3], 0, mlp(16, 2)),
        config(&[3], 2, mlp(8, 1)),
        config(&[2, 3], 2, mlp(8, 2)),
        config(&[16, 2], 3, unet1d(true, &[8, 12, 16], 5)),
        config(&[4, 3], 0, unet1d(false, &[8, 16], 3)),
        config(&[2, 1], 2, unet1d(true, &[8, 16], 5)),
        config(&[8, 12, 2], 3, unet2d(2, &[8, 16], 2)),
        config(&[8, 8, 1], 0, unet2d(1, &[4, 8, 8], 1)),
    ]
}

/// A network whose norms are away from their start, so that they count.
pub(crate) fn network(config: &NetworkConfig, rows: usize) -> Network<f32> {
    let mut model = Network::new(config, rows, 3).unwrap();
    let shift = normal(model.parameters().len(), 5);
    model.parameters_mut().iter_mut().zip(shift).for_each(|(p, s)| *p += 0.1 * s);
    model
}

/// x, t and the condition of so many rows; the first row has no condition.
pub(crate) fn rows(config: &NetworkConfig, rows: usize, stream: u64) -> [Vec<f32>; 3] {
    let dim: usize = config.shape.iter().product();
    let t = (0..rows).map(|row| ((row as u64 * 137 + stream * 31) % 1000) as f32).collect();
    let mut condition = normal(rows * config.condition, 2 * stream + 1);
    condition.iter_mut().take(config.condition).for_each(|c| *c = 0.0);
    [normal(rows * dim, 2 * stream), t, condition]
}

pub(crate) fn normal(n: usize, stream: u64) -> Vec<f32> {
    let mut rng = Rng::new(41, stream);
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// The distance of a to b, over b's norm.
pub(crate) fn apart(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let distance: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    (distance / norm).sqrt()
}
