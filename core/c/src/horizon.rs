//! Receding horizons: chunks of actions between two runs, and limits on them.

use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, finite, guarded};
use crate::memory::{self, Region};
use crate::plan::picardy_level;
use picardy::guard::{Guard, Limits};
use picardy::horizon::{Chunk, HorizonError, Overlap, renoise, shift};
use picardy::{GuardError, Level, Noise, Row, SliceFrames};

/// A batch of chunks of actions: `batch` items of `places` actions, each of `channels` numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct picardy_chunk {
    /// How many items.
    pub batch: usize,
    /// The actions of an item: the horizon.
    pub places: usize,
    /// The numbers of an action.
    pub channels: usize,
}

/// Limits of a trajectory's differences, in the data's unit per step, of the Euclidean length over the channels.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_limits {
    /// `|x[i] - x[i-1]|`, at most; infinity for no limit.
    pub velocity: f64,
    /// `|x[i] - 2 x[i-1] + x[i-2]|`, at most; infinity for no limit.
    pub acceleration: f64,
    /// Where each item stands one step before its first place, [batch, channels]; null for a free first place.
    pub position: *const f32,
    /// What it moves by per step there, [batch, channels]; null where `position` is.
    pub moving: *const f32,
    /// So many first places stay as they come.
    pub keeping: usize,
}

impl picardy_chunk {
    /// The chunk, and the numbers of the batch.
    fn check(&self) -> Result<(Chunk, usize), Fault> {
        for (name, value) in [("batch", self.batch), ("places", self.places), ("channels", self.channels)] {
            if value == 0 {
                return Err(Fault::new(code::PICARDY_ERROR_SHAPE).name(name));
            }
        }
        let too_many = |name, given| Fault::new(code::PICARDY_ERROR_SIZE).name(name).given(given);
        let chunk = Chunk::new(self.places, self.channels).map_err(|_| too_many("places", self.places))?;
        memory::bytes_of::<f32>(chunk.dim(), "places")?;
        let numbers = chunk.dim().checked_mul(self.batch).ok_or(too_many("batch", self.batch))?;
        memory::bytes_of::<f32>(numbers, "batch").map_err(|_| too_many("batch", self.batch))?;
        Ok((chunk, numbers))
    }
}

impl From<HorizonError> for Fault {
    fn from(error: HorizonError) -> Self {
        use HorizonError as E;
        let horizon = |name, given, needed| {
            Self::new(code::PICARDY_ERROR_HORIZON).name(name).given(given).needed(needed)
        };
        match error {
            E::Executed { executed, places } => horizon("executed", executed, places.saturating_sub(1)),
            E::Delay { delay, left } => horizon("delay", delay, left),
            E::NotFinite { index } => {
                Self::new(code::PICARDY_ERROR_NUMBER).name("x").index(index).value(f64::NAN)
            }
            _ => Self::new(code::PICARDY_ERROR_OTHER),
        }
    }
}

/// Moves the first `executed` actions of each item out of `x`, in place; the last one is repeated behind the rest.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to the batch's floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_chunk_shift(
    chunk: *const picardy_chunk,
    executed: usize,
    x: *mut f32,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let (chunk, numbers) = unsafe { memory::read(chunk, "chunk") }?.check()?;
        // SAFETY: the caller's promise.
        let x = unsafe { memory::slice_mut(x, numbers, "x") }?;
        Ok(shift(chunk, executed, x)?)
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// How far each number of the shifted chunks is held (real-time chunking, arXiv 2506.07339): `weights` become 1 for the first `delay`
/// actions, which are executed before the new chunk is there, then less and less, and 0 for the last `executed`.
///
/// # Safety
/// Pointers are null or point to what their types say, `weights` to the batch's floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_chunk_overlap(
    chunk: *const picardy_chunk,
    delay: usize,
    executed: usize,
    weights: *mut f32,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let (chunk, numbers) = unsafe { memory::read(chunk, "chunk") }?.check()?;
        // SAFETY: the caller's promise.
        let weights = unsafe { memory::slice_mut(weights, numbers, "weights") }?;
        Ok(Overlap { delay, executed }.fill(chunk, weights)?)
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// Writes the state of `data` at a noise level into `x`, alpha data + sigma noise, with the start's own noise of a run of that seed
/// and first item: where a run over a plan's later nodes starts warm.
///
/// # Safety
/// Pointers are null or point to what their types say, `data` and `x` to the batch's floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_chunk_renoise(
    chunk: *const picardy_chunk,
    level: *const picardy_level,
    seed: u64,
    first_item: u64,
    data: *const f32,
    x: *mut f32,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let (chunk, numbers) = unsafe { memory::read(chunk, "chunk") }?.check()?;
        // SAFETY: the caller's promise.
        let picardy_level { alpha, sigma, t } = unsafe { memory::read(level, "level") }?;
        for (name, value) in [("level.alpha", alpha), ("level.sigma", sigma)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Fault::new(code::PICARDY_ERROR_RANGE).name(name).value(value));
            }
        }
        let place = Region::new(x.cast_const(), numbers, "x")?;
        place.apart_from(Region::new(data, numbers, "data")?)?;
        // SAFETY: the caller's promise.
        let data = unsafe { memory::slice(data, numbers, "data") }?;
        finite(data, "data")?;
        // SAFETY: the caller's promise.
        let x = unsafe { memory::slice_mut(x, numbers, "x") }?;
        let noise = Noise::seeded(seed).from_item(first_item);
        Ok(renoise(&Level { alpha, sigma, t }, data, &noise, chunk.dim(), x)?)
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// Brings each trajectory in `x` within its limits, in place: of a finished sample, or of what a callback returns where the network
/// predicts the data.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to the batch's floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_limits_apply(
    limits: *const picardy_limits,
    chunk: *const picardy_chunk,
    x: *mut f32,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let limits = unsafe { memory::read(limits, "limits") }?;
        // SAFETY: the caller's promise.
        let asked = unsafe { memory::read(chunk, "chunk") }?;
        let (chunk, numbers) = asked.check()?;
        for (name, value) in [("velocity", limits.velocity), ("acceleration", limits.acceleration)] {
            if value.is_nan() || value < 0.0 {
                return Err(Fault::new(code::PICARDY_ERROR_RANGE).field("limits.", name).value(value));
            }
        }
        let fault = |error| match error {
            GuardError::Speed { item, times } => {
                Fault::new(code::PICARDY_ERROR_SPEED).item(item).value(times)
            }
            _ => Fault::new(code::PICARDY_ERROR_OTHER),
        };
        let mut guard = Limits::new(asked.channels, limits.velocity, limits.acceleration)
            .map_err(fault)?
            .keeping(limits.keeping);
        let place = Region::new(x.cast_const(), numbers, "x")?;
        if !(limits.position.is_null() && limits.moving.is_null()) {
            let known = asked.batch.saturating_mul(asked.channels);
            for (pointer, name) in [(limits.position, "limits.position"), (limits.moving, "limits.moving")] {
                place.apart_from(Region::new(pointer, known, name)?)?;
            }
            // SAFETY: the caller's promise.
            let position = unsafe { memory::slice(limits.position, known, "limits.position") }?;
            // SAFETY: the caller's promise.
            let moving = unsafe { memory::slice(limits.moving, known, "limits.moving") }?;
            finite(position, "limits.position")?;
            finite(moving, "limits.moving")?;
            guard = guard.after(position, moving).map_err(fault)?;
        }
        // SAFETY: the caller's promise.
        let x = unsafe { memory::slice_mut(x, numbers, "x") }?;
        finite(x, "x")?;
        let mut frames = SliceFrames::new(x, chunk.dim());
        for item in 0..asked.batch {
            let at = Row { item, node: 0, level: Level::DATA, conditional: true };
            guard.apply(&at, &mut frames, item).map_err(fault)?;
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}
