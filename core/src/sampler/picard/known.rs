//! What a Picard run knows of its nodes beside the rows: slopes, and how sure they are.

use super::Picard;
use super::rows::Rows;
use super::slope::Seen;
use crate::Plan;
use crate::sampler::gaussian::gaussian;

/// What a Picard run keeps of an open node beside its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// The slope that its last two evaluations told, and what that left unexplained.
    pub(super) slope: f32,
    pub(super) doubt: f32,
    /// Whether they told one.
    pub(super) learnt: bool,
    /// Whether it was evaluated since the window took it in.
    pub(super) known: bool,
    /// What the last sweep moved its state by, root mean square.
    pub(super) moved: f32,
}

impl Default for Mark {
    fn default() -> Self {
        Self { doubt: f32::INFINITY, ..Self::EMPTY }
    }
}

impl Mark {
    /// All zero: what a static array of marks begins as, at no cost in flash. (A run writes them before it reads them.)
    pub const EMPTY: Self = Self { slope: 0.0, doubt: 0.0, learnt: false, known: false, moved: 0.0 };

    /// Takes in what the last evaluations told, if anything.
    pub(super) fn learn(&mut self, seen: Option<Seen>) {
        let (slope, doubt) = seen.map_or((0.0, f64::INFINITY), |seen| (seen.g, seen.doubt));
        (self.slope, self.doubt, self.learnt) = (slope as f32, doubt as f32, seen.is_some());
    }
}

/// A view of a run without its frames.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) picard: &'a Picard,
    pub(super) plan: &'a Plan<'a>,
    pub(super) rows: Rows,
    pub(super) marks: &'a [Mark],
}

impl Known<'_> {
    #[inline]
    pub(super) fn mark(&self, item: usize, k: usize) -> Mark {
        self.marks.get(self.rows.mark(item, k)).copied().unwrap_or_default()
    }

    /// The slope that node `j` told, or else the last that one before it did.
    #[inline]
    pub(super) fn learnt(&self, item: usize, j: usize, local: Option<f64>) -> Option<f64> {
        let mark = self.mark(item, j);
        if mark.learnt { Some(f64::from(mark.slope)) } else { local }
    }

    /// The slope at an evaluated node, where `local` is the last that was learnt.
    #[inline]
    pub(super) fn slope(&self, j: usize, local: Option<f64>) -> f64 {
        let prior = || local.unwrap_or_else(|| self.gaussian(j));
        self.picard.slope.or_learnt(self.plan, j, prior)
    }

    /// The slope at a node that is not evaluated.
    #[inline]
    pub(super) fn held_slope(&self, j: usize, local: Option<f64>) -> f64 {
        local.unwrap_or_else(|| self.gaussian(j))
    }

    pub(super) fn gaussian(&self, j: usize) -> f64 {
        let node = self.plan.nodes().get(j);
        node.map_or(0.0, |node| gaussian(&node.level, self.plan.form(), self.picard.data_variance))
    }
}

/// Whether the plan asks for an output there.
#[inline]
pub(super) fn is_asked(plan: &Plan<'_>, node: usize) -> bool {
    plan.nodes().get(node).is_some_and(|node| node.evaluate.is_some())
}
