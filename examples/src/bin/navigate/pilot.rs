//! One cycle: from an observation and the last plan to the next plan.

use crate::avoid::Avoid;
use crate::demonstrations::{DIM, NOW, PLACES, SCALE, chunk};
use crate::observation::Observation;
use crate::world::{ACCELERATION, DT, Point, Robot, VELOCITY, add, length, less};
use anyhow::Context;
use picardy::guard::{Guarded, Inpaint, Limits};
use picardy::horizon::{Overlap, renoise, shift};
use picardy::nn::{Artifact, ModelCard, Network, NetworkDenoiser, Step};
use picardy::{
    Betas, Ddim, Denoiser, Grid, Level, Memory, Node, Noise, Prediction, Sampler, Sequential, SliceFrames,
    Solver,
};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Actions that are committed: the one that is executed while the plan is made.
pub(crate) const DELAY: usize = 1;
/// Places that are known when a plan is made: before, now, and the committed actions.
pub(crate) const KNOWN: usize = NOW + 1 + DELAY;

/// The place that the robot goes to in the tick of the plan.
pub(crate) const NOW_TO_NEXT: usize = NOW + 1;

/// What of all this is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Features {
    /// Velocity and acceleration are kept within the robot's limits.
    pub(crate) limits: bool,
    /// Plans are pushed out of obstacles.
    pub(crate) obstacles: bool,
    /// What is known of the chunk (its committed actions) is held.
    pub(crate) hard: bool,
    /// So is the rest of the last plan, less and less.
    pub(crate) soft: bool,
    /// DDIM steps, and of these how many follow a warm start.
    pub(crate) steps: usize,
    pub(crate) warm: Option<usize>,
    /// Ends a cycle with the best plan so far.
    pub(crate) deadline: Option<Duration>,
}

impl Features {
    /// Everything but the warm start.
    pub(crate) const ALL: Self =
        Self { limits: true, obstacles: true, hard: true, soft: true, steps: 10, warm: None, deadline: None };
    /// The network alone, told only where the robot is.
    pub(crate) const NONE: Self =
        Self { limits: false, obstacles: false, hard: false, soft: false, ..Self::ALL };
}

/// Where a plan is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Sampled to the end.
    Sampled,
    /// The best when time was up.
    Early,
    /// The rest of the last plan: no later than it does the new one touch an obstacle.
    Kept,
    /// Braking: every other plan touches an obstacle sooner.
    Braking,
}

/// A plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The places in the world, where the robot was one tick before the plan the first.
    pub(crate) places: [Point; PLACES],
    pub(crate) source: Source,
    /// Evaluations of the network.
    pub(crate) evaluations: usize,
    pub(crate) seconds: f64,
}

/// A network with all that a cycle needs; nothing is allocated for each.
pub(crate) struct Pilot<'m, 'a> {
    pub(crate) network: Network<'m, 'a>,
    pub(crate) scratch: Vec<f32>,
    levels: Vec<Level>,
    nodes: Vec<Node>,
    memory: Memory<f32>,
}

/// Runs `work` with a pilot of the network in `bytes`.
pub(crate) fn with_pilot<R>(
    bytes: &[u8],
    work: impl FnOnce(&mut Pilot<'_, '_>) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let artifact = Artifact::parse(bytes).context("the network's file")?;
    let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
    let mut program = vec![Step::default(); card.architecture.steps(card.condition)];
    let network = Network::from_artifact(&artifact, &card, &mut program)?;
    let scratch = vec![0.0; network.scratch_len(1) + network.condition()];
    work(&mut Pilot { network, scratch, levels: Vec::new(), nodes: Vec::new(), memory: Memory::new() })
}

impl Pilot<'_, '_> {
    /// The plan for what is `seen`, after `last` of which so many actions were `executed`.
    ///
    /// # Errors
    /// An observation from which no plan keeps the limits, a network for other chunks.
    ///
    /// Safe answers: with a deadline of zero one round is left, whose estimate is the plan; where the new plan touches an obstacle
    /// (as far as can be foreseen) before the rest of the last one does, that rest; where braking is free for longer, braking.
    pub(crate) fn plan(
        &mut self,
        seen: &Observation,
        last: Option<(&Plan, usize)>,
        features: &Features,
        seed: u64,
    ) -> anyhow::Result<Plan> {
        let begin = Instant::now();
        if features.limits {
            seen.within_limits()?;
        }
        let chunk = chunk()?;
        // The rest of the last plan in the new chunk's coordinates; at the beginning, standing still.
        let mut rest = [0.0f32; DIM];
        let mut executed = 0;
        if let Some((last, done)) = last {
            rest = last.relative(seen.robot.position);
            shift(chunk, done, &mut rest)?;
            executed = done;
        } else {
            relative([seen.robot.previous; 1], seen.robot.position, &mut rest[..2]);
        }
        relative([seen.robot.previous, seen.robot.position], seen.robot.position, &mut rest[..2 * (NOW + 1)]);
        let kept = rest;

        let mut mask = [0.0f32; DIM];
        if features.soft && last.is_some() {
            Overlap { delay: KNOWN, executed }.fill(chunk, &mut mask)?;
        }
        let known = if features.hard { KNOWN } else { NOW + 1 };
        mask[..2 * known].fill(1.0);
        let known_values = rest;
        let inpaint = Inpaint::new(&mask, &known_values)?;
        let free = f64::INFINITY;
        let unit = if features.limits { DT / SCALE } else { free };
        let limits = Limits::<f32>::new(2, VELOCITY * unit, ACCELERATION * DT * unit)?.keeping(known);
        let mut avoid = Avoid::new(seen, known);
        if !features.obstacles {
            avoid = Avoid::new(&Observation { obstacles: Vec::new(), ..seen.clone() }, known);
        }

        self.levels.resize(features.steps + 1, Level::default());
        let grid = Betas::cosine(100).trailing(features.steps, &mut self.levels)?;
        let warm = features.warm.filter(|_| last.is_some());
        let grid: Grid<'_> = match warm {
            Some(steps) => grid.tail(steps)?,
            None => grid,
        };
        let solver = Ddim::default();
        self.nodes.resize(solver.nodes(grid.steps()), Node::default());
        let plan = solver.plan(&grid, Prediction::Sample, &mut self.nodes)?;
        let noise = Noise::seeded(seed);
        let mut x = [0.0f32; DIM];
        if warm.is_some() {
            renoise(&grid.levels()[0], &rest, &noise, DIM, &mut x)?;
        } else {
            plan.start(&noise, DIM, &mut x);
        }
        let mut condition = Vec::with_capacity(crate::observation::WIDTH + 1);
        condition.extend(seen.numbers());
        condition.push(1.0);
        let denoiser = NetworkDenoiser::new(self.network, &condition, &mut self.scratch);
        let mut denoiser = Guarded::new(denoiser, (inpaint, (avoid, limits)));
        let mut workspace = self.memory.workspace(Sequential.need(&plan, 1), DIM);
        let until = features.deadline.map(|deadline| begin + deadline);
        let watch = |_: &picardy::Round| match until {
            Some(until) if Instant::now() >= until => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let report = Sequential.run_watched(&plan, &mut denoiser, &noise, &mut x, &mut workspace, watch)?;

        let mut sampled = Plan::new(&x, seen.robot.position);
        sampled.source = if report.finished { Source::Sampled } else { Source::Early };
        let mut best = sampled;
        if features.obstacles {
            let mut others = Vec::new();
            if last.is_some() {
                // Behind its end it stops, but no more sharply than it may.
                others.push((Source::Kept, braking(&kept, PLACES - executed)));
            }
            others.push((Source::Braking, braking(&kept, KNOWN)));
            for (source, chunk) in others {
                let other = Plan { source, ..Plan::new(&chunk, seen.robot.position) };
                if other.touches(seen) > best.touches(seen) {
                    best = other;
                }
            }
        }
        best.evaluations = report.evaluations;
        best.seconds = begin.elapsed().as_secs_f64();
        Ok(best)
    }

    /// The network told what is seen: for estimates without guards.
    pub(crate) fn denoiser<'s>(
        &'s mut self,
        told: &'s [f32],
    ) -> impl Denoiser<SliceFrames<'s, f32>, Error = picardy::nn::ModelError> {
        NetworkDenoiser::new(self.network, told, &mut self.scratch)
    }
}

/// Places of the world as numbers of a chunk.
fn relative<const N: usize>(places: [Point; N], origin: Point, out: &mut [f32]) {
    for (out, place) in out.chunks_exact_mut(2).zip(places) {
        out.copy_from_slice(&less(place, origin).map(|x| (x / SCALE) as f32));
    }
}

/// The same places before `from`, and from there coming to rest as fast as can be.
fn braking(kept: &[f32; DIM], from: usize) -> [f32; DIM] {
    let mut chunk = *kept;
    let most = ACCELERATION * DT * DT / SCALE;
    for place in from.max(KNOWN)..PLACES {
        let at = |place: usize| [f64::from(chunk[2 * place]), f64::from(chunk[2 * place + 1])];
        let step = less(at(place - 1), at(place - 2));
        let speed = length(step);
        let factor = if speed > most { 1.0 - most / speed } else { 0.0 };
        let to = add(at(place - 1), step, factor);
        chunk[2 * place..2 * place + 2].copy_from_slice(&to.map(|x| x as f32));
    }
    chunk
}

impl Plan {
    fn new(chunk: &[f32; DIM], origin: Point) -> Self {
        let mut places = [origin; PLACES];
        for (place, x) in places.iter_mut().zip(chunk.chunks_exact(2)) {
            *place = add(origin, [f64::from(x[0]), f64::from(x[1])], SCALE);
        }
        Self { places, source: Source::Sampled, evaluations: 0, seconds: 0.0 }
    }

    /// The places relative to a point, in the network's unit.
    pub(crate) fn relative(&self, origin: Point) -> [f32; DIM] {
        let mut out = [0.0; DIM];
        relative(self.places, origin, &mut out);
        out
    }

    /// The first place that touches an obstacle, as far as can be foreseen; past the end where none does.
    pub(crate) fn touches(&self, seen: &Observation) -> usize {
        let hit = |(place, at): (usize, &Point)| {
            let ticks = place as f64 - NOW as f64;
            place > NOW
                && seen.obstacles.iter().any(|o| {
                    let there = crate::world::Obstacle { at: add(o.at, o.velocity, ticks * DT), ..*o };
                    there.clearance(*at) < 0.0
                })
        };
        self.places.iter().enumerate().position(hit).unwrap_or(PLACES)
    }

    /// Whether what is left of it after `age` ticks touches an obstacle, as far as can be foreseen.
    pub(crate) fn touches_after(&self, seen: &Observation, age: usize) -> bool {
        let mut rest = self.clone();
        rest.places.rotate_left(age);
        rest.places[PLACES - age..].fill(self.places[PLACES - 1]);
        rest.touches(seen) < PLACES - age
    }

    /// Moves that were not known before.
    pub(crate) fn moves(&self) -> usize {
        PLACES - KNOWN
    }

    /// Of these, how many break a limit, by more than one part in a hundred.
    pub(crate) fn violations(&self) -> usize {
        let robot = |place: usize| Robot { previous: self.places[place - 1], position: self.places[place] };
        (KNOWN..PLACES).filter(|&place| breaks(&robot(place - 1), &robot(place))).count()
    }
}

/// Whether a move after another breaks one of the robot's limits.
pub(crate) fn breaks(before: &Robot, after: &Robot) -> bool {
    const SLACK: f64 = 1.01;
    let change = length(less(after.velocity(), before.velocity())) / DT;
    length(after.velocity()) > SLACK * VELOCITY || change > SLACK * ACCELERATION
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demonstrations::demonstrations;
    use crate::training::{Loss, Training, train};
    use crate::world::{Map, World};

    fn network() -> Vec<u8> {
        let (data, _) = demonstrations(4, 1).unwrap();
        let settings = Training { steps: 1, batch: 8, widths: vec![8, 16], seed: 1, weight: 1e-3 };
        train(Loss::Standard, &settings, &data, tempfile::tempdir().unwrap().path()).unwrap().bytes
    }

    #[test]
    fn plans_begin_where_the_robot_is_and_keep_what_they_are_told() {
        with_pilot(&network(), |pilot| {
            let (world, robot) = World::draw(Map::Known, false, 4);
            let seen = Observation::of(&world, &robot)?;
            let first = pilot.plan(&seen, None, &Features::ALL, 0)?;
            assert_eq!((first.places[0], first.places[NOW]), (robot.previous, robot.position));
            assert_eq!((first.violations(), first.evaluations), (0, 10));
            // Two moves on: the next action is the last plan's, whatever this network says.
            let moved = Robot { previous: first.places[2], position: first.places[3] };
            let seen = Observation::of(&world, &moved)?;
            let warm = Features { warm: Some(5), ..Features::ALL };
            let second = pilot.plan(&seen, Some((&first, 2)), &warm, 1)?;
            assert_eq!((second.evaluations, second.violations()), (5, 0));
            if second.source == Source::Sampled {
                assert!(length(less(second.places[NOW_TO_NEXT], first.places[4])) < 1e-6);
            }
            assert!(pilot.plan(&seen, Some((&first, PLACES)), &warm, 1).is_err());
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_deadline_of_zero_leaves_one_round_and_a_plan_within_limits() {
        with_pilot(&network(), |pilot| {
            let (world, robot) = World::draw(Map::Known, false, 5);
            let seen = Observation::of(&world, &robot)?;
            let none = Features { deadline: Some(Duration::ZERO), ..Features::ALL };
            let plan = pilot.plan(&seen, None, &none, 0)?;
            assert!(plan.evaluations == 1 && plan.source != Source::Sampled && plan.violations() == 0);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn what_no_plan_can_mend_is_an_error_or_braking() {
        with_pilot(&network(), |pilot| {
            let (mut world, robot) = World::draw(Map::Known, false, 5);
            let fast = Robot { previous: add(robot.position, [-0.3, 0.0], 1.0), ..robot };
            let seen = Observation::of(&world, &fast)?;
            assert!(
                pilot.plan(&seen, None, &Features::ALL, 0).unwrap_err().to_string().contains("3.000 m/s")
            );
            // A disc that nobody escapes, at twice the robot's speed.
            world.obstacles[0].at = add(robot.position, [1.5, 0.0], 1.0);
            (world.obstacles[0].velocity, world.obstacles[0].radius) = ([-2.0, 0.0], 1.2);
            let seen = Observation::of(&world, &robot)?;
            let plan = pilot.plan(&seen, None, &Features::ALL, 0)?;
            assert!(plan.touches(&seen) < PLACES && plan.violations() == 0);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn braking_stops_as_fast_as_can_be() {
        let mut kept = [0.0f32; DIM];
        for (place, x) in kept.chunks_exact_mut(2).enumerate() {
            x[0] = (0.1 * (place as f64 - 1.0) / SCALE) as f32; // 1 m/s
        }
        let plan = Plan::new(&braking(&kept, KNOWN), [0.0; 2]);
        assert_eq!(plan.violations(), 0);
        let way = plan.places[PLACES - 1][0] - plan.places[KNOWN - 1][0];
        // v^2/2a, in steps.
        assert!((0.199..0.25).contains(&way), "{way}");
        assert!(length(less(plan.places[PLACES - 1], plan.places[PLACES - 2])) < 1e-6);
    }
}
