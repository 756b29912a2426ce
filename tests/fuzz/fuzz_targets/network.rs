//! The C border with a network that it runs itself: sampling at once and in rounds, buffers that overlap, places that are none,
//! objects that are made anew in vain.
#![cfg_attr(fuzzing, no_main)]

use core::{mem, ptr};
use picardy_c::picardy_error::*;
use picardy_c::*;
use picardy_fuzz::{Input, Memory, explain};

/// Seeds of the artifact's target, whose first byte is their alignment.
const ARTIFACTS: [&[u8]; 4] = [
    include_bytes!("../seeds/artifact/small"),
    include_bytes!("../seeds/artifact/half"),
    include_bytes!("../seeds/artifact/int8"),
    include_bytes!("../seeds/artifact/bare"),
];

const PLAN: usize = 1 << 12;
const RUN: usize = 1 << 13;
const FILE: usize = 1 << 13;
const NUMBERS: usize = 64;
const SCRATCH: usize = 1 << 10;

/// All memory that a call may use.
struct Room {
    plan: Memory<PLAN>,
    run: Memory<RUN>,
    network: Memory<PICARDY_NETWORK_BYTES>,
    file: Memory<FILE>,
    x: Memory<{ 4 * NUMBERS }>,
    scratch: Memory<{ 4 * SCRATCH }>,
}

picardy_fuzz::target!(one);

fn one(input: &[u8]) {
    let mut input = Input(input);
    // SAFETY: plain data.
    let mut detail: picardy_detail = unsafe { mem::zeroed() };
    let mut room = Room {
        plan: Memory([0xA5; PLAN]),
        run: Memory([0xA5; RUN]),
        network: Memory([0xA5; PICARDY_NETWORK_BYTES]),
        file: Memory([0; FILE]),
        x: Memory([0; 4 * NUMBERS]),
        scratch: Memory([0xA5; 4 * SCRATCH]),
    };
    let artifact = &ARTIFACTS[usize::from(input.byte()) % ARTIFACTS.len()][1..];
    let length = artifact.len();
    room.file.0[..length].copy_from_slice(artifact);
    for _ in 0..input.byte() % 4 {
        let at = usize::from(u16::from_le_bytes(input.bytes())) % length;
        room.file.0[at] ^= input.byte();
    }
    // One pointer to each, for all that follows.
    let (plan_at, run_at, network_at, file_at, x_at, scratch_at): (_, _, _, _, *mut f32, *mut f32) = (
        room.plan.0.as_mut_ptr(),
        room.run.0.as_mut_ptr(),
        room.network.0.as_mut_ptr(),
        room.file.0.as_mut_ptr(),
        room.x.0.as_mut_ptr().cast(),
        room.scratch.0.as_mut_ptr().cast(),
    );

    let mut spec = picardy_plan_spec_ddim();
    spec.solver.kind = input.int(13);
    spec.steps = 1 + input.size(7) as u32 % 12;
    let (mut plan, mut network) = (ptr::null(), ptr::null());
    // SAFETY, here and below: pointers are null, misaligned or to what they say; all memory is in `room`, and used through the
    // pointers above alone.
    let code = unsafe { picardy_plan_make(&spec, plan_at.cast(), PLAN, &mut plan, &mut detail) };
    explain(code, &detail);
    if code != 0 {
        return;
    }
    let open = |length, network: &mut *const picardy_network, detail: &mut picardy_detail| unsafe {
        let size = PICARDY_NETWORK_BYTES;
        let code = picardy_network_open(file_at.cast(), length, network_at.cast(), size, network, detail);
        explain(code, detail);
        assert_eq!(code == 0, !network.is_null());
        code
    };
    if open(length, &mut network, &mut detail) != 0 {
        return;
    }
    let (mut dim, mut needed, rows) = (0, 0, input.size(6));
    // SAFETY: a card of zeros is one.
    let mut card = unsafe { mem::zeroed() };
    unsafe {
        assert_eq!(picardy_network_dim(network, &mut dim, &mut detail), 0);
        explain(picardy_network_scratch(network, rows, &mut needed, &mut detail), &detail);
        explain(picardy_network_card(network, &mut card, &mut detail), &detail);
        explain(picardy_network_log_scale(network, &mut 0.0, &mut detail), &detail);
    }

    let mut setup = picardy_setup {
        plan,
        sampler: picardy_sampler_sequential(),
        seed: u64::from(input.byte()),
        first_item: 0,
        batch: 1 + input.size(2).min(2),
        dim,
    };
    if input.byte() & 1 == 1 {
        setup.sampler = picardy_sampler {
            slope: input.int(4),
            directions: 1 + input.int(3) as u32 % 4,
            window: input.size(12),
            rows: input.size(30),
            tolerance: input.number(0.05),
            ..picardy_sampler_picard()
        };
    }
    let mut need = picardy_need::default();
    let code = unsafe { picardy_run_need(&setup, &mut need, &mut detail) };
    explain(code, &detail);
    let numbers = setup.batch * dim;
    if code != 0 || numbers > NUMBERS || need.bytes > RUN {
        return;
    }

    // Scratch, mostly where it belongs.
    let (floats, which) = (input.size(SCRATCH), input.byte());
    let elsewhere: Option<*mut f32> = match which {
        250 => Some(plan_at.wrapping_add(4 * usize::from(input.byte() % 16)).cast()),
        251 => Some(network_at.wrapping_add(4 * usize::from(input.byte() % 16)).cast()),
        252 => Some(file_at.wrapping_add(4 * usize::from(input.byte()) % length).cast()),
        253 => Some(run_at.wrapping_add(4 * usize::from(input.byte() % 16)).cast()),
        _ => None,
    };
    let (scratch, floats) = match elsewhere {
        Some(at) => (at, 8 + floats.min(8)),
        None => (input.pointer(scratch_at), if floats <= SCRATCH && which != 249 { floats } else { SCRATCH }),
    };
    let floats = if elsewhere.is_none() && which < 200 { SCRATCH } else { floats };
    let denoiser = picardy_denoiser {
        evaluate: None,
        context: ptr::null_mut(),
        network: input.pointer(network.cast_mut()),
        scratch,
        scratch_floats: floats,
        conditions: ptr::null(),
        condition_floats: 0,
    };
    // States over the plan are refused before anything is written.
    if input.byte() == 250 {
        let at = plan_at.wrapping_add(4 * usize::from(input.byte() % 16)).cast();
        let code = unsafe { picardy_start(&setup, at, &mut detail) };
        assert_eq!(code, PICARDY_ERROR_OVERLAP as i32);
    }
    explain(unsafe { picardy_start(&setup, x_at, &mut detail) }, &detail);
    let mut report = picardy_report::default();
    let spoils = input.byte();
    let report_at = match spoils {
        250 => ptr::null_mut(),
        251 => (&raw mut report).wrapping_byte_add(1),
        252 => run_at.cast(),
        _ => &raw mut report,
    };
    let refused = elsewhere.is_some() || denoiser.network != network || spoils == 251 || spoils == 252;
    let (at, bytes) = (run_at.cast(), need.bytes);
    let mut old = ptr::null_mut();
    if input.byte() & 1 == 0 {
        let code = unsafe {
            let none = ptr::null_mut();
            picardy_sample(&setup, &denoiser, None, none, at, bytes, x_at, report_at, &mut detail)
        };
        explain(code, &detail);
        assert!(code != 0 || !refused);
        assert!(code != 0 || spoils == 250 || report.rounds <= need.rounds);
    } else {
        let code = unsafe { picardy_run_begin(&setup, x_at, at, bytes, &mut old, &mut detail) };
        explain(code, &detail);
        assert_eq!(code == 0, !old.is_null());
        if code != 0 {
            return;
        }
        let (mut round, mut failures, mut rounds) = (picardy_round::default(), 0, 0);
        while round.finished == 0 && failures < 3 {
            let to = match input.byte() {
                251 => (&raw mut round).wrapping_byte_add(1),
                252 => run_at.cast(),
                _ => &raw mut round,
            };
            let code = unsafe { picardy_run_round(old, &denoiser, to, &mut detail) };
            explain(code, &detail);
            assert!(
                code != 0 || (elsewhere.is_none() && denoiser.network == network && to == &raw mut round)
            );
            failures += usize::from(code != 0);
            rounds += 1;
            assert!(rounds <= need.rounds + 3, "a run ends");
        }
        let best = match input.byte() {
            250 => plan_at.cast(),
            251 => run_at.cast(),
            _ => x_at,
        };
        let code = unsafe { picardy_run_best(old, best, &mut detail) };
        explain(code, &detail);
        assert_eq!(code == 0, best == x_at);
    }
    let code = unsafe { picardy_network_restore(network, x_at, setup.batch, &mut detail) };
    explain(code, &detail);

    // Made anew in vain, none is what it was.
    if !old.is_null() {
        // SAFETY: room for a number at least.
        unsafe { x_at.write(f32::NAN) };
        let mut run = old;
        let code = unsafe { picardy_run_begin(&setup, x_at, at, bytes, &mut run, &mut detail) };
        explain(code, &detail);
        assert!(code == PICARDY_ERROR_START as i32 && run.is_null());
        let code = unsafe { picardy_run_round(old, &denoiser, ptr::null_mut(), &mut detail) };
        assert_eq!(code, PICARDY_ERROR_NOT_A_RUN as i32);
    }
    let (old_plan, old_network) = (plan, network);
    spec.prediction = 9;
    let code = unsafe { picardy_plan_make(&spec, plan_at.cast(), PLAN, &mut plan, &mut detail) };
    explain(code, &detail);
    assert!(code != 0 && plan.is_null());
    setup.plan = old_plan;
    let code = unsafe { picardy_start(&setup, x_at, &mut detail) };
    assert_eq!(code, PICARDY_ERROR_NOT_A_PLAN as i32);
    assert_ne!(open(length - 1, &mut network, &mut detail), 0);
    let code = unsafe { picardy_network_dim(old_network, &mut dim, &mut detail) };
    assert_eq!(code, PICARDY_ERROR_NOT_A_NETWORK as i32);
}
