//! Adam, and clipping.

use picardy::nn::{Kernel, Scalar, dispatch, dot};
use rayon::prelude::*;

/// Adam's constants (Kingma and Ba 2015); with `weight_decay` it is AdamW (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// Decay of the gradient's mean.
    pub beta1: f64,
    /// Decay of the squared gradient's mean.
    pub beta2: f64,
    /// Added to the root of the latter.
    pub epsilon: f64,
    /// The share of a parameter, times the learning rate, that a step takes away.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Adam with its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam<T> {
    config: AdamConfig,
    mean: Vec<T>,
    square: Vec<T>,
    steps: u64,
}

impl<T: Scalar> Adam<T> {
    /// An optimiser for `len` parameters that has taken no step.
    pub fn new(config: AdamConfig, len: usize) -> Self {
        Self { config, mean: vec![T::ZERO; len], square: vec![T::ZERO; len], steps: 0 }
    }

    /// One step:
    ///
    /// ```text
    /// g <- scale g,   m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
    /// p <- p - rate decay p - rate (m / (1 - b1^k)) / (sqrt(v / (1 - b2^k)) + epsilon)
    /// ```
    ///
    /// `scale` is what [`clip_scale`] gives, 1 without clipping.
    ///
    /// # Panics
    ///
    /// Where the lengths are not the optimiser's.
    pub fn step(&mut self, rate: f64, scale: f64, parameters: &mut [T], gradients: &[T]) {
        let AdamConfig { beta1, beta2, epsilon, weight_decay } = self.config;
        assert_eq!(
            (parameters.len(), gradients.len()),
            (self.mean.len(), self.mean.len()),
            "parameters, gradients"
        );
        self.steps += 1;
        let power = self.steps.min(i32::MAX as u64) as i32;
        let (bias1, bias2) = (1.0 - beta1.powi(power), 1.0 - beta2.powi(power));
        let constants = Constants {
            scale: T::from_f64(scale),
            beta1: T::from_f64(beta1),
            rest1: T::from_f64(1.0 - beta1),
            beta2: T::from_f64(beta2),
            rest2: T::from_f64(1.0 - beta2),
            keep: T::from_f64(1.0 - rate * weight_decay),
            rate: T::from_f64(rate / bias1),
            root: T::from_f64(1.0 / bias2.sqrt()),
            epsilon: T::from_f64(epsilon),
        };
        if parameters.len() <= TOGETHER {
            let (mean, square) = (&mut self.mean[..], &mut self.square[..]);
            dispatch(Step { parameters, gradients, mean, square, constants });
            return;
        }
        let state = self.mean.par_chunks_mut(TOGETHER).zip(self.square.par_chunks_mut(TOGETHER));
        let parts = parameters.par_chunks_mut(TOGETHER).zip(gradients.par_chunks(TOGETHER)).zip(state);
        parts.for_each(|((parameters, gradients), (mean, square))| {
            dispatch(Step { parameters, gradients, mean, square, constants });
        });
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The running means of the gradients and of their squares.
    pub fn state(&self) -> (&[T], &[T]) {
        (&self.mean, &self.square)
    }

    /// Takes up a state that [`Adam::state`] and [`Adam::steps`] gave.
    ///
    /// # Panics
    ///
    /// Where the lengths are not the optimiser's.
    pub fn restore(&mut self, mean: &[T], square: &[T], steps: u64) {
        self.mean.copy_from_slice(mean);
        self.square.copy_from_slice(square);
        self.steps = steps;
    }
}

/// Parameters that a thread takes at a time; each is stepped by itself, so that threads change nothing.
const TOGETHER: usize = 1 << 17;

struct Step<'a, T> {
    parameters: &'a mut [T],
    gradients: &'a [T],
    mean: &'a mut [T],
    square: &'a mut [T],
    constants: Constants<T>,
}

#[derive(Clone, Copy)]
struct Constants<T> {
    scale: T,
    beta1: T,
    rest1: T,
    beta2: T,
    rest2: T,
    keep: T,
    rate: T,
    root: T,
    epsilon: T,
}

impl<T: Scalar> Kernel for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Constants { scale, beta1, rest1, beta2, rest2, keep, rate, root, epsilon } = self.constants;
        let state = self.mean.iter_mut().zip(self.square);
        for ((p, &g), (m, v)) in self.parameters.iter_mut().zip(self.gradients).zip(state) {
            let g = g * scale;
            *m = beta1 * *m + rest1 * g;
            *v = beta2 * *v + rest2 * (g * g);
            *p = keep * *p - rate * *m / ((*v).sqrt() * root + epsilon);
        }
    }
}

/// The gradients' norm over all parameters, and the factor that brings it down to `most` (1 where it is below).
///
/// A norm that is not finite gives the factor 0 with itself: the caller should stop.
pub fn clip_scale<T: Scalar>(gradients: &[T], most: f64) -> (f64, f64) {
    let norm = dispatch(SquaredNorm { values: gradients }).to_f64().sqrt();
    let scale = if norm <= most {
        1.0
    } else if norm.is_finite() {
        most / norm
    } else {
        0.0
    };
    (norm, scale)
}

struct SquaredNorm<'a, T> {
    values: &'a [T],
}

impl<T: Scalar> Kernel for SquaredNorm<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        dot(self.values, self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_takes_the_known_first_steps() {
        // By hand: the first step is the rate against the gradient's sign, whatever its size.
        let mut adam = Adam::<f64>::new(AdamConfig::default(), 2);
        let mut p = [1.0, -1.0];
        adam.step(0.1, 1.0, &mut p, &[3.0, -0.01]);
        assert!((p[0] - 0.9).abs() < 1e-6 && (p[1] + 0.9).abs() < 1e-6);
        adam.step(0.1, 1.0, &mut p, &[0.0, 0.0]);
        let expected = 0.9 - 0.1 * (0.27 / 0.19) / (0.008_991_f64 / 0.001_999).sqrt();
        assert!((p[0] - expected).abs() < 1e-6, "{} {expected}", p[0]);
    }

    #[test]
    fn a_restored_optimiser_goes_on_as_before() {
        let config = AdamConfig { weight_decay: 0.1, ..AdamConfig::default() };
        let (mut whole, mut p) = (Adam::<f32>::new(config, 9), [0.5; 9]);
        let gradient = |k: i32| core::array::from_fn::<f32, 9, _>(|i| (i as i32 - k) as f32);
        for k in 0..3 {
            whole.step(0.01, 1.0, &mut p, &gradient(k));
        }
        let mut resumed = Adam::new(config, 9);
        resumed.restore(whole.state().0, whole.state().1, whole.steps());
        let mut q = p;
        whole.step(0.01, 0.5, &mut p, &gradient(4));
        resumed.step(0.01, 0.5, &mut q, &gradient(4));
        assert_eq!((p, whole), (q, resumed));
    }

    #[test]
    fn threads_change_nothing() {
        // Two whole parts and a rest.
        let count = 2 * TOGETHER + 17;
        let config = AdamConfig { weight_decay: 0.1, ..AdamConfig::default() };
        let gradient: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin()).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut adam, mut p) = (Adam::<f32>::new(config, count), gradient.clone());
            pool.install(|| (0..3).for_each(|_| adam.step(0.01, 0.5, &mut p, &gradient)));
            (adam, p)
        };
        let ends: Vec<_> = [1, 2].map(run).into();
        assert!(ends[0] == ends[1]);
        // And each parameter's step is its own, whichever part it lies in.
        for i in [0, TOGETHER - 1, TOGETHER, count - 1] {
            let (mut adam, mut p) = (Adam::<f32>::new(config, 1), [gradient[i]]);
            (0..3).for_each(|_| adam.step(0.01, 0.5, &mut p, &gradient[i..=i]));
            assert_eq!(p[0].to_bits(), ends[0].1[i].to_bits(), "{i}");
        }
    }

    #[test]
    fn clipping_keeps_the_norm() {
        assert_eq!(clip_scale(&[3.0f64, 4.0], 10.0), (5.0, 1.0));
        assert_eq!(clip_scale(&[3.0f64, 4.0], 1.0), (5.0, 0.2));
        assert_eq!(clip_scale(&[f64::NAN], 1.0).1, 0.0);
    }
}
