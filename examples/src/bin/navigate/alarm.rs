//! When a plan is no longer one that the network would make.

use crate::pilot::{Pilot, tell};
use picardy::likelihood::{Likelihood, LikelihoodMemory, LogSnrs, Nats, View};
use picardy::{Betas, Level, Prediction};
use picardy_robot::{DIM, Observation, Obstacle, Plan, WIDTH};

/// Evaluations of the network for a density.
const EVALUATIONS: usize = 32;
/// Numbers of an observation that differ by less are the same.
const SAME: f32 = 1e-5;
/// All scores share their draws.
const DRAWS: u64 = 11;

/// The noise classifier's answer to one question: how much does it change the density of what is left of the plan that the obstacles are not
/// where they were to be?
///
/// ```text
/// score = | log p(rest | what was to be seen now) - log p(rest | what is seen) |        nats
/// ```
///
/// What was to be seen are the obstacles of the plan's moment, moved on as they did then. Where none has turned, the two are the same and
/// the score is 0. Behind the plan's end the rest goes on straight, in both. Both densities share their draws, so that the score has
/// little noise of its own. It is two-sided: a plan that was pushed aside by a guard is an unlikely one, and may become more likely
/// as it becomes wrong.
pub(crate) struct Alarm {
    levels: Vec<Level>,
    memory: LikelihoodMemory<f32>,
}

/// A plan with what it was made for.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) plan: Plan,
    /// Where obstacles were then.
    pub(crate) obstacles: Vec<Obstacle>,
    /// Ticks since.
    pub(crate) age: usize,
}

impl Followed {
    pub(crate) fn new(plan: Plan, seen: &Observation<'_>) -> Self {
        Self { plan, obstacles: seen.obstacles().to_vec(), age: 0 }
    }
}

impl Alarm {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut levels = vec![Level::default(); 101];
        Betas::cosine(100).trailing(100, &mut levels)?;
        Ok(Self { levels, memory: LikelihoodMemory::new() })
    }

    /// The score, and the evaluations that it took.
    pub(crate) fn score(
        &mut self,
        pilot: &mut Pilot<'_, '_>,
        followed: &Followed,
        now: &Observation<'_>,
    ) -> anyhow::Result<(f64, usize)> {
        let Followed { plan, obstacles, age } = followed;
        let mut expected = obstacles.clone();
        for _ in 0..*age {
            expected.iter_mut().for_each(Obstacle::step);
        }
        let mut told = Vec::with_capacity(2 * (WIDTH + 1));
        tell(&now.numbers_among(&expected)?, &mut told);
        tell(&now.numbers(), &mut told);
        let (then, now_told) = told.split_at(WIDTH + 1);
        if then.iter().zip(now_told).all(|(a, b)| (a - b).abs() < SAME) {
            return Ok((0.0, 0));
        }
        let chunk = plan.rest(*age, now.robot().position)?;
        let x: Vec<f32> = [chunk, chunk].concat();
        let levels = &self.levels;
        let view = |l: f64| View::nearest(levels, Prediction::Sample, l);
        let likelihood = Likelihood {
            levels: LogSnrs::Logistic { loc: 2.0, scale: 1.5, clip: 3.0 },
            evaluations: EVALUATIONS,
            variance: 1.0,
            seed: DRAWS,
            view,
        };
        let mut found = [Nats::default(); 2];
        let mut buffers = self.memory.buffers(2 * EVALUATIONS, DIM);
        likelihood.log_density(&mut pilot.denoiser(&told), &x, &mut buffers, &mut found)?;
        Ok(((found[0].value - found[1].value).abs(), 2 * EVALUATIONS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demonstrations::demonstrations;
    use crate::pilot::with_pilot;
    use crate::training::{Loss, Training, train};
    use crate::world::{Map, World};
    use anyhow::Context;
    use picardy_robot::{Features, add};
    use picardy_trainer::model::Precision;

    #[test]
    fn only_what_moves_otherwise_is_asked_about() {
        let (data, _) = demonstrations(4, 1).unwrap();
        let (widths, precision) = (vec![8, 16], Precision::F32);
        let settings = Training { steps: 20, batch: 32, widths, seed: 1, weight: 1e-3, precision };
        let place = tempfile::tempdir().unwrap();
        let network = train(Loss::Standard, &settings, &data, place.path()).unwrap();
        with_pilot(&network.bytes, |pilot| {
            let (mut world, mut robot) = World::draw(Map::Known, false, 6);
            let seen = Observation::new(robot, world.goal, &world.obstacles)?;
            let plan = pilot.plan(&seen, None, &Features::ALL, None, 0)?.0;
            let mut followed = Followed::new(plan, &seen);
            for _ in 0..3 {
                robot.go(plan.next(followed.age).context("the plan has ended")?);
                world.step();
                followed.age += 1;
            }
            let mut alarm = Alarm::new()?;
            let now = Observation::new(robot, world.goal, &world.obstacles)?;
            assert_eq!(alarm.score(pilot, &followed, &now)?, (0.0, 0));
            // One that comes the robot's way.
            let disc =
                Obstacle { at: add(robot.position, [0.0, 1.2], 1.0), velocity: [0.0, -0.4], radius: 0.4 };
            world.obstacles[0] = disc;
            let now = Observation::new(robot, world.goal, &world.obstacles)?;
            let (score, evaluations) = alarm.score(pilot, &followed, &now)?;
            assert!(score > 0.0 && score.is_finite() && evaluations == 2 * EVALUATIONS, "{score}");
            // All scores share their draws.
            assert_eq!(alarm.score(pilot, &followed, &now)?.0, score);
            Ok(())
        })
        .unwrap();
    }
}
