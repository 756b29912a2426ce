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

    /// The sweep of [`walk`](Self::walk).
    pub(super) fn chain(&mut self, item: usize, a: &Span, b: &Span) {
        let (rows, first, end) = (self.rows, a.done, self.end(a.done));
        let known = Known { picard: &self.picard, plan: self.plan, rows, marks: self.marks };
        let (mut owner, mut local) = (None, None);
        let links = links(known, item, (first, end), Places::new(a, b), &mut owner, &mut local);
        self.frames.chain(rows.state(item, first), links);
        // What is asked for where the window goes on, or the run is stopped.
        let Some(Rest { node, .. }) = owner else { return };
        let g = known.held_slope(node, local);
        let rest = [(1.0, rows.said(item, 0, node)), (-g, rows.base(item, 0, node))];
        self.frames.combine(rows.held(item), &rest);
        let last = end - 1;
        if is_asked(self.plan, last) {
            let g = (known.held_slope(last, local), rows.state(item, last));
            self.frames.combine(rows.carried(item, last), &[g, (1.0, rows.held(item))]);
        }
    }
}

impl<F: Tensor> PicardRun<'_, F> {
    /// Whether sweeps run as chains, where there is no guard.
    pub(super) fn has_chains(&self) -> bool {
        self.frames.has_chains() && self.is_linear()
    }

    /// First guesses for nodes that the window takes in, from the last evaluated node on: `m_j = g_j x_j + r_J`.
    pub(super) fn chain_on(&mut self, item: usize, nodes: Range<usize>, owner: Option<Owner>) {
        let (rows, plan, last) = (self.rows, self.plan, nodes.end.saturating_sub(1));
        if nodes.is_empty() {
            return;
        }
        let known = Known { picard: &self.picard, plan, rows, marks: self.marks };
        let (local, held) = owner.map_or((None, 0.0), |owner| (owner.g, 1.0));
        let links = nodes.clone().map(|k| {
            let Some(node) = plan.nodes().get(k) else { return Link::default() };
            let (a, b) = weights(node);
            let noise = if node.noise == 0.0 { 0.0 } else { 1.0 };
            let asked = if is_asked(plan, k - 1) { b } else { 0.0 };
            Link::new(rows.state(item, k), a + asked * known.held_slope(k - 1, local))
                .plus(noise, rows.noise(item, k))
                .plus(asked * held, rows.held(item))
        });
        self.frames.chain(rows.state(item, nodes.start - 1), links);
        // What a run that is stopped is finished from.
        if is_asked(plan, last - 1) && owner.is_none_or(|owner| owner.node != last - 1) {
            let own = (known.held_slope(last - 1, local), rows.state(item, last - 1));
            let terms = [own, (held, rows.held(item))];
            let count = if owner.is_some() { 2 } else { 1 };
            self.frames.combine(rows.carried(item, last - 1), terms.get(..count).unwrap_or(&terms));
        }
    }
}

/// The weights of the state and the output before a node of a one-step plan.
fn weights(node: &Node) -> (f64, f64) {
    (node.state_terms().map(|term| term.weight).sum(), node.output_terms().map(|term| term.weight).sum())
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
        let (a, b) = weights(node);
        let noise = if node.noise == 0.0 { 0.0 } else { 1.0 };
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
