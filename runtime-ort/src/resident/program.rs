//! Row operations, recorded: in which stage each can run.
//!
//! A stage reads rows as the stages before have left them, and writes others (or the same). So an operation goes to the first
//! stage after the last write of anything that it reads or writes, and not before the last read of what it writes.

use std::collections::HashMap;

use ort::value::DynTensor;
use picardy::{Link, MAX_CARRIES};

use super::{frames::Shown, graph::PutForm};
use crate::provider::Exclusively;

/// One `dst <- sum_i weight_i row_i`.
#[derive(Debug)]
pub(super) struct Affine {
    pub(super) dst: usize,
    pub(super) terms: Vec<(f32, usize)>,
}

/// Links, each `row <- sum_b carry_b before_b + sum_i weight_i row_i`; the first have no rows before.
pub(super) type Chain = Vec<([f64; MAX_CARRIES], Affine)>;

/// A model's answer, and the rows it goes to, one for each of its own.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) values: Exclusively<DynTensor>,
    pub(super) form: PutForm,
    pub(super) rows: Vec<usize>,
}

/// The most answers that one stage takes up: a call in parts has as many.
pub(super) const PUTS: usize = 128;

/// What runs side by side.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// Rows that come from the host.
    pub(super) loads: Vec<(usize, Vec<f32>)>,
    /// Answers of the model, all of one form.
    pub(super) puts: Vec<Put>,
    pub(super) affine: Vec<Affine>,
    pub(super) chains: Vec<Chain>,
    /// A row and its limits.
    pub(super) clamps: Vec<(usize, f32, f32)>,
    /// A row and the place of what is known of it.
    pub(super) blends: Vec<(usize, usize)>,
}

/// The last write of a row.
#[derive(Clone, Copy, Debug)]
struct Write {
    stage: usize,
    /// Its place among the stage's sums, where it is one.
    sum: Option<usize>,
}

/// What was recorded since the last run.
#[derive(Debug, Default)]
pub(super) struct Program {
    stages: Vec<Stage>,
    written: HashMap<usize, Write>,
    /// The stage of a row's last read.
    read: HashMap<usize, usize>,
    /// The first stage that is open: those before it were recorded for a run that failed.
    floor: usize,
}

impl Program {
    /// These stages, to run before all that comes.
    pub(super) fn of(stages: Vec<Stage>) -> Self {
        Self { floor: stages.len(), stages, ..Self::default() }
    }

    pub(super) fn into_stages(self) -> Vec<Stage> {
        self.stages
    }

    /// What a row will hold, as a multiple of one that no stage writes: a copy that waits need not run before it is read. `None`
    /// where it must.
    pub(super) fn copied(&self, mut row: usize) -> Option<Shown> {
        // Stages that a failed run has left are not known row by row.
        if self.floor > 0 {
            return None;
        }
        let mut scale = 1.0;
        // A copy of a copy: each was made in an earlier stage.
        while let Some(&Write { stage, sum }) = self.written.get(&row) {
            match self.stages.get(stage)?.affine.get(sum?)?.terms[..] {
                [(weight, of)] if self.written.get(&of).is_none_or(|write| write.stage < stage) => {
                    (scale, row) = (scale * weight, of);
                }
                _ => return None,
            }
        }
        Some(Shown { scale, row })
    }

    /// The first stage for an operation that reads and writes these rows.
    fn place(
        &mut self,
        reads: impl Iterator<Item = usize> + Clone,
        writes: impl Iterator<Item = usize> + Clone,
    ) -> &mut Stage {
        let after_write = |row: usize| self.written.get(&row).map_or(0, |write| write.stage + 1);
        let after_read = |row: usize| self.read.get(&row).copied().unwrap_or(0);
        let ready = reads.clone().map(after_write).max().unwrap_or(0);
        let free = writes.clone().map(|row| after_write(row).max(after_read(row))).max().unwrap_or(0);
        let at = ready.max(free).max(self.floor);
        for row in reads {
            let last = self.read.entry(row).or_insert(0);
            *last = (*last).max(at);
        }
        for row in writes {
            self.written.insert(row, Write { stage: at, sum: None });
        }
        self.stage(at)
    }

    fn stage(&mut self, at: usize) -> &mut Stage {
        while self.stages.len() <= at {
            self.stages.push(Stage::default());
        }
        &mut self.stages[at]
    }

    pub(super) fn load(&mut self, row: usize, values: Vec<f32>) {
        self.place(std::iter::empty(), std::iter::once(row)).loads.push((row, values));
    }

    /// `waste` is the row that padding goes to, in any order.
    pub(super) fn put(&mut self, put: Put, waste: usize) {
        let rows = || put.rows.iter().filter(|row| **row != waste);
        let after_write = rows().filter_map(|row| self.written.get(row)).map(|write| write.stage + 1).max();
        let mut at = after_write.max(rows().filter_map(|row| self.read.get(row)).copied().max());
        let at = at.get_or_insert(0);
        *at = (*at).max(self.floor);
        // A stage has so many, all of one form: another goes to the next.
        let takes = |stage: &Stage| {
            stage.puts.len() < PUTS && stage.puts.first().is_none_or(|other| other.form == put.form)
        };
        while self.stages.get(*at).is_some_and(|stage| !takes(stage)) {
            *at += 1;
        }
        for row in rows() {
            self.written.insert(*row, Write { stage: *at, sum: None });
        }
        let at = *at;
        self.stage(at).puts.push(put);
    }

    pub(super) fn affine(&mut self, dst: usize, terms: Vec<(f32, usize)>) {
        let reads = terms.iter().map(|(_, row)| *row);
        let stage = self.place(reads, std::iter::once(dst));
        stage.affine.push(Affine { dst, terms: terms.clone() });
        let sum = Some(stage.affine.len() - 1);
        if let Some(write) = self.written.get_mut(&dst) {
            write.sum = sum;
        }
    }

    pub(super) fn clamp(&mut self, row: usize, low: f32, high: f32) {
        self.place(std::iter::once(row), std::iter::once(row)).clamps.push((row, low, high));
    }

    pub(super) fn blend(&mut self, row: usize, known: usize) {
        self.place(std::iter::once(row), std::iter::once(row)).blends.push((row, known));
    }

    /// `there` are the number of rows, and the rows that stand for those beyond: of zeros to read, and of no use to write.
    pub(super) fn chain(
        &mut self,
        links: impl Iterator<Item = Link>,
        (rows, zero, waste): (usize, usize, usize),
    ) {
        let or = |row: usize, other: usize| if row < rows { row } else { other };
        let chain: Chain = links
            .map(|link| {
                let terms =
                    link.terms().iter().map(|&(weight, row)| (weight as f32, or(row, zero))).collect();
                (*link.carries(), Affine { dst: or(link.row, waste), terms })
            })
            .collect();
        if chain.is_empty() {
            return;
        }
        let reads: Vec<usize> =
            chain.iter().flat_map(|(_, link)| link.terms.iter().map(|(_, row)| *row)).collect();
        let writes: Vec<usize> = chain.iter().map(|(_, link)| link.dst).collect();
        self.place(reads.iter().copied(), writes.iter().copied()).chains.push(chain);
    }
}
