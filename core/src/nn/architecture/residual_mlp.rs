//! The residual MLP's program; its formula is at [`ResidualMlp`](crate::nn::ResidualMlp).

use super::name;
use crate::Name;
use crate::nn::program::{Activation, Builder, ProgramError, Source, Spacing, Value};

pub(super) const fn steps(blocks: usize, condition: usize) -> usize {
    blocks.saturating_mul(6).saturating_add(if condition > 0 { 6 } else { 4 })
}

/// With a condition, a linear map of it is added to the embedding.
pub(super) fn build<S: Source>(
    width: usize,
    blocks: usize,
    b: &mut Builder<'_, S>,
) -> Result<Value, S::Error> {
    if blocks == 0 {
        return Err(ProgramError::size("blocks", blocks, "at least 1").into());
    }
    let dim = b.shape(Value::X).len();
    let mut e = b.sinusoidal(width, Spacing::Open)?;
    let mut h = b.linear(Value::X, name("input"), width)?;
    if !b.shape(Value::CONDITION).is_empty() {
        let c = b.linear(Value::CONDITION, name("condition"), width)?;
        e = b.add(e, c)?;
    }
    for i in 0..blocks {
        let part = |what: &str| Name::new(format_args!("blocks.{i}.{what}"));
        let told = b.add(h, e)?;
        let normed = b.layer_norm(told, part("norm"))?;
        let inner = b.linear(normed, part("fc1"), width)?;
        let active = b.activation(inner, Activation::Gelu)?;
        let outer = b.linear(active, part("fc2"), width)?;
        h = b.add(h, outer)?;
    }
    let normed = b.layer_norm(h, name("norm"))?;
    b.linear(normed, name("output"), dim)
}
