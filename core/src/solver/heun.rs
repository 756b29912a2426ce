//! Heun's method on the probability flow.

use super::{Coordinates, Solver, Writer, level_at};
use crate::{Form, Grid, Level, Node, Plan, PlanError, Prediction, Term};

/// Heun's method on `dx/ds = (x - x0)/s`, in variance-exploding or flow coordinates, data form: two nodes a step,
///
/// ```text
/// y   = x + h d,                 d  = (x - x0(x))/s_c,  h = s_n - s_c
/// x_n = x + h (d + d')/2,        d' = (y - x0(y))/s_n;  x_n = y where s_n = 0
/// ```
///
/// (arXiv 2206.00364, algorithm 1.) Second order, two evaluations a step but for the last. [`Edm`](super::Edm) is
/// the same with noise added on the way.
///
/// ```
/// use picardy::{Heun, Level, Node, Prediction, Sigmas, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 19], [Node::default(); 37]);
/// let grid = Sigmas::karras(0.002, 80.0, 7.0).grid(18, 0.0, &mut levels)?;
/// let plan = Heun::ve().plan(&grid, Prediction::Sample, &mut nodes)?;
/// assert_eq!(plan.evaluations(), 35); // as the paper counts
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heun {
    /// Where the states live.
    pub coordinates: Coordinates,
}

impl Heun {
    /// In variance-exploding coordinates.
    pub const fn ve() -> Self {
        Self { coordinates: Coordinates::Ve }
    }

    /// In flow-matching coordinates.
    pub const fn flow() -> Self {
        Self { coordinates: Coordinates::Flow }
    }
}

/// Writes the two nodes of a step from the newest node, at sigma `from` in `coordinates`, to a network's `level`;
/// only the first where no noise is left there. `last`: nothing is evaluated after the step.
pub(super) fn write_step(
    writer: &mut Writer<'_>,
    coordinates: Coordinates,
    from: f64,
    level: &Level,
    last: bool,
    read: (Prediction, Form),
) -> Result<(), PlanError> {
    let to = coordinates.level(level).sigma;
    let two_stages = to > 0.0;
    let mut stage =
        coordinates.node(writer.next(), level, if two_stages || !last { Some(read) } else { None })?;
    let ratio = to / from;
    stage.states[0] = Term::new(1, ratio);
    stage.outputs[0] = Term::new(1, 1.0 - ratio);
    writer.push(stage)?;
    if two_stages {
        let mut end = coordinates.node(writer.next(), level, if last { None } else { Some(read) })?;
        let (half, half_next) = ((to - from) / (2.0 * from), (to - from) / (2.0 * to));
        end.states = [Term::new(1, half_next), Term::new(2, 1.0 + half)];
        end.outputs[0] = Term::new(1, -half_next);
        end.outputs[1] = Term::new(2, -half);
        writer.push(end)?;
    }
    Ok(())
}

/// The nodes that such steps over a grid make, with the start.
pub(super) fn count(grid: &Grid<'_>) -> usize {
    1 + grid.levels().iter().skip(1).map(|level| if level.sigma > 0.0 { 2 } else { 1 }).sum::<usize>()
}

impl Solver for Heun {
    fn nodes(&self, steps: usize) -> usize {
        steps.saturating_mul(2).saturating_add(1)
    }

    fn plan<'a>(
        &self,
        grid: &Grid<'_>,
        prediction: Prediction,
        nodes: &'a mut [Node],
    ) -> Result<Plan<'a>, PlanError> {
        let (levels, read) = (grid.levels(), (prediction, Form::Data));
        let mut writer = Writer::new(nodes, count(grid))?;
        let mut start = self.coordinates.node(0, level_at(levels, 0), Some(read))?;
        start.noise = start.level.sigma;
        let mut from = start.level.sigma;
        writer.push(start)?;
        for (i, level) in levels.iter().enumerate().skip(1) {
            write_step(&mut writer, self.coordinates, from, level, i == grid.steps(), read)?;
            from = self.coordinates.level(level).sigma;
        }
        writer.finish(Form::Data)
    }
}
