//! Networks of every kind from C, told an observation or a label: core's own numbers to the bit, and an error for every misuse.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ffi::c_void;
use core::ptr;
use picardy::nn::Network;
use picardy::{Picard, Sequential};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::networks::*;
use common::{Memory, NOTHING, detail, name};

#[test]
fn samples_of_every_network_are_core_s_to_the_bit() {
    for (file, shape, condition) in [
        (navigate(), [1, 16, 2], 53),
        (file(unet1d(), &[8, 3], 5, UNCHANGED), [1, 8, 3], 5),
        (file(unet1d(), &[8, 3], 0, UNCHANGED), [1, 8, 3], 0),
        (file(unet2d(), &[8, 4, 2], 4, UNCHANGED), [8, 4, 2], 4),
        (file(MLP, &[3], 4, UNCHANGED), [1, 1, 3], 4),
    ] {
        let mut opened = open(&file).unwrap();
        assert_eq!((opened.card.shape, opened.card.condition), (shape, condition));
        assert_eq!(opened.card.dim, shape.iter().product::<usize>());
        let told = opened.told(BATCH);
        let denoiser = opened.denoiser(&told);
        let sequential = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap();
        let picard = opened.sample(&denoiser, picardy_sampler_picard()).unwrap();
        assert_eq!(bits(&sequential), bits(&of_core(&file, &told, &Sequential)));
        assert_eq!(bits(&picard), bits(&of_core(&file, &told, &Picard::default())));
        if condition > 0 {
            // The second item is told something else: the first one's sample stays.
            let mut other = told.clone();
            other[condition..].iter_mut().for_each(|number| *number = 0.0);
            let denoiser = opened.denoiser(&other);
            let changed = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap();
            let (first, second) = sequential.split_at(opened.card.dim);
            assert_eq!(&changed[..opened.card.dim], first);
            assert_ne!(&changed[opened.card.dim..], second);
        }
    }
}

#[test]
fn an_mlp_s_card_has_its_width_and_a_u_net_s_none() {
    let sizes = |file: &[u8]| open(file).map(|opened| (opened.card.width, opened.card.blocks));
    assert_eq!(sizes(&file(MLP, &[3], 0, UNCHANGED)), Ok((16, 2)));
    assert_eq!(sizes(&file(MLP, &[3], 4, UNCHANGED)), Ok((16, 2)));
    assert_eq!(sizes(&navigate()), Ok((0, 0)));
}

/// Core's network behind a function of C.
struct Behind<'a> {
    network: Network<'a, 'a>,
    told: &'a [f32],
    scratch: Vec<f32>,
}

unsafe extern "C" fn behind(
    context: *mut c_void,
    rows: *const picardy_row,
    count: usize,
    dim: usize,
    x: *const f32,
    out: *mut f32,
) -> i32 {
    // SAFETY: what the header says.
    let (behind, rows, x, out) = unsafe {
        (
            &mut *context.cast::<Behind<'_>>(),
            core::slice::from_raw_parts(rows, count),
            core::slice::from_raw_parts(x, count * dim),
            core::slice::from_raw_parts_mut(out, count * dim),
        )
    };
    let width = behind.network.condition();
    for ((row, x), out) in rows.iter().zip(x.chunks(dim)).zip(out.chunks_mut(dim)) {
        let told = &behind.told[row.item as usize * width..][..width];
        behind.network.forward(x, core::iter::once(row.t), told, out, &mut behind.scratch).unwrap();
    }
    0
}

#[test]
fn densities_are_those_given_each_item_s_own_condition() {
    const ITEMS: usize = 3;
    let file = file(unet1d(), &[8, 3], 5, UNCHANGED);
    let mut opened = open(&file).unwrap();
    let (card, told) = (opened.card, opened.told(ITEMS));
    let mut spec = picardy_likelihood_spec_logistic(card.dim);
    (spec.schedule, spec.prediction) = (card.schedule, card.prediction);
    (spec.evaluations, spec.rows) = (20, 7);
    let (mut bytes, mut likelihood) = (0, ptr::null_mut());
    // SAFETY: all pointers are to what they say.
    let mut memory = unsafe {
        assert_eq!(picardy_likelihood_size(&spec, &mut bytes, ptr::null_mut()), 0);
        Memory::new(bytes)
    };
    // SAFETY: the same.
    unsafe {
        let code = picardy_likelihood_make(&spec, memory.at(), bytes, &mut likelihood, ptr::null_mut());
        assert_eq!(code, 0);
    }
    // The same input three times: what differs is what the items are told.
    let input: Vec<f32> = (0..card.dim).map(|i| (i * 5 % 11) as f32 / 5.5 - 1.0).collect();
    let x = input.repeat(ITEMS);
    let ask = |denoiser: &picardy_denoiser| {
        let (mut nats, mut fault) = ([picardy_nats::default(); ITEMS], detail());
        // SAFETY: all pointers are to what they say.
        let code = unsafe {
            let (at, out) = (x.as_ptr(), nats.as_mut_ptr());
            picardy_log_density(likelihood, denoiser, ptr::null(), at, ITEMS, out, &mut fault)
        };
        if code == 0 { Ok(nats) } else { Err(fault) }
    };
    let found = ask(&opened.denoiser(&told)).unwrap();
    let expected = with_core(&file, |network, _| {
        let mut behind_it = Behind { network, told: &told, scratch: vec![0.0; network.scratch_len(1)] };
        let context = ptr::from_mut(&mut behind_it).cast();
        ask(&picardy_denoiser { evaluate: Some(behind), context, ..NOTHING }).unwrap()
    });
    assert_eq!(found, expected);
    assert!(found.iter().all(|nats| nats.value.is_finite()));
    assert!(found[0] != found[1] && found[1] != found[2], "{found:?}");
    let one = ask(&opened.denoiser(&told[..5])).unwrap_err();
    assert_eq!((one.code, one.needed, one.given), (PICARDY_ERROR_CONDITION as i32, 15, 5));
}

#[test]
fn conditions_that_are_none_are_errors_of_their_own() {
    let mut opened = open(&navigate()).unwrap();
    let mut told = opened.told(BATCH);
    let sequential = picardy_sampler_sequential();
    let said = |opened: &Opened, denoiser: &picardy_denoiser| {
        let fault = opened.sample(denoiser, sequential).unwrap_err();
        (fault.code, name(&fault).to_owned(), fault)
    };
    let denoiser = opened.denoiser(&[]);
    let (code, _, fault) = said(&opened, &denoiser);
    assert_eq!((code, fault.needed), (PICARDY_ERROR_NO_CONDITION as i32, 106));
    for numbers in [1, 53, 105, 107] {
        let denoiser = picardy_denoiser { condition_floats: numbers, ..opened.denoiser(&told) };
        let (code, _, fault) = said(&opened, &denoiser);
        assert_eq!((code, fault.needed, fault.given), (PICARDY_ERROR_CONDITION as i32, 106, numbers));
    }
    let denoiser = picardy_denoiser { conditions: ptr::null(), ..opened.denoiser(&told) };
    let (code, what, _) = said(&opened, &denoiser);
    assert_eq!((code, what.as_str()), (PICARDY_ERROR_NULL as i32, "conditions"));
    let denoiser =
        picardy_denoiser { conditions: told.as_ptr().wrapping_byte_add(1), ..opened.denoiser(&told) };
    let (code, what, _) = said(&opened, &denoiser);
    assert_eq!((code, what.as_str()), (PICARDY_ERROR_MISALIGNED as i32, "conditions"));
    for value in [f32::NAN, f32::NEG_INFINITY] {
        let good = core::mem::replace(&mut told[60], value);
        let denoiser = opened.denoiser(&told);
        let (code, what, fault) = said(&opened, &denoiser);
        assert_eq!((code, what.as_str()), (PICARDY_ERROR_NUMBER as i32, "conditions"));
        assert_eq!((fault.index, fault.item), (60, 1));
        assert_eq!(fault.value.to_bits(), f64::from(value).to_bits());
        told[60] = good;
    }
    // In the scratch, which is written to.
    let denoiser = picardy_denoiser { conditions: opened.scratch.as_ptr(), ..opened.denoiser(&told) };
    let (code, what, _) = said(&opened, &denoiser);
    assert_eq!((code, what.as_str()), (PICARDY_ERROR_OVERLAP as i32, "conditions"));
    let denoiser = opened.denoiser(&told);
    assert!(opened.sample(&denoiser, sequential).is_ok());

    // Nobody who is told them.
    let mut without = open(&file(MLP, &[3], 0, UNCHANGED)).unwrap();
    let denoiser = without.denoiser(&told);
    let (code, _, fault) = said(&without, &denoiser);
    assert_eq!((code, fault.needed, fault.given), (PICARDY_ERROR_CONDITION as i32, 0, 106));
    let function = picardy_denoiser {
        evaluate: Some(behind),
        network: ptr::null(),
        context: ptr::null_mut(),
        ..opened.denoiser(&told)
    };
    assert_eq!(said(&opened, &function).0, PICARDY_ERROR_CONDITION as i32);
}

#[test]
fn a_program_is_the_network_s_memory() {
    let mut opened = open(&navigate()).unwrap();
    let told = opened.told(BATCH);
    // Beside a header it has a program.
    assert!(opened.bytes > PICARDY_NETWORK_BYTES);
    let (mut again, mut fault) = (ptr::null(), detail());
    let (at, length, bytes) = (opened.file.at(), opened.length, opened.bytes);
    // Scratch in the program, at its end.
    let end = opened.memory.at().wrapping_byte_add(bytes - 64).cast();
    let denoiser = picardy_denoiser { scratch: end, scratch_floats: 16, ..opened.denoiser(&told) };
    let refused = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap_err();
    assert_eq!((refused.code, name(&refused)), (PICARDY_ERROR_OVERLAP as i32, "scratch"));
    // SAFETY: all pointers are to what they say.
    unsafe {
        picardy_network_open(at, length, opened.memory.at(), bytes - 1, &mut again, &mut fault);
    }
    assert_eq!((fault.code, fault.needed, fault.given), (PICARDY_ERROR_MEMORY as i32, bytes, bytes - 1));
    // Opened in vain, the network is none.
    let denoiser = opened.denoiser(&told);
    let refused = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap_err();
    assert_eq!(refused.code, PICARDY_ERROR_NOT_A_NETWORK as i32);
}

#[test]
fn artifacts_that_no_network_can_be_are_named() {
    let card = |key: &'static str, value: &'static str| {
        file(unet1d(), &[8, 3], 5, &move |entries: &mut Vec<(String, String)>| {
            entries.iter_mut().filter(|(name, _)| name == key).for_each(|(_, old)| *old = value.to_owned());
        })
    };
    for (key, value, code, named) in [
        ("picardy.groups", "5", PICARDY_ERROR_CARD, "picardy.groups"),
        ("picardy.kernel", "4", PICARDY_ERROR_CARD, "picardy.kernel"),
        ("picardy.embedding", "7", PICARDY_ERROR_CARD, "picardy.embedding"),
        ("picardy.shape", "24,1", PICARDY_ERROR_TENSOR, "down.0.res1.1.conv.weight"),
        ("picardy.shape", "3,8", PICARDY_ERROR_CARD, "picardy.shape"),
        ("picardy.shape", "24", PICARDY_ERROR_CARD, "picardy.shape"),
        ("picardy.condition", "6", PICARDY_ERROR_TENSOR, "down.0.res1.film.weight"),
        ("picardy.widths", "8,32", PICARDY_ERROR_TENSOR, "down.1.res1.1.conv.weight"),
        ("picardy.model", "other", PICARDY_ERROR_MODEL, "other"),
    ] {
        let (found, name) = open(&card(key, value)).err().expect("no network");
        assert_eq!((found, name.as_str()), (code as i32, named), "{key} {value}");
    }
    // Without a card nobody says that an MLP takes a condition.
    let bare = file(MLP, &[3], 4, &|entries| entries.clear());
    assert_eq!(open(&bare).err(), Some((PICARDY_ERROR_CARD as i32, "picardy.version".to_owned())));
    let points = file(MLP, &[3], 0, &|entries| {
        entries.iter_mut().filter(|(key, _)| key == "picardy.model").for_each(|(_, model)| {
            *model = "exact-points".to_owned();
        });
    });
    assert_eq!(open(&points).err(), Some((PICARDY_ERROR_MODEL as i32, "exact-points".to_owned())));
    let (mut size, mut fault) = (0, detail());
    // SAFETY: pointers are null or to what they say.
    unsafe {
        picardy_network_size(ptr::null(), 8, &mut size, &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_NULL as i32, "bytes"));
        let mut opened = open(&navigate()).unwrap();
        let (at, length) = (opened.file.at(), opened.length);
        picardy_network_size(at, length, ptr::null_mut(), &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_NULL as i32, "size"));
    }
}

#[test]
fn a_spoiled_header_is_an_error_or_a_network_that_runs() {
    let mut opened_anyhow = 0;
    for good in [file(unet1d(), &[8, 3], 5, UNCHANGED), file(unet2d(), &[8, 4, 2], 4, UNCHANGED)] {
        let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
        let mut state = 1u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let digits: Vec<usize> = (8..8 + header).filter(|at| good[*at].is_ascii_digit()).collect();
        for round in 0..1500 {
            let mut spoiled = good.clone();
            // A digit is what the sizes are made of.
            let at = if round % 3 == 0 { 8 + random(header) } else { digits[random(digits.len())] };
            spoiled[at] = if round % 3 == 0 { random(256) as u8 } else { b'0' + random(10) as u8 };
            let (mut bytes, mut network, mut dim, mut floats, none) = (0, ptr::null(), 0, 0, ptr::null_mut());
            let (mut at, mut fault) = (Memory::new(spoiled.len()), detail());
            // SAFETY: all pointers are to what they say.
            unsafe {
                at.at().cast::<u8>().copy_from(spoiled.as_ptr(), spoiled.len());
                let told = picardy_network_size(at.at(), spoiled.len(), &mut bytes, &mut fault);
                assert!(told != 0 || (1..1 << 20).contains(&bytes), "{bytes} bytes");
                let mut memory = Memory::new(if told == 0 { bytes } else { 1 << 16 });
                let room = if told == 0 { bytes } else { 1 << 16 };
                let code =
                    picardy_network_open(at.at(), spoiled.len(), memory.at(), room, &mut network, &mut fault);
                assert!(told == 0 || told == code);
                assert_ne!(code, PICARDY_ERROR_OTHER as i32);
                if code != 0 {
                    continue;
                }
                opened_anyhow += 1;
                assert_eq!(picardy_network_dim(network, &mut dim, none), 0);
                assert_eq!(picardy_network_scratch(network, 1, &mut floats, none), 0);
                assert!(floats < 1 << 20, "{floats} floats");
                let mut card = core::mem::zeroed::<picardy_card>();
                if picardy_network_card(network, &mut card, none) != 0 {
                    continue;
                }
                let scratch = vec![0.0; floats];
                let mut opened =
                    Opened { file: at, length: spoiled.len(), memory, bytes, network, card, scratch };
                let (told, sequential) = (opened.told(BATCH), picardy_sampler_sequential());
                let denoiser = opened.denoiser(&told);
                match opened.sample(&denoiser, sequential) {
                    Ok(x) => assert!(x.iter().all(|x| x.is_finite())),
                    Err(fault) => assert_ne!(fault.code, PICARDY_ERROR_OTHER as i32),
                }
            }
        }
    }
    assert!(opened_anyhow > 300, "{opened_anyhow}");
}
