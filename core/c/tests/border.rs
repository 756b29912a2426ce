//! The border from a caller's side: what it samples is core's.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ffi::c_void;
use core::ptr;
use picardy::Picard;
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::calls::*;
use common::{Memory, detail, name};

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
