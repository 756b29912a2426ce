//! One cycle: from an observation and the last plan to the next plan.

use crate::plan::{braking, write};
use crate::{
    ACCELERATION, Avoid, DIM, DT, KNOWN, NOW, Observation, ObservationError, PLACES, Plan, Robot, SCALE,
    Source, VELOCITY, breaks, length,
};
use core::fmt;
use core::ops::ControlFlow;
use picardy::guard::{GuardError, Guarded, Inpaint, Limits};
use picardy::horizon::{Chunk, HorizonError, Overlap, renoise};
use picardy::{
    Betas, Ddim, Denoiser, Level, Node, Noise, PlanError, Prediction, SampleError, Sampler, ScheduleError,
    Sequential, SliceFrames, Solver, Workspace,
};

/// The most DDIM steps.
pub const STEPS: usize = 20;

/// The part of its speed below which a robot counts as stuck.
const STUCK: f64 = 0.3;

/// What of all this is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Velocity and acceleration are kept within the robot's limits.
    pub limits: bool,
    /// Plans are pushed out of obstacles; the last plan's rest, or braking, stand in for one that touches an obstacle sooner.
    pub obstacles: bool,
    /// The committed actions are held.
    pub committed: bool,
    /// So is the rest of the last plan, less and less.
    pub soft: bool,
    /// DDIM steps, at most [`STEPS`].
    pub steps: usize,
    /// How many of them follow a warm start, where the robot moves by a plan that the network made.
    pub warm: Option<usize>,
}

impl Features {
    /// Everything but the warm start.
    pub const ALL: Self =
        Self { limits: true, obstacles: true, committed: true, soft: true, steps: 10, warm: None };
    /// The network alone, told only where the robot is.
    pub const NONE: Self =
        Self { limits: false, obstacles: false, committed: false, soft: false, ..Self::ALL };
}

/// A cycle's memory: static in an image.
#[derive(Debug)]
pub struct Buffers {
    levels: [Level; STEPS + 1],
    nodes: [Node; STEPS + 1],
    rows: [f32; 2 * DIM],
}

impl Buffers {
    /// Nothing in it yet.
    pub const fn new() -> Self {
        Self { levels: [Level::EMPTY; STEPS + 1], nodes: [Node::EMPTY; STEPS + 1], rows: [0.0; 2 * DIM] }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a cycle has no plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CycleError<E> {
    /// What is seen.
    Observation(ObservationError),
    /// More actions were executed than a plan has beside those that are committed.
    Horizon(HorizonError),
    /// No steps, or more than [`STEPS`]; a warm start of none, or of more than all.
    Schedule(ScheduleError),
    /// The solver.
    Plan(PlanError),
    /// A guard.
    Guard(GuardError),
    /// The run, and in it the network.
    Sample(SampleError<E>),
}

impl<E: fmt::Display> fmt::Display for CycleError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observation(error) => error.fmt(f),
            Self::Horizon(error) => error.fmt(f),
            Self::Schedule(error) => error.fmt(f),
            Self::Plan(error) => error.fmt(f),
            Self::Guard(error) => error.fmt(f),
            Self::Sample(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CycleError<E> {}

macro_rules! from {
    ($($kind:ident($error:ty)),*) => {
        $(impl<E> From<$error> for CycleError<E> {
            fn from(error: $error) -> Self {
                Self::$kind(error)
            }
        })*
    };
}
from!(
    Observation(ObservationError),
    Horizon(HorizonError),
    Schedule(ScheduleError),
    Plan(PlanError),
    Guard(GuardError),
    Sample(SampleError<E>)
);

/// The plan for what is `seen`, after `last` of which so many actions were executed. `denoiser` is a network that was told the observation's
/// numbers and predicts the data. `expired` is asked after every evaluation.
///
/// Safe answers: where time is up after the first evaluation, its estimate is the plan; with [`Features::obstacles`], where the new plan touches an obstacle (as far as
/// can be foreseen) before the rest of the last one does, that rest; where braking is free for longer, braking. Where all touch one, the plan that
/// does so last, which [`Plan::free_until`] tells. A robot that is not where the last plan has it begins anew.
///
/// # Errors
/// [`CycleError`]: an observation from which no plan keeps the limits, a network for other chunks or whose output is not finite.
pub fn plan<'b, D: Denoiser<SliceFrames<'b, f32>>>(
    denoiser: D,
    seen: &Observation<'_>,
    last: Option<(&Plan, usize)>,
    features: &Features,
    seed: u64,
    buffers: &'b mut Buffers,
    mut expired: impl FnMut() -> bool,
) -> Result<Plan, CycleError<D::Error>> {
    if features.limits {
        seen.within_limits()?;
    }
    let chunk = Chunk::new(PLACES, 2)?;
    let robot = seen.robot();
    let origin = robot.position;
    if let Some((_, executed)) = last.filter(|(_, executed)| *executed > PLACES - KNOWN) {
        return Err(HorizonError::Executed { executed, places: PLACES }.into());
    }
    // A robot that is not where the plan had it (it slipped, or so many actions were not executed) does not follow it on.
    let last = last.filter(|(plan, executed)| {
        let next = plan.next(*executed).map(|position| Robot { previous: origin, position });
        next.is_some_and(|next| !(features.limits && breaks(&robot, &next)))
    });
    // The rest of the last plan in the new chunk's coordinates; at the beginning, standing still.
    let (mut rest, executed) = match last {
        Some((plan, executed)) => (plan.rest(executed, origin)?, executed),
        None => ([0.0; DIM], 0),
    };
    write(&[robot.previous, origin], origin, &mut rest[..2 * (NOW + 1)]);
    if last.is_none() {
        rest = braking(&rest, NOW + 1);
    }

    let mut mask = [0.0f32; DIM];
    if features.soft && last.is_some() {
        Overlap { delay: KNOWN, executed }.fill(chunk, &mut mask)?;
    }
    let known = if features.committed { KNOWN } else { NOW + 1 };
    mask[..2 * known].fill(1.0);
    let held = rest;
    let inpaint = Inpaint::new(&mask, &held)?;
    let unit = if features.limits { DT / SCALE } else { f64::INFINITY };
    let limits = Limits::<f32>::new(2, VELOCITY * unit, ACCELERATION * DT * unit)?.keeping(known);
    let avoided = if features.obstacles { *seen } else { seen.alone() };
    let avoid = Avoid::new(avoided, known);

    let Buffers { levels, nodes, rows } = buffers;
    let levels = levels.get_mut(..=features.steps).unwrap_or(&mut []);
    let whole = Betas::cosine(100).trailing(features.steps, levels)?;
    // From a plan that no network made (the last one's rest, braking), or standing still, a warm start would not find out of where
    // the robot is stuck.
    let sampled = |(last, _): (&Plan, usize)| matches!(last.source, Source::Sampled | Source::Early);
    let moves = length(robot.velocity()) > STUCK * VELOCITY;
    if let Some(steps) = features.warm {
        whole.tail(steps)?; // wrong from the first cycle on, not when the robot is under way
    }
    let warm = features.warm.filter(|_| moves && last.is_some_and(sampled));
    let grid = whole.tail(warm.unwrap_or(features.steps))?;
    let plan = Ddim { eta: 0.0 }.plan(&grid, Prediction::Sample, nodes)?;
    let (noise, mut x) = (Noise::seeded(seed), [0.0f32; DIM]);
    if warm.is_some() {
        renoise(&grid.levels()[0], &rest, &noise, DIM, &mut x)?;
    } else {
        plan.start(&noise, DIM, &mut x);
    }
    let mut denoiser = Guarded::new(denoiser, (inpaint, (avoid, limits)));
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), &mut []);
    let report = Sequential.run_watched(&plan, &mut denoiser, &noise, &mut x, &mut workspace, |_| {
        if expired() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;

    let source = if report.finished { Source::Sampled } else { Source::Early };
    let mut best = Plan::new(&x, origin, source);
    if features.obstacles {
        // Behind its end the last plan stops, but no more sharply than it may.
        let kept = last.map(|_| Plan::new(&braking(&rest, PLACES - executed), origin, Source::Kept));
        let stopping = Plan::new(&braking(&rest, KNOWN), origin, Source::Braking);
        for other in kept.into_iter().chain([stopping]) {
            if other.touches(seen, 0) > best.touches(seen, 0) {
                best = other;
            }
        }
    }
    (best.evaluations, best.known) = (report.evaluations, known);
    best.free_until = best.touches(seen, 0);
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Obstacle, add, less};
    use core::convert::Infallible;
    use picardy::{Batch, denoiser};

    /// Says 0.8 m/s along the diagonal, wherever it is.
    fn model(_: &Batch<'_>, _: &[f32], out: &mut [f32]) -> Result<(), Infallible> {
        for (i, out) in out.iter_mut().enumerate() {
            *out = (0.08 * core::f64::consts::FRAC_1_SQRT_2 * ((i / 2) as f64 - 1.0) / SCALE) as f32;
        }
        Ok(())
    }

    fn planned(
        seen: &Observation<'_>,
        last: Option<(&Plan, usize)>,
        features: &Features,
        expired: bool,
    ) -> Result<Plan, CycleError<Infallible>> {
        plan(denoiser::from_fn(model), seen, last, features, 3, &mut Buffers::new(), || expired)
    }

    const FAR: Obstacle = Obstacle { at: [2.5, -2.5], velocity: [0.0; 2], radius: 0.3 };

    #[test]
    fn plans_begin_where_the_robot_is_and_keep_what_they_are_told() {
        let robot = Robot::at_rest([0.5, -0.5]);
        let seen = Observation::new(robot, [2.0, 1.0], &[FAR]).unwrap();
        let first = planned(&seen, None, &Features::ALL, false).unwrap();
        assert_eq!((first.places[0], first.places[NOW]), (robot.previous, robot.position));
        assert_eq!((first.violations(), first.evaluations, first.source), (0, 10, Source::Sampled));
        assert!(first.places[15][0] > 1.0, "{first:?}");
        // Five moves on: the next action is the last plan's.
        let moved = Robot { previous: first.places[5], position: first.places[6] };
        let seen = Observation::new(moved, [2.0, 1.0], &[FAR]).unwrap();
        let warm = Features { warm: Some(5), ..Features::ALL };
        let second = planned(&seen, Some((&first, 5)), &warm, false).unwrap();
        assert_eq!((second.evaluations, second.violations()), (5, 0));
        assert!(length(less(second.places[NOW + 1], first.places[7])) < 1e-6);
        // Where it hardly moves, it begins anew.
        let slow = Robot { previous: first.places[1], position: first.places[2] };
        let seen_slow = Observation::new(slow, [2.0, 1.0], &[FAR]).unwrap();
        assert_eq!(planned(&seen_slow, Some((&first, 1)), &warm, false).unwrap().evaluations, 10);
        for executed in [PLACES - KNOWN + 1, PLACES, usize::MAX] {
            let error = planned(&seen, Some((&first, executed)), &warm, false);
            assert!(matches!(error, Err(CycleError::Horizon(_))), "{error:?}");
        }
        for steps in [0, 11] {
            let error = planned(&seen, None, &Features { warm: Some(steps), ..Features::ALL }, false);
            assert!(matches!(error, Err(CycleError::Schedule(_))), "{error:?}");
        }
        // Somewhere else than planned: no jump back to the plan.
        let off = Robot {
            previous: add(moved.previous, [0.0, 0.3], 1.0),
            position: add(moved.position, [0.0, 0.3], 1.0),
        };
        let seen_off = Observation::new(off, [2.0, 1.0], &[FAR]).unwrap();
        let plan = planned(&seen_off, Some((&first, 5)), &Features::ALL, false).unwrap();
        assert!(!breaks(&off, &Robot { previous: off.position, position: plan.places[NOW + 1] }), "{plan:?}");
        for steps in [0, STEPS + 1] {
            let error = planned(&seen, None, &Features { steps, ..Features::ALL }, false);
            assert!(matches!(error, Err(CycleError::Schedule(_))), "{error:?}");
        }
    }

    #[test]
    fn without_time_one_round_is_left_and_its_plan_keeps_the_limits() {
        let seen = Observation::new(Robot::at_rest([0.0; 2]), [2.0, 1.0], &[FAR]).unwrap();
        let plan = planned(&seen, None, &Features::ALL, true).unwrap();
        assert_eq!((plan.evaluations, plan.source, plan.violations()), (1, Source::Early, 0));
    }

    #[test]
    fn what_no_plan_can_mend_is_an_error_or_braking() {
        let robot = Robot { previous: [-0.3, 0.0], position: [0.0; 2] };
        let seen = Observation::new(robot, [2.0, 1.0], &[]).unwrap();
        let error = planned(&seen, None, &Features::ALL, false).unwrap_err();
        assert!(matches!(error, CycleError::Observation(ObservationError::TooFast { .. })), "{error:?}");
        // A wall of discs right ahead, on the way that the network knows: every plan of its touches them, and braking does not.
        let robot = Robot { previous: [-0.05, -0.05], position: [0.0; 2] };
        let discs: [Obstacle; 9] = core::array::from_fn(|k| {
            let across = 0.25 * (k as f64 - 4.0);
            Obstacle { at: add([0.5, 0.5], [-across, across], 1.0), velocity: [0.0; 2], radius: 0.3 }
        });
        let seen = Observation::new(robot, [2.0, 2.0], &discs).unwrap();
        let plan = planned(&seen, None, &Features::ALL, false).unwrap();
        assert!(plan.free_until == PLACES && plan.violations() == 0, "{plan:?}");
        let alone = planned(&seen, None, &Features::NONE, false).unwrap();
        assert!(alone.free_until < PLACES, "{alone:?}");
        // A disc that nobody escapes: the plan says so.
        let fast = [Obstacle { at: [1.5, 0.0], velocity: [-2.0, 0.0], radius: 1.2 }];
        let seen = Observation::new(Robot::at_rest([0.0; 2]), [2.0, 2.0], &fast).unwrap();
        let plan = planned(&seen, None, &Features::ALL, false).unwrap();
        assert!(plan.free_until < PLACES && plan.violations() == 0, "{plan:?}");
    }
}
