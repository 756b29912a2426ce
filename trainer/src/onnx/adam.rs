//! Adam, and what goes with it, as ONNX nodes over whole vectors.

use super::lower::Lowering;
use crate::optimiser::AdamConfig;

/// What one step of the optimiser is told.
///
/// With g the gradient, k the step from 1 and b1, b2, epsilon and decay of [`AdamConfig`]:
///
/// ```text
/// g <- scale g,   g <- min(1, clip / |g|) g,   m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
/// p <- p - rate decay p - rate (m / (1 - b1^k)) / (sqrt(v / (1 - b2^k)) + epsilon)
/// average <- average + average_rest (p - average)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub rate: f64,
    /// The gradient's largest norm; infinite without clipping.
    pub clip: f64,
    /// What the running average takes of the new parameters: 1 less its decay; 1 without an average.
    pub average_rest: f64,
    /// What the gradient is multiplied by first: 1 over the number of batches that it is the sum of.
    pub scale: f64,
}

impl Rates {
    /// A learning rate alone.
    pub const fn new(rate: f64) -> Self {
        Self { rate, clip: f64::INFINITY, average_rest: 1.0, scale: 1.0 }
    }

    /// The numbers of the graph's input `rates`, for a step, from 1.
    pub(super) fn numbers(self, config: AdamConfig, step: u64) -> [f32; NUMBERS] {
        let power = step.min(i32::MAX as u64) as i32;
        let (bias1, bias2) = (1.0 - config.beta1.powi(power), 1.0 - config.beta2.powi(power));
        let keep = 1.0 - self.rate * config.weight_decay;
        [self.rate / bias1, 1.0 / bias2.sqrt(), keep, self.clip, self.average_rest, self.scale]
            .map(|number| number as f32)
    }
}

/// How many numbers there are in `rates`.
pub(super) const NUMBERS: usize = 6;

/// The vectors that a step changes, as the graph's inputs; its outputs have `.next` behind their names.
pub(super) const STATES: [&str; 4] = ["parameters", "mean", "square", "average"];

impl Lowering<'_> {
    /// The nodes of one step; the gradient's norm `[1]`, and that of the new parameters `[1]`, which no others than finite ones
    /// have finite.
    pub(super) fn adam(&mut self, config: AdamConfig, gradient: &str) -> [String; 2] {
        let [parameters, mean, square, average] = STATES;
        let parts = self.split("rates", 0, &[1; NUMBERS]);
        let [rate, root, keep, clip, rest, scale] = [0, 1, 2, 3, 4, 5].map(|i: usize| parts[i].as_str());
        let numbers =
            [config.beta1, 1.0 - config.beta1, config.beta2, 1.0 - config.beta2, config.epsilon, 1.0];
        let [beta1, rest1, beta2, rest2, epsilon, one] = numbers.map(|number| self.number(number as f32));
        let norm = self.node("ReduceL2", &[gradient], &[]);
        let norm = self.two("Mul", &norm, scale);
        let factor = self.two("Div", clip, &norm);
        let factor = self.node("Min", &[&factor, &one], &[]);
        let factor = self.two("Mul", &factor, scale);
        let g = self.two("Mul", gradient, &factor);
        let next = |name: &str| format!("{name}.next");

        let kept = self.two("Mul", mean, &beta1);
        let new = self.two("Mul", &g, &rest1);
        let m = self.graph.node(&next(mean), "Add", &[&kept, &new], &[]);
        let kept = self.two("Mul", square, &beta2);
        let squares = self.two("Mul", &g, &g);
        let new = self.two("Mul", &squares, &rest2);
        let v = self.graph.node(&next(square), "Add", &[&kept, &new], &[]);

        let deviation = self.node("Sqrt", &[&v], &[]);
        let deviation = self.two("Mul", &deviation, root);
        let deviation = self.two("Add", &deviation, &epsilon);
        let change = self.two("Mul", &m, rate);
        let change = self.two("Div", &change, &deviation);
        let kept = self.two("Mul", parameters, keep);
        let p = self.graph.node(&next(parameters), "Sub", &[&kept, &change], &[]);

        let apart = self.two("Sub", &p, average);
        let step = self.two("Mul", &apart, rest);
        self.graph.node(&next(average), "Add", &[average, &step], &[]);
        [norm, self.node("ReduceL2", &[&p], &[])]
    }
}
