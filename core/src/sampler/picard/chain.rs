//! A sweep whose outputs are linear in the states, as chains of links: what a device runs in one product.
//!
//! For a one-step solver, with `m_j = g_j x_j + r_j` at every node,
//!
//! ```text
//! x_k = (A + B g_j) x_j + B r_j + C z_k        j = k - 1
//! r_j = said_j - g_j base_j                    where evaluated
//! r_j = (1 - w) r_J + w r_N                    between evaluated nodes J and N, w = (j - J)/(N - J)
//! ```

use super::held::Owner;
use super::known::{Known, is_asked};
use super::run::PicardRun;
use super::slope::Slope;
use super::sweep::Places;
use crate::denoiser::Span;
use crate::tensor::Link;
use crate::{Node, Tensor};
use core::ops::Range;

/// `r` of an evaluated node.
#[derive(Clone, Copy)]
struct Rest {
    node: usize,
    g: f64,
}

impl<F: Tensor> PicardRun<'_, F> {
    /// Whether a sweep without a guard is a chain: a one-step solver, every output affine in its own state.
    fn is_linear(&self) -> bool {
        let reach = self.plan.reach();
        (reach.states, reach.outputs) == (1, 1)
            && matches!(self.picard.slope, Slope::Gaussian | Slope::Secant)
    }

    /// Whether sweeps run as chains, where there is no guard.
    pub(super) fn has_chains(&self) -> bool {
        self.frames.has_chains() && self.is_linear()
    }

    /// The sweep of [`walk`](Self::walk).
    pub(super) fn chain(&mut self, item: usize, a: &Span, b: &Span) {
        let (rows, first, end) = (self.rows, a.done, self.end(a.done));
        let known = Known { picard: &self.picard, plan: self.plan, rows, marks: self.marks };
        let (mut owner, mut local) = (None, None);
        let links = links(known, item, (first, end), Places::new(a, b), &mut owner, &mut local);
        self.frames.chain(rows.state(item, first), links);
        if let Some(Rest { node, g }) = owner {
            // What the nodes that the window takes in go on from.
            let rest = [(1.0, rows.said(item, 0, node)), (-g, rows.base(item, 0, node))];
            self.frames.combine(rows.held(item), &rest);
        }
    }

    /// First guesses for nodes that the window takes in, from the last evaluated node on: `m_j = g_j x_j + r_J`.
    pub(super) fn chain_on(&mut self, item: usize, nodes: Range<usize>, owner: Option<Owner>) {
        if nodes.is_empty() {
            return;
        }
        let (rows, plan) = (self.rows, self.plan);
        let known = Known { picard: &self.picard, plan, rows, marks: self.marks };
        let local = owner.and_then(|owner| owner.g);
        let held = if owner.is_some() { 1.0 } else { 0.0 };
        let links = nodes.clone().map(|k| {
            let Some(node) = plan.nodes().get(k) else { return Link::default() };
            let (a, b, noise) = weights(node);
            let asked = if is_asked(plan, k - 1) { b } else { 0.0 };
            Link::new(rows.state(item, k), a + asked * known.held_slope(k - 1, local))
                .plus(noise, rows.noise(item, k))
                .plus(asked * held, rows.held(item))
        });
        self.frames.chain(rows.state(item, nodes.start - 1), links);
        // What a run that is stopped is finished from.
        let last = nodes.end - 2;
        if is_asked(plan, last) {
            let terms = [(known.held_slope(last, local), rows.state(item, last)), (1.0, rows.held(item))];
            let count = 1 + usize::from(owner.is_some());
            self.frames.combine(rows.carried(item, last), terms.get(..count).unwrap_or(&terms));
        }
    }
}

/// The weights of the state and the output before a node of a one-step plan, and of the row that holds its noise.
fn weights(node: &Node) -> (f64, f64, f64) {
    let noise = if node.noise == 0.0 { 0.0 } else { 1.0 };
    let state = node.state_terms().map(|term| term.weight).sum();
    (state, node.output_terms().map(|term| term.weight).sum(), noise)
}

/// The links of an item's window; `owner` and `local` are left as its end has them.
fn links(
    known: Known<'_>,
    item: usize,
    (first, end): (usize, usize),
    mut places: Places,
    owner: &mut Option<Rest>,
    local: &mut Option<f64>,
) -> impl Iterator<Item = Link> {
    let (plan, rows) = (known.plan, known.rows);
    let mut next: Option<Rest> = None;
    (first + 1..=end).map(move |k| {
        let j = k - 1;
        let Some(node) = plan.nodes().get(k) else { return Link::default() };
        let (a, b, noise) = weights(node);
        let link = |g: f64| Link::new(rows.state(item, k), a + b * g).plus(noise, rows.noise(item, k));
        let plus = |link: Link, rest: Rest, w: f64| {
            let (said, base) = (rows.said(item, 0, rest.node), rows.base(item, 0, rest.node));
            link.plus(b * w, said).plus(-b * w * rest.g, base)
        };
        if !is_asked(plan, j) {
            return link(0.0);
        }
        if places.has(j) {
            *local = known.learnt(item, j, *local);
            let held = |node| Rest { node, g: known.held_slope(node, *local) };
            *owner = Some(held(j));
            let there = places.has(k) && is_asked(plan, k);
            next = if there { None } else { places.next(k, |node| is_asked(plan, node)).map(held) };
            return plus(link(known.slope(j, *local)), held(j), 1.0);
        }
        let own = link(known.held_slope(j, *local));
        match (*owner, next) {
            (None, _) => own,
            (Some(from), None) => plus(own, from, 1.0),
            (Some(from), Some(to)) => {
                let w = (j - from.node) as f64 / (to.node - from.node) as f64;
                plus(plus(own, from, 1.0 - w), to, w)
            }
        }
    })
}
