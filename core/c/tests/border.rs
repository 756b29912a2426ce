//! The border from a caller's side: what it samples is core's, and every way to misuse it is an error of its own.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ffi::{CStr, c_void};
use core::ptr;
use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Picard, Prediction, Sampler, Solver};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::{Memory, NOTHING, detail, name};

const DIM: usize = 2;
const BATCH: usize = 3;

struct Planned {
    _memory: Memory,
    plan: *const picardy_plan,
}

fn plan(spec: &picardy_plan_spec) -> Result<Planned, picardy_detail> {
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

fn ddpm() -> picardy_plan_spec {
    let mut spec = picardy_plan_spec_ddim();
    (spec.solver.kind, spec.steps) = (picardy_solver_kind::PICARDY_SOLVER_DDPM as i32, 20);
    spec
}

fn setup(plan: *const picardy_plan, sampler: picardy_sampler) -> picardy_setup {
    picardy_setup { plan, sampler, seed: 7, first_item: 5, batch: BATCH, dim: DIM }
}

/// What the callback does besides its work.
#[derive(Default)]
struct Trouble {
    fails_at: Option<usize>,
    nan_at: Option<usize>,
    reenters: Option<*mut picardy_run>,
    busy: i32,
    calls: usize,
}

fn mixture() -> Mixture<'static> {
    Mixture::new(&[-1.0, -1.0, 1.0, 1.0], &[0.5, 0.5], 0.1, 2).unwrap()
}

/// Two Gaussians by the mixture's own code, at the levels that the rows tell.
unsafe extern "C" fn two_points(
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

fn denoiser(trouble: &mut Trouble) -> picardy_denoiser {
    picardy_denoiser { evaluate: Some(two_points), context: ptr::from_mut(trouble).cast(), ..NOTHING }
}

/// Samples in one call.
fn sample(
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
fn of_core(sampler: &impl Sampler) -> (Vec<f32>, picardy::Report) {
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

fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn samples_are_those_of_core() {
    let planned = plan(&ddpm()).unwrap();
    for (sampler, (expected, cost)) in [
        (picardy_sampler_sequential(), of_core(&picardy::Sequential)),
        (picardy_sampler_picard(), of_core(&Picard::default())),
    ] {
        let mut trouble = Trouble::default();
        let (x, report, need) = sample(&setup(planned.plan, sampler), &denoiser(&mut trouble), None).unwrap();
        assert!(close(&x, &expected), "{x:?} {expected:?}");
        assert_eq!((report.rounds, report.evaluations, report.finished), (cost.rounds, cost.evaluations, 1));
        assert!(
            report.rounds <= need.rounds
                && report.evaluations <= need.evaluations
                && trouble.calls == report.rounds
        );
    }
}

#[test]
fn a_table_gives_the_plan_it_was_taken_from() {
    let planned = plan(&ddpm()).unwrap();
    let (mut info, mut bytes, mut again) = (picardy_plan_info::default(), 0, ptr::null());
    // SAFETY: all pointers are to what they say.
    unsafe {
        assert_eq!(picardy_plan_about(planned.plan, &mut info, ptr::null_mut()), 0);
        let mut table = vec![picardy_node::default(); info.nodes];
        for (k, node) in table.iter_mut().enumerate() {
            assert_eq!(picardy_plan_node(planned.plan, k, node, ptr::null_mut()), 0);
        }
        assert_eq!(picardy_plan_table_size(table.len(), &mut bytes, ptr::null_mut()), 0);
        let mut memory = Memory::new(bytes);
        let code = picardy_plan_from_table(
            table.as_ptr(),
            table.len(),
            info.form,
            memory.at(),
            bytes,
            &mut again,
            ptr::null_mut(),
        );
        assert_eq!(code, 0);
        let run = |plan| {
            sample(&setup(plan, picardy_sampler_sequential()), &denoiser(&mut Trouble::default()), None)
                .unwrap()
                .0
        };
        assert_eq!(run(planned.plan), run(again));
        assert_eq!(info, picardy_plan_info { nodes: 21, evaluations: 20, rows: 2, form: 0 });
        let mut fault = detail();
        table[3].states[0].back = 9;
        for (back, code) in [(9, PICARDY_ERROR_TERM), (300, PICARDY_ERROR_TERM)] {
            table[3].states[0].back = back;
            let at = memory.at();
            picardy_plan_from_table(table.as_ptr(), table.len(), 0, at, bytes, &mut again, &mut fault);
            assert_eq!((fault.code, fault.index), (code as i32, 3));
        }
        table[3].states[0].back = 1;
        table[4].noise = f64::NAN;
        picardy_plan_from_table(table.as_ptr(), table.len(), 0, memory.at(), bytes, &mut again, &mut fault);
        assert_eq!((fault.code, fault.index), (PICARDY_ERROR_NODE as i32, 4));
        picardy_plan_from_table(table.as_ptr(), 1, 0, memory.at(), bytes, &mut again, &mut fault);
        assert_eq!(fault.code, PICARDY_ERROR_EMPTY as i32);
        picardy_plan_from_table(table.as_ptr(), 2, 5, memory.at(), bytes, &mut again, &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_UNKNOWN_VALUE as i32, "form"));
        // Memory that the table itself lies in.
        let at = table.as_mut_ptr();
        picardy_plan_from_table(at, 2, 0, at.cast(), bytes, &mut again, &mut fault);
        assert_eq!(fault.code, PICARDY_ERROR_OVERLAP as i32);
    }
}

#[test]
fn a_run_goes_round_by_round_survives_errors_and_ends_as_in_one_call() {
    let planned = plan(&ddpm()).unwrap();
    for sampler in [picardy_sampler_sequential(), picardy_sampler_picard()] {
        let setup = setup(planned.plan, sampler);
        let expected = sample(&setup, &denoiser(&mut Trouble::default()), None).unwrap().0;
        let (mut need, mut round, mut report) =
            (picardy_need::default(), picardy_round::default(), picardy_report::default());
        let (mut x, mut run, mut fault) = ([0.0f32; BATCH * DIM], ptr::null_mut(), detail());
        // SAFETY: all pointers are to what they say.
        unsafe {
            assert_eq!(picardy_run_need(&setup, &mut need, ptr::null_mut()), 0);
            let mut memory = Memory::new(need.bytes);
            assert_eq!(picardy_start(&setup, x.as_mut_ptr(), ptr::null_mut()), 0);
            assert_eq!(
                picardy_run_begin(&setup, x.as_ptr(), memory.at(), need.bytes, &mut run, ptr::null_mut()),
                0
            );
            let mut trouble =
                Trouble { fails_at: Some(2), nan_at: Some(4), reenters: Some(run), ..Trouble::default() };
            let network = denoiser(&mut trouble);
            let mut failures = Vec::new();
            while round.finished == 0 {
                match picardy_run_round(run, &network, &mut round, &mut fault) {
                    0 => assert_eq!(picardy_run_best(run, x.as_mut_ptr(), ptr::null_mut()), 0),
                    code => failures.push((code, fault.callback, fault.item)),
                }
                assert!(failures.len() < 3);
            }
            assert_eq!(
                failures,
                [
                    (PICARDY_ERROR_CALLBACK as i32, -42, 0),
                    (PICARDY_ERROR_NOT_FINITE as i32, 0, if sampler.kind == 0 { 1 } else { 0 })
                ]
            );
            assert_eq!(trouble.busy, PICARDY_ERROR_BUSY as i32);
            let after = (round.rounds, trouble.calls);
            assert_eq!(picardy_run_round(run, &network, &mut round, &mut fault), 0);
            assert_eq!((after, round.finished, round.rows), ((round.rounds, trouble.calls), 1, 0));
            assert_eq!(picardy_run_finish(run, x.as_mut_ptr(), &mut report, &mut fault), 0);
            assert_eq!((x, report.finished), (expected, 1));
            for code in [
                picardy_run_round(run, &network, &mut round, &mut fault),
                picardy_run_best(run, x.as_mut_ptr(), &mut fault),
                picardy_run_finish(run, x.as_mut_ptr(), &mut report, &mut fault),
            ] {
                assert_eq!(code, PICARDY_ERROR_NOT_A_RUN as i32);
            }
        }
    }
}

unsafe extern "C" fn three(_: *mut c_void, round: *const picardy_round) -> i32 {
    // SAFETY: a round.
    i32::from(unsafe { (*round).rounds } < 3)
}

#[test]
fn a_watch_stops_a_run_with_the_best_state() {
    let planned = plan(&ddpm()).unwrap();
    let setup = setup(planned.plan, picardy_sampler_sequential());
    let (x, report, _) = sample(&setup, &denoiser(&mut Trouble::default()), Some(three)).unwrap();
    assert_eq!((report.rounds, report.finished), (3, 0));
    assert!(x.iter().all(|x| x.abs() < 1.5), "an estimate of the data: {x:?}");
}

/// A change, the error that it makes, and the name in its detail.
type Case<'a, T> = (&'a dyn Fn(&mut T), picardy_error, &'a str);

#[test]
fn what_specs_may_not_say_is_an_error_of_its_own() {
    let good = picardy_plan_spec_ddim();
    let changed = |change: &dyn Fn(&mut picardy_plan_spec)| {
        let mut spec = good;
        change(&mut spec);
        let fault = plan(&spec).err().expect("a spec that is none");
        (fault.code, name(&fault).to_owned())
    };
    let cases: [Case<'_, picardy_plan_spec>; 18] = [
        (&|s| s.schedule.kind = 99, PICARDY_ERROR_UNKNOWN_VALUE, "schedule.kind"),
        (&|s| s.schedule.spacing = -1, PICARDY_ERROR_UNKNOWN_VALUE, "schedule.spacing"),
        (&|s| s.schedule.last = 2, PICARDY_ERROR_UNKNOWN_VALUE, "schedule.last"),
        (&|s| s.solver.kind = i32::MIN, PICARDY_ERROR_UNKNOWN_VALUE, "solver.kind"),
        (&|s| s.prediction = 4, PICARDY_ERROR_UNKNOWN_VALUE, "prediction"),
        (&|s| s.steps = 0, PICARDY_ERROR_STEPS, ""),
        (&|s| s.steps = 1001, PICARDY_ERROR_STEPS, ""),
        (&|s| s.solver.eta = f64::NAN, PICARDY_ERROR_RANGE, "solver.eta"),
        (&|s| (s.solver.kind, s.solver.order) = (2, 4), PICARDY_ERROR_ORDER, ""),
        (&|s| s.schedule.beta_end = 1.5, PICARDY_ERROR_BETA, ""),
        (&|s| s.schedule.beta_start = f64::NAN, PICARDY_ERROR_BETA, ""),
        (&|s| s.schedule.train_steps = 0, PICARDY_ERROR_TRAIN_STEPS, ""),
        (&|s| s.schedule.train_steps = u32::MAX, PICARDY_ERROR_TRAIN_STEPS, ""),
        (&|s| (s.schedule.spacing, s.schedule.offset) = (1, 5000), PICARDY_ERROR_TIMESTEP, ""),
        (&|s| s.schedule.zero_snr = 1, PICARDY_ERROR_SINGULAR, ""),
        (&|s| (s.schedule.kind, s.schedule.sigma_max) = (4, f64::INFINITY), PICARDY_ERROR_SIGMA_RANGE, ""),
        (&|s| (s.schedule.kind, s.schedule.rho) = (4, 0.0), PICARDY_ERROR_RANGE, "schedule.rho"),
        (&|s| (s.schedule.kind, s.schedule.shift) = (6, -1.0), PICARDY_ERROR_RANGE, "schedule.shift"),
    ];
    for (change, code, field) in cases {
        assert_eq!(changed(change), (code as i32, field.to_owned()));
    }
}

#[test]
fn what_setups_may_not_say_is_an_error_of_its_own() {
    let planned = plan(&ddpm()).unwrap();
    let cases: [Case<'_, picardy_setup>; 14] = [
        (&|s| s.plan = ptr::null(), PICARDY_ERROR_NULL, "plan"),
        (&|s| s.plan = s.plan.wrapping_byte_add(1), PICARDY_ERROR_MISALIGNED, "plan"),
        (&|s| s.plan = s.plan.wrapping_byte_add(8), PICARDY_ERROR_NOT_A_PLAN, ""),
        (&|s| s.batch = 0, PICARDY_ERROR_SHAPE, "batch"),
        (&|s| s.dim = 0, PICARDY_ERROR_SHAPE, "dim"),
        (&|s| s.batch = usize::MAX, PICARDY_ERROR_SIZE, "batch"),
        (&|s| s.dim = usize::MAX / 8, PICARDY_ERROR_SIZE, "batch"),
        (&|s| s.dim = usize::MAX / 3, PICARDY_ERROR_SIZE, "dim"),
        (&|s| s.sampler.kind = 2, PICARDY_ERROR_UNKNOWN_VALUE, "sampler.kind"),
        (&|s| s.sampler.window = 0, PICARDY_ERROR_ZERO, "sampler.window"),
        (&|s| s.sampler.rows = 2, PICARDY_ERROR_ROWS, ""),
        (&|s| s.sampler.tolerance = f64::NAN, PICARDY_ERROR_RANGE, "sampler.tolerance"),
        (&|s| s.sampler.data_variance = -1.0, PICARDY_ERROR_RANGE, "sampler.data_variance"),
        (&|s| (s.sampler.slope, s.sampler.directions) = (4, 9), PICARDY_ERROR_RANGE, "sampler.directions"),
    ];
    for (change, code, field) in cases {
        let mut setup = setup(planned.plan, picardy_sampler_picard());
        change(&mut setup);
        let fault = sample(&setup, &denoiser(&mut Trouble::default()), None).expect_err(field);
        assert_eq!((fault.code, name(&fault)), (code as i32, field));
    }
}

#[test]
fn pointers_and_buffers_that_do_not_fit_are_errors() {
    let planned = plan(&ddpm()).unwrap();
    let good = setup(planned.plan, picardy_sampler_sequential());
    let (mut need, mut fault, mut run) = (picardy_need::default(), detail(), ptr::null_mut());
    let mut x = [0.5f32; BATCH * DIM];
    // SAFETY: pointers are null, misaligned, or to what they say.
    unsafe {
        assert_eq!(picardy_run_need(&good, &mut need, ptr::null_mut()), 0);
        let mut memory = Memory::new(need.bytes + 8);
        let at = memory.at();
        let mut begin = |setup: *const picardy_setup, x: *const f32, at: *mut c_void, bytes| {
            picardy_run_begin(setup, x, at, bytes, &mut run, &mut fault);
            (fault.code, name(&fault).to_owned(), fault.needed)
        };
        let said = |code: picardy_error, name: &str, needed| (code as i32, name.to_owned(), needed);
        assert_eq!(begin(ptr::null(), x.as_ptr(), at, need.bytes), said(PICARDY_ERROR_NULL, "setup", 0));
        assert_eq!(begin(&good, ptr::null(), at, need.bytes), said(PICARDY_ERROR_NULL, "x", 0));
        assert_eq!(
            begin(&good, x.as_ptr().wrapping_byte_add(2), at, need.bytes),
            said(PICARDY_ERROR_MISALIGNED, "x", 4)
        );
        assert_eq!(
            begin(&good, x.as_ptr(), ptr::null_mut(), need.bytes),
            said(PICARDY_ERROR_NULL, "memory", 0)
        );
        assert_eq!(
            begin(&good, x.as_ptr(), at.wrapping_byte_add(4), need.bytes),
            said(PICARDY_ERROR_MISALIGNED, "memory", 8)
        );
        assert_eq!(
            begin(&good, x.as_ptr(), at, need.bytes - 1),
            said(PICARDY_ERROR_MEMORY, "memory", need.bytes)
        );
        assert_eq!(begin(&good, at.cast(), at, need.bytes), said(PICARDY_ERROR_OVERLAP, "memory", 0));
        assert_eq!(begin(&good, x.as_ptr(), at, usize::MAX), said(PICARDY_ERROR_SIZE, "memory", 0));
        x[4] = f32::INFINITY;
        assert_eq!(begin(&good, x.as_ptr(), at, need.bytes).0, PICARDY_ERROR_START as i32);
        assert_eq!(fault.item, 2);
        x[4] = 0.5;
        assert_eq!(
            picardy_run_begin(&good, x.as_ptr(), at, need.bytes, ptr::null_mut(), &mut fault),
            PICARDY_ERROR_NULL as i32
        );
        assert_eq!(picardy_run_begin(&good, x.as_ptr(), at, need.bytes, &mut run, &mut fault), 0);
        assert_eq!(picardy_run_best(run, at.cast(), &mut fault), PICARDY_ERROR_OVERLAP as i32);
        let neither = NOTHING;
        assert_eq!(
            picardy_run_round(run, &neither, ptr::null_mut(), &mut fault),
            PICARDY_ERROR_DENOISER as i32
        );
        // Moved, a run is none.
        let mut moved = Memory(memory.0.clone());
        assert_eq!(
            picardy_run_best(moved.at().cast(), x.as_mut_ptr(), &mut fault),
            PICARDY_ERROR_NOT_A_RUN as i32
        );
        assert_eq!(picardy_run_best(ptr::null_mut(), x.as_mut_ptr(), &mut fault), PICARDY_ERROR_NULL as i32);
        // Where there is no place for a detail, there is still the code.
        let nowhere = ptr::from_mut(&mut fault).wrapping_byte_add(1);
        assert_eq!(picardy_run_best(ptr::null_mut(), x.as_mut_ptr(), nowhere), PICARDY_ERROR_NULL as i32);
        let mut node = picardy_node::default();
        assert_eq!(picardy_plan_node(planned.plan, 21, &mut node, &mut fault), PICARDY_ERROR_INDEX as i32);
    }
}

#[test]
fn an_artifact_is_read_in_place_and_checked() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/firmware/data/dino.safetensors");
    let file = std::fs::read(path).unwrap();
    let mut bytes = Memory::new(file.len() + 8);
    let at: *mut u8 = bytes.at().cast();
    let planned = plan(&ddpm()).unwrap();
    let (mut network, mut fault) = (ptr::null(), detail());
    // SAFETY: pointers are null, misaligned, or to what they say.
    unsafe {
        at.copy_from(file.as_ptr(), file.len());
        let mut memory = Memory::new(picardy_network_size());
        let room = memory.at();
        let mut open = |bytes: *const u8, length, room_bytes| {
            picardy_network_open(bytes.cast(), length, room, room_bytes, &mut network, &mut fault);
            fault.code
        };
        let size = picardy_network_size();
        assert!(size <= PICARDY_NETWORK_BYTES);
        assert_eq!(open(ptr::null(), file.len(), size), PICARDY_ERROR_NULL as i32);
        assert_eq!(open(at, file.len() - 1, size), PICARDY_ERROR_ARTIFACT as i32);
        assert_eq!(open(at, 5, size), PICARDY_ERROR_ARTIFACT as i32);
        assert_eq!(open(at, file.len(), size - 1), PICARDY_ERROR_MEMORY as i32);
        let off = at.add(1);
        off.copy_from(file.as_ptr(), file.len());
        assert_eq!(open(off, file.len(), size), PICARDY_ERROR_MISALIGNED as i32);
        at.copy_from(file.as_ptr(), file.len());
        assert_eq!(open(at, file.len(), size), 0);

        let (mut scratch_floats, mut card) = (0, core::mem::zeroed::<picardy_card>());
        assert_eq!(picardy_network_scratch(network, 1, &mut scratch_floats, ptr::null_mut()), 0);
        assert_eq!(
            picardy_network_scratch(network, usize::MAX, &mut 0, &mut fault),
            PICARDY_ERROR_SIZE as i32
        );
        assert_eq!(picardy_network_card(network, &mut card, ptr::null_mut()), 0);
        assert_eq!((card.dim, card.prediction), (2, 0));
        let mut scratch = vec![0.0f32; scratch_floats];
        let scratch_at = scratch.as_mut_ptr();
        let with = |scratch, scratch_floats| picardy_denoiser { network, scratch, scratch_floats, ..NOTHING };
        let good = setup(planned.plan, picardy_sampler_sequential());
        assert!(sample(&good, &with(scratch_at, scratch_floats), None).is_ok());
        let wrong = |setup: &picardy_setup, denoiser: &picardy_denoiser| {
            sample(setup, denoiser, None).unwrap_err().code
        };
        assert_eq!(wrong(&good, &with(scratch_at, scratch_floats - 1)), PICARDY_ERROR_SCRATCH as i32);
        assert_eq!(wrong(&good, &with(ptr::null_mut(), scratch_floats)), PICARDY_ERROR_NULL as i32);
        let other = picardy_setup { dim: 1, ..good };
        assert_eq!(wrong(&other, &with(scratch_at, scratch_floats)), PICARDY_ERROR_DIMENSION as i32);
        let both = picardy_denoiser { evaluate: Some(two_points), ..with(scratch_at, scratch_floats) };
        assert_eq!(wrong(&good, &both), PICARDY_ERROR_DENOISER as i32);
        let no_network =
            picardy_denoiser { network: planned.plan.cast(), ..with(scratch_at, scratch_floats) };
        assert_eq!(wrong(&good, &no_network), PICARDY_ERROR_NOT_A_NETWORK as i32);
        let mut units = [0.0f32; 2];
        assert_eq!(picardy_network_restore(network, units.as_mut_ptr(), 1, ptr::null_mut()), 0);
        assert!(units.iter().any(|x| *x != 0.0));
        assert_eq!(
            picardy_network_restore(network, units.as_mut_ptr(), usize::MAX, &mut fault),
            PICARDY_ERROR_SIZE as i32
        );
    }
}

#[test]
fn constants_of_the_header_suffice() {
    for (kind, rows) in [(0, 2), (1, 2), (2, 3), (6, 4), (7, 6), (8, 3)] {
        for (batch, dim, steps) in [(1, 1, 1), (1, 2, 10), (3, 17, 30), (2, 64, 50)] {
            let mut spec = picardy_plan_spec_ddim();
            (spec.solver.kind, spec.solver.order, spec.steps) = (kind, if kind == 7 { 4 } else { 2 }, steps);
            let (mut bytes, mut need) = (0, picardy_need::default());
            let planned = plan(&spec).unwrap();
            let mut setup = setup(planned.plan, picardy_sampler_sequential());
            (setup.batch, setup.dim) = (batch, dim);
            // SAFETY: all pointers are to what they say.
            unsafe {
                assert_eq!(picardy_plan_size(&spec, &mut bytes, ptr::null_mut()), 0);
                assert_eq!(picardy_run_need(&setup, &mut need, ptr::null_mut()), 0);
            }
            assert!(bytes <= PICARDY_PLAN_HEADER_BYTES + (steps as usize + 1) * PICARDY_NODE_BYTES);
            let most = PICARDY_RUN_HEADER_BYTES + batch * (PICARDY_ROW_BYTES + rows * dim * 4);
            assert!(need.bytes <= most, "{kind}: {} of {most}", need.bytes);
        }
    }
}

#[test]
fn every_code_has_a_text_of_its_own() {
    let text = |code| {
        // SAFETY: a static string for every number.
        unsafe { CStr::from_ptr(picardy_error_text(code)) }.to_str().unwrap()
    };
    let unknown = text(12345);
    let known: Vec<_> = (0..100).map(text).filter(|text| *text != unknown).collect();
    let mut different = known.clone();
    different.sort_unstable();
    different.dedup();
    let enumerated = include_str!("../include/picardy.h").matches("  PICARDY_ERROR_").count();
    assert_eq!((known.len(), different.len()), (enumerated + 1, enumerated + 1));
}
