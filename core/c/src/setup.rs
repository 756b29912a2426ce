//! What is sampled, and how.

use crate::error::picardy_error as code;
use crate::fault::Fault;
use crate::kinds::{self, picardy_sampler_kind, picardy_slope};
use crate::memory::{self, Region};
use crate::plan::{self, picardy_plan};
use picardy::{Noise, Picard, Plan, SetupError, Slope};

/// A sampler. Which fields count, its `kind` says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_sampler {
    /// A `picardy_sampler_kind`.
    pub kind: i32,
    /// Of Picard: a `picardy_slope`.
    pub slope: i32,
    /// Of Picard: the directions of `PICARDY_SLOPE_MULTISECANT`, 1 to 4.
    pub directions: u32,
    /// Of Picard: where states still move far, every so many-th node is evaluated.
    pub stride: u32,
    /// Of Picard: the most nodes that are open at a time; SIZE_MAX for the whole run.
    pub window: usize,
    /// Of Picard: the most rows of a call, at least the batch; SIZE_MAX for no limit.
    pub rows: usize,
    /// Of Picard: how far the sample may be from the sequential one, in standard deviations of the data; 0 runs to the exact end.
    pub tolerance: f64,
    /// Of Picard: the variance of the data per coordinate.
    pub data_variance: f64,
}

/// What is sampled: `batch` items of `dim` numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_setup {
    /// The plan.
    pub plan: *const picardy_plan,
    /// The sampler.
    pub sampler: picardy_sampler,
    /// The noise: the same seed, item and node give the same noise on every machine.
    pub seed: u64,
    /// The first item's number: what makes a batch in parts equal the whole one.
    pub first_item: u64,
    /// How many items.
    pub batch: usize,
    /// The numbers of an item.
    pub dim: usize,
}

/// One node after the other.
#[unsafe(no_mangle)]
pub extern "C" fn picardy_sampler_sequential() -> picardy_sampler {
    picardy_sampler {
        kind: picardy_sampler_kind::PICARDY_SAMPLER_SEQUENTIAL as i32,
        ..picardy_sampler_picard()
    }
}

/// Picard iteration with the settings that serve most: the whole run open, secant slopes, tolerance 0.01.
#[unsafe(no_mangle)]
pub extern "C" fn picardy_sampler_picard() -> picardy_sampler {
    picardy_sampler {
        kind: picardy_sampler_kind::PICARDY_SAMPLER_PICARD as i32,
        slope: picardy_slope::PICARDY_SLOPE_SECANT as i32,
        directions: 2,
        stride: 3,
        window: usize::MAX,
        rows: usize::MAX,
        tolerance: 0.01,
        data_variance: 1.0,
    }
}

impl picardy_sampler {
    fn sampler(&self) -> Result<Which, Fault> {
        match kinds::sampler(self.kind, "sampler.kind")? {
            picardy_sampler_kind::PICARDY_SAMPLER_SEQUENTIAL => Ok(Which::Sequential),
            picardy_sampler_kind::PICARDY_SAMPLER_PICARD => {
                let slope = match kinds::slope(self.slope, "sampler.slope")? {
                    picardy_slope::PICARDY_SLOPE_SECANT => Slope::Secant,
                    picardy_slope::PICARDY_SLOPE_IDENTITY => Slope::Identity,
                    picardy_slope::PICARDY_SLOPE_FROZEN => Slope::Frozen,
                    picardy_slope::PICARDY_SLOPE_GAUSSIAN => Slope::Gaussian,
                    picardy_slope::PICARDY_SLOPE_MULTISECANT => Slope::Multisecant(self.directions as usize),
                };
                Ok(Which::Picard(Picard {
                    window: self.window,
                    stride: self.stride as usize,
                    rows: self.rows,
                    slope,
                    tolerance: self.tolerance,
                    data_variance: self.data_variance,
                    ..Picard::default()
                }))
            }
        }
    }
}

/// The samplers of this border: `AnySampler` would link those that it lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Sequential,
    Picard(Picard),
}

/// A setup, checked.
pub(crate) struct Checked {
    pub(crate) plan_at: *const picardy_plan,
    pub(crate) plan: Plan<'static>,
    pub(crate) sampler: Which,
    pub(crate) noise: Noise<'static>,
    pub(crate) batch: usize,
    pub(crate) dim: usize,
    pub(crate) numbers: usize,
}

/// The memory of a setup's plan.
///
/// # Safety
/// Pointers are null, misaligned or point to what their types say.
pub(crate) unsafe fn lent(setup: *const picardy_setup) -> [Region; 2] {
    // SAFETY: the caller's promise.
    match unsafe { memory::read(setup, "setup") } {
        // SAFETY: the caller's promise.
        Ok(setup) => unsafe { plan::lent(setup.plan) },
        Err(_) => [Region::NOTHING; 2],
    }
}

impl picardy_setup {
    /// # Safety
    /// The plan is null, or points to memory of a plan's size, as long as what comes of it is used.
    pub(crate) unsafe fn check(&self) -> Result<Checked, Fault> {
        let Self { batch, dim, .. } = *self;
        for (name, value) in [("batch", batch), ("dim", dim)] {
            if value == 0 {
                return Err(Fault::new(code::PICARDY_ERROR_SHAPE).name(name));
            }
        }
        let too_many = |name, given| Fault::new(code::PICARDY_ERROR_SIZE).name(name).given(given);
        // Rows number their items so.
        u32::try_from(batch).map_err(|_| too_many("batch", batch))?;
        memory::bytes_of::<f32>(dim, "dim")?;
        let numbers = batch.checked_mul(dim).ok_or(too_many("batch", batch))?;
        memory::bytes_of::<f32>(numbers, "batch").map_err(|_| too_many("batch", batch))?;
        // SAFETY: the caller's promise.
        let plan = unsafe { plan::open(self.plan) }?;
        let noise = Noise::seeded(self.seed).from_item(self.first_item);
        let sampler = self.sampler.sampler()?;
        if let Which::Picard(picard) = &sampler {
            picard.check()?;
            if picard.rows < batch {
                return Err(SetupError::Rows { rows: picard.rows, batch }.into());
            }
        }
        Ok(Checked { plan_at: self.plan, plan, sampler, noise, batch, dim, numbers })
    }
}
