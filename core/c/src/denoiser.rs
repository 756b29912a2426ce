//! What evaluates a run's rows: a function of C, or a network.

use crate::error::picardy_error as code;
use crate::fault::{Fault, finite};
use crate::memory::{self, Region};
use crate::model::Model;
use crate::network::{self, picardy_network};
use core::ffi::c_void;
use core::ops::Range;
use picardy::nn::{MlpDenoiser, NetworkDenoiser};
use picardy::{Batch, Denoiser, HostTensor, SliceFrames};

/// One row of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_row {
    /// The item's place in the batch.
    pub item: u32,
    /// The plan's node; of a density, the evaluation's place in the call.
    pub node: u32,
    /// What the network is told: a timestep, or a sigma.
    pub t: f32,
    /// The factor of the data in the row.
    pub alpha: f32,
    /// The factor of the noise in the row.
    pub sigma: f32,
}

/// Evaluates `count` rows of `dim` floats in one call: `x` and `out` are [count, dim], row-major. A row's output must depend on
/// that row alone. Returns 0, or an error of its own, which comes back in `picardy_detail.callback`: a run is then as it was
/// before.
pub type picardy_evaluate = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        rows: *const picardy_row,
        count: usize,
        dim: usize,
        x: *const f32,
        out: *mut f32,
    ) -> i32,
>;

/// What evaluates rows: a function with its context, or a network with its scratch and its conditions; the other is null.
///
/// A robot that plans from what it sees, with a network whose `picardy_card.condition` is the observation's numbers:
///
/// ```c
/// picardy_denoiser denoiser = {.network = network, .scratch = scratch, .scratch_floats = sizeof scratch / sizeof *scratch,
///                              .conditions = seen, .condition_floats = sizeof seen / sizeof *seen};
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct picardy_denoiser {
    /// The function.
    pub evaluate: picardy_evaluate,
    /// What it is given.
    pub context: *mut c_void,
    /// The network.
    pub network: *const picardy_network,
    /// What it works in.
    pub scratch: *mut f32,
    /// The floats there.
    pub scratch_floats: usize,
    /// What a network that takes a condition is told (an observation, a label): [items, picardy_card.condition] floats, each
    /// item's own. Zeros are no condition. They are read in each call, so that they may change from round to round. Null for
    /// other networks, and for a function.
    pub conditions: *const f32,
    /// The floats there.
    pub condition_floats: usize,
}

/// The memory of a denoiser's network, where it has one.
///
/// # Safety
/// Pointers are null, misaligned or point to what their types say.
pub(crate) unsafe fn lent(denoiser: *const picardy_denoiser) -> [Region; 2] {
    // SAFETY: the caller's promise.
    match unsafe { memory::read(denoiser, "denoiser") } {
        // SAFETY: the caller's promise.
        Ok(denoiser) => unsafe { network::lent(denoiser.network) },
        Err(_) => [Region::NOTHING; 2],
    }
}

/// A denoiser, checked.
pub(crate) enum Bound<'a> {
    Function {
        evaluate:
            unsafe extern "C" fn(*mut c_void, *const picardy_row, usize, usize, *const f32, *mut f32) -> i32,
        context: *mut c_void,
        rows: &'a mut [picardy_row],
    },
    Network {
        model: &'a Model,
        conditions: &'a [f32],
        scratch: &'a mut [f32],
    },
}

impl picardy_denoiser {
    /// # Safety
    /// The pointers are null or point to what the header says, for as long as `'a` lasts; `written` and `read` are all the
    /// other memory that is used meanwhile, for so many items.
    pub(crate) unsafe fn bind<'a>(
        &self,
        items: usize,
        rows: &'a mut [picardy_row],
        written: &[Region],
        read: &[Region],
    ) -> Result<Bound<'a>, Fault> {
        match (self.evaluate, self.network.is_null()) {
            (Some(evaluate), true) => {
                self.count(items, 0)?;
                Ok(Bound::Function { evaluate, context: self.context, rows })
            }
            (None, false) => {
                let lent = Region::new(self.scratch.cast_const(), self.scratch_floats, "scratch")?;
                lent.apart_from_all(written)?;
                lent.apart_from_all(read)?;
                // SAFETY: the caller's promise.
                let (model, weights) = unsafe { network::model(self.network) }?;
                lent.apart_from_all(&weights)?;
                written.iter().try_for_each(|written| written.apart_from_all(&weights))?;
                // SAFETY: the caller's promise.
                let scratch = unsafe { memory::slice_mut(self.scratch, self.scratch_floats, "scratch") }?;
                self.count(items, model.condition())?;
                let told = Region::new(self.conditions, self.condition_floats, "conditions")?;
                told.apart_from(lent)?;
                told.apart_from_all(written)?;
                // SAFETY: the caller's promise.
                let conditions =
                    unsafe { memory::slice(self.conditions, self.condition_floats, "conditions") }?;
                finite(conditions, "conditions")
                    .map_err(|fault| fault.item(fault.place() / model.condition().max(1)))?;
                Ok(Bound::Network { model, conditions, scratch })
            }
            _ => Err(Fault::new(code::PICARDY_ERROR_DENOISER)),
        }
    }

    /// Whether there are conditions of so many items, each of `width` numbers.
    fn count(&self, items: usize, width: usize) -> Result<(), Fault> {
        let (needed, given) = (items.saturating_mul(width), self.condition_floats);
        match given {
            _ if given == needed => Ok(()),
            0 => Err(Fault::new(code::PICARDY_ERROR_NO_CONDITION).needed(needed)),
            _ => Err(Fault::new(code::PICARDY_ERROR_CONDITION).needed(needed).given(given)),
        }
    }
}

impl Denoiser<SliceFrames<'static, f32>> for Bound<'_> {
    type Error = Fault;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut SliceFrames<'static, f32>,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), Fault> {
        match self {
            Self::Network { model: Model::Mlp(model), scratch, .. } => {
                Ok(MlpDenoiser::new(*model, scratch).evaluate(batch, frames, x, out)?)
            }
            Self::Network { model: Model::Program(network, _), conditions, scratch } => {
                Ok(NetworkDenoiser::new(*network, conditions, scratch).evaluate(batch, frames, x, out)?)
            }
            Self::Function { evaluate, context, rows } => {
                let dim = picardy::Tensor::dim(frames);
                let count = batch.len();
                // What `begin` has made room for.
                let rows = rows.get_mut(..count).ok_or(Fault::new(code::PICARDY_ERROR_OTHER))?;
                for (to, row) in rows.iter_mut().zip(batch.iter()) {
                    *to = picardy_row {
                        item: row.item as u32,
                        node: row.node as u32,
                        t: row.level.t as f32,
                        alpha: row.level.alpha as f32,
                        sigma: row.level.sigma as f32,
                    };
                }
                let (x, out) = frames.slices(x, out);
                // SAFETY: the function is the caller's, and is given what the header says: `count` rows, and as many times
                // `dim` numbers to read and to write.
                let said =
                    unsafe { evaluate(*context, rows.as_ptr(), count, dim, x.as_ptr(), out.as_mut_ptr()) };
                match said {
                    0 => Ok(()),
                    said => Err(Fault::new(code::PICARDY_ERROR_CALLBACK).callback(said)),
                }
            }
        }
    }
}
