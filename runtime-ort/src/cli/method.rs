//! The flags of `sample` that say who is evaluated when.

use anyhow::bail;
use clap::ValueEnum;
use picardy::{Criterion, MAX_ANDERSON, Picard, Slope, Start};

use super::names;

/// ParaDiGMS's tolerance, for its criterion: core's default is in the other one's unit.
const STEP_TOLERANCE: f64 = 0.1;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Method")]
pub(super) struct Method {
    /// Who is evaluated when.
    #[arg(long, value_enum, default_value_t)]
    method: MethodFlag,
    /// How Picard carries outputs to new states [default: secant].
    #[arg(long, value_parser = names::slope())]
    slope: Option<Slope>,
    /// The most nodes that Picard holds open at a time [default: the whole run].
    #[arg(long, value_name = "NODES")]
    window: Option<usize>,
    /// Of the nodes that still move far, Picard evaluates every so many-th [default: 3; 1, which is all, with
    /// --criterion step-variance].
    #[arg(long, value_name = "NODES")]
    stride: Option<usize>,
    /// The most rows that the network is shown in a call of Picard's, over all items [default: no limit].
    #[arg(long)]
    rows: Option<usize>,
    /// Picard's first guess: constant, gaussian, or coarse:K for K evaluations in sequence, one a round [default: gaussian].
    #[arg(long, value_parser = names::start)]
    start: Option<Start>,
    /// The rounds that Anderson mixing looks back, 0 to 5 [default: 0, which is no mixing].
    #[arg(long, value_name = "ROUNDS")]
    anderson: Option<usize>,
    /// When Picard stops [default: change].
    #[arg(long, value_enum)]
    criterion: Option<CriterionFlag>,
    /// How far a sample may be from the sequential one, in standard deviations of the data; 0 is exact [default: 0.01].
    /// With --criterion step-variance: by how much of its step's standard deviation a final state may still have moved
    /// [default: 0.1].
    #[arg(long, verbatim_doc_comment)]
    tolerance: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum MethodFlag {
    #[default]
    Sequential,
    Picard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CriterionFlag {
    /// When a sweep carries no change to the sample that the tolerance would forbid.
    Change,
    /// ParaDiGMS's: when each state's last change is small beside its step's noise.
    StepVariance,
}

impl Method {
    /// The Picard sampler that the flags name; `None` for the sequential one.
    pub(super) fn picard(&self, batch: usize, data_variance: f64) -> anyhow::Result<Option<Picard>> {
        if matches!(self.method, MethodFlag::Sequential) {
            return match self.flags().find(|(_, named)| *named) {
                Some((flag, _)) => bail!("{flag} is Picard's: add --method picard, or leave it out"),
                None => Ok(None),
            };
        }
        for (flag, given, none) in [
            ("--window", self.window, "the whole run"),
            ("--stride", self.stride, "every node"),
            ("--rows", self.rows, "no limit"),
        ] {
            if given == Some(0) {
                bail!("{flag} 0: give at least 1, or leave it out for {none}");
            }
        }
        if let Some(rows) = self.rows.filter(|&rows| rows < batch) {
            bail!("--rows {rows} for --batch {batch}: give --rows at least {batch}, or a smaller --batch");
        }
        if let Some(rounds) = self.anderson.filter(|&rounds| rounds > MAX_ANDERSON) {
            bail!("--anderson {rounds}: give 1 to {MAX_ANDERSON}, or 0 for no mixing");
        }
        let standard = Picard::default();
        let (criterion, tolerance, stride) = match self.criterion {
            Some(CriterionFlag::StepVariance) => (Criterion::StepVariance, STEP_TOLERANCE, 1),
            Some(CriterionFlag::Change) => (Criterion::Change, standard.tolerance, standard.stride),
            None => (standard.criterion, standard.tolerance, standard.stride),
        };
        Ok(Some(Picard {
            window: self.window.unwrap_or(standard.window),
            stride: self.stride.unwrap_or(stride),
            rows: self.rows.unwrap_or(standard.rows),
            slope: self.slope.unwrap_or(standard.slope),
            start: self.start.unwrap_or(standard.start),
            anderson: self.anderson.unwrap_or(standard.anderson),
            criterion,
            tolerance: self.tolerance.unwrap_or(tolerance),
            data_variance,
        }))
    }

    /// Picard's flags, and whether they are named.
    fn flags(&self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("--slope", self.slope.is_some()),
            ("--window", self.window.is_some()),
            ("--stride", self.stride.is_some()),
            ("--rows", self.rows.is_some()),
            ("--start", self.start.is_some()),
            ("--anderson", self.anderson.is_some()),
            ("--criterion", self.criterion.is_some()),
            ("--tolerance", self.tolerance.is_some()),
        ]
        .into_iter()
    }
}
