//! Where the parameters lie in their one vector, and what they start as.

use std::ops::Range;

use super::{MlpConfig, Parameter};
use crate::op::Element;
use crate::rng::Rng;

/// Where each layer's parameters lie.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) input: Place,
    pub(super) blocks: Vec<[Place; 3]>,
    pub(super) norm: Place,
    pub(super) output: Place,
}

impl Places {
    /// The places of a network's layers, and the same by name.
    pub(super) fn new(config: MlpConfig) -> (Self, Vec<Parameter>) {
        let MlpConfig { dim, width, blocks } = config;
        let mut layout = Layout::default();
        let places = Self {
            input: layout.layer("input", &[width, dim]),
            blocks: (0..blocks)
                .map(|i| {
                    [
                        layout.layer(&format!("blocks.{i}.norm"), &[width]),
                        layout.layer(&format!("blocks.{i}.fc1"), &[width, width]),
                        layout.layer(&format!("blocks.{i}.fc2"), &[width, width]),
                    ]
                })
                .collect(),
            norm: layout.layer("norm", &[width]),
            output: layout.layer("output", &[dim, width]),
        };
        (places, layout.tensors)
    }
}

/// Where one layer's parameters lie.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) weight: Range<usize>,
    pub(super) bias: Range<usize>,
}

impl Place {
    pub(super) fn weight<'a, T>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.weight.clone()]
    }

    pub(super) fn bias<'a, T>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.bias.clone()]
    }

    /// The layer's two gradients; a bias lies right behind its weight.
    pub(super) fn gradients<'a, T>(&self, gradients: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        gradients[self.weight.start..self.bias.end].split_at_mut(self.weight.len())
    }
}

/// The places of parameters, as they are handed out.
#[derive(Default)]
struct Layout {
    tensors: Vec<Parameter>,
    len: usize,
}

impl Layout {
    /// A weight of `shape` and a bias of its first axis.
    fn layer(&mut self, prefix: &str, shape: &[usize]) -> Place {
        let weight = self.tensor(format!("{prefix}.weight"), shape);
        let bias = self.tensor(format!("{prefix}.bias"), &shape[..1]);
        Place { weight, bias }
    }

    fn tensor(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        self.tensors.push(Parameter { name, shape: shape.to_vec(), range: range.clone() });
        range
    }
}

/// The random stream of the initial parameters, apart from those of data and losses.
const INITIAL_STREAM: u64 = 0x696e_6974;

/// PyTorch's initial distribution.
pub(super) fn initial<T: Element>(layout: &[Parameter], seed: u64) -> Vec<T> {
    let mut rng = Rng::new(seed, INITIAL_STREAM);
    let mut parameters = vec![T::ZERO; layout.last().map_or(0, |p| p.range.end)];
    let mut bound = 0.0;
    for Parameter { name, shape, range } in layout {
        let slots = &mut parameters[range.clone()];
        if name.contains("norm") {
            slots.fill(if name.ends_with("weight") { T::ONE } else { T::ZERO });
            continue;
        }
        if let [_, inputs] = shape[..] {
            // The bias that follows has the same bound.
            bound = 1.0 / (inputs as f64).sqrt();
        }
        slots.fill_with(|| T::from_f64(bound * (2.0 * rng.uniform() - 1.0)));
    }
    parameters
}
