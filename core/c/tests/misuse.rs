//! The border from a careless caller's side: every way to misuse it is an error of its own.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ffi::{CStr, c_void};
use core::ptr;
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::calls::*;
use common::{Memory, NOTHING, detail, name};

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
        let (mut size, mut memory) = (0, Memory::new(PICARDY_NETWORK_BYTES));
        assert_eq!(picardy_network_size(at.cast(), file.len(), &mut size, &mut fault), 0);
        let room = memory.at();
        let mut open = |bytes: *const u8, length, room_bytes| {
            picardy_network_open(bytes.cast(), length, room, room_bytes, &mut network, &mut fault);
            fault.code
        };
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

/// The dino's artifact with another piece of its header.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/firmware/data/dino.safetensors");
    let file = std::fs::read(path).unwrap();
    let (length, rest) = file.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let header = core::str::from_utf8(header).unwrap();
    assert!(header.contains(from));
    let mut header = header.replace(from, to).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

#[test]
fn networks_that_this_library_does_not_run_are_named() {
    let version = r#""picardy.version":"1""#;
    let conditioned = changed(version, &format!(r#""picardy.condition":"5",{version}"#));
    let model = r#""picardy.model":""#;
    let cases = [
        // Told of a condition, it has no tensors for one.
        (conditioned, PICARDY_ERROR_TENSOR, "condition.weight", 0),
        (changed(model, &format!("{model}{}", "x".repeat(60))), PICARDY_ERROR_MODEL, &*"x".repeat(47), 0),
        // A card that is wrong is still said to be.
        (changed(version, r#""picardy.version":"9""#), PICARDY_ERROR_CARD, "picardy.version", 0),
        (changed(version, version), PICARDY_OK, "", 0),
    ];
    for (file, code, what, given) in cases {
        let size = 8 * PICARDY_NETWORK_BYTES;
        let (mut bytes, mut memory) = (Memory::new(file.len()), Memory::new(size));
        let (mut network, mut fault) = (ptr::null(), detail());
        // SAFETY: all pointers are to what they say.
        unsafe {
            bytes.at().cast::<u8>().copy_from(file.as_ptr(), file.len());
            picardy_network_open(bytes.at(), file.len(), memory.at(), size, &mut network, &mut fault);
        }
        assert_eq!((fault.code, name(&fault), fault.given), (code as i32, what, given));
        assert_eq!(network.is_null(), code != PICARDY_OK);
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
