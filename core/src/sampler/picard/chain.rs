//! A sweep whose outputs are affine in their states, as chains of links: what a device runs in one product.
//!
//! With `m_j = g_j x_j + r_j` at every node, a node of the plan is
//!
//! ```text
//! x_k = sum_j (A[k,j] + B[k,j] g_j) x_j + sum_j B[k,j] r_j + C[k] z_k
//! r_j = said_j - g_j base_j                    where evaluated
//! r_j = (1 - w) r_J + w r_N                    between evaluated nodes J and N, w = (j - J)/(N - J)
//! ```

use super::held::Owner;
use super::known::{Known, is_asked};
use super::output::{Evaluated, Output, Outputs, State};
use super::run::PicardRun;
use super::slope::Slope;
use super::sweep::Places;
use crate::Tensor;
use crate::denoiser::Span;
use crate::tensor::{Link, MAX_CARRIES};
use core::ops::Range;

impl<F: Tensor> PicardRun<'_, F> {
    /// Whether sweeps run as chains, where there is no guard: every output is affine in its own state.
    pub(super) fn has_chains(&self) -> bool {
        let reach = self.plan.reach();
        self.frames.has_chains()
            && reach.states.max(reach.outputs) <= MAX_CARRIES
            && matches!(self.picard.slope, Slope::Gaussian | Slope::Secant)
    }

    /// The sweep of [`walk`](Self::walk).
    pub(super) fn chain(&mut self, item: usize, a: &Span, b: &Span) {
        let (rows, plan, first, end) = (self.rows, self.plan, a.done, self.end(a.done));
        let known = Known { picard: &self.picard, plan, rows, marks: self.marks };
        let mut window =
            Window { known, item, places: Places::new(a, b), owner: None, next: None, local: None };
        let (mut outputs, start) = (Outputs::default(), Links { known, item, closed: first, from: first });
        let links = (first + 1..=end).map(|k| {
            outputs.keep(k - 1, window.output(k - 1));
            start.link(k, &outputs)
        });
        self.frames.chain(links);
        let owner = window.owner;
        // What the nodes that the window takes in go on from.
        self.write_outputs(item, (end + 1).saturating_sub(plan.reach().outputs).max(first)..end, &outputs);
        if let Some(Evaluated { node, g }) = owner {
            let rest = [(1.0, rows.said(item, 0, node)), (-g, rows.base(item, 0, node))];
            self.frames.combine(rows.held(item), &rest);
        }
    }

    /// First guesses for nodes that the window takes in, from the last evaluated node on: `m_j = g_j x_j + r_J`.
    pub(super) fn chain_on(&mut self, item: usize, nodes: Range<usize>, owner: Option<Owner>) {
        if nodes.is_empty() {
            return;
        }
        let (rows, plan, from) = (self.rows, self.plan, nodes.start - 1);
        let known = Known { picard: &self.picard, plan, rows, marks: self.marks };
        let closed = self.spans.get(2 * item).map_or(0, |span| span.done);
        let (local, row) = (owner.and_then(|owner| owner.g), owner.map(|_| rows.held(item)));
        let (mut outputs, last) = (Outputs::default(), nodes.end - 1);
        let links = nodes.map(|k| {
            outputs.keep(k - 1, Output::held(known.held_slope(k - 1, local), row));
            Links { known, item, closed, from }.link(k, &outputs)
        });
        self.frames.chain(links);
        // What a run that is stopped is finished from, and the next nodes are made with.
        self.write_outputs(item, last.saturating_sub(plan.reach().outputs).max(from)..last, &outputs);
    }

    /// Writes outputs at these nodes to their rows: the last that were made.
    fn write_outputs(&mut self, item: usize, nodes: Range<usize>, outputs: &Outputs) {
        for j in nodes.filter(|j| is_asked(self.plan, *j)) {
            let sum = Link::new(self.rows.carried(item, j));
            let sum = outputs.of(j).onto(sum, 1.0, State::Row(self.rows.state(item, j)));
            self.frames.combine(sum.row, sum.terms());
        }
    }
}

/// Where links find what they are made of: states up to `from` and outputs before it are in rows, those before `closed` in the
/// rows of closed nodes.
#[derive(Clone, Copy)]
struct Links<'a> {
    known: Known<'a>,
    item: usize,
    closed: usize,
    from: usize,
}

impl Links<'_> {
    /// The link of node `k`.
    fn link(self, k: usize, outputs: &Outputs) -> Link {
        let Self { known: Known { plan, rows, .. }, item, closed, from } = self;
        let link = Link::new(rows.state(item, k));
        let Some(node) = plan.nodes().get(k) else { return link };
        let link = node.state_terms().fold(link, |link, term| match k - usize::from(term.back) {
            j if j <= from => link.plus(term.weight, rows.state(item, j)),
            j => link.carry(k - 1 - j, term.weight),
        });
        let link = node.output_terms().fold(link, |link, term| match k - usize::from(term.back) {
            j if !is_asked(plan, j) => link,
            j if j < closed => link.plus(term.weight, rows.closed(item, j)),
            j if j < from => link.plus(term.weight, rows.carried(item, j)),
            j if j == from => outputs.of(j).onto(link, term.weight, State::Row(rows.state(item, j))),
            j => outputs.of(j).onto(link, term.weight, State::Back(k - 1 - j)),
        });
        if node.noise == 0.0 { link } else { link.plus(1.0, rows.noise(item, k)) }
    }
}

/// The nodes of a window in their order, evaluated or not.
struct Window<'a> {
    known: Known<'a>,
    item: usize,
    places: Places,
    /// The last evaluated node, and the next where one follows that is not.
    owner: Option<Evaluated>,
    next: Option<Evaluated>,
    /// The last slope that was learnt.
    local: Option<f64>,
}

impl Window<'_> {
    /// The output at node `j`.
    fn output(&mut self, j: usize) -> Output {
        let (known, item) = (self.known, self.item);
        if !is_asked(known.plan, j) {
            return Output::default();
        }
        if self.places.has(j) {
            self.local = known.learnt(item, j, self.local);
            let local = self.local;
            let evaluated = |node| Evaluated { node, g: known.held_slope(node, local) };
            let there = self.places.has(j + 1) && is_asked(known.plan, j + 1);
            self.next = if there {
                None
            } else {
                self.places.next(j + 1, |node| is_asked(known.plan, node)).map(evaluated)
            };
            self.owner = Some(evaluated(j));
            return Output::of(known, item, known.slope(j, local), (evaluated(j), 1.0), None);
        }
        let slope = known.held_slope(j, self.local);
        match (self.owner, self.next) {
            (None, _) => Output::held(slope, None),
            (Some(from), None) => Output::of(known, item, slope, (from, 1.0), None),
            (Some(from), Some(to)) => {
                let w = (j - from.node) as f64 / (to.node - from.node) as f64;
                Output::of(known, item, slope, (from, 1.0 - w), Some((to, w)))
            }
        }
    }
}
