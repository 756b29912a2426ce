//! Forward passes over an artifact's weights, without a heap.

use super::weights::Kind;
use super::{Builder, Op, Shape, Spacing, Step, Value, Weights, arena};
use crate::nn::layer::{Layer, Tensors};
use crate::nn::{
    Architecture, Artifact, ModelCard, ModelError, Patches, ShapeError, activate, add, attention,
    frequencies_to, group_norm, layer_norm, shape, sinusoidal,
};
use core::ops::Range;

/// Patches that are multiplied together: enough for the products, few enough for a firmware's memory.
const PATCHES: usize = 48;

/// Any of the networks, over weights that stay where the artifact's bytes are.
///
/// # Examples
///
/// ```no_run
/// use picardy::nn::{Aligned, Artifact, ModelCard, Network, Step};
/// # const FILE: [u8; 8] = [0; 8]; // no model lies beside the docs: compiled, not run
/// let bytes: &Aligned<[u8]> = &Aligned(FILE); // `&Aligned(*include_bytes!("model.safetensors"))`
/// let artifact = Artifact::parse(&bytes.0)?;
/// let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
/// let mut steps = [Step::default(); 200]; // at least `card.architecture.steps(card.condition)`
/// let network = Network::from_artifact(&artifact, &card, &mut steps)?;
/// let mut scratch = [0.0; 20_000]; // at least `network.scratch_len(1)`
/// let (x, mut out) = ([0.1; 16 * 2], [0.0; 16 * 2]);
/// network.forward(&x, core::iter::once(500.0), &[], &mut out, &mut scratch)?;
/// # Ok::<(), picardy::nn::ModelError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Network<'m, 'a> {
    item: Shape,
    condition: usize,
    steps: &'m [Step<Weights<'a>>],
    /// Numbers of one item's values.
    values: usize,
    /// Numbers of a call: patches, what a layer needs, what an attention or a norm needs.
    shared: [usize; 3],
}

impl<'m, 'a> Network<'m, 'a> {
    /// The network that the card describes, with the artifact's tensors, whose shapes are checked; its program goes into
    /// `steps`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Program`] where `steps` is too short or the sizes are none that the network can have, and those that name a
    /// tensor which is missing, of another type or shape, or misaligned.
    pub fn from_artifact(
        artifact: &Artifact<'a>,
        card: &ModelCard<'_>,
        steps: &'m mut [Step<Weights<'a>>],
    ) -> Result<Self, ModelError> {
        let mut axes = [0; 4];
        let mut rank = 0;
        for (slot, axis) in axes.iter_mut().zip(card.shape.iter()) {
            (*slot, rank) = (axis as usize, rank + 1);
        }
        let shape = axes.get(..rank).unwrap_or(&[]);
        Self::new(artifact, &card.architecture, shape, card.condition, steps)
    }

    /// The same for an artifact without a card: items of `shape`, conditions of `condition` numbers.
    ///
    /// # Errors
    ///
    /// As [`Network::from_artifact`].
    pub fn new(
        artifact: &Artifact<'a>,
        architecture: &Architecture,
        shape: &[usize],
        condition: usize,
        steps: &'m mut [Step<Weights<'a>>],
    ) -> Result<Self, ModelError> {
        let item = architecture.item(shape).ok_or(ModelError::UnknownModel)?;
        let mut builder = Builder::new(item, condition, steps, Tensors { artifact });
        let out = architecture.build(&mut builder)?;
        let got = builder.shape(out).len();
        if got != item.len() {
            return Err(ShapeError { argument: "out", expected: item.len(), got }.into());
        }
        Ok(Self::of_steps(item, condition, builder.finish().0))
    }

    /// The network of a program that is built.
    pub(in crate::nn) fn of_steps(item: Shape, condition: usize, steps: &'m mut [Step<Weights<'a>>]) -> Self {
        let values = arena::plan(steps);
        let steps = &*steps;
        let mut network = Self { item, condition, steps, values, shared: [0; 3] };
        for step in steps {
            let [patches, layer, other] = network.need(step);
            let [a, b, c] = network.shared;
            network.shared = [a.max(patches), b.max(layer), c.max(other)];
        }
        network
    }

    /// The shape of an item.
    pub fn item(&self) -> Shape {
        self.item
    }

    /// Coordinates of an item.
    pub fn dim(&self) -> usize {
        self.item.len()
    }

    /// Numbers of a row's condition; all of them zero is no condition.
    pub fn condition(&self) -> usize {
        self.condition
    }

    /// Elements of scratch with which `rows` rows go through the network together. One row suffices for any input.
    pub fn scratch_len(&self, rows: usize) -> usize {
        let shared = self.shared.iter().fold(0usize, |sum, &n| sum.saturating_add(n));
        self.values.saturating_add(1).saturating_mul(rows).saturating_add(shared)
    }

    /// The network's output for each row of `x`.
    ///
    /// x and out are [n, dim], `condition` is [n, [`Network::condition`]] or empty, which is none; `t` gives each row's
    /// conditioning number. Rows are independent: their bits depend neither on the batch nor on the scratch's length.
    /// Nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`ModelError`] where a length does not fit; `out` may have been written in part then.
    pub fn forward(
        &self,
        x: &[f32],
        t: impl IntoIterator<Item = f32>,
        condition: &[f32],
        out: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ModelError> {
        let dim = self.dim();
        let rows = shape::rows("x", x.len(), dim)?;
        shape::expect("out", x.len(), out.len())?;
        let expected = rows.saturating_mul(self.condition);
        if !condition.is_empty() && condition.len() != expected {
            return Err(ModelError::Condition { expected, got: condition.len() });
        }
        let (needed, got) = (self.scratch_len(1), scratch.len());
        if got < needed {
            return Err(ModelError::Scratch { needed, got });
        }
        let shared = self.scratch_len(0);
        let chunk = (got - shared) / (self.values + 1);
        let (shared, rest) = scratch.split_at_mut(shared);
        let mut t = t.into_iter();
        let mut done = 0;
        for (x, out) in x.chunks(chunk * dim).zip(out.chunks_mut(chunk * dim)) {
            let n = x.len() / dim;
            let (times, values) = rest.split_at_mut(n);
            let c = condition.get(done * self.condition..(done + n) * self.condition).unwrap_or(&[]);
            for slot in times.iter_mut() {
                *slot = t.next().ok_or(ModelError::Times { rows, got: done })?;
                done += 1;
            }
            for step in self.steps {
                self.step(step, Inputs { x, t: times, c, n }, values, shared)?;
            }
            let last = self.steps.len().saturating_sub(1);
            let range = self.range(Value::of_step(last), n);
            out.copy_from_slice(values.get(range).filter(|v| v.len() == x.len()).unwrap_or(x));
        }
        Ok(())
    }

    /// Where the value of n items lies.
    fn range(&self, value: Value, n: usize) -> Range<usize> {
        match value.step().and_then(|i| self.steps.get(i)) {
            Some(step) => step.place * n..(step.place + step.shape.len()) * n,
            None => 0..0,
        }
    }

    fn shape_of(&self, value: Value) -> Shape {
        match value.step().and_then(|i| self.steps.get(i)) {
            Some(step) => step.shape,
            None if value == Value::X => self.item,
            None if value == Value::T => Shape::vector(1),
            None => Shape::vector(self.condition),
        }
    }

    /// How a convolution reads its input.
    fn patches(&self, step: &Step<Weights<'a>>) -> Option<Patches> {
        let Op::Conv { kernel, stride, padding } = step.op else { return None };
        let shape = self.shape_of(step.inputs[0]);
        let (stride, columns) = (stride.into(), step.shape.width);
        Some(Patches { shape, kernel: kernel.map(usize::from), stride, padding, columns })
    }

    /// Numbers of a call that a step needs beside its values.
    fn need(&self, step: &Step<Weights<'a>>) -> [usize; 3] {
        let layer = match step.parameters.0 {
            Kind::Layer(layer) => layer.scratch_len(),
            _ => 0,
        };
        let patches = match self.patches(step) {
            Some(patches) if !patches.are_places() => {
                step.shape.places().min(PATCHES).saturating_mul(patches.len())
            }
            _ => 0,
        };
        let other = match step.op {
            Op::Attention { heads } => {
                let places = step.shape.places();
                usize::from(heads).saturating_mul(places).saturating_mul(places)
            }
            Op::GroupNorm { groups } => 2 * usize::from(groups),
            Op::Sinusoidal(_) => step.shape.channels / 2,
            _ => 0,
        };
        [patches, layer, other]
    }

    fn step(
        &self,
        step: &Step<Weights<'a>>,
        inputs: Inputs<'_>,
        values: &mut [f32],
        shared: &mut [f32],
    ) -> Result<(), ShapeError> {
        let n = inputs.n;
        let (a, b) = (self.range(step.inputs[0], n), self.range(step.inputs[1], n));
        let place = step.place * n;
        let (before, rest) = values.split_at_mut(place);
        let (out, behind) = rest.split_at_mut(step.shape.len() * n);
        let behind_at = place + out.len();
        let read = |value: Value, range: Range<usize>| -> &[f32] {
            match value {
                Value::X => inputs.x,
                Value::T => inputs.t,
                Value::CONDITION => inputs.c,
                _ if range.end <= place => before.get(range).unwrap_or(&[]),
                _ => {
                    let at = range.start.wrapping_sub(behind_at)..range.end.wrapping_sub(behind_at);
                    behind.get(at).unwrap_or(&[])
                }
            }
        };
        let [x, y] = [read(step.inputs[0], a), read(step.inputs[1], b)];
        let (rows, shared) = shared.split_at_mut(self.shared[0]);
        let (room, other) = shared.split_at_mut(self.shared[1]);
        let size = step.shape.len();
        let channels = step.shape.channels;
        match (step.op, step.parameters.0) {
            (Op::Conv { .. }, Kind::Layer(layer)) => {
                // No condition at all is one of zeros.
                if x.is_empty() {
                    out.chunks_exact_mut(channels.max(1)).for_each(|out| out.copy_from_slice(layer.bias()));
                } else if let Some(patches) = self.patches(step) {
                    conv(&layer, &patches, x, out, size, rows, room);
                }
            }
            (Op::LayerNorm, Kind::Norm(norm)) => layer_norm(x, norm.weight, norm.bias, out)?,
            (Op::GroupNorm { groups }, Kind::Norm(norm)) => {
                let stats = other.get_mut(..2 * usize::from(groups)).unwrap_or_default();
                for (x, out) in x.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
                    group_norm(x, norm.weight, norm.bias, out, stats)?;
                }
            }
            (Op::Activation(function), _) => {
                out.copy_from_slice(x);
                activate(function, out);
            }
            (Op::Sinusoidal(spacing), _) => {
                let f = other.get_mut(..channels / 2).unwrap_or_default();
                frequencies_to(f, spacing == Spacing::Closed);
                sinusoidal(inputs.t, f, out)?;
            }
            (Op::Add, _) if x.len() == y.len() => add(x, y, out)?,
            (Op::Add, _) => each_place(x, y, [channels; 2], size, out, |x, y, out| {
                out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x + y);
            }),
            (Op::Film, _) => each_place(x, y, [channels, 2 * channels], size, out, |x, y, out| {
                let (scale, shift) = y.split_at(channels);
                for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                    *out = scale * x + shift;
                }
            }),
            // Of a vector and no condition at all, the latter is zeros.
            (Op::Concat | Op::Interleave, _) => {
                let first = self.shape_of(step.inputs[0]).channels;
                let second = self.shape_of(step.inputs[1]).channels;
                let mut ys = y.chunks_exact(second.max(1));
                for (out, x) in out.chunks_exact_mut(first + second).zip(x.chunks_exact(first.max(1))) {
                    let (head, tail) = out.split_at_mut(first);
                    head.copy_from_slice(x);
                    match ys.next() {
                        Some(y) => tail.copy_from_slice(y),
                        None => tail.fill(0.0),
                    }
                }
            }
            (Op::Upsample, _) => {
                let from = self.shape_of(step.inputs[0]);
                for (x, out) in x.chunks_exact(from.len()).zip(out.chunks_exact_mut(size)) {
                    upsample(x, from, out);
                }
            }
            (Op::Attention { heads }, _) => {
                let (heads, places) = (usize::from(heads), step.shape.places());
                let scores = other.get_mut(..heads * places * places).unwrap_or_default();
                for (x, out) in x.chunks_exact(3 * size).zip(out.chunks_exact_mut(size)) {
                    attention(x, heads, scores, out, places)?;
                }
            }
            // The builder gives each of these its parameters.
            (Op::Conv { .. } | Op::LayerNorm | Op::GroupNorm { .. }, _) => {}
        }
        Ok(())
    }
}

/// What a chunk of n rows is given.
#[derive(Clone, Copy)]
struct Inputs<'s> {
    x: &'s [f32],
    t: &'s [f32],
    c: &'s [f32],
    n: usize,
}

/// A convolution of items of `size` numbers each, some patches at a time.
fn conv(
    layer: &Layer<'_>,
    patches: &Patches,
    x: &[f32],
    out: &mut [f32],
    size: usize,
    rows: &mut [f32],
    room: &mut [f32],
) {
    if patches.are_places() {
        layer.apply(x, out, false, room);
        return;
    }
    let patch = patches.len();
    let channels = layer.bias().len();
    let together = rows.len().checked_div(patch).unwrap_or(0).min(PATCHES);
    for (x, out) in x.chunks_exact(patches.shape.len()).zip(out.chunks_exact_mut(size)) {
        for (i, out) in out.chunks_mut(together * channels).enumerate() {
            let count = out.len() / channels;
            let rows = rows.get_mut(..count * patch).unwrap_or_default();
            patches.gather(x, i * together, rows);
            layer.apply(rows, out, false, room);
        }
    }
}

/// Calls `f` for each place of items of `size` numbers, of so many channels, with the item's vector of `len` numbers.
fn each_place(
    x: &[f32],
    y: &[f32],
    [channels, len]: [usize; 2],
    size: usize,
    out: &mut [f32],
    f: impl Fn(&[f32], &[f32], &mut [f32]),
) {
    let items = x.chunks_exact(size).zip(y.chunks_exact(len)).zip(out.chunks_exact_mut(size));
    for ((x, y), out) in items {
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            f(x, y, out);
        }
    }
}

/// Each place of one item four times.
pub(crate) fn upsample<T: Copy>(x: &[T], from: Shape, out: &mut [T]) {
    let Shape { width, channels, .. } = from;
    let (row, wide) = (width * channels, 2 * width * channels);
    for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(2 * wide)) {
        let (upper, lower) = out.split_at_mut(wide);
        for (x, out) in x.chunks_exact(channels).zip(upper.chunks_exact_mut(2 * channels)) {
            let (left, right) = out.split_at_mut(channels);
            left.copy_from_slice(x);
            right.copy_from_slice(x);
        }
        lower.copy_from_slice(upper);
    }
}
