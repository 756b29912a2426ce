//! The trainer's residual network, run from an artifact's bytes.

use super::layer::{Layer, Norm, Tensors};
use super::{
    Architecture, Artifact, ArtifactError, ModelCard, ModelError, ShapeError, add, frequencies, gelu, key,
    layer_norm, shape, sinusoidal,
};
use crate::Name;

/// The most blocks of a network: their references are kept without a heap.
pub const MAX_BLOCKS: usize = 8;

/// Rows that go through the network together: enough for the products, few enough for the cache.
const CHUNK: usize = 48;

/// A residual MLP denoiser over weights that stay where the artifact's bytes are.
///
/// ```text
/// h = W_in x + b_in                                   x [n, dim], h [n, width]
/// e = (sin(t f), cos(t f))                            t [n], e [n, width], see `frequencies`
/// h <- h + W2 gelu(W1 LN(h + e) + b1) + b2            once per block
/// out = W_out LN(h) + b_out                           out [n, dim]
/// ```
///
/// Tensors: `input.{weight,bias}`, `blocks.{i}.norm.*`, `blocks.{i}.fc1.*`, `blocks.{i}.fc2.*`, `norm.*`, `output.*`, each
/// weight [outputs, inputs]. Vectors are F32. Each matrix may be
///
/// - F32 or F16: products and sums are f32, with the same bits for the same weights;
/// - I8, with its scales in a vector `*.scale` `[outputs]`, all positive: the weight is `scale[o] q[o, i]`. Each row of
///   inputs is rounded to 16-bit whole numbers, and sums are exact.
///
/// # Examples
///
/// ```no_run
/// use picardy::nn::{Aligned, Artifact, ResidualMlp};
/// # const FILE: [u8; 8] = [0; 8]; // no model lies beside the docs: compiled, not run
/// let bytes: &Aligned<[u8]> = &Aligned(FILE); // `&Aligned(*include_bytes!("model.safetensors"))`
/// let model = ResidualMlp::from_artifact(&Artifact::parse(&bytes.0)?)?;
/// let mut scratch = [0.0; 600]; // at least `model.scratch_len(1)`
/// let mut out = [0.0; 2];
/// model.forward(&[0.3, -0.1], core::iter::once(500.0), &mut out, &mut scratch)?;
/// # Ok::<(), picardy::nn::ModelError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ResidualMlp<'a> {
    dim: usize,
    width: usize,
    input: Layer<'a>,
    blocks: [Block<'a>; MAX_BLOCKS],
    block_count: usize,
    norm: Norm<'a>,
    output: Layer<'a>,
}

impl<'a> ResidualMlp<'a> {
    /// Takes the network's tensors from an artifact and checks every shape.
    ///
    /// Dimension, width and blocks come from the tensors themselves, so that an artifact without a card works too.
    ///
    /// # Errors
    ///
    /// [`ModelError`] naming the tensor that is missing, of another type or shape, or misaligned.
    pub fn from_artifact(artifact: &Artifact<'a>) -> Result<Self, ModelError> {
        if artifact.metadata(key::MODEL).is_some_and(|model| model != "residual-mlp") {
            return Err(ModelError::UnknownModel);
        }
        let name = Name::new(format_args!("input.weight"));
        let weight = artifact.tensor(name.as_str()).map_err(|error| ModelError::Artifact { name, error })?;
        let [width, dim] = *weight.shape() else {
            return Err(ModelError::Rank { name, got: weight.shape().len() });
        };
        if dim == 0 {
            return Err(ModelError::NoCoordinates);
        }
        if width == 0 || width % 2 == 1 {
            return Err(ModelError::OddWidth { width });
        }
        let tensors = Tensors { artifact };
        let mut blocks = [Block::default(); MAX_BLOCKS];
        let mut block_count = 0;
        let exists = |i: usize| {
            let name = Name::new(format_args!("blocks.{i}.fc1.weight"));
            !matches!(artifact.tensor(name.as_str()), Err(ArtifactError::Missing))
        };
        while exists(block_count) {
            let i = block_count;
            let slot = blocks.get_mut(i).ok_or(ModelError::Blocks { got: i + 1 })?;
            *slot = Block {
                norm: tensors.norm(format_args!("blocks.{i}.norm"), width)?,
                fc1: tensors.layer(format_args!("blocks.{i}.fc1"), width, width)?,
                fc2: tensors.layer(format_args!("blocks.{i}.fc2"), width, width)?,
            };
            block_count += 1;
        }
        if block_count == 0 {
            return Err(ModelError::Blocks { got: 0 });
        }
        Ok(Self {
            dim,
            width,
            input: tensors.layer(format_args!("input"), width, dim)?,
            blocks,
            block_count,
            norm: tensors.norm(format_args!("norm"), width)?,
            output: tensors.layer(format_args!("output"), dim, width)?,
        })
    }

    /// The card of an artifact, checked against this network's own shapes.
    ///
    /// # Errors
    ///
    /// [`ModelError::Card`] where the artifact has none or a wrong one, [`ModelError::Rows`] where it speaks of another
    /// network.
    pub fn card(&self, artifact: &Artifact<'a>) -> Result<ModelCard<'a>, ModelError> {
        let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
        let Architecture::ResidualMlp { width, blocks } = card.architecture else {
            return Err(ModelError::UnknownModel);
        };
        let fields = [
            (key::SHAPE, self.dim, card.dim()),
            (key::WIDTH, self.width, width),
            (key::BLOCKS, self.block_count, blocks),
            (key::CONDITION, 0, card.condition),
        ];
        for (argument, expected, got) in fields {
            if expected != got {
                return Err(ShapeError { argument, expected, got }.into());
            }
        }
        Ok(card)
    }

    /// Coordinates of an item.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Width of the network.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many residual blocks there are.
    pub fn blocks(&self) -> usize {
        self.block_count
    }

    /// Elements of scratch with which `rows` rows go through the network together.
    ///
    /// More than 48 rows gain nothing. One row suffices for any input, more are faster.
    pub const fn scratch_len(&self, rows: usize) -> usize {
        self.fixed_len().saturating_add(self.width.saturating_mul(4).saturating_add(1).saturating_mul(rows))
    }

    /// The network's output for each row of `x`.
    ///
    /// x and out are [n, dim]; `t` gives each row's conditioning number. Rows are independent: their bits depend
    /// neither on the batch nor on the scratch's length. Nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`ModelError::Rows`], [`ModelError::Times`] or [`ModelError::Scratch`] where a length does not fit; `out` may have
    /// been written in part then.
    pub fn forward(
        &self,
        x: &[f32],
        t: impl IntoIterator<Item = f32>,
        out: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), ModelError> {
        let rows = shape::rows("x", x.len(), self.dim)?;
        shape::expect("out", x.len(), out.len())?;
        let got = scratch.len();
        let fixed = self.fixed_len();
        let fit = got.saturating_sub(fixed) / (4 * self.width + 1);
        if fit == 0 || got < fixed {
            return Err(ModelError::Scratch { needed: self.scratch_len(1), got });
        }
        let chunk = fit.min(CHUNK);
        let (f, rest) = scratch.split_at_mut(self.width / 2);
        let (layer, rest) = rest.split_at_mut(self.layer_len());
        frequencies(f);
        let mut t = t.into_iter();
        let mut done = 0;
        for (x, out) in x.chunks(chunk * self.dim).zip(out.chunks_mut(chunk * self.dim)) {
            let n = x.len() / self.dim;
            let (times, buffers) = rest.split_at_mut(n);
            for slot in times.iter_mut() {
                *slot = t.next().ok_or(ModelError::Times { rows, got: done })?;
                done += 1;
            }
            self.chunk(x, times, f, out, buffers, layer)?;
        }
        Ok(())
    }

    /// [`ResidualMlp::forward`] of rows that fit `buffers` (4 of [n, width]).
    fn chunk(
        &self,
        x: &[f32],
        t: &[f32],
        f: &[f32],
        out: &mut [f32],
        buffers: &mut [f32],
        layer: &mut [f32],
    ) -> Result<(), ShapeError> {
        let size = t.len() * self.width;
        let (h, rest) = buffers.split_at_mut(size);
        let (e, rest) = rest.split_at_mut(size);
        let (u, rest) = rest.split_at_mut(size);
        let v = &mut rest[..size];
        sinusoidal(t, f, e)?;
        self.input.apply(x, h, false, layer);
        for block in self.blocks.iter().take(self.block_count) {
            add(h, e, v)?;
            layer_norm(v, block.norm.weight, block.norm.bias, u)?;
            block.fc1.apply(u, v, false, layer);
            gelu(v);
            block.fc2.apply(v, h, true, layer);
        }
        layer_norm(h, self.norm.weight, self.norm.bias, u)?;
        self.output.apply(u, out, false, layer);
        Ok(())
    }

    const fn fixed_len(&self) -> usize {
        self.width / 2 + self.layer_len()
    }

    /// The most scratch that a layer needs, 0 where all are f32.
    const fn layer_len(&self) -> usize {
        let (first, last) = (self.input.scratch_len(), self.output.scratch_len());
        let mut most = if first > last { first } else { last };
        let mut i = 0;
        while i < self.block_count {
            let (first, last) = (self.blocks[i].fc1.scratch_len(), self.blocks[i].fc2.scratch_len());
            let larger = if first > last { first } else { last };
            most = if larger > most { larger } else { most };
            i += 1;
        }
        most
    }
}

/// A residual block's parameters.
#[derive(Debug, Clone, Copy, Default)]
struct Block<'a> {
    norm: Norm<'a>,
    fc1: Layer<'a>,
    fc2: Layer<'a>,
}
