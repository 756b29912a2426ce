//! What the network learns from: chunks of demonstrated ways, each with what was observed at its beginning.

use crate::planner::demonstrate;
use crate::world::{Map, World};
use picardy_robot::{NOW, Observation, PLACES, Point, Robot, SCALE, WIDTH, less};
use picardy_trainer::data::{Conditions, Dataset};
use rayon::prelude::*;

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
    let (mut world, robot) = World::draw(Map::Known, !seed.is_multiple_of(4), seed);
    let Some(path) = demonstrate(&world, &robot)? else { return Ok(None) };
    let mut shown = Shown { points: Vec::new(), observed: Vec::new() };
    let at = |tick: usize| path[tick.min(path.len() - 1)];
    let mut robot = robot;
    for tick in 0..path.len() - PLACES / 2 {
        shown.observed.extend(Observation::new(robot, world.goal, &world.obstacles)?.numbers());
        let mut place = |p: Point| shown.points.extend(less(p, robot.position));
        place(robot.previous);
        (0..PLACES - NOW).for_each(|ahead| place(at(tick + ahead)));
        world.step();
        robot = Robot { previous: robot.position, position: at(tick + 1) };
    }
    Ok(Some(shown))
}
