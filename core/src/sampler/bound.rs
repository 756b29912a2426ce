//! What a run can cost at most.

use crate::Plan;

/// The most that a run can cost, known before it: for a budget of time, and for memory beside the workspace.
///
/// No run exceeds it, whatever the network says, as long as no call of it fails; rounds that are asked for again after an
/// error count again. Runs that are stopped cost less. Where one call of `n` rows takes `t(n)`, a run takes at most
/// `rounds t(rows)`, and what the sampler itself does.
///
/// ```
/// use picardy::{Betas, Bound, Ddim, Level, Node, Picard, Prediction, Sampler, Sequential, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
/// let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// // In sequence the bound is what every run costs.
/// assert_eq!(Sequential.bound(&plan, 4), Bound { rounds: 10, evaluations: 40, rows: 4 });
/// // In parallel it is what a run costs whose every node has to be closed by itself: 4 (10 + 9 + ... + 1) rows.
/// assert_eq!(Picard::default().bound(&plan, 4), Bound { rounds: 10, evaluations: 220, rows: 40 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// The most batched calls of the network.
    pub rounds: usize,
    /// The most rows evaluated in all.
    pub evaluations: usize,
    /// The most rows of one call.
    pub rows: usize,
}

impl Bound {
    /// The bound of a run that evaluates at most a window of nodes of each item in a round, `rows` rows in all, and closes
    /// at least one node of each item by it.
    pub(super) fn of_window(plan: &Plan<'_>, window: usize, batch: usize, rows: usize) -> Self {
        let last = plan.last();
        let asked = |k: usize| plan.nodes().get(k).is_some_and(|node| k < last && node.evaluate.is_some());
        let (mut bound, mut here, mut most) = (Self::default(), 0usize, 0usize);
        // From the end: after a round more a window begins a node later at least, and may be the fullest of those left.
        for k in (0..last).rev() {
            here += usize::from(asked(k));
            here = here.saturating_sub(usize::from(k.checked_add(window).is_some_and(asked)));
            most = most.max(here);
            let call = batch.saturating_mul(most).min(rows);
            bound.rounds += usize::from(call > 0);
            bound.evaluations = bound.evaluations.saturating_add(call);
            bound.rows = bound.rows.max(call);
        }
        bound
    }
}
