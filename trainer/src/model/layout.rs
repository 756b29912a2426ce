//! Where the parameters lie in their one vector, and what they start as.

use std::ops::Range;

use picardy::nn::{Builder, LayerShape, ProgramError, Shape, Source, Step};

use super::config::MAX_SIZE;
use super::{NetworkConfig, NetworkError, Parameter};
use crate::op::Element;
use crate::rng::Rng;

/// Where a step's parameters lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    weight: Part,
    bias: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Part {
    start: usize,
    len: usize,
}

impl Part {
    fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

impl Place {
    /// The weight.
    pub(crate) fn weight<'a, T>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.weight.range()]
    }

    /// The bias.
    pub(crate) fn bias<'a, T>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.bias.range()]
    }

    /// The two gradients.
    pub(crate) fn gradients<'a, T>(&self, gradients: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        let (weight, bias) = (self.weight.range(), self.bias.range());
        if weight.end <= bias.start {
            let (head, tail) = gradients.split_at_mut(bias.start);
            (&mut head[weight], &mut tail[..self.bias.len])
        } else {
            let (head, tail) = gradients.split_at_mut(weight.start);
            (&mut tail[..self.weight.len], &mut head[bias])
        }
    }

    /// Where the weight begins: what tells one parameter from another.
    pub(crate) fn starts(&self) -> [usize; 2] {
        [self.weight.start, self.bias.start]
    }
}

/// A program with its parameters' places.
pub(super) struct Laid {
    pub(super) item: Shape,
    pub(super) steps: Vec<Step<Place>>,
    pub(super) layout: Vec<Parameter>,
}

/// Writes the network's program down.
pub(super) fn lay(config: &NetworkConfig) -> Result<Laid, NetworkError> {
    let item = config.item()?;
    config.check()?;
    let mut steps = vec![Step::default(); config.architecture.steps(config.condition)];
    let mut builder = Builder::new(item, config.condition, &mut steps, Layout::default());
    config.architecture.build(&mut builder)?;
    let (steps, Layout { tensors, .. }) = builder.finish();
    Ok(Laid { item, steps: steps.to_vec(), layout: tensors })
}

/// The places of parameters, as they are handed out.
#[derive(Debug, Default)]
struct Layout {
    tensors: Vec<Parameter>,
    len: usize,
}

impl Source for Layout {
    type Parameters = Place;
    type Error = NetworkError;

    fn layer(
        &mut self,
        weight: picardy::Name,
        bias: picardy::Name,
        shape: LayerShape,
    ) -> Result<Place, NetworkError> {
        let LayerShape { outputs, kernel: [height, width], inputs } = shape;
        let axes = match (height, width) {
            (1, 1) => vec![outputs, inputs],
            (1, width) => vec![outputs, width, inputs],
            (height, width) => vec![outputs, height, width, inputs],
        };
        Ok(Place { weight: self.tensor(weight, &axes)?, bias: self.tensor(bias, &[outputs])? })
    }

    fn norm(&mut self, prefix: picardy::Name, channels: usize) -> Result<Place, NetworkError> {
        let mut part = |which: &str| {
            let name = format!("{prefix}.{which}");
            self.add(name, &[channels])
        };
        Ok(Place { weight: part("weight")?, bias: part("bias")? })
    }
}

impl Layout {
    fn tensor(&mut self, name: picardy::Name, shape: &[usize]) -> Result<Part, NetworkError> {
        self.add(name.as_str().to_owned(), shape)
    }

    /// A tensor, or the one of this name that is there: a shared bias.
    fn add(&mut self, name: String, shape: &[usize]) -> Result<Part, NetworkError> {
        if let Some(known) = self.tensors.iter().find(|tensor| tensor.name == name) {
            return Ok(Part { start: known.range.start, len: known.range.len() });
        }
        let len = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let end = len.and_then(|len| self.len.checked_add(len));
        let Some(end) = end.filter(|&end| end <= isize::MAX as usize / 16) else {
            return Err(NetworkError::Size { got: usize::MAX, limit: MAX_SIZE });
        };
        let range = self.len..end;
        self.len = end;
        self.tensors.push(Parameter { name, shape: shape.to_vec(), range: range.clone() });
        Ok(Part { start: range.start, len: range.len() })
    }
}

impl From<ProgramError> for NetworkError {
    fn from(error: ProgramError) -> Self {
        Self::Program(error)
    }
}

/// The random stream of the initial parameters, apart from those of data and losses.
const INITIAL_STREAM: u64 = 0x696e_6974;

/// PyTorch's initial distribution: weights and bias of a layer of n inputs (of a convolution, the numbers of a patch) uniform in
/// `+- 1/sqrt(n)`, norms 1 and 0. The convolutions of [`Builder::double`] are drawn as what they are here, two with a kernel of 2:
/// within `1/sqrt(2 inputs)`, where PyTorch draws the transposed convolution that they make up within `1/sqrt(4 outputs)`.
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
        if let [_, inputs @ ..] = &shape[..]
            && !inputs.is_empty()
        {
            // The bias that follows has the same bound.
            bound = 1.0 / (inputs.iter().product::<usize>() as f64).sqrt();
        }
        slots.fill_with(|| T::from_f64(bound * (2.0 * rng.uniform() - 1.0)));
    }
    parameters
}
