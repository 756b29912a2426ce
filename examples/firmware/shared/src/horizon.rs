//! Receding horizons: three cycles of a robot with limits, over an exact denoiser, whose joins are held softly.

use crate::{Digest, Error};
use core::fmt;
use picardy::Workspace;
use picardy::guard::{Guarded, Inpaint, Limits};
use picardy::horizon::{Chunk, Overlap, renoise, shift};
use picardy::{
    Betas, Ddim, Level, Mixture, Node, Noise, Prediction, Sampler, Sequential, SliceFrames, Solver,
};

const PLACES: usize = 8;
const CHANNELS: usize = 2;
/// Numbers of a chunk.
const DIM: usize = PLACES * CHANNELS;
const STEPS: usize = 10;
const CYCLES: usize = 3;
const EXECUTED: usize = 3;
/// Per step.
const SPEED: f64 = 0.25;
const ACCELERATION: f64 = 0.12;

/// Runs the cycles and writes `hash horizon/CYCLE COUNT DIGEST` of the bits of each chunk.
///
/// # Errors
/// The writer's; and those of numbers that do not fit, which are none.
// Inlined, its frame would be of the stack that is measured of the samples' runs.
#[inline(never)]
pub fn write_horizons(out: &mut impl fmt::Write) -> Result<(), Error> {
    // Two ways around: up, or down.
    let mut means = [0.0; 2 * DIM];
    for (way, mean) in means.chunks_exact_mut(DIM).enumerate() {
        for (i, place) in mean.chunks_exact_mut(CHANNELS).enumerate() {
            let along = (i + 1) as f64 / PLACES as f64;
            place.copy_from_slice(&[along, [1.0, -1.0][way] * along * (1.0 - along)]);
        }
    }
    let (chunk, noise) = (Chunk::new(PLACES, CHANNELS)?, Noise::seeded(11));
    let (mut levels, mut nodes) = ([Level::EMPTY; STEPS + 1], [Node::EMPTY; STEPS + 1]);
    let (mut last, mut position, mut velocity) = ([0.0f32; DIM], [0.0f32; CHANNELS], [0.0f32; CHANNELS]);
    for cycle in 0..CYCLES {
        let mixture = Mixture::new(&means, &[0.5, 0.5], 0.05, DIM)?;
        let grid = Betas::cosine(100).trailing(STEPS, &mut levels)?;
        // Warm from the second cycle on.
        let grid = if cycle == 0 { grid } else { grid.tail(STEPS / 2)? };
        let plan = Ddim::default().plan(&grid, Prediction::Sample, &mut nodes)?;
        let (mut x, mut mask) = ([0.0f32; DIM], [0.0f32; DIM]);
        let noise = noise.from_item(cycle as u64);
        if cycle == 0 {
            plan.start(&noise, DIM, &mut x);
        } else {
            let executed = last.chunks_exact(CHANNELS).take(EXECUTED);
            for place in executed {
                for ((position, velocity), place) in position.iter_mut().zip(&mut velocity).zip(place) {
                    (*velocity, *position) = (place - *position, *place);
                }
            }
            shift(chunk, EXECUTED, &mut last)?;
            Overlap { delay: 1, executed: EXECUTED }.fill(chunk, &mut mask)?;
            renoise(grid.levels().first().unwrap_or(&Level::DATA), &last, &noise, DIM, &mut x)?;
        }
        let limits = Limits::new(CHANNELS, SPEED, ACCELERATION)?.after(&position, &velocity)?;
        let guard = (Inpaint::new(&mask, &last)?, limits);
        let mut denoiser = Guarded::new(mixture.predicting(Prediction::Sample), guard);
        let mut memory = [0.0f32; 2 * DIM];
        let mut workspace = Workspace::new(SliceFrames::new(&mut memory, DIM), &mut []);
        Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
        last = x;
        let mut digest = Digest::new();
        digest.numbers(last.iter().map(|x| f64::from(*x)));
        writeln!(out, "hash horizon/{cycle} {DIM} {:016x}", digest.value())?;
    }
    Ok(())
}
