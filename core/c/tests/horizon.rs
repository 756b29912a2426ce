//! Chunks and limits from C: core's own numbers, and an error for every misuse.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ptr;
use picardy::guard::{Guard, Limits};
use picardy::horizon::{Chunk, Overlap, renoise, shift};
use picardy::{Level, Noise, Row, SliceFrames};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::{detail, name};

const CHUNK: picardy_chunk = picardy_chunk { batch: 2, places: 6, channels: 2 };
const NUMBERS: usize = 24;

fn plan() -> [f32; NUMBERS] {
    core::array::from_fn(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0)
}

/// What a call said; its code is the detail's.
fn said(call: impl FnOnce(*mut picardy_detail) -> i32) -> picardy_detail {
    let mut said = detail();
    let code = call(&mut said);
    assert_eq!(code, said.code);
    said
}

fn c_shift(chunk: *const picardy_chunk, executed: usize, x: *mut f32) -> picardy_detail {
    // SAFETY: the pointers are null, misaligned, or of the types and lengths that the chunk says where that is one.
    said(|detail| unsafe { picardy_chunk_shift(chunk, executed, x, detail) })
}

fn c_overlap(delay: usize, executed: usize, weights: &mut [f32; NUMBERS]) -> picardy_detail {
    // SAFETY: so many numbers has the chunk.
    said(|detail| unsafe { picardy_chunk_overlap(&CHUNK, delay, executed, weights.as_mut_ptr(), detail) })
}

fn c_renoise(level: &picardy_level, data: *const f32, x: *mut f32) -> picardy_detail {
    // SAFETY: both point to as many numbers as the chunk has.
    said(|detail| unsafe { picardy_chunk_renoise(&CHUNK, level, 7, 3, data, x, detail) })
}

fn c_limit(limits: &picardy_limits, x: *mut f32) -> picardy_detail {
    // SAFETY: as many numbers as the chunk has, and of the limits' those of its items, or null.
    said(|detail| unsafe { picardy_limits_apply(limits, &CHUNK, x, detail) })
}

const LIMITS: picardy_limits = picardy_limits {
    velocity: 0.3,
    acceleration: 0.2,
    position: ptr::null(),
    moving: ptr::null(),
    keeping: 1,
};

#[test]
fn numbers_are_core_s_own() {
    let chunk = Chunk::new(6, 2).unwrap();
    let (mut ours, mut theirs) = (plan(), plan());
    assert_eq!(c_shift(&CHUNK, 2, ours.as_mut_ptr()).code, 0);
    shift(chunk, 2, &mut theirs).unwrap();
    assert!(ours == theirs && ours != plan());

    let (mut ours, mut theirs) = ([9.0f32; NUMBERS], [0.0f32; NUMBERS]);
    assert_eq!(c_overlap(1, 2, &mut ours).code, 0);
    Overlap { delay: 1, executed: 2 }.fill(chunk, &mut theirs).unwrap();
    assert!(ours == theirs && ours[0] == 1.0 && ours[11] == 0.0);

    let level = picardy_level { alpha: 0.6, sigma: 0.8, t: 40.0 };
    let (mut ours, mut theirs) = ([0.0f32; NUMBERS], [0.0f32; NUMBERS]);
    assert_eq!(c_renoise(&level, plan().as_ptr(), ours.as_mut_ptr()).code, 0);
    let noise = Noise::seeded(7).from_item(3);
    renoise(&Level { alpha: 0.6, sigma: 0.8, t: 40.0 }, &plan(), &noise, 12, &mut theirs).unwrap();
    assert!(ours == theirs);

    let (position, moving) = ([0.1f32, 0.2, -0.3, 0.4], [0.1f32, 0.0, 0.0, -0.2]);
    let limits =
        picardy_limits { position: position.as_ptr(), moving: moving.as_ptr(), keeping: 0, ..LIMITS };
    let (mut ours, mut theirs) = (plan(), plan());
    assert_eq!(c_limit(&limits, ours.as_mut_ptr()).code, 0);
    let mut guard = Limits::new(2, 0.3, 0.2).unwrap().after(&position, &moving).unwrap();
    let mut frames = SliceFrames::new(&mut theirs, 12);
    for item in 0..2 {
        let at = Row { item, node: 0, level: Level::DATA, conditional: true };
        guard.apply(&at, &mut frames, item).unwrap();
    }
    assert!(ours == theirs && ours != plan());

    // Places that stay as they come.
    let (mut ours, mut theirs) = (plan(), plan());
    assert_eq!(c_limit(&picardy_limits { keeping: 2, ..LIMITS }, ours.as_mut_ptr()).code, 0);
    let mut guard = Limits::new(2, 0.3, 0.2).unwrap().keeping(2);
    let mut frames = SliceFrames::new(&mut theirs, 12);
    for item in 0..2 {
        let at = Row { item, node: 0, level: Level::DATA, conditional: true };
        guard.apply(&at, &mut frames, item).unwrap();
    }
    assert!(ours == theirs && ours[..4] == plan()[..4] && ours != plan());
}

#[test]
fn every_misuse_is_an_error_of_its_own() {
    let nan = f64::NAN;
    let shape = |batch, places, channels| picardy_chunk { batch, places, channels };
    let shifted = |chunk: *const picardy_chunk, executed, x: *mut f32| {
        let said = c_shift(chunk, executed, x);
        (said.code, name(&said).to_owned())
    };
    let mut x = plan();
    let at = x.as_mut_ptr();
    let cases = [
        (shifted(ptr::null(), 1, at), PICARDY_ERROR_NULL, "chunk"),
        (shifted(&CHUNK, 1, ptr::null_mut()), PICARDY_ERROR_NULL, "x"),
        (shifted(&CHUNK, 1, at.wrapping_byte_add(1)), PICARDY_ERROR_MISALIGNED, "x"),
        (shifted(&CHUNK, 6, at), PICARDY_ERROR_HORIZON, "executed"),
        (shifted(&CHUNK, usize::MAX, at), PICARDY_ERROR_HORIZON, "executed"),
        (shifted(&shape(0, 6, 2), 1, at), PICARDY_ERROR_SHAPE, "batch"),
        (shifted(&shape(2, 0, 2), 1, at), PICARDY_ERROR_SHAPE, "places"),
        (shifted(&shape(2, 6, 0), 1, at), PICARDY_ERROR_SHAPE, "channels"),
        (shifted(&shape(2, usize::MAX, 2), 1, at), PICARDY_ERROR_SIZE, "places"),
        (shifted(&shape(2, usize::MAX / 4, 2), 1, at), PICARDY_ERROR_SIZE, "places"),
        (shifted(&shape(usize::MAX / 8, 6, 2), 1, at), PICARDY_ERROR_SIZE, "batch"),
        // As many numbers as can be counted, and more bytes than memory can have.
        (shifted(&shape(usize::MAX / 32, 6, 2), 1, at), PICARDY_ERROR_SIZE, "batch"),
    ];
    for (i, ((got, of), code, field)) in cases.into_iter().enumerate() {
        assert_eq!((got, of.as_str()), (code as i32, field), "case {i}");
    }
    assert!(x == plan(), "what is refused is left alone");

    let overlap = |delay, executed| {
        let said = c_overlap(delay, executed, &mut [0.0; NUMBERS]);
        (said.code, name(&said).to_owned(), said.given, said.needed)
    };
    let horizon = PICARDY_ERROR_HORIZON as i32;
    assert_eq!(overlap(5, 2), (horizon, "delay".to_owned(), 5, 4));
    assert_eq!(overlap(0, 6), (horizon, "executed".to_owned(), 6, 5));

    let renoised = |alpha, sigma, data: *const f32, x: *mut f32| {
        let said = c_renoise(&picardy_level { alpha, sigma, t: 0.0 }, data, x);
        (said.code, name(&said).to_owned())
    };
    let (data, mut spoilt) = (plan(), plan());
    spoilt[3] = f32::INFINITY;
    for (got, code, field) in [
        (renoised(nan, 0.5, data.as_ptr(), at), PICARDY_ERROR_RANGE, "level.alpha"),
        (renoised(f64::INFINITY, 0.5, data.as_ptr(), at), PICARDY_ERROR_RANGE, "level.alpha"),
        (renoised(0.5, -1.0, data.as_ptr(), at), PICARDY_ERROR_RANGE, "level.sigma"),
        (renoised(0.5, 0.5, at, at), PICARDY_ERROR_OVERLAP, "x"),
        (renoised(0.5, 0.5, spoilt.as_ptr(), at), PICARDY_ERROR_NUMBER, "data"),
    ] {
        assert_eq!(got, (code as i32, field.to_owned()));
    }

    let limited = |limits: &picardy_limits, x: *mut f32| {
        let said = c_limit(limits, x);
        (said.code, name(&said).to_owned(), said.item, said.index)
    };
    let (still, fast) = ([0.0f32; 4], [0.0f32, 0.0, 0.0, 0.31]);
    let of = |position: *const f32, moving: *const f32| picardy_limits { position, moving, ..LIMITS };
    let cases = [
        (limited(&picardy_limits { velocity: nan, ..LIMITS }, at), PICARDY_ERROR_RANGE, "limits.velocity"),
        (
            limited(&picardy_limits { acceleration: -1.0, ..LIMITS }, at),
            PICARDY_ERROR_RANGE,
            "limits.acceleration",
        ),
        (limited(&of(still.as_ptr(), ptr::null()), at), PICARDY_ERROR_NULL, "limits.moving"),
        (limited(&of(ptr::null(), still.as_ptr()), at), PICARDY_ERROR_NULL, "limits.position"),
        (limited(&of(at, still.as_ptr()), at), PICARDY_ERROR_OVERLAP, "x"),
        (limited(&of(still.as_ptr(), at), at), PICARDY_ERROR_OVERLAP, "x"),
        (limited(&of(still.as_ptr(), spoilt.as_ptr()), at), PICARDY_ERROR_NUMBER, "limits.moving"),
        (limited(&of(spoilt.as_ptr(), still.as_ptr()), at), PICARDY_ERROR_NUMBER, "limits.position"),
        (limited(&LIMITS, spoilt.as_mut_ptr()), PICARDY_ERROR_NUMBER, "x"),
    ];
    for (i, ((got, of, ..), code, field)) in cases.into_iter().enumerate() {
        assert_eq!((got, of.as_str()), (code as i32, field), "case {i}");
    }
    let (code, _, item, _) = limited(&of(still.as_ptr(), fast.as_ptr()), at);
    assert_eq!((code, item), (PICARDY_ERROR_SPEED as i32, 1));
    assert_eq!(limited(&LIMITS, spoilt.as_mut_ptr()).3, 3);
    assert!(x == plan(), "what is refused is left alone");
}
