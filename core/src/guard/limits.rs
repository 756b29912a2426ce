//! Limits of velocity and acceleration along a trajectory.

use super::{Guard, GuardError};
use crate::{HostTensor, Real, Row, math};

/// Keeps a trajectory `x0` [places, channels] within limits of its differences, in the data's unit per step:
///
/// ```text
/// |x[i] - x[i-1]| <= velocity,    |x[i] - 2 x[i-1] + x[i-2]| <= acceleration
/// ```
///
/// with the Euclidean length over the channels of a place ([`new`](Self::new)), or each channel by itself
/// ([`each`](Self::each)). A robot of `v` m/s at `dt` seconds a step, whose data were divided by `scale` metres, has a velocity
/// of `v dt / scale` and an acceleration of `a dt^2 / scale`; of columns with scales of their own, [`each`](Self::each) takes each by its
/// own.
///
/// Two passes: [`sweeps`](Self::sweeps) over the places, each pair and triple that breaks a limit moved by the least that mends
/// it (projections in turns), which spread a mend over its neighbours; then once from the front, each place as near its own as
/// the ones before it allow. After that the limits hold to rounding, whatever came in: `6 EPSILON` of the largest coordinate.
/// A finite row stays finite.
///
/// Of a range of positions ([`Clamp`](super::Clamp)) and these limits the one that is applied last holds for certain. After this guard a
/// clamp brings no two places further apart, so that the velocity holds with it; it may stop a place more sharply than the acceleration
/// allows. Before this guard, places may pass the range by what it takes to brake.
///
/// Known places ([`Inpaint`](super::Inpaint)) come before this guard, and the front ones are told to it
/// ([`keeping`](Self::keeping)). Where a goal is known and out of reach, the limits win.
///
/// ```
/// use picardy::guard::{Guard, Limits};
/// use picardy::{HostTensor, Level, Row, SliceFrames};
/// // Two channels, three places; the robot stands at (0, 0).
/// let (position, velocity) = ([0.0, 0.0], [0.0, 0.0]);
/// let mut limits = Limits::new(2, 0.5, 0.2)?.after(&position, &velocity)?;
/// let mut plan = [1.0f32, 0.0, 2.0, 0.0, 3.0, 0.0];
/// let mut frames = SliceFrames::new(&mut plan, 6);
/// let at = Row { item: 0, node: 0, level: Level::DATA, conditional: true };
/// limits.apply(&at, &mut frames, 0)?;
/// let x = frames.row_mut(0);
/// assert!((x[0] - 0.2).abs() < 1e-6 && (x[2] - 0.6).abs() < 1e-6 && (x[4] - 1.1).abs() < 1e-6);
/// # Ok::<(), picardy::guard::GuardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits<'a, T> {
    channels: usize,
    bounds: Bounds<'a, T>,
    after: Option<State<'a, T>>,
    keeping: usize,
    sweeps: usize,
}

/// What the limits are of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bounds<'a, T> {
    Norm { velocity: f64, acceleration: f64 },
    Each { velocity: &'a [T], acceleration: &'a [T] },
}

/// Where the trajectory comes from: `[channels]`, or `[batch, channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct State<'a, T> {
    position: &'a [T],
    velocity: &'a [T],
}

/// How often the limits are swept where nothing is said.
const SWEEPS: usize = 8;
/// What rounding may add to a speed that is at its limit.
const SLACK: f64 = 1e-5;

impl<'a, T: Real> Limits<'a, T> {
    /// Limits of the Euclidean length over `channels` channels. Infinity is no limit.
    ///
    /// # Errors
    /// [`GuardError::Limit`] for one that is negative or NaN, [`GuardError::Channels`] for no channels.
    pub fn new(channels: usize, velocity: f64, acceleration: f64) -> Result<Self, GuardError> {
        if let Some(value) = [velocity, acceleration].into_iter().find(|value| value.is_nan() || *value < 0.0)
        {
            return Err(GuardError::Limit(value));
        }
        Self::of(channels, Bounds::Norm { velocity, acceleration })
    }

    /// Limits of each channel by itself: a robot's joints.
    ///
    /// # Errors
    /// As for [`new`](Self::new), and [`GuardError::Channels`] where the two slices are not equally long.
    pub fn each(velocity: &'a [T], acceleration: &'a [T]) -> Result<Self, GuardError> {
        let values = velocity.iter().chain(acceleration).map(|value| value.to_f64());
        if let Some(value) = values.into_iter().find(|value| value.is_nan() || *value < 0.0) {
            return Err(GuardError::Limit(value));
        }
        if velocity.len() != acceleration.len() {
            return Err(GuardError::Channels { channels: velocity.len(), given: acceleration.len() });
        }
        Self::of(velocity.len(), Bounds::Each { velocity, acceleration })
    }

    fn of(channels: usize, bounds: Bounds<'a, T>) -> Result<Self, GuardError> {
        if channels == 0 {
            return Err(GuardError::Channels { channels, given: 0 });
        }
        Ok(Self { channels, bounds, after: None, keeping: 0, sweeps: SWEEPS })
    }

    /// The trajectory goes on from `position` (one step before its first place) with `velocity` (per step): both `[channels]`
    /// for all items, or `[batch, channels]`. Without it the first place is free.
    ///
    /// # Errors
    /// Slices of other lengths, numbers that are not finite, and [`GuardError::Speed`] for a velocity beyond its own limit, from
    /// which no trajectory keeps both limits.
    pub fn after(self, position: &'a [T], velocity: &'a [T]) -> Result<Self, GuardError> {
        if position.len() != velocity.len() {
            return Err(GuardError::Channels { channels: position.len(), given: velocity.len() });
        }
        if position.is_empty() || position.len() % self.channels != 0 {
            return Err(GuardError::Channels { channels: self.channels, given: position.len() });
        }
        for values in [position, velocity] {
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(GuardError::Value { index });
            }
        }
        for (item, velocity) in velocity.chunks(self.channels).enumerate() {
            let speed = self.excess(|c| velocity.get(c).map_or(0.0, |v| v.to_f64()), Order::Velocity);
            if speed > 1.0 + SLACK {
                return Err(GuardError::Speed { item, times: speed });
            }
        }
        Ok(Self { after: Some(State { position, velocity }), ..self })
    }

    /// The first places are kept as they come: those that are executed or committed already.
    #[must_use]
    pub const fn keeping(self, places: usize) -> Self {
        Self { keeping: places, ..self }
    }

    /// How often the limits are swept before they are enforced from the front (8); 0 for that alone.
    #[must_use]
    pub const fn sweeps(self, sweeps: usize) -> Self {
        Self { sweeps, ..self }
    }

    /// How many times its limit a difference is, at most over what the limits are of.
    fn excess(&self, difference: impl Fn(usize) -> f64, order: Order) -> f64 {
        let times = |size: f64, limit: f64| if size > limit { size / limit } else { 0.0 };
        match self.bounds {
            Bounds::Norm { velocity, acceleration } => {
                let squares = (0..self.channels).map(|c| difference(c) * difference(c)).sum::<f64>();
                times(math::sqrt(squares), order.of(velocity, acceleration))
            }
            Bounds::Each { velocity, acceleration } => {
                let limits = order.of(velocity, acceleration).iter().enumerate();
                limits.fold(0.0, |most, (c, limit)| {
                    let own = times(difference(c).abs(), limit.to_f64());
                    if own > most { own } else { most }
                })
            }
        }
    }

    /// The factor that brings channel `c` of a difference within its limit.
    fn factor(&self, difference: &impl Fn(usize) -> f64, c: usize, order: Order, norm: f64) -> f64 {
        let times = match self.bounds {
            Bounds::Norm { .. } => norm,
            Bounds::Each { velocity, acceleration } => {
                let limit = order.of(velocity, acceleration).get(c).map_or(0.0, |limit| limit.to_f64());
                let size = difference(c).abs();
                if size > limit { size / limit } else { 1.0 }
            }
        };
        if times > 1.0 { 1.0 / times } else { 1.0 }
    }
}

/// Which difference.
#[derive(Clone, Copy)]
enum Order {
    Velocity,
    Acceleration,
}

impl Order {
    fn of<V>(self, velocity: V, acceleration: V) -> V {
        match self {
            Self::Velocity => velocity,
            Self::Acceleration => acceleration,
        }
    }
}

/// One trajectory, and what came before it.
struct Path<'p, T> {
    x: &'p mut [T],
    channels: usize,
    places: isize,
    /// Places before this one do not move.
    free: isize,
    position: Option<&'p [T]>,
    velocity: Option<&'p [T]>,
}

impl<T: Real> Path<'_, T> {
    /// Channel `c` of place `i`; -1 and -2 are what came before.
    fn at(&self, i: isize, c: usize) -> f64 {
        let own = usize::try_from(i).ok().and_then(|i| self.x.get(i * self.channels + c));
        if let Some(value) = own {
            return value.to_f64();
        }
        let of = |values: Option<&[T]>| values.and_then(|v| v.get(c)).map_or(0.0, |v| v.to_f64());
        of(self.position) - if i < -1 { of(self.velocity) } else { 0.0 }
    }

    fn set(&mut self, i: isize, c: usize, value: f64) {
        let own = usize::try_from(i).ok().and_then(|i| self.x.get_mut(i * self.channels + c));
        if let Some(x) = own {
            *x = T::from_f64(value);
        }
    }

    /// The first place that there is anything known of.
    fn first(&self) -> isize {
        if self.position.is_some() { -2 } else { 0 }
    }

    /// Moves the places `i + 1 - weights.len() ..= i` by the least that brings their difference, of these weights, within its limit.
    fn project(&mut self, limits: &Limits<'_, T>, i: isize, order: Order) {
        const VELOCITY: &[f64] = &[-1.0, 1.0];
        const ACCELERATION: &[f64] = &[1.0, -2.0, 1.0];
        let weights = order.of(VELOCITY, ACCELERATION);
        let from = i + 1 - weights.len() as isize;
        if from < self.first() {
            return;
        }
        let norm: f64 = (from..).zip(weights).filter(|(j, _)| *j >= self.free).map(|(_, w)| w * w).sum();
        let difference =
            |path: &Self, c: usize| (from..).zip(weights).map(|(j, w)| w * path.at(j, c)).sum::<f64>();
        let times = limits.excess(|c| difference(self, c), order);
        if !(times > 1.0 && norm > 0.0) {
            return;
        }
        for c in 0..self.channels {
            let value = difference(self, c);
            let excess = value * (1.0 - limits.factor(&|_| value, c, order, times));
            for (j, weight) in (from..).zip(weights) {
                if j >= self.free {
                    self.set(j, c, self.at(j, c) - excess * weight / norm);
                }
            }
        }
    }

    /// Place `i` as near its own as the places before it allow.
    fn enforce(&mut self, limits: &Limits<'_, T>, i: isize) {
        if i - 1 < self.first() {
            return;
        }
        let known = i - 2 >= self.first();
        let before = |path: &Self, c: usize| if known { path.at(i - 1, c) - path.at(i - 2, c) } else { 0.0 };
        let change = |path: &Self, c: usize| path.at(i, c) - path.at(i - 1, c) - before(path, c);
        let bent = if known { limits.excess(|c| change(self, c), Order::Acceleration) } else { 0.0 };
        let turned = |path: &Self, c: usize| {
            let change = change(path, c);
            let factor = if known { limits.factor(&|_| change, c, Order::Acceleration, bent) } else { 1.0 };
            before(path, c) + factor * change
        };
        // The ball of velocities holds the velocity before, so that what it cuts off brings none further from that.
        let fast = limits.excess(|c| turned(self, c), Order::Velocity);
        if bent <= 1.0 && fast <= 1.0 {
            return;
        }
        for c in 0..self.channels {
            let velocity = turned(self, c);
            let factor = limits.factor(&|_| velocity, c, Order::Velocity, fast);
            self.set(i, c, self.at(i - 1, c) + factor * velocity);
        }
    }
}

impl<F: HostTensor + ?Sized> Guard<F> for Limits<'_, F::Scalar> {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        let (channels, dim) = (self.channels, frames.dim());
        if dim % channels != 0 {
            return Err(GuardError::Channels { channels, given: dim });
        }
        let of_item = |values: &'_ [F::Scalar]| {
            let from = if values.len() == channels { 0 } else { at.item.saturating_mul(channels) };
            from..from.saturating_add(channels)
        };
        let (mut position, mut velocity) = (None, None);
        if let Some(after) = self.after {
            position = after.position.get(of_item(after.position));
            velocity = after.velocity.get(of_item(after.velocity));
            if position.is_none() || velocity.is_none() {
                return Err(GuardError::Length {
                    values: after.position.len(),
                    dim: channels,
                    item: at.item,
                });
            }
        }
        let places = (dim / channels) as isize;
        let free = self.keeping.min(dim / channels) as isize;
        let mut path = Path { x: frames.row_mut(row), channels, places, free, position, velocity };
        for _ in 0..self.sweeps {
            for i in free..path.places {
                path.project(self, i, Order::Velocity);
                path.project(self, i, Order::Acceleration);
            }
        }
        for i in free..path.places {
            path.enforce(self, i);
        }
        Ok(())
    }
}
