//! The artifact's samples, in sequence and in parallel, in the caller's memory.

use crate::Error;
use core::fmt;
use picardy::nn::{Aligned, Artifact, MlpDenoiser, ModelCard, ResidualMlp};
use picardy::{
    Ddim, DpmSolverPp, Level, Mark, Node, Noise, Picard, Report, Sampler, Sequential, SliceFrames, Solver,
    Span, Workspace,
};

/// A network trained on the dino (`data/train.sh`): its weights are read where they lie.
pub static ARTIFACT: &Aligned<[u8]> = &Aligned(*include_bytes!("../../data/dino.safetensors"));

/// Coordinates of an item.
pub const DIM: usize = 2;
/// Items of a run.
pub const ITEMS: usize = 4;
const STEPS: usize = 10;

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// DDIM in sequence.
    Ddim,
    /// DPM-Solver++ 2M in sequence.
    DpmSolverPp,
    /// DPM-Solver++ 2M in parallel over time, exactly to the same end.
    Picard,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ddim, Self::DpmSolverPp, Self::Picard];

    /// The name under which its lines are printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::DpmSolverPp => "dpmsolver++",
            Self::Picard => "picard",
        }
    }
}

/// All the memory of a run: static in an image.
#[derive(Debug)]
pub struct Buffers {
    levels: [Level; STEPS + 1],
    nodes: [Node; STEPS + 1],
    scratch: [f32; 2048],
    rows: [f32; 512 * DIM],
    spans: [Span; 2 * ITEMS],
    marks: [Mark; (STEPS + 1) * ITEMS],
}

impl Buffers {
    /// Nothing in it yet.
    pub const fn new() -> Self {
        Self {
            levels: [Level::EMPTY; STEPS + 1],
            nodes: [Node::EMPTY; STEPS + 1],
            scratch: [0.0; 2048],
            rows: [0.0; 512 * DIM],
            spans: [Span::EMPTY; 2 * ITEMS],
            marks: [Mark::EMPTY; (STEPS + 1) * ITEMS],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Samples [`ITEMS`] items into `x`, in the units of the data.
///
/// # Errors
/// An artifact that is none, or memory that is too small for it.
// Inlined, its frame would lie above where the stack is measured from.
#[inline(never)]
pub fn sample(kind: Kind, x: &mut [f32; ITEMS * DIM], buffers: &mut Buffers) -> Result<Report, Error> {
    let Buffers { levels, nodes, scratch, rows, spans, marks } = buffers;
    let artifact = Artifact::parse(&ARTIFACT.0)?;
    let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
    let mut denoiser = MlpDenoiser::new(ResidualMlp::from_artifact(&artifact)?, scratch);

    let grid = card.schedule.trailing(STEPS, levels)?;
    let plan = match kind {
        Kind::Ddim => Ddim { eta: 0.0 }.plan(&grid, card.prediction, nodes)?,
        Kind::DpmSolverPp | Kind::Picard => DpmSolverPp::order2().plan(&grid, card.prediction, nodes)?,
    };
    let noise = Noise::seeded(7);
    plan.start(&noise, DIM, x);
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), spans).with_marks(marks);
    let report = match kind {
        Kind::Ddim | Kind::DpmSolverPp => Sequential.run(&plan, &mut denoiser, &noise, x, &mut workspace)?,
        Kind::Picard => {
            let picard = Picard { tolerance: 1e-3, data_variance: card.data_variance, ..Picard::default() };
            picard.run(&plan, &mut denoiser, &noise, x, &mut workspace)?
        }
    };
    card.restore(x);
    Ok(report)
}

/// Writes what a run gave: `run NAME ROUNDS EVALUATIONS`, then `sample NAME ITEM NUMBERS...` for each item.
///
/// # Errors
/// The writer's.
pub fn write_samples(
    kind: Kind,
    x: &[f32; ITEMS * DIM],
    report: &Report,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    let name = kind.name();
    writeln!(out, "run {name} {} {}", report.rounds, report.evaluations)?;
    for (item, x) in x.chunks(DIM).enumerate() {
        write!(out, "sample {name} {item}")?;
        for x in x {
            write!(out, " {x}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
