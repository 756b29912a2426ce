//! A closed loop at 10 Hz: look, plan where it is time to, move.

use crate::alarm::{Alarm, Followed};
use crate::pilot::Pilot;
use crate::world::{Map, World};
use picardy::likelihood::Threshold;
use picardy_robot::{
    DELAY, DT, Features, Observation, Obstacle, PLACES, Point, Source, add, breaks, length, less,
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
    let mut chance = Rng::new(seed, 0x4348_414E_4345_0000);
    let mut alarm = Alarm::new()?;
    let mut followed_plan: Option<Followed> = None;
    let mut out = Outcome { nearest: f64::INFINITY, goal: world.goal, ..Outcome::default() };
    let mut acceleration = [0.0; 2];
    for tick in 0..MOST {
        let seen = Observation::new(robot, world.goal, &world.obstacles)?;
        let mut fresh = followed_plan.is_none();
        if let Some(now) = &followed_plan {
            fresh = now.age >= settings.every;
            if !fresh && now.age > 0 {
                let classifier = matches!(settings.replan, Replan::Classifier(_));
                let mut score = 0.0;
                if classifier || scored {
                    let (value, evaluations) = alarm.score(pilot, now, &seen)?;
                    (score, out.alarm_evaluations) = (value, out.alarm_evaluations + evaluations);
                    out.asked += 1;
                    if evaluations > 0 && now.plan.touches(&seen, now.age) == PLACES {
                        out.scores.push(score);
                    }
                }
                let early = match settings.replan {
                    Replan::Scheduled => false,
                    Replan::Classifier(threshold) => threshold.is_alarm(score),
                    Replan::Chance(rate) => chance.uniform() < rate,
                    Replan::Geometry => now.plan.touches(&seen, now.age) < PLACES,
                };
                out.alarms += usize::from(early);
                fresh = early;
            }
        }
        if fresh {
            let last = followed_plan.as_ref().map(|now| (&now.plan, now.age));
            let seed = seed.wrapping_mul(1000).wrapping_add(tick as u64);
            let (plan, seconds) = pilot.plan(&seen, last, &settings.features, settings.deadline, seed)?;
            out.plans += 1;
            out.sampled += usize::from(matches!(plan.source, Source::Sampled | Source::Early));
            out.evaluations += plan.evaluations;
            out.planned_broken += plan.violations();
            out.planned += plan.moves();
            out.seconds.push(seconds);
            followed_plan = Some(Followed::new(plan, &seen));
        }
        let Some(now) = &mut followed_plan else { continue };
        let next = now.plan.next(now.age);
        let before = robot;
        robot.go(next);
        out.broken += usize::from(breaks(&before, &robot));
        let changed = less(robot.velocity(), before.velocity()).map(|v| v / DT);
        // A new plan's own first move comes after the committed ones, where those are held.
        let join = if settings.features.committed { DELAY } else { 0 };
        let jerk = length(less(changed, acceleration)) / DT;
        if out.plans > 1 && now.age == join {
            out.joins.push(jerk);
        } else {
            out.within.push(jerk);
        }
        acceleration = changed;
        now.age += 1;
        out.frames.push(Frame {
            robot: before.position,
            obstacles: world.obstacles.clone(),
            plan: now.plan.places.to_vec(),
            fresh,
        });
        // Between two ticks too.
        let then = world.obstacles.clone();
        world.step();
        for (from, to) in then.iter().zip(&world.obstacles) {
            let half = Obstacle { at: add(from.at, less(to.at, from.at), 0.5), ..*to };
            let way = add(before.position, less(robot.position, before.position), 0.5);
            out.nearest = out.nearest.min(half.clearance(way)).min(to.clearance(robot.position));
        }
        out.ticks = tick + 1;
        if out.nearest < 0.0 {
            out.collided = true;
            break;
        }
        if length(less(robot.position, world.goal)) < REACHED {
            out.reached = true;
            break;
        }
    }
    Ok(out)
}
