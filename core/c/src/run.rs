//! Runs in the caller's memory: how much they take, and how they begin.

use crate::denoiser::picardy_row;
use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, guarded};
use crate::memory::{self, Arena, PICARDY_ALIGNMENT, Region, Size};
use crate::plan::{self, picardy_plan};
use crate::setup::{self, Checked, Which, picardy_setup};
use core::ffi::c_void;
use core::{mem, ptr};
use picardy::sampler::SequentialRun;
use picardy::{Bound, Mark, Need, Noise, PicardRun, Plan, Sampler, Sequential, SliceFrames, Span, Workspace};

/// A run under way: it lies in memory that the caller gave.
#[derive(Debug)]
pub struct picardy_run {
    _private: [u8; 0],
}

/// What a run takes and costs at most.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct picardy_need {
    /// Its memory, in bytes, at an alignment of `PICARDY_ALIGNMENT`.
    pub bytes: usize,
    /// The most calls of the network.
    pub rounds: usize,
    /// The most rows evaluated in all.
    pub evaluations: usize,
    /// The most rows of one call.
    pub rows: usize,
}

/// Bytes that suffice for a sequential run beside its rows, of numbers and of calls.
pub const PICARDY_RUN_HEADER_BYTES: usize = 384;
/// Bytes of a `picardy_row`, of which a run keeps as many as its largest call has.
pub const PICARDY_ROW_BYTES: usize = 20;

const _: () = assert!(
    mem::size_of::<Sealed>() + mem::size_of::<SequentialRun<'static, Frames>>() + 2 * PICARDY_ALIGNMENT
        <= PICARDY_RUN_HEADER_BYTES
);
const _: () = assert!(mem::align_of::<SequentialRun<'static, Frames>>() <= mem::align_of::<u64>());
const _: () = assert!(mem::align_of::<PicardRun<'static, Frames>>() <= mem::align_of::<u64>());
const _: () = assert!(mem::align_of::<Sealed>() <= PICARDY_ALIGNMENT);
const _: () = assert!(mem::size_of::<picardy_row>() == PICARDY_ROW_BYTES);

pub(crate) type Frames = SliceFrames<'static, f32>;

/// The runs of this border, where they lie behind a [`Sealed`]: one of them takes much less than the other.
#[derive(Clone, Copy)]
pub(crate) enum Runs {
    Sequential(*mut SequentialRun<'static, Frames>),
    Picard(*mut PicardRun<'static, Frames>),
}

/// What a [`picardy_run`] points to; the seal is read before anything else is. `run` borrows from `plan`, `noise` and
/// `workspace`, which are left alone once it is there.
#[repr(C)]
pub(crate) struct Sealed {
    seal: usize,
    /// A call of the run has begun and has not ended.
    busy: bool,
    /// All of the run's memory.
    pub(crate) lent: Region,
    pub(crate) numbers: usize,
    pub(crate) dim: usize,
    pub(crate) last: usize,
    pub(crate) rows: *mut picardy_row,
    pub(crate) row_count: usize,
    plan_at: *const picardy_plan,
    plan: Plan<'static>,
    noise: Noise<'static>,
    workspace: Workspace<'static, Frames>,
    run: Runs,
}

const KIND: usize = 3;

/// A run that is used by the call at hand, and free again when this is dropped.
pub(crate) struct Held(*mut Sealed);

/// All memory that a run keeps, under way or not: its own and its plan's; none where the pointer is no run's.
///
/// # Safety
/// As for [`Held::new`].
pub(crate) unsafe fn lent(run: *mut picardy_run) -> [Region; 3] {
    let sealed = run.cast::<Sealed>();
    // SAFETY: the caller's promise.
    unsafe { check(sealed).and_then(|()| kept(sealed)) }.unwrap_or([Region::NOTHING; 3])
}

/// Whether a `Sealed` is there.
///
/// # Safety
/// As for [`Held::new`].
unsafe fn check(sealed: *mut Sealed) -> Result<(), Fault> {
    // SAFETY: the seal is an integer; the caller's promise.
    let found = unsafe { memory::read(sealed.cast::<usize>().cast_const(), "run") }?;
    if !sealed.is_aligned() || found != memory::seal(sealed, KIND) {
        return Err(Fault::new(code::PICARDY_ERROR_NOT_A_RUN));
    }
    Ok(())
}

/// # Safety
/// A `Sealed` is there.
unsafe fn kept(sealed: *mut Sealed) -> Result<[Region; 3], Fault> {
    // SAFETY: fields that nothing writes to, copied out: the run itself only reads the plan.
    let (lent, at, plan) = unsafe { ((*sealed).lent, (*sealed).plan_at, (*sealed).plan) };
    let [front, nodes] = plan::regions(at, &plan)?;
    Ok([lent, front, nodes])
}

impl Held {
    /// # Safety
    /// Where it is not null, the pointer points to memory of a run's size, which is the run's alone.
    pub(crate) unsafe fn new(run: *mut picardy_run) -> Result<Self, Fault> {
        let sealed = run.cast::<Sealed>();
        // SAFETY: the caller's promise.
        unsafe { check(sealed) }?;
        // SAFETY: the seal says that a `Sealed` was written here. A pointer to one field: the others may be borrowed.
        let busy = unsafe { &raw mut (*sealed).busy };
        // SAFETY: the same.
        if unsafe { busy.replace(true) } {
            return Err(Fault::new(code::PICARDY_ERROR_BUSY));
        }
        Ok(Self(sealed))
    }

    /// The run itself.
    pub(crate) fn run(&self) -> Runs {
        // SAFETY: `new` has seen that a `Sealed` is there, and that no other call has it; copied out.
        unsafe { (*self.0).run }
    }

    /// All memory that nothing else may be written to as long as the run is used: its own and the plan's.
    pub(crate) fn kept(&self) -> Result<[Region; 3], Fault> {
        // SAFETY: `new` has seen that a `Sealed` is there.
        unsafe { kept(self.0) }
    }

    /// The numbers of the batch.
    pub(crate) fn numbers(&self) -> usize {
        // SAFETY: as for `run`; copied out.
        unsafe { (*self.0).numbers }
    }

    /// The items of the batch.
    pub(crate) fn items(&self) -> usize {
        // SAFETY: as for `run`; copied out.
        let (numbers, dim) = unsafe { ((*self.0).numbers, (*self.0).dim) };
        numbers.checked_div(dim).unwrap_or(0)
    }

    /// The plan's last node.
    pub(crate) fn last(&self) -> usize {
        // SAFETY: as for `run`; copied out.
        unsafe { (*self.0).last }
    }

    /// Room for the rows of a call.
    ///
    /// # Safety
    /// There is one such borrow at a time.
    pub(crate) unsafe fn rows(&self) -> &'static mut [picardy_row] {
        // SAFETY: `begin` has filled so many of them; nothing else touches them.
        unsafe { core::slice::from_raw_parts_mut((*self.0).rows, (*self.0).row_count) }
    }

    /// The run is over: its pointer is none any more.
    pub(crate) fn end(self) {
        // SAFETY: as for `run`.
        unsafe { (*self.0).seal = 0 };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: `new` has seen that a `Sealed` is there; a flag, which nothing borrows.
        unsafe { (*self.0).busy = false };
    }
}

impl Which {
    /// The bytes of its run, without rows.
    fn size(&self) -> usize {
        match self {
            Self::Sequential => mem::size_of::<SequentialRun<'static, Frames>>(),
            Self::Picard(_) => mem::size_of::<PicardRun<'static, Frames>>(),
        }
    }
}

impl Checked {
    fn need(&self) -> (Need, Bound) {
        match &self.sampler {
            Which::Sequential => {
                (Sequential.need(&self.plan, self.batch), Sequential.bound(&self.plan, self.batch))
            }
            Which::Picard(picard) => {
                (picard.need(&self.plan, self.batch), picard.bound(&self.plan, self.batch))
            }
        }
    }

    fn size(&self) -> Result<(Size, Need, Bound), Fault> {
        let (need, bound) = self.need();
        let size = Size::of::<Sealed>()
            .and::<u64>(self.sampler.size().div_ceil(mem::size_of::<u64>()))?
            .and::<Span>(need.spans)?
            .and::<Mark>(need.marks)?
            .and::<picardy_row>(bound.rows)?
            .and::<f32>(need.numbers(self.dim))?;
        Ok((size, need, bound))
    }
}

/// What a run of this setup takes and costs at most.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_run_need(
    setup: *const picardy_setup,
    need: *mut picardy_need,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let checked = unsafe { memory::read(setup, "setup")?.check() }?;
        let (size, _, bound) = checked.size()?;
        let Bound { rounds, evaluations, rows } = bound;
        let about = picardy_need { bytes: size.bytes(), rounds, evaluations, rows };
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(need, about, "need", &setup::lent(setup)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&setup::lent(setup)], work) }
}

/// Writes the noise that a run starts from into `x` ([batch, dim]).
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to batch x dim floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_start(
    setup: *const picardy_setup,
    x: *mut f32,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let checked = unsafe { memory::read(setup, "setup")?.check() }?;
        let place = Region::new(x.cast_const(), checked.numbers, "x")?;
        place.apart_from_all(&plan::regions(checked.plan_at, &checked.plan)?)?;
        // SAFETY: the caller's promise.
        let x = unsafe { memory::slice_mut(x, checked.numbers, "x") }?;
        checked.plan.start(&checked.noise, checked.dim, x);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&setup::lent(setup)], work) }
}

/// Begins a run in the caller's `memory`, of `picardy_need.bytes`; `run` points into it then, and is null after an error. `x`
/// ([batch, dim]) holds the start, and is not used any more then. The plan stays as it is as long as the run is used. What was
/// made in the memory before is gone, after an error too.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to batch x dim floats; `memory` is the run's as long as that is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_run_begin(
    setup: *const picardy_setup,
    x: *const f32,
    memory: *mut c_void,
    bytes: usize,
    run: *mut *mut picardy_run,
    detail: *mut picardy_detail,
) -> i32 {
    // SAFETY: the caller's promise.
    let lent = unsafe { memory::lend((run, ptr::null_mut(), "run"), memory.cast(), bytes) };
    let taken = [lent.unwrap_or(Region::NOTHING)];
    let work = || {
        lent?;
        // SAFETY: the caller's promise.
        let begun = unsafe { begin(setup, x, memory, bytes) }?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(run, begun, "run") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&taken, &setup::lent(setup)], work) }
}

/// # Safety
/// As for [`picardy_run_begin`].
pub(crate) unsafe fn begin(
    setup: *const picardy_setup,
    x: *const f32,
    memory: *mut c_void,
    bytes: usize,
) -> Result<*mut picardy_run, Fault> {
    let memory = memory.cast::<u8>();
    // SAFETY: the caller's promise.
    let setup = unsafe { memory::read(setup, "setup") }?;
    // SAFETY: the caller's promise.
    let checked = unsafe { setup.check() }?;
    let (size, need, bound) = checked.size()?;
    let lent = Region::new(memory.cast_const(), bytes, "memory")?;
    lent.apart_from(Region::new(x, checked.numbers, "x")?)?;
    lent.apart_from_all(&plan::regions(checked.plan_at, &checked.plan)?)?;
    // SAFETY: the caller lends the memory.
    let mut arena = unsafe { Arena::new(memory, bytes, size.bytes()) }?;
    let sealed = arena.take::<Sealed>(1)?;
    // A `u64` has the alignment of every run.
    let place = arena.take::<u64>(checked.sampler.size().div_ceil(mem::size_of::<u64>()))?;
    // SAFETY: the caller lends the memory, here and below.
    let spans = unsafe { arena.fill(need.spans, Span::default()) }?;
    // SAFETY: the same.
    let marks = unsafe { arena.fill(need.marks, Mark::default()) }?;
    // SAFETY: the same.
    let rows = unsafe { arena.fill(bound.rows, picardy_row::default()) }?;
    // SAFETY: the same.
    let numbers = unsafe { arena.fill(need.numbers(checked.dim), 0.0f32) }?;
    // SAFETY: the caller's promise.
    let x = unsafe { memory::slice(x, checked.numbers, "x") }?;
    let workspace = Workspace::new(SliceFrames::new(numbers, checked.dim), spans).with_marks(marks);
    // SAFETY: memory for a `Sealed`, of which each field is written once; the run borrows those that are never touched
    // again, and lie where they are as long as it does.
    unsafe {
        (&raw mut (*sealed).plan_at).write(checked.plan_at);
        (&raw mut (*sealed).plan).write(checked.plan);
        (&raw mut (*sealed).noise).write(checked.noise);
        (&raw mut (*sealed).workspace).write(workspace);
        let (plan, noise, workspace) = (&(*sealed).plan, &(*sealed).noise, &mut (*sealed).workspace);
        let run = match &checked.sampler {
            Which::Sequential => {
                let place = place.cast();
                ptr::write(place, Sequential.begin(plan, noise, x, workspace)?);
                Runs::Sequential(place)
            }
            Which::Picard(picard) => {
                let place = place.cast();
                ptr::write(place, picard.begin(plan, noise, x, workspace)?);
                Runs::Picard(place)
            }
        };
        (&raw mut (*sealed).run).write(run);
        (&raw mut (*sealed).busy).write(false);
        (&raw mut (*sealed).lent).write(lent);
        (&raw mut (*sealed).numbers).write(checked.numbers);
        (&raw mut (*sealed).dim).write(checked.dim);
        (&raw mut (*sealed).last).write(checked.plan.last());
        (&raw mut (*sealed).rows).write(rows.as_mut_ptr());
        (&raw mut (*sealed).row_count).write(rows.len());
        (&raw mut (*sealed).seal).write(memory::seal(sealed, KIND));
    }
    Ok(sealed.cast())
}
