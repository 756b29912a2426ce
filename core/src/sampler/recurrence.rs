//! One node of the recurrence, on rows: what sequential and parallel samplers share to the last bit.

use crate::plan::{MAX_OUTPUTS, MAX_STATES};
use crate::{Noise, Plan, Tensor};

/// `dst <- sum_j A[k,j] x_j + sum_j B[k,j] m_j + C[k] z_k`, the rows of `x_j` and `m_j` told by `state(j)` and
/// `output(j)`. `dst` may be one of them.
pub(super) fn step<F: Tensor>(
    frames: &mut F,
    plan: &Plan<'_>,
    k: usize,
    dst: usize,
    state: impl Fn(usize) -> usize,
    output: impl Fn(usize) -> usize,
    noise: (&Noise<'_>, usize),
) {
    let Some(node) = plan.nodes().get(k) else { return };
    let mut terms = [(0.0, 0); MAX_STATES + MAX_OUTPUTS];
    let states = node.state_terms().map(|term| (term.weight, state(k - usize::from(term.back))));
    let outputs = node.output_terms().map(|term| (term.weight, output(k - usize::from(term.back))));
    let mut len = 0;
    for (slot, term) in terms.iter_mut().zip(states.chain(outputs)) {
        *slot = term;
        len += 1;
    }
    frames.combine(dst, terms.get(..len).unwrap_or(&terms));
    if node.noise != 0.0 {
        frames.add_noise(dst, node.noise, noise.0, noise.1, k);
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
        crate::Form::Noise if alpha > 0.0 => {
            frames.combine(dst, &[(1.0 / alpha, state), (-sigma / alpha, output)])
        }
        _ => frames.combine(dst, &[(1.0, output)]),
    }
}
