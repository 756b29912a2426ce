//! The flags of `sample` that say who is evaluated when.

use anyhow::bail;
use clap::ValueEnum;
use picardy::{
    AnySampler, Auto, Criterion, MAX_ANDERSON, Parareal, Picard, Plan, Sequential, Slope, Speculative, Start,
};

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
    /// The most nodes that Picard holds open, or that speculative sampling drafts, at a time [default: the whole run].
    #[arg(long, value_name = "NODES")]
    window: Option<usize>,
    /// Of the nodes that still move far, Picard evaluates every so many-th [default: 3; 1, which is all, with
    /// --criterion step-variance].
    #[arg(long, value_name = "NODES")]
    stride: Option<usize>,
    /// The most rows that the network is shown in a call of Picard's, over all items [default: no limit]; with --method auto,
    /// the rows that the device evaluates in the time of one [default: 1 on the processor, elsewhere any number].
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
    /// Blocks of steps side by side, with little memory.
    Parareal,
    /// Exact in law for solvers that add noise: not the sequential samples.
    Speculative,
    /// What is expected to be fastest for --rows.
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CriterionFlag {
    /// When a sweep carries no change to the sample that the tolerance would forbid.
    Change,
    /// ParaDiGMS's: when each state's last change is small beside its step's noise.
    StepVariance,
}

impl Method {
    /// The sampler that the flags name. `wide`: many rows are evaluated in the time of one; `on_device`: the states stay there.
    pub(super) fn sampler(
        &self,
        plan: &Plan<'_>,
        (batch, dim): (usize, usize),
        data_variance: f64,
        (wide, on_device): (bool, bool),
    ) -> anyhow::Result<AnySampler> {
        let own: &[&str] = match self.method {
            MethodFlag::Picard => return Ok(AnySampler::Picard(self.picard(batch, data_variance)?)),
            MethodFlag::Sequential => &[],
            MethodFlag::Parareal => &["--tolerance"],
            MethodFlag::Speculative => &["--window"],
            MethodFlag::Auto => &["--rows", "--tolerance"],
        };
        if let Some((flag, _)) = self.flags().find(|(flag, named)| *named && !own.contains(flag)) {
            bail!("{flag} is Picard's: add --method picard, or leave it out");
        }
        if self.window == Some(0) || self.rows == Some(0) {
            bail!("--window 0 or --rows 0: give at least 1, or leave it out");
        }
        let tolerance = self.tolerance.unwrap_or(Picard::default().tolerance);
        Ok(match self.method {
            MethodFlag::Sequential | MethodFlag::Picard => AnySampler::Sequential(Sequential),
            MethodFlag::Parareal => {
                AnySampler::Parareal(Parareal { tolerance, data_variance, ..Parareal::default() })
            }
            MethodFlag::Speculative => AnySampler::Speculative(Speculative {
                draft: self.window.unwrap_or(Speculative::default().draft),
                data_variance,
                ..Speculative::default()
            }),
            MethodFlag::Auto => {
                let rows = self.rows.unwrap_or(if wide { usize::MAX } else { 1 });
                let auto = Auto { rows, tolerance, data_variance, on_device, ..Auto::default() };
                let chosen = auto.choose(plan, batch, dim);
                match &chosen {
                    AnySampler::Picard(picard) => {
                        eprintln!("note: auto chose picard, --window {}", picard.window);
                    }
                    _ => eprintln!("note: auto chose the sequential sampler"),
                }
                chosen
            }
        })
    }

    /// The Picard sampler that the flags name.
    fn picard(&self, batch: usize, data_variance: f64) -> anyhow::Result<Picard> {
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
        Ok(Picard {
            window: self.window.unwrap_or(standard.window),
            stride: self.stride.unwrap_or(stride),
            rows: self.rows.unwrap_or(standard.rows),
            slope: self.slope.unwrap_or(standard.slope),
            start: self.start.unwrap_or(standard.start),
            anderson: self.anderson.unwrap_or(standard.anderson),
            criterion,
            tolerance: self.tolerance.unwrap_or(tolerance),
            data_variance,
        })
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
