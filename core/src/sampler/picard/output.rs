//! Outputs that are affine in their own state, `m_j = g_j x_j + r_j`.

use super::known::Known;
use crate::tensor::{Link, MAX_CARRIES};

/// `slope x + sum_i weight_i row_i`.
#[derive(Clone, Copy, Default)]
pub(super) struct Output {
    slope: f64,
    rest: [(f64, usize); 4],
}

/// Where a state is: written so many links before, or in a row that is there.
pub(super) enum State {
    Back(usize),
    Row(usize),
}

/// An evaluated node, whose `r` with slope `g` others share.
#[derive(Clone, Copy)]
pub(super) struct Evaluated {
    pub(super) node: usize,
    pub(super) g: f64,
}

impl Output {
    /// With `r` in a row, if there is one.
    pub(super) fn held(slope: f64, row: Option<usize>) -> Self {
        let none = (0.0, 0);
        Self { slope, rest: [row.map_or(none, |row| (1.0, row)), none, none, none] }
    }

    /// With `r_j = said_j - g base_j` of an evaluated node, and another's, so much of each.
    pub(super) fn of(
        known: Known<'_>,
        item: usize,
        slope: f64,
        (from, w): (Evaluated, f64),
        to: Option<(Evaluated, f64)>,
    ) -> Self {
        let rest = |(of, w): (Evaluated, f64)| {
            let rows = known.rows;
            [(w, rows.said(item, 0, of.node)), (-w * of.g, rows.base(item, 0, of.node))]
        };
        let ([a, b], [c, d]) = (rest((from, w)), to.map_or([(0.0, 0); 2], rest));
        Self { slope, rest: [a, b, c, d] }
    }

    /// A link with so much more of the output.
    pub(super) fn onto(&self, link: Link, weight: f64, x: State) -> Link {
        let link = match x {
            State::Back(back) => link.carry(back, weight * self.slope),
            State::Row(row) => link.plus(weight * self.slope, row),
        };
        self.rest.iter().fold(link, |link, (w, row)| link.plus(weight * w, *row))
    }
}

/// The outputs of the last nodes.
#[derive(Clone, Copy, Default)]
pub(super) struct Outputs([Output; MAX_CARRIES]);

impl Outputs {
    pub(super) fn keep(&mut self, node: usize, output: Output) {
        if let Some(slot) = self.0.get_mut(node % MAX_CARRIES) {
            *slot = output;
        }
    }

    pub(super) fn of(&self, node: usize) -> Output {
        self.0.get(node % MAX_CARRIES).copied().unwrap_or_default()
    }
}
