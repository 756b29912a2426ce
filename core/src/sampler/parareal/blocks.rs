//! Where a plan can be cut, and the blocks between the cuts.

use crate::Plan;
use core::ops::Range;

/// A plan divided at cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    /// How many there are.
    pub(super) count: usize,
    /// The most rows of one item in a call: a block has one at the start that came last and one behind it, where it has
    /// nodes for both.
    pub(super) rows: usize,
    /// The most evaluations between two neighbouring cuts of the plan.
    pub(super) stretch: usize,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its first node and its end, which is the next block's first node.
    pub(super) nodes: Range<usize>,
    /// The first of its nodes that is evaluated: where it begins in all but Heun's method with churn.
    pub(super) asked: usize,
}

/// Divides a plan into about `wanted` blocks (0: about the square root of its evaluations) of as many evaluations each as
/// its cuts allow, at least one. `each` is shown them in their order.
pub(super) fn divide(plan: &Plan<'_>, wanted: usize, mut each: impl FnMut(usize, Block)) -> Blocks {
    let (last, total) = (plan.last(), plan.evaluations());
    let wanted = if wanted == 0 { root(total) } else { wanted }.clamp(1, total.max(1));
    // How many of equal parts of the evaluations are complete after so many of them.
    let part = |done: usize| done as u64 * wanted as u64 / total.max(1) as u64;
    let mut blocks = Blocks::default();
    // Of the block: its first node, its first evaluated one, and the evaluations before it; of the plan: those before
    // the node and before the last cut.
    let (mut first, mut asked, mut begun, mut done, mut uncut) = (0, None, 0, 0, 0);
    for (k, before) in plan.nodes().iter().take(last).enumerate() {
        if before.evaluate.is_some() {
            done += 1;
            asked = asked.or(Some(k));
        }
        let end = k + 1;
        if !is_cut(plan, end) {
            continue;
        }
        blocks.stretch = blocks.stretch.max(done - uncut);
        uncut = done;
        let full = part(done) > part(begun) && done < total;
        if let (true, Some(at)) = (full || end == last, asked) {
            each(blocks.count, Block { nodes: first..end, asked: at });
            blocks.count += 1;
            blocks.rows += (done - begun).min(2);
            (first, asked, begun) = (end, None, done);
        }
    }
    blocks
}

/// Whether no term of a node behind `k` reaches a node before it.
fn is_cut(plan: &Plan<'_>, k: usize) -> bool {
    let reach = plan.reach().states.max(plan.reach().outputs);
    let behind = plan.nodes().get(k + 1..).unwrap_or(&[]).iter().take(reach - 1);
    behind.enumerate().all(|(between, node)| {
        node.state_terms().chain(node.output_terms()).all(|term| usize::from(term.back) <= between + 1)
    })
}

/// The square root, rounded up.
fn root(n: usize) -> usize {
    (1..=n).find(|root| root.saturating_mul(*root) >= n).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnySolver, Betas, Level, Node, Prediction, Solver};

    fn blocks(solver: &str, steps: usize, wanted: usize) -> (Blocks, [usize; 8]) {
        let (mut levels, mut nodes) = ([Level::default(); 41], [Node::default(); 121]);
        let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(steps, &mut levels).unwrap();
        let solver: AnySolver = solver.parse().unwrap();
        let plan = solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
        let mut ends = [0; 8];
        let blocks = divide(&plan, wanted, |i, block| ends[i] = block.nodes.end);
        (blocks, ends)
    }

    #[test]
    fn blocks_are_cut_where_nothing_reaches_across() {
        assert_eq!(
            blocks("ddpm", 10, 0),
            (Blocks { count: 4, rows: 8, stretch: 1 }, [3, 5, 8, 10, 0, 0, 0, 0])
        );
        assert_eq!(
            blocks("ddim", 5, 9),
            (Blocks { count: 5, rows: 5, stretch: 1 }, [1, 2, 3, 4, 5, 0, 0, 0])
        );
        assert_eq!(
            blocks("ddim", 1, 0),
            (Blocks { count: 1, rows: 1, stretch: 1 }, [1, 0, 0, 0, 0, 0, 0, 0])
        );
        // Two evaluations a step but for the last.
        assert_eq!(
            blocks("heun", 8, 0),
            (Blocks { count: 4, rows: 8, stretch: 2 }, [4, 8, 12, 15, 0, 0, 0, 0])
        );
        assert!(blocks("dpmsolver++", 20, 0).0.stretch >= 19);
        assert!(blocks("lms", 20, 0).0.stretch >= 19);
    }

    #[test]
    fn roots_are_rounded_up() {
        assert_eq!([0, 1, 2, 4, 5, 9, 10, 1000].map(root), [1, 1, 2, 2, 3, 3, 4, 32]);
    }
}
