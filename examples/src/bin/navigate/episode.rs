//! A closed loop at 10 Hz: look, plan where it is time to, move.

use crate::alarm::{Alarm, Followed};
use crate::pilot::Pilot;
use crate::world::{Map, World};
use picardy::likelihood::Threshold;
use picardy_robot::{
    DELAY, DT, Features, Observation, Obstacle, PLACES, Point, Robot, Source, add, breaks, length, less,
};
use picardy_trainer::rng::Rng;
use std::time::Duration;

/// Ticks after which a run is given up.
const MOST: usize = 150;
/// Metres from the goal at which it is reached.
const REACHED: f64 = 0.15;

/// When to plan before it is time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Replan {
    /// Never.
    Scheduled,
    /// When the noise classifier says so.
    Classifier(Threshold),
    /// By chance, in so many ticks of all.
    Chance(f64),
    /// When the plan touches an obstacle, as far as geometry foresees.
    Geometry,
}

/// How a run is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) map: Map,
    pub(crate) features: Features,
    /// What a cycle may take; over it, the best plan so far is followed.
    pub(crate) deadline: Option<Duration>,
    /// Ticks between plans.
    pub(crate) every: usize,
    pub(crate) replan: Replan,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reached: bool,
    pub(crate) collided: bool,
    pub(crate) ticks: usize,
    pub(crate) plans: usize,
    pub(crate) sampled: usize,
    pub(crate) alarms: usize,
    pub(crate) evaluations: usize,
    pub(crate) alarm_evaluations: usize,
    /// Moves beyond a limit, of those that were made and of those that were planned, and how many were planned.
    pub(crate) broken: usize,
    pub(crate) planned_broken: usize,
    pub(crate) planned: usize,
    /// Seconds of each cycle.
    pub(crate) seconds: Vec<f64>,
    /// Changes of acceleration, in m/s^3: where one plan follows another, and within plans.
    pub(crate) joins: Vec<f64>,
    pub(crate) within: Vec<f64>,
    /// How often the classifier was asked.
    pub(crate) asked: usize,
    /// Its scores where something had turned and the plan was still free: alarms would be needless.
    pub(crate) scores: Vec<f64>,
    pub(crate) nearest: f64,
    pub(crate) goal: Point,
    /// The way, with the obstacles and the plan at every tick.
    pub(crate) frames: Vec<Frame>,
}

/// One tick of a run, for pictures.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) robot: Point,
    pub(crate) obstacles: Vec<Obstacle>,
    pub(crate) plan: Vec<Point>,
    pub(crate) fresh: bool,
}

/// One run through the course of `seed`.
pub(crate) fn run(
    pilot: &mut Pilot<'_, '_>,
    settings: &Settings,
    seed: u64,
    scored: bool,
) -> anyhow::Result<Outcome> {
    let (mut world, mut robot) = World::draw(settings.map, false, seed);
    let mut lookout = Lookout::new(settings.replan, scored, seed)?;
    let mut followed: Option<Followed> = None;
    let mut out = Outcome { nearest: f64::INFINITY, goal: world.goal, ..Outcome::default() };
    let mut acceleration = [0.0; 2];
    for tick in 0..MOST {
        let seen = Observation::new(robot, world.goal, &world.obstacles)?;
        let fresh = match &followed {
            None => true,
            Some(now) if now.age >= settings.every => true,
            Some(now) => now.age > 0 && lookout.asks(pilot, now, &seen, &mut out)?,
        };
        let mut now = match followed.take() {
            Some(now) if !fresh => now,
            last => {
                let seed = seed.wrapping_mul(1000).wrapping_add(tick as u64);
                next_plan(pilot, settings, &seen, last.as_ref(), seed, &mut out)?
            }
        };
        let before = robot;
        robot.go(now.plan.next(now.age).unwrap_or_else(|| robot.braking()));
        acceleration = out.moved([&before, &robot], acceleration, settings, now.age);
        now.age += 1;
        out.frames.push(Frame {
            robot: before.position,
            obstacles: world.obstacles.clone(),
            plan: now.plan.places.to_vec(),
            fresh,
        });
        followed = Some(now);
        let then = world.obstacles.clone();
        world.step();
        out.nearest = out.nearest.min(nearest([&before, &robot], &then, &world.obstacles));
        out.ticks = tick + 1;
        out.collided = out.nearest < 0.0;
        out.reached = !out.collided && length(less(robot.position, world.goal)) < REACHED;
        if out.collided || out.reached {
            break;
        }
    }
    Ok(out)
}

/// Plans from what is seen, going on from the last plan.
fn next_plan(
    pilot: &mut Pilot<'_, '_>,
    settings: &Settings,
    seen: &Observation<'_>,
    last: Option<&Followed>,
    seed: u64,
    out: &mut Outcome,
) -> anyhow::Result<Followed> {
    let last = last.map(|now| (&now.plan, now.age));
    let (plan, seconds) = pilot.plan(seen, last, &settings.features, settings.deadline, seed)?;
    out.plans += 1;
    out.sampled += usize::from(matches!(plan.source, Source::Sampled | Source::Early));
    out.evaluations += plan.evaluations;
    out.planned_broken += plan.violations();
    out.planned += plan.moves();
    out.seconds.push(seconds);
    Ok(Followed::new(plan, seen))
}

impl Outcome {
    /// Counts a move of a plan of that age, after one with that acceleration; gives back its own.
    fn moved(
        &mut self,
        [before, after]: [&Robot; 2],
        acceleration: Point,
        settings: &Settings,
        age: usize,
    ) -> Point {
        self.broken += usize::from(breaks(before, after));
        let changed = less(after.velocity(), before.velocity()).map(|v| v / DT);
        // A new plan's own first move comes after the committed ones, where those are held.
        let join = if settings.features.committed { DELAY } else { 0 };
        let jerk = length(less(changed, acceleration)) / DT;
        let jerks = if self.plans > 1 && age == join { &mut self.joins } else { &mut self.within };
        jerks.push(jerk);
        changed
    }
}

/// The least clearance in a move, half way and at its end.
fn nearest([before, after]: [&Robot; 2], then: &[Obstacle], now: &[Obstacle]) -> f64 {
    let way = add(before.position, less(after.position, before.position), 0.5);
    let clearance = |(from, to): (&Obstacle, &Obstacle)| {
        let half = Obstacle { at: add(from.at, less(to.at, from.at), 0.5), ..*to };
        half.clearance(way).min(to.clearance(after.position))
    };
    then.iter().zip(now).map(clearance).fold(f64::INFINITY, f64::min)
}

/// Who asks for a plan before it is time.
struct Lookout {
    replan: Replan,
    /// Whether the classifier is asked even where nobody heeds it.
    scored: bool,
    alarm: Alarm,
    chance: Rng,
}

impl Lookout {
    fn new(replan: Replan, scored: bool, seed: u64) -> anyhow::Result<Self> {
        Ok(Self { replan, scored, alarm: Alarm::new()?, chance: Rng::new(seed, 0x4348_414E_4345_0000) })
    }

    /// Whether to plan now.
    fn asks(
        &mut self,
        pilot: &mut Pilot<'_, '_>,
        now: &Followed,
        seen: &Observation<'_>,
        out: &mut Outcome,
    ) -> anyhow::Result<bool> {
        let touches = || now.plan.touches(seen, now.age) < PLACES;
        let mut score = 0.0;
        if self.scored || matches!(self.replan, Replan::Classifier(_)) {
            let (value, evaluations) = self.alarm.score(pilot, now, seen)?;
            score = value;
            out.alarm_evaluations += evaluations;
            out.asked += 1;
            if evaluations > 0 && !touches() {
                out.scores.push(score);
            }
        }
        let early = match self.replan {
            Replan::Scheduled => false,
            Replan::Classifier(threshold) => threshold.is_alarm(score),
            Replan::Chance(rate) => self.chance.uniform() < rate,
            Replan::Geometry => touches(),
        };
        out.alarms += usize::from(early);
        Ok(early)
    }
}
