//! The residual MLP under training: its parameters, its forward and its backward pass.

use std::ops::Range;

use picardy::nn::{MAX_BLOCKS, ShapeError, add};

use crate::op::{Element, Gelu, LayerNorm, Linear, Sinusoidal, accumulate};

mod file;
mod int8;
mod layout;
#[cfg(test)]
mod tests;

pub use file::{Precision, SaveError};
pub use int8::{Calibration, Int8};
use layout::{Places, initial};

/// The sizes of a residual MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MlpConfig {
    /// Coordinates of an item.
    pub dim: usize,
    /// Width of the network, even.
    pub width: usize,
    /// Residual blocks, 1 to [`MAX_BLOCKS`].
    pub blocks: usize,
}

impl MlpConfig {
    /// The contrastive loss paper's network for two-dimensional data: width 128, 2 blocks.
    pub fn new(dim: usize) -> Self {
        Self { dim, width: 128, blocks: 2 }
    }
}

impl MlpConfig {
    /// How many parameters the network has; saturates.
    pub(crate) fn parameters(self) -> u128 {
        let [dim, width, blocks] = [self.dim, self.width, self.blocks].map(|n| n as u128);
        let affine = |inputs: u128, outputs: u128| outputs.saturating_mul(inputs.saturating_add(1));
        let norm = width.saturating_mul(2);
        let block = affine(width, width).saturating_mul(2).saturating_add(norm);
        [affine(dim, width), blocks.saturating_mul(block), norm, affine(width, dim)]
            .into_iter()
            .fold(0, u128::saturating_add)
    }

    /// The bytes of a network of `max_batch` rows whose numbers take `size` bytes; saturates.
    pub(crate) fn bytes(self, max_batch: usize, size: usize) -> u128 {
        let [dim, width, blocks] = [self.dim, self.width, self.blocks].map(|n| n as u128);
        // `Kept`, per row.
        let wide = width.saturating_mul(blocks.saturating_mul(4).saturating_add(6));
        let row = wide.saturating_add(dim.saturating_mul(2)).saturating_add(blocks.saturating_mul(2));
        let rows = row.saturating_add(2).saturating_mul(max_batch as u128);
        self.parameters().saturating_mul(2).saturating_add(rows).saturating_mul(size as u128)
    }
}

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

/// Why a network cannot be built or run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// A size out of range.
    #[error(
        "a network of dimension {}, width {} and {} blocks: the width must be even, none may be 0, and at most \
         {MAX_BLOCKS} blocks are possible",
        .0.dim, .0.width, .0.blocks
    )]
    Config(MlpConfig),
    /// A network that takes more than [`MAX_BYTES`], or more than the system would give.
    #[error(
        "a network of dimension {}, width {} and {} blocks for {max_batch} rows takes {:.1} GB of memory, more than \
         there is (at most {:.0} GB are taken): give a smaller width or fewer rows",
        .config.dim, .config.width, .config.blocks, *.bytes as f64 / 1e9, MAX_BYTES as f64 / 1e9
    )]
    Memory {
        /// Its sizes.
        config: MlpConfig,
        /// Its rows.
        max_batch: usize,
        /// What it takes.
        bytes: u128,
    },
    /// More rows than the network was built for.
    #[error("{got} rows were given to a network built for {max}: build it with a larger `max_batch`")]
    Batch {
        /// The rows given.
        got: usize,
        /// The most it can take.
        max: usize,
    },
    /// A slice of the wrong length.
    #[error(transparent)]
    Shape(#[from] ShapeError),
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

/// The residual MLP of [`picardy::nn::ResidualMlp`], with what training adds to it.
///
/// All parameters lie in one vector, and so do their gradients, which makes the optimiser, the running average and a
/// checkpoint one loop each. Every buffer is allocated when the network is built; a step allocates nothing but the
/// packing buffers of the backward pass's products.
///
/// # Examples
///
/// ```
/// use picardy_trainer::model::{Network, MlpConfig};
/// let mut model = Network::<f32>::new(MlpConfig::new(2), 64, 7)?;
/// let out = model.forward(&[0.1, 0.2, 0.3, 0.4], &[10.0, 500.0], &[])?;
/// assert_eq!(out.len(), 4);
/// # Ok::<(), picardy_trainer::model::NetworkError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Network<T> {
    config: MlpConfig,
    layout: Vec<Parameter>,
    places: Places,
    parameters: Vec<T>,
    gradients: Vec<T>,
    embedding: Sinusoidal<T>,
    max_batch: usize,
    /// Rows of the last forward pass.
    rows: usize,
    kept: Kept<T>,
}

/// What the forward pass keeps for the backward pass, and the latter's own buffers; all [max_batch, width] but `x`,
/// `out` ([max_batch, dim]) and `stats` ([max_batch, 2]).
#[derive(Debug, Clone)]
struct Kept<T> {
    x: Vec<T>,
    e: Vec<T>,
    h: Vec<T>,
    blocks: Vec<KeptBlock<T>>,
    normed: Vec<T>,
    stats: Vec<T>,
    out: Vec<T>,
    dh: Vec<T>,
    da: Vec<T>,
    db: Vec<T>,
}

/// One block's part of [`Kept`]: the state with the embedding, its layer norm, the GELU's output and slope.
#[derive(Debug, Clone)]
struct KeptBlock<T> {
    state: Vec<T>,
    stats: Vec<T>,
    normed: Vec<T>,
    active: Vec<T>,
    slope: Vec<T>,
}

impl<T: Element> Network<T> {
    /// A network for up to `max_batch` rows at a time, with PyTorch's initial distribution from `seed`.
    ///
    /// Affine layers start uniform in +-1/sqrt(inputs), layer norms at weight 1 and bias 0.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Config`] where a size is out of range, [`NetworkError::Memory`] where the network is too large.
    pub fn new(config: MlpConfig, max_batch: usize, seed: u64) -> Result<Self, NetworkError> {
        let MlpConfig { dim, width, blocks } = config;
        if dim == 0 || width == 0 || width % 2 == 1 || blocks == 0 || blocks > MAX_BLOCKS {
            return Err(NetworkError::Config(config));
        }
        let bytes = config.bytes(max_batch, size_of::<T>());
        if !has_room(bytes) {
            return Err(NetworkError::Memory { config, max_batch, bytes });
        }
        let (places, layout) = Places::new(config);
        let parameters = initial(&layout, seed);
        let room = |per_row: usize| vec![T::ZERO; max_batch * per_row];
        let kept = Kept {
            x: room(dim),
            e: room(width),
            h: room(width),
            blocks: (0..blocks)
                .map(|_| KeptBlock {
                    state: room(width),
                    stats: room(2),
                    normed: room(width),
                    active: room(width),
                    slope: room(width),
                })
                .collect(),
            normed: room(width),
            stats: room(2),
            out: room(dim),
            dh: room(width),
            da: room(width),
            db: room(width),
        };
        Ok(Self {
            config,
            layout,
            places,
            gradients: vec![T::ZERO; parameters.len()],
            parameters,
            embedding: Sinusoidal::new(width),
            max_batch,
            rows: 0,
            kept,
        })
    }

    /// The sizes.
    pub fn config(&self) -> MlpConfig {
        self.config
    }

    /// Coordinates of an item.
    pub fn dim(&self) -> usize {
        self.config.dim
    }

    /// Numbers of a row's condition: a label's one-hot vector, or an observation and a 1 behind it; 0 where the network
    /// takes none. All of them 0 is no condition, which is what a dropped one becomes.
    pub fn condition(&self) -> usize {
        0
    }

    /// The most rows of one call.
    pub fn max_batch(&self) -> usize {
        self.max_batch
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
        let rows = t.len();
        if c.len() != rows * self.condition() {
            let (expected, got) = (rows * self.condition(), c.len());
            return Err(ShapeError { argument: "c", expected, got }.into());
        }
        let MlpConfig { dim, width, .. } = self.config;
        if rows > self.max_batch {
            return Err(NetworkError::Batch { got: rows, max: self.max_batch });
        }
        if x.len() != rows * dim {
            return Err(ShapeError { argument: "x", expected: rows * dim, got: x.len() }.into());
        }
        self.rows = rows;
        let (wide, p, kept) = (rows * width, &self.parameters, &mut self.kept);
        let (h, e) = (&mut kept.h[..wide], &mut kept.e[..wide]);
        kept.x[..x.len()].copy_from_slice(x);
        self.embedding.forward(t, e)?;
        let input = Linear { inputs: dim, outputs: width };
        let inner = Linear { inputs: width, outputs: width };
        let norm = LayerNorm { width };
        input.forward(self.places.input.weight(p), self.places.input.bias(p), x, h)?;
        for ([ln, fc1, fc2], kept) in self.places.blocks.iter().zip(&mut kept.blocks) {
            let (state, stats) = (&mut kept.state[..wide], &mut kept.stats[..2 * rows]);
            let (normed, active) = (&mut kept.normed[..wide], &mut kept.active[..wide]);
            add(h, e, state)?;
            norm.forward(ln.weight(p), ln.bias(p), state, normed, stats)?;
            inner.forward(fc1.weight(p), fc1.bias(p), normed, active)?;
            Gelu::forward(active, &mut kept.slope[..wide])?;
            inner.forward_add(fc2.weight(p), fc2.bias(p), active, h)?;
        }
        let (ln, output) = (&self.places.norm, &self.places.output);
        let (normed, out) = (&mut kept.normed[..wide], &mut kept.out[..rows * dim]);
        norm.forward(ln.weight(p), ln.bias(p), h, normed, &mut kept.stats[..2 * rows])?;
        Linear { inputs: width, outputs: dim }.forward(output.weight(p), output.bias(p), normed, out)?;
        Ok(out)
    }

    /// What each matrix was multiplied with in the last forward pass: its layer's name, and rows of its inputs.
    fn matrix_inputs(&self) -> impl Iterator<Item = (String, &[T])> {
        let MlpConfig { dim, width, .. } = self.config;
        let (narrow, wide) = (self.rows * dim, self.rows * width);
        let blocks = self.kept.blocks.iter().enumerate().flat_map(move |(i, kept)| {
            let fc1 = (format!("blocks.{i}.fc1"), &kept.normed[..wide]);
            [fc1, (format!("blocks.{i}.fc2"), &kept.active[..wide])]
        });
        std::iter::once(("input".to_owned(), &self.kept.x[..narrow]))
            .chain(blocks)
            .chain(std::iter::once(("output".to_owned(), &self.kept.normed[..wide])))
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
        let (rows, MlpConfig { dim, width, .. }) = (self.rows, self.config);
        if dout.len() != rows * dim {
            return Err(ShapeError { argument: "dout", expected: rows * dim, got: dout.len() }.into());
        }
        let (wide, p, grads, kept) = (rows * width, &self.parameters, &mut self.gradients, &mut self.kept);
        let (dh, da, db) = (&mut kept.dh[..wide], &mut kept.da[..wide], &mut kept.db[..wide]);
        let inner = Linear { inputs: width, outputs: width };
        let norm = LayerNorm { width };

        let (ln, place) = (&self.places.norm, &self.places.output);
        let output = Linear { inputs: width, outputs: dim };
        let (dw, bias) = place.gradients(grads);
        output.backward_weight(&kept.normed[..wide], dout, dw);
        output.backward_bias(dout, bias);
        output.backward_input(place.weight(p), dout, da);
        dh.fill(T::ZERO);
        norm.backward(ln.weight(p), &kept.h[..wide], &kept.stats[..2 * rows], da, ln.gradients(grads), dh);

        for ([ln, fc1, fc2], kept) in self.places.blocks.iter().zip(&kept.blocks).rev() {
            let (dw, bias) = fc2.gradients(grads);
            inner.backward_weight(&kept.active[..wide], dh, dw);
            inner.backward_bias(dh, bias);
            inner.backward_input(fc2.weight(p), dh, da);
            let (dw, bias) = fc1.gradients(grads);
            Gelu::backward(&kept.slope[..wide], da, bias);
            inner.backward_weight(&kept.normed[..wide], da, dw);
            inner.backward_input(fc1.weight(p), da, db);
            let (state, stats) = (&kept.state[..wide], &kept.stats[..2 * rows]);
            norm.backward(ln.weight(p), state, stats, db, ln.gradients(grads), dh);
        }

        let input = Linear { inputs: dim, outputs: width };
        let (dw, bias) = self.places.input.gradients(grads);
        input.backward_weight(&kept.x[..rows * dim], dh, dw);
        input.backward_bias(dh, bias);
        if let Some(dx) = dx {
            input.backward_input(self.places.input.weight(p), dh, dx);
        }
        Ok(())
    }

    /// Adds another network's gradients, that of the same sizes (a batch shared between threads).
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
