//! Calls of the border over a network of two Gaussians, and core's own run of the same.

use super::{Memory, NOTHING, detail};
use core::ffi::c_void;
use core::ptr;
use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Prediction, Sampler, Solver};
use picardy_c::*;

pub(crate) const DIM: usize = 2;
pub(crate) const BATCH: usize = 3;

pub(crate) struct Planned {
    _memory: Memory,
    pub(crate) plan: *const picardy_plan,
}

pub(crate) fn plan(spec: &picardy_plan_spec) -> Result<Planned, picardy_detail> {
    let (mut bytes, mut at, mut detail) = (0, ptr::null(), detail());
    // SAFETY: all pointers are to what they say.
    unsafe {
        if picardy_plan_size(spec, &mut bytes, &mut detail) != 0 {
            return Err(detail);
        }
        let mut memory = Memory::new(bytes);
        match picardy_plan_make(spec, memory.at(), bytes, &mut at, &mut detail) {
            0 => Ok(Planned { _memory: memory, plan: at }),
            _ => Err(detail),
        }
    }
}

pub(crate) fn ddpm() -> picardy_plan_spec {
    let mut spec = picardy_plan_spec_ddim();
    (spec.solver.kind, spec.steps) = (picardy_solver_kind::PICARDY_SOLVER_DDPM as i32, 20);
    spec
}

pub(crate) fn setup(plan: *const picardy_plan, sampler: picardy_sampler) -> picardy_setup {
    picardy_setup { plan, sampler, seed: 7, first_item: 5, batch: BATCH, dim: DIM }
}

/// What the callback does besides its work.
#[derive(Default)]
pub(crate) struct Trouble {
    pub(crate) fails_at: Option<usize>,
    pub(crate) nan_at: Option<usize>,
    pub(crate) reenters: Option<*mut picardy_run>,
    pub(crate) busy: i32,
    pub(crate) calls: usize,
}

pub(crate) fn mixture() -> Mixture<'static> {
    Mixture::new(&[-1.0, -1.0, 1.0, 1.0], &[0.5, 0.5], 0.1, 2).unwrap()
}

/// Two Gaussians by the mixture's own code, at the levels that the rows tell.
pub(crate) unsafe extern "C" fn two_points(
    context: *mut c_void,
    rows: *const picardy_row,
    count: usize,
    dim: usize,
    x: *const f32,
    out: *mut f32,
) -> i32 {
    // SAFETY: what the header says.
    let (trouble, rows, x, out) = unsafe {
        (
            &mut *context.cast::<Trouble>(),
            core::slice::from_raw_parts(rows, count),
            core::slice::from_raw_parts(x, count * dim),
            core::slice::from_raw_parts_mut(out, count * dim),
        )
    };
    trouble.calls += 1;
    if trouble.fails_at == Some(trouble.calls) {
        return -42;
    }
    for ((row, x), out) in rows.iter().zip(x.chunks(dim)).zip(out.chunks_mut(dim)) {
        let (a, s) = (f64::from(row.alpha), f64::from(row.sigma));
        let variance = a * a * 0.01 + s * s;
        let mean = (a * x.iter().map(|x| f64::from(*x)).sum::<f64>() / variance).tanh();
        for (out, x) in out.iter_mut().zip(x) {
            *out = (s * (f64::from(*x) - a * mean) / variance) as f32;
        }
    }
    if trouble.nan_at == Some(trouble.calls) {
        out[dim] = f32::NAN;
    }
    if let Some(run) = trouble.reenters {
        // SAFETY: the run is under way, which it says.
        trouble.busy = unsafe { picardy_run_round(run, ptr::null(), ptr::null_mut(), ptr::null_mut()) };
        let own = picardy_denoiser { evaluate: Some(two_points), ..NOTHING };
        // SAFETY: the same.
        trouble.busy = unsafe { picardy_run_round(run, &own, ptr::null_mut(), ptr::null_mut()) };
    }
    0
}

pub(crate) fn denoiser(trouble: &mut Trouble) -> picardy_denoiser {
    picardy_denoiser { evaluate: Some(two_points), context: ptr::from_mut(trouble).cast(), ..NOTHING }
}

/// Samples in one call.
pub(crate) fn sample(
    setup: &picardy_setup,
    denoiser: &picardy_denoiser,
    watch: picardy_watch,
) -> Result<([f32; BATCH * DIM], picardy_report, picardy_need), picardy_detail> {
    let (mut need, mut report, mut detail) = (picardy_need::default(), picardy_report::default(), detail());
    let mut x = [0.0f32; BATCH * DIM];
    // SAFETY: all pointers are to what they say.
    unsafe {
        if picardy_run_need(setup, &mut need, &mut detail) != 0
            || picardy_start(setup, x.as_mut_ptr(), &mut detail) != 0
        {
            return Err(detail);
        }
        let start = x;
        let mut memory = Memory::new(need.bytes);
        let (at, x_at) = (memory.at(), x.as_mut_ptr());
        let code = picardy_sample(
            setup,
            denoiser,
            watch,
            ptr::null_mut(),
            at,
            need.bytes,
            x_at,
            &mut report,
            &mut detail,
        );
        if code != 0 {
            assert_eq!(x, start, "an error leaves the start");
            return Err(detail);
        }
    }
    Ok((x, report, need))
}

/// Core's own run of the same.
pub(crate) fn of_core(sampler: &impl Sampler) -> (Vec<f32>, picardy::Report) {
    let (mut levels, mut nodes) = ([Level::default(); 21], [Node::default(); 21]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(20, &mut levels).unwrap();
    let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let noise = Noise::seeded(7).from_item(5);
    let mut x = vec![0.0f32; BATCH * DIM];
    plan.start(&noise, DIM, &mut x);
    let need = sampler.need(&plan, BATCH);
    let (mut numbers, mut spans) =
        (vec![0.0f32; need.numbers(DIM)], vec![picardy::Span::default(); need.spans]);
    let mut marks = vec![picardy::Mark::default(); need.marks];
    let mut workspace = picardy::Workspace::new(picardy::SliceFrames::new(&mut numbers, DIM), &mut spans)
        .with_marks(&mut marks);
    let mixture = mixture();
    let report = sampler
        .run(&plan, &mut mixture.predicting(Prediction::Epsilon), &noise, &mut x, &mut workspace)
        .unwrap();
    (x, report)
}

pub(crate) fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}
