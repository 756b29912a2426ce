//! The C border with hostile arguments over memory that is there: any settings, sizes, pointers and callbacks.
#![cfg_attr(fuzzing, no_main)]

mod classify;

use core::ffi::c_void;
use core::{mem, ptr};
use picardy_c::*;
use picardy_fuzz::{Input, Memory, explain};

/// What the callback does: a byte a call.
struct Script<'a> {
    input: Input<'a>,
    run: *mut picardy_run,
    calls: usize,
}

unsafe extern "C" fn evaluate(
    context: *mut c_void,
    rows: *const picardy_row,
    count: usize,
    dim: usize,
    x: *const f32,
    out: *mut f32,
) -> i32 {
    // SAFETY: the context is the script, the rest what the header says.
    let (script, rows, x, out) = unsafe {
        (
            &mut *context.cast::<Script<'_>>(),
            core::slice::from_raw_parts(rows, count),
            core::slice::from_raw_parts(x, count * dim),
            core::slice::from_raw_parts_mut(out, count * dim),
        )
    };
    script.calls += 1;
    // States may overflow on the way, after outputs that are far too large: the end of a run says so.
    assert!(count > 0 && rows.windows(2).all(|rows| rows[0] != rows[1]));
    let said = script.input.byte();
    for (out, x) in out.iter_mut().zip(x) {
        *out = 0.1 * x + f32::from(said) / 64.0;
    }
    match said {
        250 => out[0] = f32::NAN,
        251 => out[count * dim - 1] = f32::INFINITY,
        252 => return -3,
        253 => out.fill(f32::MAX),
        // Into its own run.
        254 => {
            let mut y = [0.0f32; 64];
            // SAFETY: a run or null; 64 numbers are room for its batch.
            let code = unsafe { picardy_run_best(script.run, y.as_mut_ptr(), ptr::null_mut()) };
            assert_ne!(code, 0);
        }
        _ => {}
    }
    0
}

unsafe extern "C" fn watch(context: *mut c_void, round: *const picardy_round) -> i32 {
    // SAFETY: the context is the script, the round is one.
    let (script, round) = unsafe { (&mut *context.cast::<Script<'_>>(), &*round) };
    assert!(round.done <= round.last);
    i32::from(script.input.byte() != 7)
}

const PLAN: usize = 1 << 12;
const RUN: usize = 1 << 13;
const NUMBERS: usize = 64;

picardy_fuzz::target!(one);

fn one(input: &[u8]) {
    // What begins so asks for densities.
    if let [0xFF, 0xFF, input @ ..] = input {
        return classify::classify(input);
    }
    let mut input = Input(input);
    // SAFETY: plain data.
    let mut detail: picardy_detail = unsafe { mem::zeroed() };
    let (mut plan_memory, mut run_memory) = (Memory([0xA5; PLAN]), Memory([0xA5; RUN]));
    let mut plan = ptr::null();
    let spec = picardy_plan_spec {
        schedule: picardy_schedule {
            kind: input.int(7),
            train_steps: (input.size(50) as u32).wrapping_mul(2),
            beta_start: input.number(1e-4),
            beta_end: input.number(2e-2),
            zero_snr: input.int(1),
            spacing: input.int(3),
            offset: input.size(2) as u32,
            last: input.int(2),
            sigma_min: input.number(2e-3),
            sigma_max: input.number(80.0),
            rho: input.number(7.0),
            shift: input.number(3.0),
        },
        solver: picardy_solver { kind: input.int(14), order: input.int(4) as u32, eta: input.number(0.6) },
        prediction: input.int(4),
        steps: input.size(12) as u32,
    };
    // A schedule walked up to a million timesteps takes its time, and tells nothing more.
    if spec.schedule.train_steps > 200 && spec.schedule.train_steps <= 1_000_000 {
        return;
    }
    let memory_bytes = input.size(0).min(PLAN);
    let bytes = if memory_bytes == 0 { PLAN } else { memory_bytes };
    let mut size = 0;
    // SAFETY, here and below: pointers are null, misaligned or to what they say.
    let told = unsafe { picardy_plan_size(&spec, &mut size, &mut detail) };
    explain(told, &detail);
    let at = input.pointer(plan_memory.0.as_mut_ptr());
    let code = unsafe { picardy_plan_make(&spec, at.cast(), bytes, &mut plan, &mut detail) };
    explain(code, &detail);
    assert!(code != 0 || (told == 0 && size <= bytes));
    assert_eq!(code == 0, !plan.is_null());
    let mut copy = Memory([0u8; PLAN]);
    if code != 0 || input.byte() == 9 {
        // A table of the rest of the input in its place.
        let mut nodes = [picardy_node::default(); 6];
        for node in &mut nodes {
            node.level =
                picardy_level { alpha: input.number(0.7), sigma: input.number(0.7), t: input.number(50.0) };
            for term in node.states.iter_mut().chain(&mut node.outputs) {
                *term = picardy_term { weight: input.number(0.5), back: input.int(2) as u32 };
            }
            node.noise = input.number(0.1);
            node.evaluated = input.int(1) as u32;
            (node.read_input, node.read_state, node.read_output) =
                (input.number(1.0), input.number(0.5), input.number(0.5));
        }
        let count = input.size(6).min(6);
        let form = input.int(2);
        let at = input.pointer(copy.0.as_mut_ptr());
        let code = unsafe {
            picardy_plan_from_table(nodes.as_ptr(), count, form, at.cast(), PLAN, &mut plan, &mut detail)
        };
        explain(code, &detail);
        if code != 0 {
            return;
        }
    }
    let mut info = picardy_plan_info::default();
    explain(unsafe { picardy_plan_about(plan, &mut info, &mut detail) }, &detail);
    let mut node = picardy_node::default();
    let index = input.size(12);
    let code = unsafe { picardy_plan_node(plan, index, &mut node, &mut detail) };
    assert_eq!(code == 0, index < info.nodes);

    let setup = picardy_setup {
        plan: input.pointer(plan.cast_mut()),
        sampler: picardy_sampler {
            kind: input.int(2),
            slope: input.int(5),
            directions: input.int(5) as u32,
            stride: input.int(4) as u32,
            window: input.size(12),
            rows: input.size(30),
            tolerance: input.number(0.05),
            data_variance: input.number(1.0),
        },
        seed: u64::from(input.byte()),
        first_item: input.size(3) as u64,
        batch: input.size(3),
        dim: input.size(9),
    };
    let mut need = picardy_need::default();
    let code = unsafe { picardy_run_need(&setup, &mut need, &mut detail) };
    explain(code, &detail);
    let fits = setup.batch.checked_mul(setup.dim).is_some_and(|numbers| numbers <= NUMBERS);
    if code != 0 || !fits || need.bytes > RUN {
        return;
    }
    let mut x = [0.5f32; NUMBERS];
    let start = input.pointer(x.as_mut_ptr());
    explain(unsafe { picardy_start(&setup, start, &mut detail) }, &detail);
    if input.byte() == 1 {
        x[0] = f32::NAN;
    }
    let short = usize::from(input.byte() == 1);
    let mut script = Script { input: Input(input.0), run: ptr::null_mut(), calls: 0 };
    let at = script.input.pointer(run_memory.0.as_mut_ptr());
    let all_at_once = script.input.byte() & 1 == 0;
    let neither = script.input.byte() == 1;
    let context: *mut Script<'_> = &mut script;
    let denoiser = picardy_denoiser {
        evaluate: if neither { None } else { Some(evaluate) },
        context: context.cast(),
        network: ptr::null(),
        scratch: ptr::null_mut(),
        scratch_floats: 0,
        conditions: ptr::null(),
        condition_floats: 0,
    };
    let mut report = picardy_report::default();
    let within =
        |report: &picardy_report| report.rounds <= need.rounds && report.evaluations <= need.evaluations;
    let numbers = setup.batch * setup.dim;
    if all_at_once {
        let bytes = need.bytes - short;
        // SAFETY: the script is used through its pointer alone, from here on.
        let code = unsafe {
            let x = x.as_mut_ptr();
            picardy_sample(
                &setup,
                &denoiser,
                Some(watch),
                context.cast(),
                at.cast(),
                bytes,
                x,
                &mut report,
                &mut detail,
            )
        };
        explain(code, &detail);
        if code == 0 {
            assert!(short == 0 && within(&report));
            // A run that is stopped may be far off, but is a number, unless its network was.
            assert!(x[..numbers].iter().all(|x| !x.is_nan()));
        }
    } else {
        let mut run = ptr::null_mut();
        let code = unsafe {
            picardy_run_begin(&setup, x.as_ptr(), at.cast(), need.bytes - short, &mut run, &mut detail)
        };
        explain(code, &detail);
        if code != 0 {
            return;
        }
        // SAFETY: as above.
        unsafe { (*context).run = run };
        let mut round = picardy_round::default();
        let mut failures = 0;
        while round.finished == 0 && failures < 4 {
            let code = unsafe { picardy_run_round(run, &denoiser, &mut round, &mut detail) };
            explain(code, &detail);
            failures += usize::from(code != 0);
            if unsafe { (*context).input.byte() } == 3 {
                explain(unsafe { picardy_run_best(run, x.as_mut_ptr(), &mut detail) }, &detail);
            }
        }
        let code = unsafe { picardy_run_finish(run, x.as_mut_ptr(), &mut report, &mut detail) };
        assert!(code == 0 && within(&report));
        let code = unsafe { picardy_run_round(run, &denoiser, &mut round, &mut detail) };
        assert_eq!(code, picardy_error::PICARDY_ERROR_NOT_A_RUN as i32);
    }
    // A plan made anew in vain is none any more, whatever is asked of it.
    if let Some(word) = plan_memory.0.first_chunk_mut::<8>()
        && ptr::from_ref(word).cast() == plan
    {
        let bad = picardy_plan_spec { prediction: 99, ..spec };
        let (mut again, at) = (plan, ptr::from_mut(word).cast());
        let code = unsafe { picardy_plan_make(&bad, at, PLAN, &mut again, &mut detail) };
        explain(code, &detail);
        assert!(code != 0 && again.is_null());
        let code = unsafe { picardy_plan_about(plan, &mut info, &mut detail) };
        assert_eq!(code, picardy_error::PICARDY_ERROR_NOT_A_PLAN as i32);
    }
}
