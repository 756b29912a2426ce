//! A small U-Net for images, with attention where they are smallest (after arXiv 2006.11239).

use super::{Widths, name, part};
use crate::Name;
use crate::nn::program::{Activation, Builder, Padding, ProgramError, Source, Spacing, Value};

/// A two-dimensional U-Net. Channels-last items `[height, width, channels]`; both sides divisible by 2^(levels - 1).
///
/// ```text
/// e    = W2 silu(W1 sinusoidal(t) + b1) + b2 + W_c condition
/// R(h) = conv3(silu(GN(conv3(silu(GN(h))) + W silu(e) + b))) + W' h
/// in:    h <- conv3(x)
/// down:  h <- R(h) `blocks` times, keep h, h <- conv3 of every second place   for each level; the last is not halved
/// mid:   h <- R(h), h <- h + W attention(W_qkv GN(h)), h <- R(h)
/// up:    h <- R(h, kept), R(h) `blocks` - 1 times, h <- conv3 of each place four times   the first is not doubled
/// out:   conv3(silu(GN(h)))
/// ```
///
/// W' is the identity where the channels stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unet2d {
    /// Channels of each level.
    pub widths: Widths,
    /// Numbers of the embedding of t, even and at least 4.
    pub embedding: usize,
    /// Residual blocks of each level, down and up.
    pub blocks: usize,
    /// Groups of the norms, a divisor of every width.
    pub groups: usize,
    /// Heads of the attention, a divisor of the last width.
    pub heads: usize,
}

impl Unet2d {
    pub(super) fn steps(&self, condition: usize) -> usize {
        let levels = self.widths.as_slice().len();
        // A residual block has 9 steps, one more where its channels change; a bound, not a count.
        let blocks = self.blocks.saturating_mul(2 * levels).saturating_add(2);
        blocks.saturating_mul(10).saturating_add(16 + 4 * levels + usize::from(condition > 0))
    }

    pub(super) fn build<S: Source>(&self, b: &mut Builder<'_, S>) -> Result<Value, S::Error> {
        let widths = self.widths.as_slice();
        let item = b.shape(Value::X);
        let parts = 1usize << widths.len().saturating_sub(1);
        for side in [item.height, item.width] {
            if side % parts != 0 {
                return Err(ProgramError::size("side", side, "a multiple of 2^(levels - 1)").into());
            }
        }
        if self.blocks == 0 {
            return Err(ProgramError::size("blocks", self.blocks, "at least 1").into());
        }
        let inner = self.embedding.saturating_mul(4);
        let mut e = b.sinusoidal(self.embedding, Spacing::Closed)?;
        e = b.linear(e, name("embedding.fc1"), inner)?;
        e = b.activation(e, Activation::Silu)?;
        e = b.linear(e, name("embedding.fc2"), inner)?;
        if !b.shape(Value::CONDITION).is_empty() {
            let c = b.linear(Value::CONDITION, name("condition"), inner)?;
            e = b.add(e, c)?;
        }
        let e = b.activation(e, Activation::Silu)?;

        let mut h = conv3(b, Value::X, name("input"), self.widths.first(), 1)?;
        let mut kept = [Value::X; super::MAX_LEVELS];
        for (i, (&width, kept)) in widths.iter().zip(&mut kept).enumerate() {
            for k in 0..self.blocks {
                h = self.residual(b, h, e, Name::new(format_args!("down.{i}.res{k}")), width)?;
            }
            *kept = h;
            if i + 1 < widths.len() {
                h = conv3(b, h, Name::new(format_args!("down.{i}.halve")), width, 2)?;
            }
        }
        let last = self.widths.last();
        h = self.residual(b, h, e, name("mid.res1"), last)?;
        h = self.attend(b, h, last)?;
        h = self.residual(b, h, e, name("mid.res2"), last)?;
        for (i, (&width, &kept)) in widths.iter().zip(&kept).enumerate().rev() {
            h = b.concat(h, kept)?;
            for k in 0..self.blocks {
                h = self.residual(b, h, e, Name::new(format_args!("up.{i}.res{k}")), width)?;
            }
            if i > 0 {
                h = b.upsample(h)?;
                h = conv3(b, h, Name::new(format_args!("up.{i}.double")), width, 1)?;
            }
        }
        h = b.group_norm(h, name("output.norm"), self.groups)?;
        h = b.activation(h, Activation::Silu)?;
        conv3(b, h, name("output.conv"), item.channels, 1)
    }

    /// R.
    fn residual<S: Source>(
        &self,
        b: &mut Builder<'_, S>,
        x: Value,
        e: Value,
        prefix: Name,
        width: usize,
    ) -> Result<Value, S::Error> {
        let mut h = b.group_norm(x, part(prefix, "norm1"), self.groups)?;
        h = b.activation(h, Activation::Silu)?;
        h = conv3(b, h, part(prefix, "conv1"), width, 1)?;
        let told = b.linear(e, part(prefix, "told"), width)?;
        h = b.add(h, told)?;
        h = b.group_norm(h, part(prefix, "norm2"), self.groups)?;
        h = b.activation(h, Activation::Silu)?;
        h = conv3(b, h, part(prefix, "conv2"), width, 1)?;
        let past = match b.shape(x).channels == width {
            true => x,
            false => b.linear(x, part(prefix, "past"), width)?,
        };
        b.add(h, past)
    }

    /// The attention and the way past it.
    fn attend<S: Source>(&self, b: &mut Builder<'_, S>, h: Value, width: usize) -> Result<Value, S::Error> {
        let normed = b.group_norm(h, name("mid.norm"), self.groups)?;
        let qkv = b.linear(normed, name("mid.qkv"), width.saturating_mul(3))?;
        let seen = b.attention(qkv, self.heads)?;
        let out = b.linear(seen, name("mid.out"), width)?;
        b.add(h, out)
    }
}

/// A convolution of 3 x 3 with zeros around.
fn conv3<S: Source>(
    b: &mut Builder<'_, S>,
    h: Value,
    prefix: Name,
    width: usize,
    stride: u8,
) -> Result<Value, S::Error> {
    b.conv(h, prefix, width, [3, 3], stride, Padding::all(1))
}
