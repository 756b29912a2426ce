//! One node of the recurrence, on rows: what sequential and parallel samplers share to the last bit.

use super::SampleError;
use crate::guard::{Guard, GuardError};
use crate::plan::{MAX_OUTPUTS, MAX_STATES};
use crate::{Form, Level, Noise, Plan, Row, Tensor};

/// Where a step's noise comes from.
#[derive(Clone, Copy)]
pub(super) enum Draw<'n> {
    /// An item's, made now.
    New(&'n Noise<'n>, usize),
    /// A row that holds `C[k] z_k`.
    Row(usize),
}

/// `dst <- sum_j A[k,j] x_j + sum_j B[k,j] m_j + C[k] z_k`, the rows of `x_j` and `m_j` told by `state(j)` and
/// `output(j)`. `dst` may be one of them.
pub(super) fn step<F: Tensor>(
    frames: &mut F,
    plan: &Plan<'_>,
    k: usize,
    dst: usize,
    state: impl Fn(usize) -> usize,
    output: impl Fn(usize) -> usize,
    draw: Draw<'_>,
) {
    let Some(node) = plan.nodes().get(k) else { return };
    let mut terms = [(0.0, 0); MAX_STATES + MAX_OUTPUTS + 1];
    let mut len = 0;
    // Loops: one iterator over all of them takes twice the stack.
    let mut push = |term| {
        if let Some(slot) = terms.get_mut(len) {
            *slot = term;
            len += 1;
        }
    };
    for term in node.state_terms() {
        push((term.weight, state(k - usize::from(term.back))));
    }
    for term in node.output_terms() {
        push((term.weight, output(k - usize::from(term.back))));
    }
    match draw {
        Draw::Row(row) if node.noise != 0.0 => push((1.0, row)),
        _ => {}
    }
    frames.combine(dst, terms.get(..len).unwrap_or(&terms));
    match draw {
        Draw::New(noise, item) if node.noise != 0.0 => frames.add_noise(dst, node.noise, noise, item, k),
        _ => {}
    }
}

/// The estimate of the data that output `m` at node `k` stands for, from the rows of state and output.
pub(super) fn data<F: Tensor>(
    frames: &mut F,
    plan: &Plan<'_>,
    k: usize,
    dst: usize,
    state: usize,
    output: usize,
) {
    let Some(node) = plan.nodes().get(k) else { return };
    let (alpha, sigma) = (node.level.alpha, node.level.sigma);
    match plan.form() {
        Form::Noise if alpha > 0.0 => frames.combine(dst, &[(1.0 / alpha, state), (-sigma / alpha, output)]),
        _ => frames.combine(dst, &[(1.0, output)]),
    }
}

/// Reads the network's output at `(item, node)`: `dst <- state x + output out`. `dst` may be `out`.
pub(super) fn read<F: Tensor>(
    frames: &mut F,
    plan: &Plan<'_>,
    node: usize,
    state: usize,
    out: usize,
    dst: usize,
) {
    if let Some(read) = plan.nodes().get(node).and_then(|node| node.evaluate) {
        frames.combine(dst, &[(read.state, state), (read.output, out)]);
    }
}

/// Sends the estimate `m` at `(item, node)`, made from the state in row `state`, past the guard, and sees that it is finite.
pub(super) fn guard<F: Tensor, E>(
    frames: &mut F,
    plan: &Plan<'_>,
    guard: &mut dyn Guard<F>,
    (item, node): (usize, usize),
    state: usize,
    m: usize,
) -> Result<(), SampleError<E>> {
    past(frames, plan, guard, (item, node), state, m).map_err(SampleError::Guard)?;
    // A device answers each such question with a trip of its own: it is not asked what is known.
    if (frames.has_chains() && guard.keeps_finite()) || frames.is_finite(m) {
        Ok(())
    } else {
        Err(SampleError::NotFinite { item, node })
    }
}

/// `m` past the guard. In noise form by way of x0-hat; where either of the two says nothing of the other (no data or no
/// noise in the state) there is no data estimate to guard.
pub(super) fn past<F: Tensor>(
    frames: &mut F,
    plan: &Plan<'_>,
    guard: &mut dyn Guard<F>,
    (item, node): (usize, usize),
    state: usize,
    m: usize,
) -> Result<(), GuardError> {
    let Some(level) = plan.nodes().get(node).map(|node| node.level) else { return Ok(()) };
    let at = Row { item, node, level, conditional: true };
    let Level { alpha, sigma, .. } = level;
    match plan.form() {
        Form::Data => guard.apply(&at, frames, m),
        Form::Noise if alpha > 0.0 && sigma > 0.0 => {
            frames.combine(m, &[(1.0 / alpha, state), (-sigma / alpha, m)]);
            guard.apply(&at, frames, m)?;
            frames.combine(m, &[(1.0 / sigma, state), (-alpha / sigma, m)]);
            Ok(())
        }
        Form::Noise => Ok(()),
    }
}
