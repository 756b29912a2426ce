//! Guards under DDIM as diffusers runs it: the step's direction keeps the network's own noise.

use super::{Guard, GuardError};
use crate::{Form, HostTensor, Node, Plan, Real, Row};

/// A guard whose correction moves the data estimate but not the noise estimate.
///
/// A plan in data form takes `eps = (x - a x0)/s` from the guarded `x0`. diffusers' DDIM keeps the network's (unless
/// `use_clipped_model_output`). From node `j` to its successor `k`, with `x_k = A x_j + B x0 + ..`, that is
///
/// ```text
/// x0 <- x0 + (1 + A a_j / B) (guarded - x0)
/// ```
///
/// so that the state moves by `a_k` times what the guard changes, `a_k = B + A a_j` being the level that the step goes to.
/// In a step to no noise `A = 0`: the sample itself is guarded in full. For one-step plans in data form only.
///
/// ```
/// use picardy::guard::{Clamp, Guarded, RawNoise};
/// use picardy::{Betas, Ddim, Level, Mixture, Node, Prediction, Solver};
/// let model = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Betas::cosine(100).trailing(10, &mut levels)?;
/// let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let mut scratch = [0.0f32; 1]; // one state
/// let model = Guarded::new(model, RawNoise::new(Clamp::new(-1.0, 1.0)?, &plan, &mut scratch)?);
/// # let _ = model;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RawNoise<'a, G, T> {
    guard: G,
    nodes: &'a [Node],
    scratch: &'a mut [T],
}

impl<'a, G, T> RawNoise<'a, G, T> {
    /// `guard` under this plan; `scratch` holds one state.
    ///
    /// # Errors
    /// [`GuardError::Plan`] for a plan in noise form or a node that uses more than the node before it.
    pub fn new(guard: G, plan: &Plan<'a>, scratch: &'a mut [T]) -> Result<Self, GuardError> {
        let nodes = plan.nodes();
        for (node, pair) in nodes.windows(2).enumerate() {
            if plan.form() != Form::Data || pair[0].evaluate.is_none() || weight(&pair[0], &pair[1]).is_none()
            {
                return Err(GuardError::Plan { node: node + 1 });
            }
        }
        Ok(Self { guard, nodes, scratch })
    }
}

/// `1 + A a_j / B`, where the second node uses the state and the output of the first and nothing else.
fn weight(from: &Node, to: &Node) -> Option<f64> {
    let mut outputs = to.output_terms();
    let output = outputs.next()?;
    let alone = output.back == 1 && outputs.next().is_none() && to.state_terms().all(|term| term.back == 1);
    let state: f64 = to.state_terms().map(|term| term.weight).sum();
    let weight = 1.0 + state * from.level.alpha / output.weight;
    (alone && weight.is_finite()).then_some(weight)
}

impl<F: HostTensor + ?Sized, G: Guard<F>> Guard<F> for RawNoise<'_, G, F::Scalar> {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        let (needed, given) = (frames.dim(), self.scratch.len());
        let scratch = self.scratch.get_mut(..needed).ok_or(GuardError::Scratch { needed, given })?;
        frames.store(row, scratch);
        self.guard.apply(at, frames, row)?;
        let pair = self.nodes.get(at.node).zip(self.nodes.get(at.node + 1));
        let weight = pair.and_then(|(from, to)| weight(from, to)).unwrap_or(1.0);
        let weight = F::Scalar::from_f64(weight);
        if weight == F::Scalar::ONE {
            return Ok(());
        }
        for (x, raw) in frames.row_mut(row).iter_mut().zip(scratch) {
            *x = *raw + weight * (*x - *raw);
        }
        Ok(())
    }
}
