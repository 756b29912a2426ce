//! What the network learns from: chunks of demonstrated ways, each with what was observed at its beginning.

use crate::observation::{Observation, WIDTH};
use crate::planner::demonstrate;
use crate::world::{Map, Point, Robot, World, less};
use picardy::horizon::{Chunk, HorizonError};
use picardy_trainer::data::{Conditions, Dataset};
use rayon::prelude::*;

/// Places of a chunk: where the robot was one tick ago, where it is, and where it will be in each of the next ones.
pub(crate) const PLACES: usize = 16;
/// The place that is now.
pub(crate) const NOW: usize = 1;
/// Numbers of a chunk.
pub(crate) const DIM: usize = 2 * PLACES;
/// Metres of the network's unit. Chunks are relative to where the robot is, so that nothing is subtracted.
pub(crate) const SCALE: f64 = 0.5;

/// A chunk's shape.
pub(crate) fn chunk() -> Result<Chunk, HorizonError> {
    Chunk::new(PLACES, 2)
}

/// Chunks of one demonstrated way.
struct Shown {
    points: Vec<f64>,
    observed: Vec<f32>,
}

/// Demonstrations in `worlds` courses, drawn from `seed` on; and the part of the courses for which the planner found a way.
pub(crate) fn demonstrations(worlds: u64, seed: u64) -> anyhow::Result<(Dataset, f64)> {
    let shown: Vec<Option<Shown>> = (0..worlds)
        .into_par_iter()
        .map(|world| of_world(seed.wrapping_add(world)))
        .collect::<anyhow::Result<_>>()?;
    let found = shown.iter().flatten().count();
    let (mut points, mut values) = (Vec::new(), Vec::new());
    for shown in shown.into_iter().flatten() {
        points.extend(shown.points);
        values.extend(shown.observed);
    }
    let data = Dataset::from_scaled("navigate", &points, &[PLACES, 2], 0.0, SCALE)?
        .told(Conditions::Observations { dim: WIDTH, values })?;
    Ok((data, found as f64 / worlds as f64))
}

fn of_world(seed: u64) -> anyhow::Result<Option<Shown>> {
    let (mut world, robot) = World::draw(Map::Known, seed % 4 != 0, seed);
    let Some(path) = demonstrate(&world, &robot)? else { return Ok(None) };
    let mut shown = Shown { points: Vec::new(), observed: Vec::new() };
    let at = |tick: usize| path[tick.min(path.len() - 1)];
    let mut robot = robot;
    for tick in 0..path.len() - PLACES / 2 {
        shown.observed.extend(Observation::of(&world, &robot)?.numbers());
        let mut place = |p: Point| shown.points.extend(less(p, robot.position));
        place(robot.previous);
        (0..PLACES - NOW).for_each(|ahead| place(at(tick + ahead)));
        world.step();
        robot = Robot { previous: robot.position, position: at(tick + 1) };
    }
    Ok(Some(shown))
}
