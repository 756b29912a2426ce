//! Receding horizons over whole runs: joins, limits, deadlines.

use picardy::guard::{Guarded, Inpaint, Limits};
use picardy::horizon::{Chunk, Overlap, renoise, shift};
use picardy::{
    Betas, Ddim, Level, Memory, Mixture, Node, Noise, Picard, Plan, Prediction, Sampler, Sequential, Solver,
};
use proptest::prelude::*;
use std::ops::ControlFlow;

const PLACES: usize = 16;
const CHANNELS: usize = 2;
const DIM: usize = PLACES * CHANNELS;
const OVERLAP: Overlap = Overlap { delay: 3, executed: 4 };

/// Two ways around something: above and below, `ahead` steps on, and a little further up by what was seen since.
fn ways(ahead: usize, seen: f64) -> Vec<f64> {
    let mut means = Vec::new();
    for side in [1.0, -1.0] {
        for i in 0..PLACES {
            let along = (ahead + i) as f64 / 24.0;
            means.extend([along, side * (3.0 * along).sin() + seen]);
        }
    }
    means
}

fn plan(steps: usize, kept: usize) -> Vec<Node> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); kept + 1]);
    let grid = Betas::cosine(100).trailing(steps, &mut levels).unwrap().tail(kept).unwrap();
    Ddim::default().plan(&grid, Prediction::Sample, &mut nodes).unwrap();
    nodes
}

/// The next chunk, where the last one is held by these weights.
fn next(last: &[f64], mask: &[f64], seed: u64, warm: bool) -> Vec<f64> {
    let means = ways(OVERLAP.executed, 0.15);
    let mixture = Mixture::new(&means, &[0.5, 0.5], 0.05, DIM).unwrap();
    let nodes = plan(10, if warm { 5 } else { 10 });
    let plan = Plan::new(&nodes, picardy::Form::Data).unwrap();
    let noise = Noise::seeded(seed);
    let mut x = vec![0.0; DIM];
    match warm {
        true => renoise(&nodes[0].level, last, &noise, DIM, &mut x).unwrap(),
        false => plan.start(&noise, DIM, &mut x),
    }
    let mut model = Guarded::new(mixture.predicting(Prediction::Sample), Inpaint::new(mask, last).unwrap());
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(Sequential.need(&plan, 1), DIM);
    Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace).unwrap();
    x
}

/// What the robot does around a join: what it executed of the last chunk, that while the next one was computed, the next one.
fn executed(before: &[f64], last: &[f64], next: &[f64]) -> Vec<f64> {
    let committed = OVERLAP.delay * CHANNELS;
    [before, &last[..committed], &next[committed..]].concat()
}

/// The largest jerk, a third difference, of a path.
fn jerk(path: &[f64]) -> f64 {
    let at = |i: usize, c: usize| path[i * CHANNELS + c];
    (3..path.len() / CHANNELS)
        .flat_map(|i| {
            (0..CHANNELS).map(move |c| at(i, c) - 3.0 * at(i - 1, c) + 3.0 * at(i - 2, c) - at(i - 3, c))
        })
        .fold(0.0, |most, jerk| most.max(jerk.abs()))
}

#[test]
fn soft_overlaps_join_more_smoothly_than_hard_and_constant_ones() {
    let chunk = Chunk::new(PLACES, CHANNELS).unwrap();
    let mut soft = vec![0.0; DIM];
    OVERLAP.fill(chunk, &mut soft).unwrap();
    // Over the same places: nothing, what is committed alone, and constants instead of what falls.
    let left = PLACES - OVERLAP.executed;
    let constant = |weight: f64, until: usize| -> Vec<f64> {
        let of = |i: usize| match i {
            i if i < OVERLAP.delay => 1.0,
            i if i < until => weight,
            _ => 0.0,
        };
        (0..DIM).map(|i| of(i / CHANNELS)).collect()
    };
    let others = [
        ("none", vec![0.0; DIM]),
        ("hard", constant(0.0, left)),
        ("a quarter", constant(0.25, left)),
        ("half", constant(0.5, left)),
        ("three quarters", constant(0.75, left)),
        ("all", constant(1.0, left)),
    ];
    let (mut sums, mut of_soft, mut turned) = ([0.0; 6], 0.0, 0);
    for seed in 0..40 {
        // The last chunk goes one of both ways.
        let side = seed as usize % 2;
        let full = ways(0, 0.0)[side * DIM..][..DIM].to_vec();
        let (before, mut last) = (full[..OVERLAP.executed * CHANNELS].to_vec(), full.clone());
        shift(chunk, OVERLAP.executed, &mut last).unwrap();
        of_soft += jerk(&executed(&before, &last, &next(&last, &soft, seed, false)));
        for ((_, mask), sum) in others.iter().zip(&mut sums) {
            *sum += jerk(&executed(&before, &last, &next(&last, mask, seed, false)));
        }
        let free = next(&last, &others[0].1, seed, false);
        let end = DIM - 1;
        turned += usize::from((free[end] - ways(4, 0.15)[side * DIM..][end]).abs() > 0.5);
    }
    println!("jerk at joins: soft {:.3}, {:?}", of_soft / 40.0, sums.map(|sum| sum / 40.0));
    // Without it some chunks go the other way, so that there is something to join.
    assert!((5..35).contains(&turned), "{turned} of 40 chunks turn");
    for ((name, _), sum) in others.iter().zip(sums) {
        assert!(of_soft < 0.75 * sum, "{name}: {sum}, soft: {of_soft}");
    }
}

#[test]
fn warm_starts_stay_on_the_way_at_half_the_evaluations() {
    let chunk = Chunk::new(PLACES, CHANNELS).unwrap();
    for seed in 0..40 {
        let side = seed as usize % 2;
        let mut last = ways(0, 0.0)[side * DIM..][..DIM].to_vec();
        shift(chunk, OVERLAP.executed, &mut last).unwrap();
        let x = next(&last, &[0.0; DIM], seed, true);
        let ways = ways(OVERLAP.executed, 0.15);
        let worst = x.iter().zip(&ways[side * DIM..]).map(|(x, way)| (x - way).abs());
        assert!(worst.fold(0.0, f64::max) < 0.2, "seed {seed} has turned");
    }
}

/// By how much a path goes beyond its limits.
fn beyond(path: &[f64], [velocity, acceleration]: [f64; 2]) -> f64 {
    let of = |weights: &[f64], i: usize| {
        let sum = |c: usize| -> f64 {
            weights.iter().enumerate().map(|(k, w)| w * path[(i - k) * CHANNELS + c]).sum()
        };
        (0..CHANNELS).map(|c| sum(c) * sum(c)).sum::<f64>().sqrt()
    };
    (2..path.len() / CHANNELS)
        .map(|i| (of(&[1.0, -1.0], i) - velocity).max(of(&[1.0, -2.0, 1.0], i) - acceleration))
        .fold(0.0, f64::max)
}

/// A run under limits from a state of motion, ended after so many rounds; the path with what came before.
fn limited<S: Sampler>(
    sampler: &S,
    seed: u64,
    limits: [f64; 2],
    [position, velocity]: [[f64; 2]; 2],
    rounds: usize,
) -> (Vec<f64>, bool) {
    let means = ways(0, 0.0);
    let mixture = Mixture::new(&means, &[0.4, 0.6], 0.1, DIM).unwrap();
    let nodes = plan(12, 12);
    let plan = Plan::new(&nodes, picardy::Form::Data).unwrap();
    let guard = Limits::new(CHANNELS, limits[0], limits[1]).unwrap().after(&position, &velocity).unwrap();
    let mut model = Guarded::new(mixture.predicting(Prediction::Sample), guard);
    let (noise, mut x) = (Noise::seeded(seed), vec![0.0; DIM]);
    plan.start(&noise, DIM, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(sampler.need(&plan, 1), DIM);
    let watch = |round: &picardy::sampler::Round| match round.rounds >= rounds {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let report = sampler.run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, watch).unwrap();
    assert!(report.rounds <= rounds.max(1), "a deadline of {rounds} rounds took {}", report.rounds);
    let before: Vec<f64> = (0..CHANNELS).map(|c| position[c] - velocity[c]).collect();
    ([before.as_slice(), &position, &x].concat(), report.finished)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn limits_hold_after_every_run(
        seed in 0..1000u64,
        velocity in 0.05..0.5f64,
        acceleration in 0.01..0.3f64,
        position in [-0.5..0.5f64, -0.5..0.5f64],
        angle in 0.0..6.2f64,
        part in 0.0..1.0f64,
    ) {
        let limits = [velocity, acceleration];
        let moving = [part * velocity * angle.cos(), part * velocity * angle.sin()];
        let start = [position, moving];
        let exact = Picard { tolerance: 0.0, ..Picard::default() };
        let (sequential, done) = limited(&Sequential, seed, limits, start, usize::MAX);
        prop_assert!(done && beyond(&sequential, limits) < 1e-9, "{}", beyond(&sequential, limits));
        let (parallel, done) = limited(&exact, seed, limits, start, usize::MAX);
        prop_assert!(done && parallel == sequential);
        let (near, done) = limited(&Picard::default(), seed, limits, start, usize::MAX);
        prop_assert!(done && beyond(&near, limits) < 1e-9, "{}", beyond(&near, limits));
        // A deadline of zero leaves one round, and its answer keeps the limits too.
        for (rounds, sampler) in [(0, Picard::default()), (2, exact)] {
            let (early, done) = limited(&sampler, seed, limits, start, rounds);
            prop_assert!(!done || rounds > 0);
            prop_assert!(early.iter().all(|x| x.is_finite()) && beyond(&early, limits) < 1e-9, "{}", beyond(&early, limits));
        }
        let (early, done) = limited(&Sequential, seed, limits, start, 0);
        prop_assert!(!done && beyond(&early, limits) < 1e-9, "{}", beyond(&early, limits));
    }
}
