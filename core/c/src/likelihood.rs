//! The noise classifier's settings, and what it works in: the caller's memory.

use crate::denoiser::picardy_row;
use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, guarded};
use crate::kinds::{self, picardy_log_snrs_kind};
use crate::memory::{self, Arena, PICARDY_ALIGNMENT, Region, Size};
use crate::plan::PICARDY_NODE_BYTES;
use crate::run::PICARDY_ROW_BYTES;
use crate::source::{picardy_schedule, picardy_schedule_linear};
use core::ffi::c_void;
use core::{mem, ptr, slice};
use picardy::likelihood::LogSnrs;
use picardy::{Node, NoiseSchedule, Prediction};

/// What densities are estimated with. It lies in memory that the caller gave, and is of one call at a time.
#[derive(Debug)]
pub struct picardy_likelihood {
    _private: [u8; 0],
}

/// Which log-SNRs are drawn. Which fields count, its `kind` says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_log_snrs {
    /// A `picardy_log_snrs_kind`.
    pub kind: i32,
    /// Of the logistic distribution: its middle, finite.
    pub loc: f64,
    /// Its width, above 0.
    pub scale: f64,
    /// Where it is cut off, in scales from the middle, above 0 and at most 30.
    pub clip: f64,
    /// Of the uniform distribution: its lower end.
    pub low: f64,
    /// Its upper end, above the lower.
    pub high: f64,
}

/// How densities are estimated, and of which network.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_likelihood_spec {
    /// Which noise levels the network was trained at (`picardy_card.schedule`); its spacing, offset and end do not count.
    pub schedule: picardy_schedule,
    /// A `picardy_prediction`: what the network's output is.
    pub prediction: i32,
    /// Which log-SNRs are drawn: those that the network knows, as far as its noise estimate differs from a Gaussian's.
    pub log_snrs: picardy_log_snrs,
    /// The variance of the data per coordinate, about; above 0. It changes the standard error alone.
    pub variance: f64,
    /// The draws: the same seed gives the same numbers on every machine. All inputs share them. A `picardy_threshold` and a
    /// `picardy_typical` hold for the seed alone that their scores and profiles had.
    pub seed: u64,
    /// Evaluations of the network for an input and density; a profile takes at least 16.
    pub evaluations: usize,
    /// The most rows of a call: what the memory grows with, and no result depends on. SIZE_MAX for all of an input's, of the two
    /// densities of a ratio: 2 x evaluations, which is what `PICARDY_LIKELIHOOD_BYTES` is to be given then.
    pub rows: usize,
    /// The numbers of an input.
    pub dim: usize,
}

/// Bytes that suffice for a likelihood beside its rows and timesteps.
pub const PICARDY_LIKELIHOOD_HEADER_BYTES: usize = 384;

const _: () = assert!(mem::size_of::<Sealed>() + 3 * PICARDY_ALIGNMENT <= PICARDY_LIKELIHOOD_HEADER_BYTES);
const _: () = assert!(mem::align_of::<Sealed>() <= PICARDY_ALIGNMENT);
const _: () = assert!(mem::size_of::<Node>() <= PICARDY_NODE_BYTES);
const _: () = assert!(mem::size_of::<picardy_row>() <= PICARDY_ROW_BYTES);

/// What a [`picardy_likelihood`] points to; the seal is read before anything else is.
#[repr(C)]
struct Sealed {
    seal: usize,
    /// A call has begun and has not ended.
    busy: bool,
    /// All of its memory.
    lent: Region,
    settings: Settings,
    /// The alpha-bars of all timesteps, of a schedule of betas.
    bars: (*const f64, usize),
    nodes: (*mut Node, usize),
    rows: (*mut picardy_row, usize),
    numbers: (*mut f32, usize),
}

/// A spec, checked.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) schedule: NoiseSchedule,
    pub(crate) prediction: Prediction,
    pub(crate) levels: LogSnrs,
    pub(crate) variance: f64,
    pub(crate) seed: u64,
    pub(crate) evaluations: usize,
    pub(crate) rows: usize,
    pub(crate) dim: usize,
}

const KIND: usize = 4;

/// A likelihood that is used by the call at hand, and free again when this is dropped.
pub(crate) struct Held(*mut Sealed);

/// What a call of a likelihood works in.
pub(crate) struct Parts<'a> {
    pub(crate) bars: &'a [f64],
    pub(crate) nodes: &'a mut [Node],
    pub(crate) rows: &'a mut [picardy_row],
    pub(crate) numbers: &'static mut [f32],
}

/// The memory of a likelihood, under way or not; none where the pointer is no likelihood's.
///
/// # Safety
/// As for [`Held::new`].
pub(crate) unsafe fn lent(likelihood: *mut picardy_likelihood) -> [Region; 1] {
    let sealed = likelihood.cast::<Sealed>();
    // SAFETY: the caller's promise.
    if unsafe { check(sealed) }.is_err() {
        return [Region::NOTHING];
    }
    // SAFETY: the seal says that a `Sealed` was written here; a field that nothing borrows, copied out.
    unsafe { [(*sealed).lent] }
}

/// Whether a `Sealed` is there.
///
/// # Safety
/// As for [`Held::new`].
unsafe fn check(sealed: *mut Sealed) -> Result<(), Fault> {
    // SAFETY: the seal is an integer; the caller's promise.
    let found = unsafe { memory::read(sealed.cast::<usize>().cast_const(), "likelihood") }?;
    if !sealed.is_aligned() || found != memory::seal(sealed, KIND) {
        return Err(Fault::new(code::PICARDY_ERROR_NOT_A_LIKELIHOOD));
    }
    Ok(())
}

impl Held {
    /// # Safety
    /// Where it is not null, the pointer points to memory of a likelihood's size, which is the likelihood's alone.
    pub(crate) unsafe fn new(likelihood: *mut picardy_likelihood) -> Result<Self, Fault> {
        let sealed = likelihood.cast::<Sealed>();
        // SAFETY: the caller's promise.
        unsafe { check(sealed) }?;
        // SAFETY: the seal says that a `Sealed` was written here; a flag, which nothing borrows.
        if unsafe { (&raw mut (*sealed).busy).replace(true) } {
            return Err(Fault::new(code::PICARDY_ERROR_BUSY));
        }
        Ok(Self(sealed))
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Settings {
        // SAFETY: `new` has seen that a `Sealed` is there, and that no other call has it; copied out.
        unsafe { (*self.0).settings }
    }

    /// All of its memory.
    pub(crate) fn lent(&self) -> Region {
        // SAFETY: as for `settings`; copied out.
        unsafe { (*self.0).lent }
    }

    /// What the call works in.
    ///
    /// # Safety
    /// There is one such borrow at a time, which does not outlast this.
    pub(crate) unsafe fn parts(&self) -> Parts<'_> {
        // SAFETY: `picardy_likelihood_make` has filled so many of each; nothing else touches them.
        unsafe {
            let Sealed { bars, nodes, rows, numbers, .. } = &*self.0;
            Parts {
                bars: slice::from_raw_parts(bars.0, bars.1),
                nodes: slice::from_raw_parts_mut(nodes.0, nodes.1),
                rows: slice::from_raw_parts_mut(rows.0, rows.1),
                numbers: slice::from_raw_parts_mut(numbers.0, numbers.1),
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: `new` has seen that a `Sealed` is there; a flag, which nothing borrows.
        unsafe { (*self.0).busy = false };
    }
}

impl picardy_log_snrs {
    fn check(&self) -> Result<LogSnrs, Fault> {
        let Self { loc, scale, clip, low, high, .. } = *self;
        let found = match kinds::log_snrs(self.kind, "log_snrs.kind")? {
            picardy_log_snrs_kind::PICARDY_LOG_SNRS_LOGISTIC => LogSnrs::Logistic { loc, scale, clip },
            picardy_log_snrs_kind::PICARDY_LOG_SNRS_UNIFORM => LogSnrs::Uniform { low, high },
        };
        found.check::<Fault>()?;
        Ok(found)
    }
}

impl picardy_likelihood_spec {
    fn check(&self) -> Result<Settings, Fault> {
        let Self { variance, seed, evaluations, dim, .. } = *self;
        if dim == 0 {
            return Err(Fault::new(code::PICARDY_ERROR_SHAPE).name("dim"));
        }
        memory::bytes_of::<f32>(dim, "dim")?;
        let (schedule, prediction) = (self.schedule.process()?, kinds::prediction(self.prediction)?);
        schedule.check()?;
        if evaluations == 0 {
            return Err(Fault::new(code::PICARDY_ERROR_EVALUATIONS).needed(1));
        }
        if self.rows == 0 {
            return Err(Fault::new(code::PICARDY_ERROR_ZERO).name("rows"));
        }
        if !(variance > 0.0 && variance.is_finite()) {
            return Err(Fault::new(code::PICARDY_ERROR_RANGE).name("variance").value(variance));
        }
        let rows = match self.rows {
            usize::MAX => evaluations.saturating_mul(2),
            rows => rows,
        };
        let levels = self.log_snrs.check()?;
        Ok(Settings { schedule, prediction, levels, variance, seed, evaluations, rows, dim })
    }
}

impl Settings {
    fn timesteps(&self) -> usize {
        self.schedule.betas().map_or(0, |betas| betas.train_steps)
    }

    /// Inputs that share a call share its nodes.
    fn nodes(&self) -> usize {
        self.rows.min(self.evaluations.saturating_mul(2))
    }

    /// States and outputs.
    fn numbers(&self) -> usize {
        self.rows.saturating_mul(2).saturating_mul(self.dim)
    }

    fn size(&self) -> Result<Size, Fault> {
        let size = || {
            Size::of::<Sealed>()
                .and::<f64>(self.timesteps())?
                .and::<Node>(self.nodes())?
                .and::<picardy_row>(self.rows)?
                .and::<f32>(self.numbers())
        };
        size().map_err(|_| Fault::new(code::PICARDY_ERROR_SIZE).name("rows").given(self.rows))
    }

    /// Writes the alpha-bars, which must fall: of betas alone.
    fn fill(&self, bars: &mut [f64]) -> Result<(), Fault> {
        let Some(betas) = self.schedule.betas() else { return Ok(()) };
        let mut last = 1.0;
        for (index, (to, bar)) in bars.iter_mut().zip(betas.alpha_bars()).enumerate() {
            let ends = betas.zero_snr && index + 1 == betas.train_steps;
            // Products of large betas underflow, tiny betas vanish beside 1: no level is left then.
            if !(bar < last && (bar > 0.0 || ends)) {
                return Err(Fault::new(code::PICARDY_ERROR_BETA).index(index).value(bar));
            }
            (*to, last) = (bar, bar);
        }
        Ok(())
    }
}

/// Settings for data of unit variance: the log-SNRs that arXiv 2407.08946 integrates over (logistic, loc 0, scale 3, clip 3), 256
/// evaluations, 64 rows a call, seed 0, DDPM's betas, a network that predicts noise. A start for others: change what differs.
#[unsafe(no_mangle)]
pub extern "C" fn picardy_likelihood_spec_logistic(dim: usize) -> picardy_likelihood_spec {
    picardy_likelihood_spec {
        schedule: picardy_schedule_linear(1000, 1e-4, 2e-2),
        prediction: 0,
        log_snrs: picardy_log_snrs {
            kind: picardy_log_snrs_kind::PICARDY_LOG_SNRS_LOGISTIC as i32,
            loc: 0.0,
            scale: 3.0,
            clip: 3.0,
            low: -9.0,
            high: 9.0,
        },
        variance: 1.0,
        seed: 0,
        evaluations: 256,
        rows: 64,
        dim,
    }
}

/// The size of a likelihood of a spec, in bytes, at an alignment of `PICARDY_ALIGNMENT`.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_likelihood_size(
    spec: *const picardy_likelihood_spec,
    bytes: *mut usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let size = unsafe { memory::read(spec, "spec") }?.check()?.size()?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(bytes, size.bytes(), "bytes") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// Makes a likelihood in the caller's `memory`, of `picardy_likelihood_size` bytes; `likelihood` points into it then, and is null
/// after an error. What was made in the memory before is gone, after an error too.
///
/// # Safety
/// Pointers are null or point to what their types say; `memory` is the likelihood's as long as that is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_likelihood_make(
    spec: *const picardy_likelihood_spec,
    memory: *mut c_void,
    bytes: usize,
    likelihood: *mut *mut picardy_likelihood,
    detail: *mut picardy_detail,
) -> i32 {
    let memory = memory.cast::<u8>();
    // SAFETY: the caller's promise.
    let lent = unsafe { memory::lend((likelihood, ptr::null_mut(), "likelihood"), memory, bytes) };
    let taken = [lent.unwrap_or(Region::NOTHING)];
    let work = || {
        let lent = lent?;
        // SAFETY: the caller's promise.
        let settings = unsafe { memory::read(spec, "spec") }?.check()?;
        // SAFETY: the caller lends the memory, here and below.
        let mut arena = unsafe { Arena::new(memory, bytes, settings.size()?.bytes()) }?;
        let sealed = arena.take::<Sealed>(1)?;
        // SAFETY: the same.
        let bars = unsafe { arena.fill(settings.timesteps(), 0.0f64) }?;
        settings.fill(bars)?;
        // SAFETY: the same.
        let nodes = unsafe { arena.fill(settings.nodes(), Node::default()) }?;
        // SAFETY: the same.
        let rows = unsafe { arena.fill(settings.rows, picardy_row::default()) }?;
        // SAFETY: the same.
        let numbers = unsafe { arena.fill(settings.numbers(), 0.0f32) }?;
        let made = Sealed {
            seal: memory::seal(sealed, KIND),
            busy: false,
            lent,
            settings,
            bars: (bars.as_ptr(), bars.len()),
            nodes: (nodes.as_mut_ptr(), nodes.len()),
            rows: (rows.as_mut_ptr(), rows.len()),
            numbers: (numbers.as_mut_ptr(), numbers.len()),
        };
        // SAFETY: `sealed` is the arena's.
        unsafe { sealed.write(made) };
        // SAFETY: the caller's promise.
        unsafe { memory::write(likelihood, sealed.cast(), "likelihood") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&taken], work) }
}
