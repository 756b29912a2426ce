//! Memory that is used twice: what was made in it before is gone.
#![allow(unsafe_code, reason = "calls of the C border")]

mod common;

use common::bench::{Bench, HALF, NUMBERS};
use common::{Memory, Stored, artifact, detail, name};
use core::ptr;
use picardy_c::picardy_error::*;
use picardy_c::*;

#[test]
fn a_plan_that_is_remade_in_vain_is_none() {
    for spoil in [
        (|s| s.schedule.zero_snr = 1) as fn(&mut picardy_plan_spec),
        |s| s.schedule.beta_end = 3.0,
        |s| s.schedule.spacing = 9,
        |s| s.prediction = 9,
    ] {
        let mut bench = Bench::new();
        let (old, mut spec) = (bench.plan, picardy_plan_spec_ddim());
        spoil(&mut spec);
        assert_ne!(bench.make(&spec), 0);
        assert!(bench.plan.is_null());
        let (setup, mut x) =
            (picardy_setup { plan: old, ..bench.setup(picardy_sampler_sequential()) }, [0.0; 4]);
        // SAFETY: all pointers are to what they say.
        let code = unsafe { picardy_start(&setup, x.as_mut_ptr(), ptr::null_mut()) };
        assert_eq!(code, PICARDY_ERROR_NOT_A_PLAN as i32);
        assert_eq!(bench.make(&picardy_plan_spec_ddim()), 0);
        assert_eq!(bench.plan, old);
    }
}

#[test]
fn a_plan_whose_table_is_none_is_none() {
    let mut bench = Bench::new();
    let old = bench.plan;
    let table = [picardy_node { noise: f64::NAN, evaluated: 1, ..picardy_node::default() }; 3];
    // SAFETY: all pointers are to what they say.
    unsafe {
        let memory = bench.plan_memory.at();
        let code =
            picardy_plan_from_table(table.as_ptr(), 3, 0, memory, 8192, &mut bench.plan, ptr::null_mut());
        assert_eq!(code, PICARDY_ERROR_NODE as i32);
        assert!(bench.plan.is_null());
        let code = picardy_plan_about(old, &mut picardy_plan_info::default(), ptr::null_mut());
        assert_eq!(code, PICARDY_ERROR_NOT_A_PLAN as i32);
    }
}

#[test]
fn a_run_that_is_begun_anew_in_vain_is_none() {
    for sampler in [picardy_sampler_sequential(), picardy_sampler_picard()] {
        let (mut bench, mut x, mut run) = (Bench::new(), [0.5; NUMBERS], ptr::null_mut());
        let setup = bench.setup(sampler);
        assert_eq!(bench.begin(&setup, &x, &mut run), 0);
        let old = run;
        // SAFETY: all pointers are to what they say.
        let round = || unsafe { picardy_run_round(old, &HALF, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(round(), 0);
        x[3] = f32::NAN;
        let other = bench.setup(picardy_sampler_sequential());
        assert_eq!(bench.begin(&other, &x, &mut run), PICARDY_ERROR_START as i32);
        assert!(run.is_null());
        assert_eq!(round(), PICARDY_ERROR_NOT_A_RUN as i32);
    }
}

#[test]
fn a_network_that_is_opened_anew_in_vain_is_none() {
    let mut bench = Bench::new();
    let old = bench.network;
    bench.length -= 1;
    assert_eq!(bench.open(), PICARDY_ERROR_ARTIFACT as i32);
    assert!(bench.network.is_null());
    // SAFETY: all pointers are to what they say.
    let code = unsafe { picardy_network_scratch(old, 1, &mut 0, ptr::null_mut()) };
    assert_eq!(code, PICARDY_ERROR_NOT_A_NETWORK as i32);
}

#[test]
fn places_that_are_misaligned_or_taken_are_errors_and_null_is_none() {
    let (mut bench, mut x, mut run) = (Bench::new(), [0.5f32; NUMBERS], ptr::null_mut());
    let (setup, mut fault) = (bench.setup(picardy_sampler_sequential()), detail());
    let (mut round, mut report) = (picardy_round::default(), picardy_report::default());
    assert_eq!(bench.begin(&setup, &x, &mut run), 0);
    // SAFETY: pointers are null, misaligned, or to what they say.
    unsafe {
        for (at, code) in [
            ((&raw mut round).wrapping_byte_add(1), PICARDY_ERROR_MISALIGNED),
            (run.cast(), PICARDY_ERROR_OVERLAP),
            (ptr::null_mut(), PICARDY_OK),
            (&raw mut round, PICARDY_OK),
        ] {
            assert_eq!(picardy_run_round(run, &HALF, at, &mut fault), code as i32);
        }
        assert_eq!(round.rounds, 2, "an error costs no round");
        let at = x.as_mut_ptr();
        for (report, code) in [
            ((&raw mut report).wrapping_byte_add(1), PICARDY_ERROR_MISALIGNED),
            (run.cast(), PICARDY_ERROR_OVERLAP),
            (&raw mut report, PICARDY_OK),
        ] {
            assert_eq!(picardy_run_finish(run, at, report, &mut fault), code as i32);
        }
        assert_eq!(report.rounds, 2);
        let (none, memory) = (ptr::null_mut(), bench.run_memory.at());
        let off = (&raw mut report).wrapping_byte_add(1);
        let code = picardy_sample(&setup, &HALF, None, none, memory, 16384, at, off, &mut fault);
        assert_eq!((code, name(&fault)), (PICARDY_ERROR_MISALIGNED as i32, "report"));
    }
}

#[test]
fn what_a_run_refuses_its_need_refuses() {
    let bench = Bench::new();
    for (spoil, code, field) in [
        ((|s| s.tolerance = f64::NAN) as fn(&mut picardy_sampler), PICARDY_ERROR_RANGE, "sampler.tolerance"),
        (|s| s.window = 0, PICARDY_ERROR_ZERO, "sampler.window"),
        (|s| (s.slope, s.directions) = (4, 9), PICARDY_ERROR_RANGE, "sampler.directions"),
        (|s| s.rows = 1, PICARDY_ERROR_ROWS, ""),
    ] {
        let (mut setup, mut fault) = (bench.setup(picardy_sampler_picard()), detail());
        spoil(&mut setup.sampler);
        // SAFETY: all pointers are to what they say.
        unsafe { picardy_run_need(&setup, &mut picardy_need::default(), &mut fault) };
        assert_eq!((fault.code, name(&fault)), (code as i32, field));
    }
}

#[test]
fn weights_that_are_none_are_named() {
    for (stored, corrupt, value) in [
        (Stored::Int8, "output.scale", Some(0.0)),
        (Stored::Half, "output.weight", None),
        (Stored::Half, "", Some(0.0)),
        (Stored::Int8, "", Some(0.0)),
    ] {
        let (mut bench, mut fault) = (Bench::new(), detail());
        let bytes = artifact(3, 32, stored, corrupt);
        let (mut file, memory) = (Memory::new(bytes.len()), bench.network_memory.at());
        // SAFETY: all pointers are to what they say.
        let code = unsafe {
            file.at().cast::<u8>().copy_from(bytes.as_ptr(), bytes.len());
            let size = PICARDY_NETWORK_BYTES;
            picardy_network_open(file.at(), bytes.len(), memory, size, &mut bench.network, &mut fault)
        };
        let expected = if corrupt.is_empty() { PICARDY_OK } else { PICARDY_ERROR_WEIGHT };
        assert_eq!((code, name(&fault), fault.index), (expected as i32, corrupt, 0));
        assert_eq!((!fault.value.is_nan()).then_some(fault.value), value);
        if corrupt.is_empty() {
            let mut dim = 0;
            // SAFETY: all pointers are to what they say.
            assert_eq!(unsafe { picardy_network_dim(bench.network, &mut dim, ptr::null_mut()) }, 0);
            assert_eq!(dim, 3);
        }
    }
}
