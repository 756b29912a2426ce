//! The networks under training: their parameters, their forward and their backward pass.
//!
//! A network is [`picardy::nn`]'s program of steps, the one that firmware runs; here it is interpreted with all values kept, and
//! once more from its end. Rows are independent, so that they are split into shards that threads work on.

use std::borrow::Cow;
use std::ops::Range;

use picardy::nn::{Op, Shape, ShapeError, Step, Value};
use rayon::prelude::*;

use crate::op::{Element, accumulate};

mod calibration;
mod config;
mod error;
mod file;
mod int8;
mod layout;
mod learner;
#[cfg(test)]
mod networks_tests;
mod tape;
#[cfg(test)]
mod tests;

pub use calibration::Calibration;
pub use config::{MlpConfig, NetworkConfig, NetworkKind};
pub use error::NetworkError;
pub use file::{Precision, SaveError};
pub use int8::Int8;
pub use layout::Place;
use layout::{Laid, initial, lay};
pub use learner::{ForwardOnly, Learner};
use tape::{Tape, room_len, row_len};

/// The most memory that a network or a training run may take: 64 GiB.
pub const MAX_BYTES: u64 = 1 << 36;

/// Whether there is room for `bytes`: at most [`MAX_BYTES`], and no more than the system would give.
pub(crate) fn has_room(bytes: u128) -> bool {
    let asked = usize::try_from(bytes).ok().filter(|_| bytes <= u128::from(MAX_BYTES));
    asked.is_some_and(|asked| {
        let mut room = Vec::<u8>::new();
        // The compiler may leave out an allocation that nobody looks at.
        std::hint::black_box(&mut room).try_reserve_exact(asked).is_ok()
    })
}

/// One named tensor in the flat vector of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, as the exported files have it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements in [`Network::parameters`].
    pub range: Range<usize>,
}

/// A network of [`picardy::nn`], with what training adds to it.
///
/// All parameters lie in one vector, and so do their gradients, which makes the optimiser, the running average and a
/// checkpoint one loop each. Buffers are allocated when the network is built, and those of the backward pass in the first one.
///
/// Rows are split into shards that lie in the rows' order, whose number depends on the network and on `max_batch` alone.
/// Threads take shards, and the shards' gradients are added in their order: results do not depend on the number of threads.
///
/// # Examples
///
/// ```
/// use picardy_trainer::model::{MlpConfig, Network};
/// let mut model = Network::<f32>::new(MlpConfig::new(2), 64, 7)?;
/// let out = model.forward(&[0.1, 0.2, 0.3, 0.4], &[10.0, 500.0], &[])?;
/// assert_eq!(out.len(), 4);
/// # Ok::<(), picardy_trainer::model::NetworkError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Network<T> {
    config: NetworkConfig,
    item: Shape,
    steps: Vec<Step<Place>>,
    layout: Vec<Parameter>,
    parameters: Vec<T>,
    gradients: Vec<T>,
    max_batch: usize,
    /// Rows of the last forward pass, and its output where there are several shards.
    rows: usize,
    out: Vec<T>,
    shards: Vec<Shard<T>>,
}

/// Some of a batch's rows, and their part of the gradient; the first shard's goes to the network's at once.
#[derive(Debug, Clone)]
struct Shard<T> {
    tape: Tape<T>,
    gradients: Vec<T>,
}

/// Operations of a forward pass that a shard is worth: some ten milliseconds of a core, beside which its gradients (as many as the
/// parameters, cleared and added up) are cheap.
const SHARD: u128 = 3 << 28;
/// The most shards.
const MAX_SHARDS: usize = 16;

/// How many shards a network has.
fn shards(steps: &[Step<Place>], layout: &[Parameter], max_batch: usize) -> usize {
    let mut row: u128 = 0;
    for step in steps {
        let weight = layout.iter().find(|p| p.range.start == step.parameters.starts()[0]);
        if let Some(weight) = weight.filter(|_| matches!(step.op, Op::Conv { .. })) {
            row += 2 * weight.range.len() as u128 * step.shape.places() as u128;
        }
    }
    let worth = (row.saturating_mul(max_batch as u128) / SHARD).clamp(1, MAX_SHARDS as u128) as usize;
    // A power of two, so that two or four threads have equal shares.
    (1 << worth.ilog2()).min(max_batch.max(1))
}

/// Numbers of a network with all of its buffers; saturates.
fn numbers_held(
    inputs: [Shape; Value::INPUTS],
    steps: &[Step<Place>],
    layout: &[Parameter],
    max_batch: usize,
) -> u128 {
    let count = shards(steps, layout, max_batch);
    let parameters = layout.last().map_or(0, |p| p.range.end) as u128;
    // The parameters, and a gradient a shard.
    let copies = parameters.saturating_mul(1 + count as u128);
    // Each shard has room for as many rows, which may be some more than all.
    let rows = max_batch.div_ceil(count);
    let room = room_len(inputs, steps, rows) as u128;
    let shard = row_len(inputs, steps).saturating_mul(rows as u128).saturating_add(room);
    let out = if count > 1 { inputs[Value::X.index()].len() as u128 * max_batch as u128 } else { 0 };
    shard.saturating_mul(count as u128).saturating_add(copies).saturating_add(out)
}

impl<T: Element> Network<T> {
    /// A network for up to `max_batch` rows at a time, with PyTorch's initial distribution from `seed`: uniform in `+- 1/sqrt(n)` for
    /// a layer of n inputs (a patch's numbers), norms 1 and 0. One layer departs: what doubles a series' places
    /// ([`Builder::double`](picardy::nn::Builder::double)) is drawn as the two convolutions that it is here, within
    /// `1/sqrt(2 inputs)`, not `1/sqrt(4 outputs)` as PyTorch's transposed convolution.
    ///
    /// # Errors
    ///
    /// [`NetworkError`] naming a size that is out of range; [`NetworkError::Memory`] where the network is too large.
    pub fn new(config: impl Into<NetworkConfig>, max_batch: usize, seed: u64) -> Result<Self, NetworkError> {
        let config = config.into();
        let Laid { item, steps, layout } = lay(&config)?;
        let inputs = [item, Shape::vector(1), Shape::vector(config.condition)];
        let count = shards(&steps, &layout, max_batch);
        let numbers = layout.last().map_or(0, |p| p.range.end);
        let bytes = numbers_held(inputs, &steps, &layout, max_batch).saturating_mul(size_of::<T>() as u128);
        if !has_room(bytes) {
            return Err(NetworkError::Memory { parameters: numbers, max_batch, bytes });
        }
        let parameters = initial(&layout, seed);
        let rows = max_batch.div_ceil(count);
        let shard = |i| Shard {
            tape: Tape::new(inputs, &steps, rows),
            gradients: if i > 0 { vec![T::ZERO; numbers] } else { Vec::new() },
        };
        Ok(Self {
            shards: (0..count).map(shard).collect(),
            out: if count > 1 { vec![T::ZERO; max_batch * item.len()] } else { Vec::new() },
            gradients: vec![T::ZERO; parameters.len()],
            config,
            item,
            steps,
            layout,
            parameters,
            max_batch,
            rows: 0,
        })
    }

    /// How many parameters a network of this configuration has.
    ///
    /// # Errors
    /// As [`Network::new`], without [`NetworkError::Memory`].
    pub fn count(config: impl Into<NetworkConfig>) -> Result<usize, NetworkError> {
        Ok(lay(&config.into())?.layout.last().map_or(0, |p| p.range.end))
    }

    /// What a network of this configuration takes for so many rows, in bytes.
    ///
    /// # Errors
    /// As [`Network::new`], without [`NetworkError::Memory`].
    pub fn bytes(config: impl Into<NetworkConfig>, max_batch: usize) -> Result<u128, NetworkError> {
        let config = config.into();
        let Laid { item, steps, layout } = lay(&config)?;
        let inputs = [item, Shape::vector(1), Shape::vector(config.condition)];
        Ok(numbers_held(inputs, &steps, &layout, max_batch).saturating_mul(size_of::<T>() as u128))
    }

    /// What it is made for, and its sizes.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Coordinates of an item.
    pub fn dim(&self) -> usize {
        self.item.len()
    }

    /// Numbers of a row's condition: a label's one-hot vector, or an observation and a 1 behind it; 0 where the network
    /// takes none. All of them 0 is no condition, which is what a dropped one becomes.
    pub fn condition(&self) -> usize {
        self.config.condition
    }

    /// The most rows of one call.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// The program, with the places of its parameters.
    pub fn steps(&self) -> &[Step<Place>] {
        &self.steps
    }

    /// Names, shapes and places of the parameters.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// All parameters.
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// All parameters, to change them.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.parameters
    }

    /// One tensor's elements and shape.
    pub fn parameter(&self, name: &str) -> Option<(&[T], &[usize])> {
        let parameter = self.layout.iter().find(|p| p.name == name)?;
        Some((&self.parameters[parameter.range.clone()], &parameter.shape))
    }

    /// The sum of the gradients since [`Network::zero_gradients`].
    pub fn gradients(&self) -> &[T] {
        &self.gradients
    }

    /// The parameters and their gradients, for the optimiser.
    pub fn parameters_and_gradients(&mut self) -> (&mut [T], &mut [T]) {
        (&mut self.parameters, &mut self.gradients)
    }

    /// Forgets the gradients.
    pub fn zero_gradients(&mut self) {
        self.gradients.fill(T::ZERO);
    }

    /// The network's output for x [n, dim] told t `[n]` and the condition c [n, condition]; it stays until the next
    /// call. A row of zeros is no condition (see [`Network::condition`]).
    ///
    /// # Errors
    ///
    /// [`NetworkError::Batch`] where n is over the most that it was built for, [`NetworkError::Shape`] where x or c does
    /// not have n rows.
    pub fn forward(&mut self, x: &[T], t: &[T], c: &[T]) -> Result<&[T], NetworkError> {
        let (rows, dim, condition) = (t.len(), self.dim(), self.condition());
        if rows > self.max_batch {
            return Err(NetworkError::Batch { got: rows, max: self.max_batch });
        }
        for (argument, expected, got) in [("x", rows * dim, x.len()), ("c", rows * condition, c.len())] {
            if expected != got {
                return Err(ShapeError { argument, expected, got }.into());
            }
        }
        self.rows = rows;
        let (steps, parameters) = (&self.steps, &self.parameters);
        if self.shards.len() == 1 {
            let tape = &mut self.shards[0].tape;
            tape.forward(steps, parameters, [x, t, c])?;
            return Ok(tape.out());
        }
        let each = self.max_batch.div_ceil(self.shards.len());
        let part = |whole: usize, i: usize| (i * each).min(rows) * whole..((i + 1) * each).min(rows) * whole;
        let done: Vec<Result<(), ShapeError>> = self
            .shards
            .par_iter_mut()
            .zip(self.out.par_chunks_mut(each * dim))
            .enumerate()
            .map(|(i, (shard, out))| {
                let rows = [&x[part(dim, i)], &t[part(1, i)], &c[part(condition, i)]];
                shard.tape.forward(steps, parameters, rows)?;
                let own = shard.tape.out();
                out[..own.len()].copy_from_slice(own);
                Ok(())
            })
            .collect();
        done.into_iter().collect::<Result<(), _>>()?;
        Ok(&self.out[..rows * dim])
    }

    /// What each matrix and convolution was multiplied with in the last forward pass: its parameter's place in [`Network::layout`],
    /// and rows of its inputs, shard by shard.
    fn matrix_inputs(&self) -> impl Iterator<Item = (&Parameter, Cow<'_, [T]>)> {
        self.shards.iter().flat_map(move |shard| {
            self.steps.iter().filter_map(move |step| {
                let rows = shard.tape.multiplied(step, &self.steps)?;
                let weight = self.layout.iter().find(|p| p.range.start == step.parameters.starts()[0])?;
                Some((weight, rows))
            })
        })
    }

    /// Adds the gradient of `sum(out * dout)` with respect to every parameter, for the last forward pass.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where dout is not as long as the last output.
    pub fn backward(&mut self, dout: &[T]) -> Result<(), NetworkError> {
        self.pull_back(dout, None)
    }

    /// [`Network::backward`], and the gradient with respect to x [n, dim] into `dx`.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where dout or dx is not as long as the last output.
    pub fn backward_input(&mut self, dout: &[T], dx: &mut [T]) -> Result<(), NetworkError> {
        let expected = self.rows * self.dim();
        if dx.len() != expected {
            return Err(ShapeError { argument: "dx", expected, got: dx.len() }.into());
        }
        self.pull_back(dout, Some(dx))
    }

    fn pull_back(&mut self, dout: &[T], dx: Option<&mut [T]>) -> Result<(), NetworkError> {
        let (rows, dim) = (self.rows, self.dim());
        if dout.len() != rows * dim {
            return Err(ShapeError { argument: "dout", expected: rows * dim, got: dout.len() }.into());
        }
        let (steps, parameters) = (&self.steps, &self.parameters);
        if let [shard] = &mut self.shards[..] {
            shard.tape.backward(steps, parameters, dout, &mut self.gradients, dx);
            return Ok(());
        }
        let each = self.max_batch.div_ceil(self.shards.len()) * dim;
        // Shards behind the last row have none, and no part of dx.
        let mut parts: Vec<Option<&mut [T]>> = Vec::new();
        if let Some(dx) = dx {
            parts.extend(dx.chunks_mut(each.max(1)).map(Some));
        }
        parts.resize_with(self.shards.len(), || None);
        let used = rows.div_ceil((each / dim).max(1));
        let Some((first, others)) = self.shards[..used].split_first_mut() else { return Ok(()) };
        // The first shard adds to the network's gradients, which spares two passes over as many numbers as there are parameters.
        let firsts = std::iter::once((&mut first.tape, &mut self.gradients[..], false));
        let others = others.iter_mut().map(|shard| (&mut shard.tape, &mut shard.gradients[..], true));
        let work: Vec<_> = firsts.chain(others).zip(dout.chunks(each)).zip(parts).collect();
        work.into_par_iter().for_each(|(((tape, gradients, own), dout), dx)| {
            if own {
                gradients.fill(T::ZERO);
            }
            tape.backward(steps, parameters, dout, gradients, dx);
        });
        let others = &self.shards[1..used];
        const PART: usize = 1 << 14;
        self.gradients.par_chunks_mut(PART).enumerate().for_each(|(i, sum)| {
            for shard in others {
                accumulate(sum, &shard.gradients[i * PART..][..sum.len()]);
            }
        });
        Ok(())
    }

    /// Adds another network's gradients, that of the same sizes.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Shape`] where the sizes differ.
    pub fn add_gradients(&mut self, other: &Self) -> Result<(), NetworkError> {
        if self.gradients.len() != other.gradients.len() {
            let (expected, got) = (self.gradients.len(), other.gradients.len());
            return Err(ShapeError { argument: "gradients", expected, got }.into());
        }
        accumulate(&mut self.gradients, &other.gradients);
        Ok(())
    }
}
