//! How to step between levels: each solver is a pure function from a grid to a plan.
//!
//! A solver has no state, no randomness and no tensors. Its formulas stand in one file, in `f64`; what
//! comes out are the coefficients of [`Node`]s, and any sampler runs them.
//!
//! | solver | order | evaluations of `N` steps | states | form | noise |
//! |---|---|---|---|---|---|
//! | [`Ddpm`] | | N | network's | data | yes |
//! | [`Ddim`], [`DdimStride`] | 1 | N | network's | data | by eta |
//! | [`Euler`] | 1 | N | VE or flow | data | no |
//! | [`EulerAncestral`] | | N | VE | data | yes |
//! | [`Heun`] | 2 | 2N - 1 | VE or flow | data | no |
//! | [`Edm`] | 2 | 2N - 1 | VE | data | by churn |
//! | [`DpmSolverPp`] | 1 to 3 | N | network's | data | as SDE |
//! | [`DpmSolverSingle`] | 1 to 3 | N | network's | data | no |
//! | [`UniPc`] | 1 to 3, and 1 more | N | network's | data | no |
//! | [`Deis`] | 1 to 3 | N | network's | noise | no |
//! | [`Lms`] | 1 to 4 | N | VE | noise | no |
//! | [`Pndm`] | 1 to 4 | N + 1 | network's | noise | no |
//! | [`GradientEstimation`] | 1 | N | VE | noise | by mu |
//! | [`Lcm`], [`Tcd`] | | N | network's | data | yes |
//! | [`Pinned`] | | N | its own | data | yes |
//!
//! The orders are those of the steps; multistep solvers begin with lower ones, and the step to no noise has order 1.
//! [`AnySolver`] is all of them by name.

mod any;
mod coordinates;
mod ddim;
mod ddim_stride;
mod ddpm;
mod deis;
mod dpm_solver_pp;
mod dpm_solver_single;
mod edm;
mod euler;
mod euler_ancestral;
mod gradient_estimation;
mod heun;
mod lagrange;
mod lcm;
mod lms;
mod multistep;
mod pinned;
mod pndm;
mod tcd;
mod unipc;
mod writer;

pub use any::{AnySolver, UnknownSolver};
pub use coordinates::Coordinates;
pub use ddim::Ddim;
pub use ddim_stride::DdimStride;
pub use ddpm::{Ddpm, Variance};
pub use deis::Deis;
pub use dpm_solver_pp::{DpmSolverPp, Variant};
pub use dpm_solver_single::DpmSolverSingle;
pub use edm::Edm;
pub use euler::Euler;
pub use euler_ancestral::EulerAncestral;
pub use gradient_estimation::GradientEstimation;
pub use heun::Heun;
pub use lcm::Lcm;
pub use lms::Lms;
pub use pinned::Pinned;
pub use pndm::Pndm;
pub use tcd::Tcd;
pub use unipc::{Bh, UniPc};

use crate::schedule::Table;
use crate::{Betas, Final, Form, Grid, Level, Node, Plan, PlanError, Prediction, Readout, ScheduleError};
use writer::Writer;

/// Turns a grid into a plan.
pub trait Solver {
    /// The most nodes that a plan of `steps` steps has; `usize::MAX` where that is more than there can be.
    fn nodes(&self, steps: usize) -> usize {
        steps.saturating_add(1)
    }

    /// Writes the plan into the front of `nodes`.
    ///
    /// # Errors
    /// A slice shorter than the plan (never one of [`nodes`](Solver::nodes)), a setting out of range, or a
    /// prediction that says nothing at some level.
    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError>;
}

/// The front of `nodes` that a plan takes.
fn room(nodes: &mut [Node], needed: usize) -> Result<&mut [Node], PlanError> {
    let given = nodes.len();
    nodes.get_mut(..needed).ok_or(PlanError::Buffer { needed, given })
}

/// Level `i`; past the end of a grid there is no noise. (An index that a compiler cannot follow would leave a panic in the image.)
fn level_at(levels: &[Level], i: usize) -> &Level {
    levels.get(i).unwrap_or(&Level::DATA)
}

/// For the solvers that look levels up in a table of betas: whether the grid's first timestep is in it, and so are all.
fn check_start(grid: &Grid<'_>, betas: &Betas) -> Result<(), PlanError> {
    let first = level_at(grid.levels(), 0).t;
    if first >= 0.0 && first < betas.train_steps as f64 { Ok(()) } else { Err(start_error(grid)) }
}

fn start_error(grid: &Grid<'_>) -> PlanError {
    PlanError::Parameter { name: "the grid's first timestep", value: level_at(grid.levels(), 0).t }
}

/// The level of a timestep; where it is below 0, that of `last`.
fn stride_to(
    table: &mut Table<impl Iterator<Item = f64>>,
    last: Final,
    t: f64,
) -> Result<Level, ScheduleError> {
    match last {
        Final::Data if t < 0.0 => Ok(Level::DATA),
        _ => table.level(t.max(0.0)),
    }
}

/// How much of a solver's noise is added: 0 to 1.
fn check_eta(eta: f64) -> Result<(), PlanError> {
    if (0.0..=1.0).contains(&eta) { Ok(()) } else { Err(PlanError::Eta(eta)) }
}

/// The frame that all one-step solvers share: `x_k = A x + B m + C z` with `[A, B, C] = step(from, to)`.
fn one_step<'a>(
    grid: &Grid<'_>,
    prediction: Prediction,
    form: Form,
    nodes: &'a mut [Node],
    step: impl Fn(&Level, &Level) -> [f64; 3],
) -> Result<Plan<'a>, PlanError> {
    write_each(own_node, grid, prediction, form, nodes, |i, levels, node| {
        let [state, output, noise] = step(level_at(levels, i), level_at(levels, i + 1));
        *node = Node { evaluate: node.evaluate, ..Node::one_step(node.level, state, output, noise) };
    })
}

/// The frame of the solvers with one node a level, in `coordinates`: see [`write_each`].
fn write_steps<'a>(
    coordinates: Coordinates,
    grid: &Grid<'_>,
    prediction: Prediction,
    form: Form,
    nodes: &'a mut [Node],
    step: impl Fn(usize, &[Level], &mut Node),
) -> Result<Plan<'a>, PlanError> {
    let place =
        |index: usize, level: &Level, read: Option<(Prediction, Form)>| coordinates.node(index, level, read);
    write_each(place, grid, prediction, form, nodes, step)
}

/// The frame of the solvers with one node a level. `place` makes a node without terms at a level;
/// `step(i, levels, node)` gives the node after `levels[i]`, which stands at `levels[i + 1]`, its terms and its noise.
fn write_each<'a>(
    place: impl Fn(usize, &Level, Option<(Prediction, Form)>) -> Result<Node, PlanError>,
    grid: &Grid<'_>,
    prediction: Prediction,
    form: Form,
    nodes: &'a mut [Node],
    step: impl Fn(usize, &[Level], &mut Node),
) -> Result<Plan<'a>, PlanError> {
    let levels = grid.levels();
    let mut writer = Writer::new(nodes, levels.len())?;
    for (k, level) in levels.iter().enumerate() {
        let mut node = place(k, level, if k < grid.steps() { Some((prediction, form)) } else { None })?;
        match k.checked_sub(1) {
            None => node.noise = node.level.sigma,
            Some(i) => step(i, levels, &mut node),
        }
        writer.push(node)?;
    }
    writer.finish(form)
}

/// A node without terms whose state is what the network is shown.
fn own_node(index: usize, level: &Level, read: Option<(Prediction, Form)>) -> Result<Node, PlanError> {
    placed(index, level, *level, 1.0, read)
}

/// A node without terms whose state lives at `own`, where the network is shown `input` times the state, at `level`.
fn placed(
    index: usize,
    level: &Level,
    own: Level,
    input: f64,
    read: Option<(Prediction, Form)>,
) -> Result<Node, PlanError> {
    let singular = PlanError::Singular { node: index, alpha: level.alpha, sigma: level.sigma };
    if !(own.sigma.is_finite() && input.is_finite()) {
        return Err(singular);
    }
    let evaluate = match read {
        None => None,
        Some((prediction, form)) => {
            let read = prediction.readout(level, form).ok_or(singular)?;
            Some(Readout { input: input * read.input, state: read.state * input, output: read.output })
        }
    };
    Ok(Node { level: own, evaluate, ..Node::default() })
}
