//! A plan in the world's coordinates.

use crate::{
    ACCELERATION, DIM, DT, KNOWN, NOW, Observation, PLACES, Point, Robot, SCALE, add, breaks, less,
    plane::slowing,
};
use picardy::horizon::{Chunk, HorizonError, shift};

/// Where a plan is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Sampled to the end.
    Sampled,
    /// The best when time was up.
    Early,
    /// The rest of the last plan: the new one touches an obstacle sooner.
    Kept,
    /// Braking: every other plan touches an obstacle sooner.
    Braking,
}

/// Where the robot will be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The places, from one tick before the plan on.
    pub places: [Point; PLACES],
    /// Where it is from.
    pub source: Source,
    /// Evaluations of the network that the cycle took.
    pub evaluations: usize,
    /// Places that were known when it was made.
    pub known: usize,
    /// The first place that touches an obstacle, as far as could be foreseen; [`PLACES`] where none does. Below that, and with
    /// [`Features::obstacles`](crate::Features::obstacles), every other answer touched one no later.
    pub free_until: usize,
}

impl Plan {
    /// The chunk of a robot that is at `origin`.
    pub(crate) fn new(chunk: &[f32; DIM], origin: Point, source: Source) -> Self {
        let mut places = [origin; PLACES];
        for (place, x) in places.iter_mut().zip(chunk.chunks_exact(2)) {
            if let [x, y] = *x {
                *place = add(origin, [f64::from(x), f64::from(y)], SCALE);
            }
        }
        Self { places, source, evaluations: 0, known: KNOWN, free_until: PLACES }
    }

    /// The places relative to a point, in the network's unit, `[PLACES, 2]`.
    pub fn relative(&self, origin: Point) -> [f32; DIM] {
        let mut out = [0.0; DIM];
        write(&self.places, origin, &mut out);
        out
    }

    /// The rest of it after `executed` actions, as a chunk relative to `origin` `[PLACES, 2]`; behind its end the robot goes on as before: a
    /// plan that stops there would make the next one slower.
    ///
    /// # Errors
    /// [`HorizonError::Executed`] for as many as the chunk has places, or more.
    pub fn rest(&self, executed: usize, origin: Point) -> Result<[f32; DIM], HorizonError> {
        let mut rest = self.relative(origin);
        shift(Chunk::new(PLACES, 2)?, executed, &mut rest)?;
        for i in 2 * (PLACES - executed).max(2)..DIM {
            rest[i] = 2.0 * rest[i - 2] - rest[i - 4];
        }
        Ok(rest)
    }

    /// Where the robot goes `age` ticks after the plan; `None` from its end on, `age >= PLACES - 1 - NOW`. Nothing was planned there, and to
    /// stay where the plan ends would be a sharper stop than the robot can make: [`Robot::braking`] is what is left to do.
    ///
    /// ```
    /// # use core::convert::Infallible;
    /// # use picardy::{Batch, denoiser};
    /// use picardy_robot::{Buffers, Features, NOW, Observation, PLACES, Robot, plan};
    /// # fn network(_: &Batch<'_>, _: &[f32], x: &mut [f32]) -> Result<(), Infallible> { x.fill(0.1); Ok(()) }
    /// # let network = denoiser::from_fn(network);
    /// let mut robot = Robot::at_rest([0.0; 2]);
    /// let seen = Observation::new(robot, [2.0, 0.0], &[])?;
    /// let plan = plan(network, &seen, None, &Features::ALL, 7, &mut Buffers::new(), || false)?;
    /// for age in 0..20 {
    ///     robot.go(plan.next(age).unwrap_or_else(|| robot.braking()));
    /// }
    /// assert!(plan.next(PLACES - 1 - NOW).is_none());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn next(&self, age: usize) -> Option<Point> {
        self.places.get(age.saturating_add(NOW + 1)).copied()
    }

    /// The first place after `age` ticks that touches an obstacle, as far as can be foreseen; `PLACES` where none does, or none is left. What is
    /// seen is seen now, `age` ticks after the plan.
    pub fn touches(&self, seen: &Observation<'_>, age: usize) -> usize {
        let now = age.saturating_add(NOW);
        let hit = |(place, at): (usize, &Point)| {
            place > now
                && seen.obstacles().iter().any(|o| o.in_ticks(place as f64 - now as f64).clearance(*at) < 0.0)
        };
        self.places.iter().enumerate().position(hit).unwrap_or(PLACES)
    }

    /// Moves that were not known before.
    pub fn moves(&self) -> usize {
        PLACES.saturating_sub(self.known)
    }

    /// Of these, how many break a limit.
    pub fn violations(&self) -> usize {
        let robots = self.places.windows(2).map(|pair| Robot { previous: pair[0], position: pair[1] });
        let (before, after) = (robots.clone(), robots.skip(1));
        before
            .zip(after)
            .skip(self.known.saturating_sub(2))
            .filter(|(before, after)| breaks(before, after))
            .count()
    }
}

/// Places of the world as numbers of a chunk.
pub(crate) fn write(places: &[Point], origin: Point, out: &mut [f32]) {
    for (out, place) in out.chunks_exact_mut(2).zip(places) {
        out.copy_from_slice(&less(*place, origin).map(|x| (x / SCALE) as f32));
    }
}

/// The same places before `from`, and from there coming to rest as fast as can be.
pub(crate) fn braking(chunk: &[f32; DIM], from: usize) -> [f32; DIM] {
    let mut chunk = *chunk;
    let most = ACCELERATION * DT * DT / SCALE;
    for place in from.max(2)..PLACES {
        let at = |place: usize| [f64::from(chunk[2 * place]), f64::from(chunk[2 * place + 1])];
        let step = less(at(place - 1), at(place - 2));
        let to = add(at(place - 1), step, slowing(step, most));
        chunk[2 * place..2 * place + 2].copy_from_slice(&to.map(|x| x as f32));
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Obstacle, length};

    /// 1 m/s along x.
    fn steady() -> [f32; DIM] {
        let mut chunk = [0.0f32; DIM];
        for (place, x) in chunk.chunks_exact_mut(2).enumerate() {
            x[0] = (0.1 * (place as f64 - 1.0) / SCALE) as f32;
        }
        chunk
    }

    #[test]
    fn braking_stops_as_fast_as_can_be() {
        let plan = Plan::new(&braking(&steady(), KNOWN), [0.0; 2], Source::Braking);
        assert_eq!(plan.violations(), 0);
        // v^2/2a less half a step.
        let way = plan.places[PLACES - 1][0] - plan.places[KNOWN - 1][0];
        assert!((way - 0.2).abs() < 1e-6, "{way}");
        assert!(length(less(plan.places[PLACES - 1], plan.places[PLACES - 2])) < 1e-6);
    }

    #[test]
    fn behind_its_end_a_plan_says_nothing() {
        let plan = Plan::new(&steady(), [0.0; 2], Source::Sampled);
        let last = PLACES - 2 - NOW;
        assert_eq!(plan.next(last), Some(plan.places[PLACES - 1]));
        for age in [last + 1, last + 2, usize::MAX] {
            assert_eq!(plan.next(age), None);
        }
        // Who brakes there keeps the limits, and comes to rest; who stood still would not.
        let mut robot = Robot { previous: plan.places[PLACES - 2], position: plan.places[PLACES - 1] };
        let still = Robot { previous: robot.position, position: robot.position };
        assert!(breaks(&robot, &still));
        for _ in 0..5 {
            let before = robot;
            robot.go(plan.next(last + 1).unwrap_or_else(|| robot.braking()));
            assert!(!breaks(&before, &robot), "{before:?} {robot:?}");
        }
        assert!(length(robot.velocity()) < 1e-6, "{robot:?}");
    }

    #[test]
    fn touches_and_violations_are_found_where_they_are() {
        let mut chunk = steady();
        let plan = Plan::new(&chunk, [1.0, 0.0], Source::Sampled);
        assert_eq!((plan.violations(), plan.next(0)), (0, Some(plan.places[2])));
        assert!((plan.places[2][0] - 1.1).abs() < 1e-6);
        let back = plan.relative([1.0, 0.0]);
        assert!(back.iter().zip(&chunk).all(|(a, b)| (a - b).abs() < 1e-6));
        // Met half way by a disc at 1 m/s: 1.01 m of clearance, closed at 2 m/s.
        let disc = [Obstacle { at: [2.36, 0.0], velocity: [-1.0, 0.0], radius: 0.2 }];
        let among = |discs| Observation::new(Robot::at_rest([1.0, 0.0]), [3.0, 0.0], discs).unwrap();
        assert_eq!(plan.touches(&among(&disc), 0), NOW + 6);
        // The same moment, two ticks later.
        let later = [disc[0].in_ticks(2.0)];
        assert_eq!(plan.touches(&among(&later), 2), NOW + 6);
        assert_eq!(plan.touches(&among(&[]), 0), PLACES);
        // What is left is the same way from there on, and beyond its end.
        let rest = plan.rest(5, plan.places[NOW + 5]).unwrap();
        assert!(rest.iter().zip(&chunk).all(|(a, b)| (a - b).abs() < 1e-5), "{rest:?}");
        assert_eq!(
            plan.rest(PLACES, [0.0; 2]),
            Err(HorizonError::Executed { executed: PLACES, places: PLACES })
        );
        chunk[20] += 0.2;
        // One move too fast, and the next one's change of speed.
        let bent = Plan::new(&chunk, [1.0, 0.0], Source::Sampled).violations();
        assert!((2..=3).contains(&bent), "{bent}");
    }
}
