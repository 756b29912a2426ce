//! Densities of inputs, over the noise levels too.

use crate::denoiser::{self, Bound, picardy_denoiser};
use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, finite, guarded};
use crate::likelihood::{self, Held, Parts, Settings, picardy_likelihood};
use crate::memory::{self, Region};
use crate::plan::picardy_level;
use crate::run::Frames;
use crate::view::view;
use core::mem::{align_of, offset_of, size_of};
use picardy::likelihood::{BANDS, Buffers, Likelihood, LikelihoodError, Nats, Profile, View};
use picardy::{Level, SliceFrames};

/// An estimate in nats.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_nats {
    /// Its value.
    pub value: f64,
    /// Its standard error; infinite of one or two evaluations.
    pub standard_error: f64,
}

/// The numbers of a profile: bands of log-SNRs, from low ones to high ones.
pub const PICARDY_BANDS: usize = 8;

const _: () = assert!(PICARDY_BANDS == BANDS);

// C's structs and core's lie alike, so that neither results nor levels are copied.
const _: () = assert!(
    size_of::<picardy_nats>() == size_of::<Nats>()
        && align_of::<picardy_nats>() == align_of::<Nats>()
        && offset_of!(picardy_nats, value) == offset_of!(Nats, value)
        && offset_of!(picardy_nats, standard_error) == offset_of!(Nats, standard_error)
);
const _: () = assert!(
    size_of::<picardy_level>() == size_of::<Level>()
        && align_of::<picardy_level>() == align_of::<Level>()
        && offset_of!(picardy_level, alpha) == offset_of!(Level, alpha)
        && offset_of!(picardy_level, sigma) == offset_of!(Level, sigma)
        && offset_of!(picardy_level, t) == offset_of!(Level, t)
);

impl From<LikelihoodError<Fault>> for Fault {
    fn from(error: LikelihoodError<Fault>) -> Self {
        use LikelihoodError as E;
        let few = |needed, given| Self::new(code::PICARDY_ERROR_EVALUATIONS).needed(needed).given(given);
        match error {
            E::NoEvaluations => few(1, 0),
            E::TooFewEvaluations { needed, given } => few(needed, given),
            E::Setting { name, value } => {
                let of = if name == "variance" { "" } else { "log_snrs." };
                Self::new(code::PICARDY_ERROR_RANGE).field(of, name).value(value)
            }
            E::Level { index } => Self::new(code::PICARDY_ERROR_SIGNAL).index(index),
            E::View { log_snr } => Self::new(code::PICARDY_ERROR_LOG_SNR).value(log_snr),
            E::NotFinite { item, evaluation } => {
                Self::new(code::PICARDY_ERROR_EVALUATION).item(item).index(evaluation)
            }
            E::Denoiser(fault) => fault,
            // Sizes are checked before, and this border has no guards.
            _ => Self::new(code::PICARDY_ERROR_OTHER),
        }
    }
}

/// The inputs of a call and the room for its results, checked.
struct Asked<'a, T> {
    held: Held,
    denoiser: picardy_denoiser,
    x: &'a [f32],
    out: &'a mut [T],
    /// What is read beside the inputs.
    read: [Region; 3],
}

/// Core's estimator, where a network is shown states by a function.
type Estimator<'a> = Likelihood<&'a dyn Fn(f64) -> Option<View>>;

impl<'a, T: Copy> Asked<'a, T> {
    /// Inputs `[items, dim]`, `results` of a `T`, and what else is read, which may be empty.
    ///
    /// # Safety
    /// Pointers are null, misaligned or point to what their types say, for as long as `'a` lasts.
    unsafe fn new(
        likelihood: *mut picardy_likelihood,
        denoiser: *const picardy_denoiser,
        (x, items): (*const f32, usize),
        (out, results): (*mut T, usize),
        more: [Region; 2],
    ) -> Result<Self, Fault> {
        // SAFETY: the caller's promise.
        let denoiser = unsafe { memory::read(denoiser, "denoiser") }?;
        // SAFETY: the caller's promise.
        let held = unsafe { Held::new(likelihood) }?;
        if items == 0 {
            return Err(Fault::new(code::PICARDY_ERROR_SHAPE).name("items"));
        }
        let too_many = Fault::new(code::PICARDY_ERROR_SIZE).name("items").given(items);
        // Rows number their items so.
        u32::try_from(items).map_err(|_| too_many)?;
        let dim = held.settings().dim;
        let numbers = items.checked_mul(dim).ok_or(too_many)?;
        memory::bytes_of::<f32>(numbers, "items").map_err(|_| too_many)?;
        let [levels, prior] = more;
        let read = [Region::new(x, numbers, "x")?, levels, prior];
        let place = Region::new(out.cast_const(), results, "out")?;
        place.apart_from(held.lent())?;
        place.apart_from_all(&read)?;
        for region in read {
            region.apart_from(held.lent())?;
        }
        // SAFETY: the caller's promise.
        let x = unsafe { memory::slice(x, numbers, "x") }?;
        finite(x, "x").map_err(|fault| fault.item(fault.place() / dim.max(1)))?;
        // SAFETY: the caller's promise.
        let out = unsafe { memory::slice_mut(out, results, "out") }?;
        Ok(Self { held, denoiser, x, out, read })
    }

    /// Has core's estimator do the work.
    ///
    /// # Safety
    /// The denoiser's pointers are as the header says.
    unsafe fn answer(
        self,
        work: impl FnOnce(
            &Estimator<'_>,
            &mut Bound<'_>,
            &[f32],
            &mut Buffers<'_, Frames>,
            &mut [T],
        ) -> Result<(), LikelihoodError<Fault>>,
    ) -> Result<(), Fault> {
        let Self { held, denoiser, x, out, read } = self;
        let Settings { schedule, prediction, levels, variance, seed, evaluations, dim, .. } = held.settings();
        // SAFETY: one borrow, for this call.
        let Parts { bars, nodes, rows, numbers } = unsafe { held.parts() };
        let written = [held.lent(), Region::new(out.as_ptr(), out.len(), "out")?];
        // SAFETY: the caller's promise.
        let mut denoiser = unsafe { denoiser.bind(x.len() / dim.max(1), rows, &written, &read) }?;
        let shown = |l| view(&schedule, bars, prediction, l);
        let likelihood = Likelihood { levels, evaluations, variance, seed, view: &shown as _ };
        let mut buffers = Buffers::new(SliceFrames::new(numbers, dim), nodes);
        Ok(work(&likelihood, &mut denoiser, x, &mut buffers, out)?)
    }
}

/// A level that C points to.
///
/// # Safety
/// The pointer is null, misaligned or points to a level.
unsafe fn level(level: *const picardy_level) -> Result<Level, Fault> {
    // SAFETY: the caller's promise.
    let picardy_level { alpha, sigma, t } = unsafe { memory::read(level, "level") }?;
    Ok(Level { alpha, sigma, t })
}

/// `log p(x)` of `items` inputs `x` [items, dim] with its standard error, into `out` `[items]` (arXiv 2302.03792, eq. 9): how likely an
/// input is, in nats, in the network's coordinates (`picardy_network_normalize`). In the data's own units it is that minus the sum of
/// ln data_scale over the coordinates (`picardy_network_log_scale`). At a `level` it is the density of alpha data + sigma noise,
/// where `t` does not count; null is the data's own.
///
/// `evaluations` evaluations an input. The error knows nothing of the network's own. After an error, what `out` holds is of no use.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to items x dim floats, `out` to `items`; `level` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_log_density(
    likelihood: *mut picardy_likelihood,
    denoiser: *const picardy_denoiser,
    level: *const picardy_level,
    x: *const f32,
    items: usize,
    out: *mut picardy_nats,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let at = if level.is_null() { Level::DATA } else { unsafe { self::level(level) }? };
        let (inputs, results) = ((x, items), (out.cast::<Nats>(), items));
        // SAFETY: the caller's promise; a `Nats` lies as a `picardy_nats` does.
        let asked = unsafe { Asked::new(likelihood, denoiser, inputs, results, [Region::NOTHING; 2]) }?;
        // SAFETY: the caller's promise.
        unsafe {
            asked.answer(|by, denoiser, x, buffers, out| by.log_density_at(denoiser, &at, x, buffers, out))
        }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&likelihood::lent(likelihood), &denoiser::lent(denoiser)], work) }
}

/// `log p_level(x) - log p(x)` of `items` inputs `x` [items, dim], in nats, with the difference's own standard error, into `out`
/// `[items]` (arXiv 2407.08946): above 0 where an input looks more like data at the level's noise than like data. The level's `t`
/// does not count here.
///
/// Twice `evaluations` evaluations an input.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to items x dim floats, `out` to `items`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_log_ratio(
    likelihood: *mut picardy_likelihood,
    denoiser: *const picardy_denoiser,
    level: *const picardy_level,
    x: *const f32,
    items: usize,
    out: *mut picardy_nats,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let at = unsafe { self::level(level) }?;
        let (inputs, results) = ((x, items), (out.cast::<Nats>(), items));
        // SAFETY: the caller's promise; a `Nats` lies as a `picardy_nats` does.
        let asked = unsafe { Asked::new(likelihood, denoiser, inputs, results, [Region::NOTHING; 2]) }?;
        // SAFETY: the caller's promise.
        unsafe { asked.answer(|by, denoiser, x, buffers, out| by.log_ratio(denoiser, &at, x, buffers, out)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&likelihood::lent(likelihood), &denoiser::lent(denoiser)], work) }
}

/// The posterior over `count` noise levels of one input `x` `[dim]` that is data at one of them, into `out` `[count]`, which sums to 1:
/// prior(level) p_level(x), over the sum of all. No noise is alpha 1, sigma 0; `t` does not count here. `prior` `[count]` is of
/// numbers above 0, which need not sum to 1; null is an even one.
///
/// `evaluations` evaluations a level, with the same draws.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to dim floats, `levels`, `prior` and `out` to `count`; `prior` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_posterior(
    likelihood: *mut picardy_likelihood,
    denoiser: *const picardy_denoiser,
    levels: *const picardy_level,
    prior: *const f64,
    count: usize,
    x: *const f32,
    out: *mut f64,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        if count == 0 {
            return Err(Fault::new(code::PICARDY_ERROR_SHAPE).name("count"));
        }
        let priors = if prior.is_null() { 0 } else { count };
        let more = [Region::new(levels, count, "levels")?, Region::new(prior, priors, "prior")?];
        // SAFETY: the caller's promise.
        let asked = unsafe { Asked::new(likelihood, denoiser, (x, 1), (out, count), more) }?;
        // SAFETY: the caller's promise; a `Level` lies as a `picardy_level` does.
        let levels = unsafe { memory::slice(levels.cast::<Level>(), count, "levels") }?;
        // SAFETY: the caller's promise.
        let prior = unsafe { memory::slice(prior, priors, "prior") }?;
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if let Some((index, value)) = prior.iter().enumerate().find(|(_, prior)| !positive(**prior)) {
            return Err(Fault::new(code::PICARDY_ERROR_RANGE).name("prior").index(index).value(*value));
        }
        // SAFETY: the caller's promise.
        unsafe {
            asked.answer(|by, denoiser, x, buffers, out| {
                by.posterior(denoiser, levels, prior, x, buffers, out)
            })
        }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&likelihood::lent(likelihood), &denoiser::lent(denoiser)], work) }
}

/// The parts of `log p(x)` that bands of log-SNRs have, of `items` inputs `x` [items, dim], in nats, into `out`
/// [items, PICARDY_BANDS], from low log-SNRs to high ones: what `picardy_typical_score` scores.
///
/// `evaluations` evaluations an input.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to items x dim floats, `out` to items x PICARDY_BANDS doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_profile(
    likelihood: *mut picardy_likelihood,
    denoiser: *const picardy_denoiser,
    x: *const f32,
    items: usize,
    out: *mut f64,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        let (inputs, results) = ((x, items), (out.cast::<Profile>(), items));
        // SAFETY: the caller's promise; a profile is an array.
        let asked = unsafe { Asked::new(likelihood, denoiser, inputs, results, [Region::NOTHING; 2]) }?;
        // SAFETY: the caller's promise.
        unsafe { asked.answer(|by, denoiser, x, buffers, out| by.profile(denoiser, x, buffers, out)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&likelihood::lent(likelihood), &denoiser::lent(denoiser)], work) }
}
