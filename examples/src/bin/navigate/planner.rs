//! Who shows how it is done: a search over places and times, smoothed until the robot can follow it.
//!
//! 1. A* over cells of the plane and layers of time, with the obstacles where they will be then.
//! 2. Alternately: the path's bends are evened out, it is pushed out of obstacles, and brought within the robot's limits.
//! 3. What still touches an obstacle or does not arrive is thrown away.

use crate::world::World;
use anyhow::Context;
use picardy::guard::{Guard, Limits};
use picardy::{Level, Row, SliceFrames};
use picardy_robot::{ACCELERATION, DT, Obstacle, Point, Robot, VELOCITY, add, length, less};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Metres of a cell, ticks of a layer, cells of the longest move.
const CELL: f64 = 0.1;
const TICKS: usize = 4;
const REACH: i32 = 4;
const LAYERS: usize = 30;
/// Cells from the middle to the border of what is searched.
const SIDE: i32 = 38;
/// Metres that are kept from obstacles in the search, and at least in the end.
const WIDE: f64 = 0.25;
const NEAR: f64 = 0.12;
/// The part of the robot's limits that is used.
const PART: f64 = 0.95;
/// Ticks for coming to rest.
const REST: usize = 16;
const ROUNDS: usize = 4;
const SMOOTHINGS: usize = 60;

/// The obstacles at every tick from now on.
struct Future(Vec<Vec<Obstacle>>);

impl Future {
    fn of(world: &World) -> Self {
        let mut world = world.clone();
        let ticks = LAYERS * TICKS + REST + 1;
        let mut next = || {
            let now = world.obstacles.clone();
            world.step();
            now
        };
        Self((0..ticks).map(|_| next()).collect())
    }

    fn clearance(&self, tick: usize, point: Point) -> f64 {
        let obstacles = self.0.get(tick).or(self.0.last()).map_or(&[][..], Vec::as_slice);
        obstacles.iter().map(|obstacle| obstacle.clearance(point)).fold(f64::INFINITY, f64::min)
    }
}

/// Positions at every tick, the robot's own first, from here to rest at the goal; `None` where none was found.
pub(crate) fn demonstrate(world: &World, robot: &Robot) -> anyhow::Result<Option<Vec<Point>>> {
    let future = Future::of(world);
    let Some(cells) = search(&future, robot.position, world.goal) else { return Ok(None) };
    let mut path = timed(&cells, robot.position, world.goal);
    for _ in 0..ROUNDS {
        smooth(&mut path, robot, &future);
        limit(&mut path, robot)?;
    }
    let free = path.iter().enumerate().all(|(tick, at)| future.clearance(tick, *at) > NEAR);
    let arrived = path.last().is_some_and(|at| length(less(*at, world.goal)) < 0.05);
    Ok((free && arrived).then_some(path))
}

/// A cell's cost so far, and the move that led to it.
#[derive(Clone, Copy)]
struct Reached {
    cost: u32,
    by: u8,
}

/// The cells of every layer, by A*: as soon as possible, and where that is equal on the shorter way.
fn search(future: &Future, start: Point, goal: Point) -> Option<Vec<Point>> {
    // Cells relative to the start's, which lies within the square.
    let side = 4 * SIDE + 1;
    let index = |layer: usize, [i, j]: [i32; 2]| {
        layer * (side * side) as usize + ((i + 2 * SIDE) * side + j + 2 * SIDE) as usize
    };
    let place = |cell: [i32; 2]| [f64::from(cell[0]) * CELL + start[0], f64::from(cell[1]) * CELL + start[1]];
    let moves: Vec<[i32; 2]> = (-REACH..=REACH)
        .flat_map(|i| (-REACH..=REACH).map(move |j| [i, j]))
        .filter(|[i, j]| i * i + j * j <= REACH * REACH)
        .collect();
    // In thousandths of a layer, so that the heap has whole numbers.
    let rest = |at: Point| (length(less(goal, at)) / (f64::from(REACH) * CELL) * 1000.0) as u32;
    let mut seen = vec![Reached { cost: u32::MAX, by: 0 }; LAYERS * (side * side) as usize];
    seen[index(0, [0, 0])].cost = 0;
    let mut open = BinaryHeap::from([(Reverse(rest(start)), 0usize, [0i32, 0])]);
    while let Some((_, layer, cell)) = open.pop() {
        let at = place(cell);
        if length(less(at, goal)) <= 1.5 * CELL {
            let (mut path, mut cell) = (vec![at], cell);
            for layer in (1..=layer).rev() {
                let step = moves[usize::from(seen[index(layer, cell)].by)];
                cell = [cell[0] - step[0], cell[1] - step[1]];
                path.push(place(cell));
            }
            path.reverse();
            return Some(path);
        }
        if layer + 1 == LAYERS {
            continue;
        }
        let cost = seen[index(layer, cell)].cost;
        for (by, step) in (0u8..).zip(&moves) {
            let next = [cell[0] + step[0], cell[1] + step[1]];
            let to = place(next);
            if to.iter().any(|x| x.abs() > f64::from(SIDE) * CELL) {
                continue;
            }
            // A layer, and a little for the way.
            let cost = cost + 1000 + (length(less(to, at)) * 50.0) as u32;
            let known = &mut seen[index(layer + 1, next)];
            if cost >= known.cost {
                continue;
            }
            let half = add(at, less(to, at), 0.5);
            let tick = layer * TICKS;
            if future.clearance(tick + TICKS / 2, half) < WIDE || future.clearance(tick + TICKS, to) < WIDE {
                continue;
            }
            *known = Reached { cost, by };
            open.push((Reverse(cost + rest(to)), layer + 1, next));
        }
    }
    None
}

/// The path at every tick, begun slowly, then the goal until the robot has come to rest.
fn timed(cells: &[Point], start: Point, goal: Point) -> Vec<Point> {
    let end = (cells.len() - 1) as f64;
    let (mut path, mut layer, mut speed) = (vec![start], 0.0, 0.2);
    while layer < end {
        speed = f64::min(1.0, speed + 0.2);
        layer = f64::min(end, layer + PART * speed / TICKS as f64);
        let (whole, part) = (layer.floor() as usize, layer.fract());
        let from = cells[whole.min(cells.len() - 1)];
        let to = cells[(whole + 1).min(cells.len() - 1)];
        path.push(add(from, less(to, from), part));
    }
    path.extend([goal; REST]);
    path
}

/// Evens out bends (steps down the sum of squared second differences), and pushes out of obstacles.
fn smooth(path: &mut [Point], robot: &Robot, future: &Future) {
    let n = path.len();
    let second = |path: &[Point], i: isize| -> Point {
        let at = |i: isize| match usize::try_from(i) {
            Ok(i) => path[i.min(n - 1)],
            Err(_) => robot.previous,
        };
        if i < 0 || i >= n as isize { [0.0; 2] } else { add(add(at(i + 1), at(i), -2.0), at(i - 1), 1.0) }
    };
    for _ in 0..SMOOTHINGS {
        let before = path.to_vec();
        for (i, at) in path.iter_mut().enumerate().take(n - 1).skip(1) {
            let j = i as isize;
            let slope =
                add(add(second(&before, j - 1), second(&before, j), -2.0), second(&before, j + 1), 1.0);
            *at = add(*at, slope, -0.06);
            for obstacle in future.0.get(i).map_or(&[][..], Vec::as_slice) {
                let missing = WIDE - obstacle.clearance(*at);
                let away = less(*at, obstacle.at);
                if missing > 0.0 && length(away) > 1e-6 {
                    *at = add(*at, away, 0.5 * missing / length(away));
                }
            }
        }
    }
}

/// Brings the path within the robot's limits.
fn limit(path: &mut [Point], robot: &Robot) -> anyhow::Result<()> {
    let velocity = less(robot.position, robot.previous);
    let limits = Limits::new(2, PART * VELOCITY * DT, PART * ACCELERATION * DT * DT)?
        .after(&robot.position, &velocity)
        .context("the robot's own speed")?
        .sweeps(40);
    let mut numbers: Vec<f64> = path[1..].iter().flatten().copied().collect();
    let row = Row { item: 0, node: 0, level: Level::DATA, conditional: true };
    let dim = numbers.len();
    { limits }.apply(&row, &mut SliceFrames::new(&mut numbers, dim), 0)?;
    for (at, pair) in path[1..].iter_mut().zip(numbers.chunks_exact(2)) {
        *at = [pair[0], pair[1]];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Map;
    use picardy_robot::breaks;

    #[test]
    fn ways_are_free_within_limits_and_arrive() {
        let mut found = 0;
        for seed in 0..12 {
            let (world, robot) = World::draw(Map::Known, seed % 2 == 0, seed);
            let Some(path) = demonstrate(&world, &robot).unwrap() else { continue };
            found += 1;
            assert_eq!(path[0], robot.position);
            assert!(length(less(path[path.len() - 1], world.goal)) < 0.05);
            let (mut world, mut robot) = (world, robot);
            for to in &path[1..] {
                world.step();
                let before = robot;
                robot.go(*to);
                assert!(!breaks(&before, &robot), "seed {seed}: {before:?} {robot:?}");
                assert!(world.obstacles.iter().all(|o| o.clearance(*to) > 0.0), "seed {seed}");
            }
        }
        assert!(found >= 8, "{found} of 12");
    }

    #[test]
    fn where_there_is_no_way_none_is_shown() {
        let (mut world, robot) = World::draw(Map::Known, false, 1);
        // A ring of discs that stand around the goal.
        world.obstacles = (0..16)
            .map(|k| {
                let (sin, cos) = (f64::from(k) * std::f64::consts::TAU / 16.0).sin_cos();
                let at = add(world.goal, [cos, sin], 0.8);
                Obstacle { at, velocity: [0.0; 2], radius: 0.2 }
            })
            .collect();
        assert_eq!(demonstrate(&world, &robot).unwrap(), None);
    }
}
