//! Runs: all at once, or round by round.

use crate::denoiser::{self, Bound, picardy_denoiser};
use crate::error::picardy_detail;
use crate::fault::{Fault, guarded};
use crate::memory::{self, Region};
use crate::run::{self, Held, Runs, picardy_run};
use crate::setup::{self, picardy_setup};
use core::ffi::c_void;
use picardy::{Report, Round, Run, SampleError};

/// What one round (one call of the network) did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_round {
    /// The rounds so far, this one included.
    pub rounds: usize,
    /// The rows this round evaluated.
    pub rows: usize,
    /// The rows evaluated so far.
    pub evaluations: usize,
    /// The nodes whose state is final, the least over the items.
    pub done: usize,
    /// The plan's last node.
    pub last: usize,
    /// Of Picard: the largest change of a state, in the unit of the tolerance.
    pub residual: f64,
    /// Not 0 where every item has come to the end.
    pub finished: i32,
}

/// What a run cost.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_report {
    /// Calls of the network.
    pub rounds: usize,
    /// Rows evaluated in all.
    pub evaluations: usize,
    /// The residual of the last round in which a state was open.
    pub residual: f64,
    /// 0 where the run was stopped before its end.
    pub finished: i32,
}

/// Is shown every round, and returns 0 to stop the run there: at a deadline, say.
pub type picardy_watch =
    Option<unsafe extern "C" fn(context: *mut c_void, round: *const picardy_round) -> i32>;

impl picardy_report {
    fn of(report: Report) -> Self {
        let Report { rounds, evaluations, residual, finished } = report;
        Self { rounds, evaluations, residual, finished: i32::from(finished) }
    }
}

impl Held {
    fn report(&self) -> Report {
        // SAFETY: the run was written where this points, and is used by this call alone.
        unsafe {
            match self.run() {
                Runs::Sequential(run) => (*run).report(),
                Runs::Picard(run) => (*run).report(),
            }
        }
    }

    /// # Safety
    /// `x` is null, misaligned, or points to the run's numbers.
    unsafe fn best(&self, x: *mut f32) -> Result<(), Fault> {
        Region::new(x.cast_const(), self.numbers(), "x")?.apart_from_all(&self.kept()?)?;
        // SAFETY: the caller's promise.
        let x = unsafe { memory::slice_mut(x, self.numbers(), "x") }?;
        // SAFETY: the run was written where this points, and is used by this call alone.
        unsafe {
            match self.run() {
                Runs::Sequential(run) => (*run).best(x),
                Runs::Picard(run) => (*run).best(x),
            }
        }
        Ok(())
    }

    /// # Safety
    /// `denoiser` was bound for this call.
    unsafe fn round(&self, denoiser: &mut Bound<'_>) -> Result<Option<Round>, SampleError<Fault>> {
        // SAFETY: the run was written where this points, and is used by this call alone.
        unsafe {
            match self.run() {
                Runs::Sequential(run) => (*run).round(denoiser),
                Runs::Picard(run) => (*run).round(denoiser),
            }
        }
    }
}

/// One round of a run that is held.
///
/// # Safety
/// The denoiser's pointers are as the header says.
unsafe fn step(held: &Held, denoiser: &picardy_denoiser, x: Option<Region>) -> Result<picardy_round, Fault> {
    let [lent, plan @ ..] = held.kept()?;
    // SAFETY: one borrow, for this call; the caller's promise of the denoiser.
    let mut denoiser =
        unsafe { denoiser.bind(held.items(), held.rows(), &[lent, x.unwrap_or(lent)], &plan) }?;
    // SAFETY: bound just now.
    let Some(round) = (unsafe { held.round(&mut denoiser) })? else {
        let (Report { rounds, evaluations, residual, .. }, last) = (held.report(), held.last());
        return Ok(picardy_round { rounds, rows: 0, evaluations, done: last, last, residual, finished: 1 });
    };
    let Round { rounds, rows, evaluations, done, last, residual } = round;
    Ok(picardy_round {
        rounds,
        rows,
        evaluations,
        done,
        last,
        residual,
        finished: i32::from(round.is_finished()),
    })
}

/// One round: one call of the denoiser, and what follows from it. At the end it does nothing, and `round->finished` stays set.
/// After an error the run is as it was before, and the round can be asked for again; after `PICARDY_ERROR_OVERFLOW` alone it has
/// ended, without a sample.
///
/// # Safety
/// Pointers are null or point to what their types say; `round` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_run_round(
    run: *mut picardy_run,
    denoiser: *const picardy_denoiser,
    round: *mut picardy_round,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let denoiser = unsafe { memory::read(denoiser, "denoiser") }?;
        // SAFETY: the caller's promise.
        let held = unsafe { Held::new(run) }?;
        memory::optional(round, "round", &held.kept()?)?;
        // SAFETY: the caller's promise.
        let said = unsafe { step(&held, &denoiser, None) }?;
        // SAFETY: the caller's promise.
        unsafe { memory::write_if(round, said) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&run::lent(run), &denoiser::lent(denoiser)], work) }
}

/// Writes the best state so far into `x` ([batch, dim]): the samples, and of items that are not done the newest estimate of the data.
/// The run can go on, and ends as it would have.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to batch x dim floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_run_best(
    run: *mut picardy_run,
    x: *mut f32,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let held = unsafe { Held::new(run) }?;
        // SAFETY: the caller's promise.
        unsafe { held.best(x) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&run::lent(run)], work) }
}

/// Writes the best state so far into `x`, as `picardy_run_best` does, and what the run cost; the run's memory is the caller's again.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to batch x dim floats; `report` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_run_finish(
    run: *mut picardy_run,
    x: *mut f32,
    report: *mut picardy_report,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let held = unsafe { Held::new(run) }?;
        memory::optional(report, "report", &held.kept()?)?;
        // SAFETY: the caller's promise.
        unsafe { held.best(x) }?;
        // SAFETY: the caller's promise.
        unsafe { memory::write_if(report, picardy_report::of(held.report())) };
        held.end();
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&run::lent(run)], work) }
}

/// Samples in one call: `x` ([batch, dim]) holds the start (`picardy_start`) and gets the samples. `memory` is of `picardy_need.bytes`.
/// `keep_going` may be null; where it stops the run, `x` gets the best state so far. After an error `x` holds the start.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to batch x dim floats; `report` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_sample(
    setup: *const picardy_setup,
    denoiser: *const picardy_denoiser,
    keep_going: picardy_watch,
    context: *mut c_void,
    memory: *mut c_void,
    bytes: usize,
    x: *mut f32,
    report: *mut picardy_report,
    detail: *mut picardy_detail,
) -> i32 {
    let taken = [Region::new(memory.cast::<u8>().cast_const(), bytes, "memory").unwrap_or(Region::NOTHING)];
    let work = || {
        // SAFETY: the caller's promise.
        let denoiser = unsafe { memory::read(denoiser, "denoiser") }?;
        // SAFETY: the caller's promise.
        let held = unsafe { Held::new(run::begin(setup, x.cast_const(), memory, bytes)?) }?;
        let place = Region::new(x.cast_const(), held.numbers(), "x")?;
        place.apart_from_all(&held.kept()?)?;
        memory::optional(report, "report", &held.kept()?)?;
        loop {
            // SAFETY: the caller's promise.
            let round = unsafe { step(&held, &denoiser, Some(place)) }?;
            if round.finished != 0 {
                break;
            }
            let Some(keep_going) = keep_going else { continue };
            // SAFETY: the function is the caller's, and is shown a round.
            if unsafe { keep_going(context, &raw const round) } == 0 {
                break;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { held.best(x) }?;
        // SAFETY: the caller's promise.
        unsafe { memory::write_if(report, picardy_report::of(held.report())) };
        held.end();
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&taken, &setup::lent(setup), &denoiser::lent(denoiser)], work) }
}
