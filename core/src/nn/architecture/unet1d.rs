//! The temporal U-Net of Diffusion Policy (arXiv 2303.04137), with FiLM conditioning.

use super::{Widths, name, part};
use crate::Name;
use crate::nn::program::{Activation, Builder, Padding, ProgramError, Source, Spacing, Value};

/// A one-dimensional U-Net over time. Channels-last items `[places, channels]`; places divisible by 2^(levels - 1).
///
/// ```text
/// e    = W2 mish(W1 sinusoidal(t) + b1) + b2, and the condition behind it
/// R(h) = B2(film(B1(h), W mish(e) + b)) + W' h         B(h) = mish(GN(conv(h)))   conv: `kernel` places
/// down:  h <- R(R(h)), keep h, h <- conv3 of every second place        for each level; the last is not halved
/// mid:   h <- R(R(h))
/// up:    h <- R(R(h, kept)), h <- transposed conv of twice the places  for each level but the first
/// out:   conv1(B(h))
/// ```
///
/// W' is the identity where the channels stay. Without `scale` the film step only adds a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unet1d {
    /// Channels of each level.
    pub widths: Widths,
    /// Numbers of the embedding of t, even and at least 4.
    pub embedding: usize,
    /// Places of a convolution, odd.
    pub kernel: usize,
    /// Groups of the norms, a divisor of every width.
    pub groups: usize,
    /// Whether the condition scales the channels, beside shifting them.
    pub scale: bool,
}

impl Unet1d {
    pub(super) fn steps(&self, condition: usize) -> usize {
        // A residual block has 9 steps, one more where its channels change; a bound, not a count.
        let levels = self.widths.as_slice().len();
        let blocks = 4 * levels;
        6 + usize::from(condition > 0) + 10 * blocks + levels + 4 * levels + 4
    }

    pub(super) fn build<S: Source>(&self, b: &mut Builder<'_, S>) -> Result<Value, S::Error> {
        let widths = self.widths.as_slice();
        if self.kernel % 2 == 0 || self.kernel > 127 {
            return Err(ProgramError::size("kernel", self.kernel, "odd, at most 127").into());
        }
        let item = b.shape(Value::X);
        let halvings = widths.len().saturating_sub(1) as u32;
        if item.width % (1 << halvings) != 0 {
            return Err(ProgramError::size("places", item.width, "a multiple of 2^(levels - 1)").into());
        }
        let mut e = b.sinusoidal(self.embedding, Spacing::Closed)?;
        e = b.linear(e, name("embedding.fc1"), self.embedding.saturating_mul(4))?;
        e = b.activation(e, Activation::Mish)?;
        e = b.linear(e, name("embedding.fc2"), self.embedding)?;
        if !b.shape(Value::CONDITION).is_empty() {
            e = b.concat(e, Value::CONDITION)?;
        }
        let e = b.activation(e, Activation::Mish)?;

        let mut h = Value::X;
        let mut kept = [Value::X; super::MAX_LEVELS];
        for (i, (&width, kept)) in widths.iter().zip(&mut kept).enumerate() {
            let prefix = Name::new(format_args!("down.{i}"));
            h = self.residual(b, h, e, part(prefix, "res1"), width)?;
            h = self.residual(b, h, e, part(prefix, "res2"), width)?;
            *kept = h;
            if i + 1 < widths.len() {
                h = b.conv(h, part(prefix, "halve"), width, [1, 3], 2, Padding::series(1, 1))?;
            }
        }
        h = self.residual(b, h, e, name("mid.res1"), self.widths.last())?;
        h = self.residual(b, h, e, name("mid.res2"), self.widths.last())?;
        for (i, (pair, kept)) in widths.windows(2).zip(kept.iter().skip(1)).enumerate().rev() {
            let (prefix, &[width, _]) = (Name::new(format_args!("up.{i}")), pair) else { continue };
            h = b.concat(h, *kept)?;
            h = self.residual(b, h, e, part(prefix, "res1"), width)?;
            h = self.residual(b, h, e, part(prefix, "res2"), width)?;
            h = b.double(h, part(prefix, "double"), width)?;
        }
        h = self.block(b, h, name("output"), self.widths.first())?;
        b.linear(h, name("output.last"), item.channels)
    }

    /// B: conv, group norm, mish.
    fn block<S: Source>(
        &self,
        b: &mut Builder<'_, S>,
        h: Value,
        prefix: Name,
        width: usize,
    ) -> Result<Value, S::Error> {
        let around = (self.kernel / 2) as u8;
        let kernel = [1, self.kernel as u8];
        let h = b.conv(h, part(prefix, "conv"), width, kernel, 1, Padding::series(around, around))?;
        let h = b.group_norm(h, part(prefix, "norm"), self.groups)?;
        b.activation(h, Activation::Mish)
    }

    /// R.
    fn residual<S: Source>(
        &self,
        b: &mut Builder<'_, S>,
        h: Value,
        e: Value,
        prefix: Name,
        width: usize,
    ) -> Result<Value, S::Error> {
        let first = self.block(b, h, part(prefix, "1"), width)?;
        let told =
            b.linear(e, part(prefix, "film"), if self.scale { width.saturating_mul(2) } else { width })?;
        let first = if self.scale { b.film(first, told)? } else { b.add(first, told)? };
        let second = self.block(b, first, part(prefix, "2"), width)?;
        let past = match b.shape(h).channels == width {
            true => h,
            false => b.linear(h, part(prefix, "past"), width)?,
        };
        b.add(second, past)
    }
}
