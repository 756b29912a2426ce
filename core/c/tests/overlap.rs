//! Buffers that share bytes are errors, and leave all as it was.
#![allow(unsafe_code, reason = "calls of the C border")]

mod common;

use common::bench::{Bench, HALF, NUMBERS};
use common::{detail, name};
use core::ffi::c_void;
use core::ptr;
use picardy_c::picardy_error::*;
use picardy_c::*;

fn overlap(name: &str) -> (i32, String) {
    (PICARDY_ERROR_OVERLAP as i32, name.to_owned())
}

/// Calls with their detail at every eighth byte of `memory`, of which each leaves all as it was.
fn refuses_details_in(what: &str, memory: &mut [u64], call: &dyn Fn(*mut picardy_detail) -> i32) {
    let (before, at) = (memory.to_vec(), memory.as_mut_ptr());
    for place in 0..memory.len() {
        // The last ones begin in the memory and end behind it.
        assert_eq!(call(at.wrapping_add(place).cast()), PICARDY_ERROR_OVERLAP as i32, "{what}, word {place}");
    }
    assert!(memory == before, "{what}: something was written");
}

#[test]
fn the_pointer_to_an_object_lies_outside_its_memory() {
    let (mut bench, x, mut fault) = (Bench::new(), [0.5f32; NUMBERS], detail());
    let setup = bench.setup(picardy_sampler_sequential());
    let (plan, run, network) = (bench.plan_memory.at(), bench.run_memory.at(), bench.network_memory.at());
    let (file, spec) = (bench.file.at(), picardy_plan_spec_ddim());
    // SAFETY: all pointers are to what they say.
    unsafe {
        picardy_plan_make(&spec, plan, 8192, plan.byte_add(64).cast(), &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "plan"));
        picardy_run_begin(&setup, x.as_ptr(), run, 16384, run.byte_add(64).cast(), &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "run"));
        let (size, at) = (PICARDY_NETWORK_BYTES, network.byte_add(64).cast());
        picardy_network_open(file, bench.length, network, size, at, &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_OVERLAP as i32, "network"));
    }
    assert_eq!(bench.sample(&HALF, [0.5f32; NUMBERS].as_mut_ptr()).0, 0, "the plan is as it was");
}

#[test]
fn scratch_overlaps_nothing() {
    let mut bench = Bench::new();
    let (scratch, x) = (bench.scratch.as_mut_ptr(), &mut [0.5f32; NUMBERS]);
    let good = bench.trained(scratch, 4096);
    assert_eq!(bench.sample(&good, x.as_mut_ptr()).0, 0);
    let (plan, network) = (bench.plan_memory.at().cast(), bench.network_memory.at().cast());
    let (file, run) = (bench.file.at().cast(), bench.run_memory.at().cast());
    for (at, floats) in
        [(plan, 2048), (network, PICARDY_NETWORK_BYTES / 4), (file, bench.length / 4), (run, 4096)]
    {
        let denoiser = bench.trained(at, floats);
        assert_eq!(bench.sample(&denoiser, x.as_mut_ptr()), overlap("scratch"));
        // Round by round too.
        let (setup, start, mut held) =
            (bench.setup(picardy_sampler_picard()), [0.5; NUMBERS], ptr::null_mut());
        assert_eq!(bench.begin(&setup, &start, &mut held), 0);
        // SAFETY: all pointers are to what they say.
        let code = unsafe { picardy_run_round(held, &denoiser, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(code, PICARDY_ERROR_OVERLAP as i32);
    }
    let inside = bench.trained(scratch, 4096);
    assert_eq!(bench.sample(&inside, scratch), overlap("scratch"));
    assert_eq!(bench.sample(&good, x.as_mut_ptr()).0, 0, "nothing was written to");
}

#[test]
fn states_overlap_nothing() {
    let mut bench = Bench::new();
    let (scratch, x) = (bench.scratch.as_mut_ptr(), [0.5f32; NUMBERS]);
    let good = bench.trained(scratch, 4096);
    let setup = bench.setup(picardy_sampler_sequential());
    let plan = bench.plan_memory.at().cast::<f32>();
    let (file, mut run, mut fault) = (bench.file.at().cast::<f32>(), ptr::null_mut(), detail());
    // SAFETY: all pointers are to what they say.
    unsafe {
        for at in [plan, plan.add(100)] {
            assert_eq!(picardy_start(&setup, at, &mut fault), PICARDY_ERROR_OVERLAP as i32);
            assert_eq!(bench.sample(&good, at), overlap("x"));
        }
        assert_eq!(bench.begin(&setup, &x, &mut run), 0);
        for at in [plan, plan.add(100), run.cast()] {
            assert_eq!(picardy_run_best(run, at, &mut fault), PICARDY_ERROR_OVERLAP as i32);
            assert_eq!(
                picardy_run_finish(run, at, ptr::null_mut(), &mut fault),
                PICARDY_ERROR_OVERLAP as i32
            );
        }
        // Finite numbers, where a start must be: what lies there otherwise may be none.
        let weights = file.add(bench.length / 4 - NUMBERS);
        weights.cast::<[f32; NUMBERS]>().write(x);
        assert_eq!(bench.sample(&good, weights).0, PICARDY_ERROR_OVERLAP as i32);
    }
}

#[test]
fn a_detail_in_lent_memory_is_an_error_and_stays_unwritten() {
    let (mut bench, x, mut run) = (Bench::new(), &mut [0.5f32; NUMBERS], ptr::null_mut());
    let (setup, spec) = (bench.setup(picardy_sampler_sequential()), picardy_plan_spec_ddim());
    let (plan, network, x) = (bench.plan, bench.network, x.as_mut_ptr());
    let (null, size) = (ptr::null_mut::<c_void>(), PICARDY_NETWORK_BYTES);
    let scratch = bench.scratch.as_mut_ptr();
    let denoiser = bench.trained(scratch, 4096);
    let mut taken = 0;
    // SAFETY: all pointers are to what they say.
    unsafe {
        assert_eq!(picardy_plan_size(&spec, &mut taken, null.cast()), 0);
        // Of a plan that is made, what is used of its memory: the levels at its end are not.
        let mut info = core::mem::zeroed();
        assert_eq!(picardy_plan_about(plan, &mut info, null.cast()), 0);
        let mut table = 0;
        assert_eq!(picardy_plan_table_size(info.nodes, &mut table, null.cast()), 0);
        let held = &mut bench.plan_memory.0[..table / 8];
        refuses_details_in("about", held, &|at| picardy_plan_about(plan, &mut { info }, at));
        refuses_details_in("node", held, &|at| picardy_plan_node(plan, 0, &mut picardy_node::default(), at));
        // Bad calls too.
        refuses_details_in("no node", held, &|at| {
            picardy_plan_node(plan, 99, &mut picardy_node::default(), at)
        });
        refuses_details_in("need", held, &|at| picardy_run_need(&setup, &mut picardy_need::default(), at));
        refuses_details_in("start", held, &|at| picardy_start(&setup, x, at));
        let run_at = bench.run_memory.at();
        let sample =
            |at| picardy_sample(&setup, &denoiser, None, null.cast(), run_at, 16384, x, null.cast(), at);
        refuses_details_in("sample, plan", held, &sample);
        refuses_details_in("sample, run", &mut bench.run_memory.0, &sample);
        refuses_details_in("sample, artifact", &mut bench.file.0[..bench.length / 8], &sample);
        refuses_details_in("begin", &mut bench.run_memory.0, &|at| {
            picardy_run_begin(&setup, x, run_at, 16384, &mut ptr::null_mut(), at)
        });
        assert_eq!(picardy_run_begin(&setup, x, run_at, 16384, &mut run, null.cast()), 0);
        for (what, memory) in [("run", &mut bench.run_memory.0[..]), ("plan", held)] {
            refuses_details_in(what, memory, &|at| picardy_run_round(run, &denoiser, null.cast(), at));
            refuses_details_in(what, memory, &|at| picardy_run_best(run, x, at));
            refuses_details_in(what, memory, &|at| picardy_run_finish(run, x, null.cast(), at));
        }
        let (file, length, mut opened) = (bench.file.at(), bench.length, 0);
        assert_eq!(picardy_network_size(file, length, &mut opened, null.cast()), 0);
        let opened = opened / 8;
        let room = bench.network_memory.at();
        for memory in [&mut bench.network_memory.0[..opened], &mut bench.file.0[..length / 8]] {
            refuses_details_in("round", memory, &|at| picardy_run_round(run, &denoiser, null.cast(), at));
            refuses_details_in("card", memory, &|at| {
                picardy_network_card(network, &mut core::mem::zeroed(), at)
            });
            refuses_details_in("dim", memory, &|at| picardy_network_dim(network, &mut 0, at));
            refuses_details_in("scratch", memory, &|at| picardy_network_scratch(network, 1, &mut 0, at));
            refuses_details_in("units", memory, &|at| picardy_network_normalize(network, x, 2, at));
            refuses_details_in("open", memory, &|at| {
                picardy_network_open(file, length, room, size, &mut ptr::null(), at)
            });
        }
        // Where the plan would be is null after that error as after any.
        let (room, mut made) = (bench.plan_memory.at(), plan);
        assert_eq!(
            picardy_plan_make(&spec, room, taken, &mut made, room.cast()),
            PICARDY_ERROR_OVERLAP as i32
        );
        assert!(made.is_null());
        let table = [picardy_node::default(); 3];
        let code = picardy_plan_from_table(table.as_ptr(), 3, 0, room, taken, &mut made, room.cast());
        assert_eq!(code, PICARDY_ERROR_OVERLAP as i32);
        assert_eq!(picardy_run_round(run, &denoiser, null.cast(), null.cast()), 0, "all is as it was");
    }
}

#[test]
fn results_overlap_no_object() {
    let (mut bench, x, mut run, mut fault) = (Bench::new(), [0.5f32; NUMBERS], ptr::null_mut(), detail());
    let setup = bench.setup(picardy_sampler_sequential());
    assert_eq!(bench.begin(&setup, &x, &mut run), 0);
    let (plan, network) = (bench.plan_memory.at(), bench.network_memory.at());
    let said = |code: i32, fault: &picardy_detail| {
        assert_eq!((code, fault.code), (PICARDY_ERROR_OVERLAP as i32, PICARDY_ERROR_OVERLAP as i32));
        name(fault).to_owned()
    };
    // SAFETY: all pointers are to what they say.
    unsafe {
        let code = picardy_plan_about(bench.plan, plan.byte_add(64).cast(), &mut fault);
        assert_eq!(said(code, &fault), "info");
        let code = picardy_plan_node(bench.plan, 0, plan.byte_add(64).cast(), &mut fault);
        assert_eq!(said(code, &fault), "node");
        let code = picardy_run_need(&setup, plan.byte_add(64).cast(), &mut fault);
        assert_eq!(said(code, &fault), "need");
        let code = picardy_run_round(run, &HALF, plan.byte_add(64).cast(), &mut fault);
        assert_eq!(said(code, &fault), "round");
        let mut x = x;
        let code = picardy_run_finish(run, x.as_mut_ptr(), plan.byte_add(64).cast(), &mut fault);
        assert_eq!(said(code, &fault), "report");
        let inside = network.byte_add(64);
        let code = picardy_network_dim(bench.network, inside.cast(), &mut fault);
        assert_eq!(said(code, &fault), "dim");
        let code = picardy_network_scratch(bench.network, 1, inside.cast(), &mut fault);
        assert_eq!(said(code, &fault), "floats");
    }
}
