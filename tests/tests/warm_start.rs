//! Picard from the caller's guess, under a cap on its calls' rows, and with settings that make no sense.

use picardy::{
    Batch, Form, Memory, Mixture, Node, Noise, Picard, Plan, Prediction, Report, Run, Sampler, Sequential,
    SetupError, Slope, Start, denoiser,
};
use picardy_tests::{Outcome, Ring, Solved, plan, run};
use proptest::prelude::*;
use std::convert::Infallible;

const BATCH: usize = 8;
const DIM: usize = 2;

/// The start of a run.
fn start(plan: &Plan<'_>, noise: &Noise<'_>) -> Vec<f64> {
    let mut x = vec![0.0; BATCH * DIM];
    plan.start(noise, DIM, &mut x);
    x
}

/// The states of every node, `[item, node, dim]`, as the sequential sampler goes through them.
fn sequential_path(ring: &Mixture<'_>, plan: &Plan<'_>, noise: &Noise<'_>) -> Vec<f64> {
    let nodes = plan.last() + 1;
    let mut path = vec![f64::NAN; BATCH * nodes * DIM];
    let mut put = |item: usize, node: usize, x: &[f64]| {
        path[(item * nodes + node) * DIM..][..DIM].copy_from_slice(x);
    };
    // These plans show the network the states as they are.
    let mut watched = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        batch.iter().zip(x.chunks(DIM)).for_each(|(row, x)| put(row.item, row.node, x));
        epsilon(ring, batch, x, out);
        Ok::<(), Infallible>(())
    });
    let got: Outcome<f64> = run(&Sequential, plan, &mut watched, noise, BATCH, DIM).unwrap();
    got.x.chunks(DIM).enumerate().for_each(|(item, x)| put(item, plan.last(), x));
    path
}

/// The exact noise.
fn epsilon(ring: &Mixture<'_>, batch: &Batch<'_>, x: &[f64], out: &mut [f64]) {
    for ((row, x), out) in batch.iter().zip(x.chunks(DIM)).zip(out.chunks_mut(DIM)) {
        ring.denoise(x, &row.level, out);
        for (out, x) in out.iter_mut().zip(x) {
            *out = (x - row.level.alpha * *out) / row.level.sigma;
        }
    }
}

/// The states of a run's nodes, where they are kept.
type Kept = Vec<Option<[f64; DIM]>>;

/// Samples from a guess of the path (`None`: from the sampler's own), and reads the path that the run ends with, as far as it
/// is kept.
fn warm(
    picard: &Picard,
    plan: &Plan<'_>,
    noise: &Noise<'_>,
    x: &mut [f64],
    guess: Option<&[f64]>,
) -> Result<(Report, Kept), SetupError> {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(picard.need(plan, BATCH), DIM);
    let mut run = match guess {
        Some(guess) => picard.begin_from(plan, noise, x, guess, &mut workspace)?,
        None => picard.begin(plan, noise, x, &mut workspace)?,
    };
    while run.round(&mut model).unwrap().is_some() {}
    let mut path = Vec::new();
    for item in 0..BATCH {
        for node in 0..=plan.last() {
            let mut state = [0.0; DIM];
            path.push(run.state(item, node, &mut state).map(|()| state));
        }
    }
    Ok((run.finish(x), path))
}

/// The farthest of the items, root mean square over its coordinates.
fn farthest(a: &[f64], b: &[f64]) -> f64 {
    let apart = a.chunks(DIM).zip(b.chunks(DIM)).map(|(a, b)| {
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        (square / DIM as f64).sqrt()
    });
    apart.fold(0.0, f64::max)
}

/// What a path's items end with.
fn ends(path: &[f64], nodes: usize) -> Vec<f64> {
    path.chunks(nodes * DIM).flat_map(|item| item[item.len() - DIM..].to_vec()).collect()
}

fn ddpm(nodes: &[Node]) -> Plan<'_> {
    Plan::new(nodes, Form::Data).unwrap()
}

#[test]
fn the_path_of_a_whole_window_can_be_read_and_is_the_sequential_one() {
    let (ring, nodes, noise) = (Ring::default(), plan(Solved::Ddpm, 60), Noise::seeded(3));
    let plan = ddpm(&nodes);
    let exact = Picard { tolerance: 0.0, ..Picard::default() };
    let expected = sequential_path(&ring.mixture(), &plan, &noise);
    let (_, path) = warm(&exact, &plan, &noise, &mut start(&plan, &noise), None).unwrap();
    let path: Vec<f64> = path.into_iter().flat_map(Option::unwrap).collect();
    assert_eq!(path, expected);
    // A short window keeps no more than itself and what the plan reaches back to.
    let (_, path) =
        warm(&Picard { window: 10, ..exact }, &plan, &noise, &mut start(&plan, &noise), None).unwrap();
    let kept: Vec<f64> = path.iter().flatten().copied().flatten().collect();
    let tails = expected.chunks(61 * DIM).flat_map(|item| item[50 * DIM..].to_vec());
    assert_eq!(kept, tails.collect::<Vec<_>>());
}

#[test]
fn the_sequential_path_as_the_guess_is_seen_to_be_right() {
    let (ring, nodes) = (Ring::default(), plan(Solved::Ddpm, 100));
    let plan = ddpm(&nodes);
    for seed in 0..4 {
        let noise = Noise::seeded(seed);
        let path = sequential_path(&ring.mixture(), &plan, &noise);
        let mut x = start(&plan, &noise);
        let (report, _) = warm(&Picard::default(), &plan, &noise, &mut x, Some(&path)).unwrap();
        assert!(report.finished && report.rounds <= 2, "{report:?}");
        assert!(farthest(&x, &ends(&path, 101)) < 1e-9);
    }
}

/// As a controller does that plans again and again: the start has moved a little, the noise is the same.
#[test]
fn the_last_runs_path_saves_rounds() {
    let nodes = plan(Solved::Ddpm, 100);
    let plan = ddpm(&nodes);
    let (picard, ring) = (Picard::default(), Ring::default());
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let mut got = Vec::new();
    for (seed, far) in [(0, 0.01), (1, 0.01), (0, 0.1), (1, 0.1), (0, 0.5)] {
        let (noise, nudge) = (Noise::seeded(seed), Noise::seeded(seed + 100));
        let (_, path) = warm(&picard, &plan, &noise, &mut start(&plan, &noise), None).unwrap();
        let guess: Vec<f64> = path.into_iter().flat_map(Option::unwrap).collect();
        let mut moved = start(&plan, &noise);
        for (x, nudge) in moved.iter_mut().zip(start(&plan, &nudge)) {
            *x += far * nudge;
        }
        let mut reference = moved.clone();
        let mut memory = Memory::new();
        let mut workspace = memory.workspace(Sequential.need(&plan, BATCH), DIM);
        Sequential.run(&plan, &mut model, &noise, &mut reference, &mut workspace).unwrap();
        let mut counts = Vec::new();
        for guess in [None, Some(&guess[..])] {
            let mut x = moved.clone();
            let (report, _) = warm(&picard, &plan, &noise, &mut x, guess).unwrap();
            assert!(farthest(&x, &reference) < picard.tolerance);
            counts.push((report.rounds, report.evaluations));
        }
        got.push((far, counts[0], counts[1]));
    }
    // How far the start has moved; (rounds, evaluations) from the gaussian start, and from the last path. A change is one of
    // the algorithm: say why.
    assert_eq!(
        got,
        [
            (0.01, (7, 2115), (2, 1592)),
            (0.01, (7, 2129), (2, 1592)),
            (0.1, (7, 2115), (3, 1740)),
            (0.1, (7, 2129), (4, 1765)),
            (0.5, (7, 2115), (4, 1899)),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_guess_leads_to_the_sequential_samples(
        seed in any::<u64>(), scale in 0.0f64..100.0, window in 1usize..40, stride in 1usize..5, anderson in 0usize..3,
        directions in 0usize..4, rows in BATCH..200,
    ) {
        let nodes = plan(Solved::Ddim(0.5), 30);
        let (plan, noise, ring) = (ddpm(&nodes), Noise::seeded(seed), Ring::default());
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let mut guess = vec![0.0; BATCH * 31 * DIM];
        Noise::seeded(seed ^ 7).fill(scale, 0, 0, &mut guess);
        let slope = if directions == 0 { Slope::Gaussian } else { Slope::Multisecant(directions) };
        let picard = Picard { window, stride, rows, slope, anderson, tolerance: 0.0, ..Picard::default() };
        let reference: Outcome<f64> = run(&Sequential, &plan, &mut model, &noise, BATCH, DIM).unwrap();
        let mut x = start(&plan, &noise);
        let (report, _) = warm(&picard, &plan, &noise, &mut x, Some(&guess)).unwrap();
        prop_assert_eq!(x, reference.x);
        prop_assert!(report.finished && report.rounds <= 30);
    }
}

#[test]
fn a_guess_that_does_not_fit_is_named() {
    let (nodes, noise, picard) = (plan(Solved::Ddpm, 10), Noise::seeded(0), Picard::default());
    let plan = ddpm(&nodes);
    let right = BATCH * 11 * DIM;
    let refused = |guess: &[f64]| {
        warm(&picard, &plan, &noise, &mut start(&plan, &noise), Some(guess)).map(|_| ()).unwrap_err()
    };
    // One state too few for each item is what a path without its end has.
    for given in [0, right - 1, right + 1, BATCH * 10 * DIM] {
        let error = refused(&vec![0.0; given]);
        assert_eq!(error, SetupError::Guess { needed: right, given });
        let said = error.to_string();
        assert!(
            said.contains(&given.to_string())
                && said.contains(&format!("give batch x (last + 1) x dim, here {right}"))
        );
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let mut guess = vec![0.0; right];
        guess[3 * 11 * DIM + 5] = bad;
        let error = refused(&guess);
        assert_eq!(error, SetupError::GuessNotFinite { item: 3, node: 5 / DIM });
        assert!(error.to_string().contains("item 3 at node 2 is not finite; check"), "{error}");
    }
    assert_eq!(
        warm(&picard, &plan, &noise, &mut start(&plan, &noise), Some(&vec![0.0; right])).map(|_| ()),
        Ok(())
    );
}

#[test]
fn no_call_has_more_rows_than_the_cap_and_the_tolerance_holds() {
    let (ring, nodes, noise) = (Ring::default(), plan(Solved::Ddpm, 100), Noise::seeded(5));
    let (plan, mixture) = (ddpm(&nodes), ring.mixture());
    let reference: Outcome<f64> =
        run(&Sequential, &plan, &mut mixture.predicting(Prediction::Epsilon), &noise, BATCH, DIM).unwrap();
    for rows in [BATCH, BATCH + 1, 20, 64, 333, usize::MAX] {
        for (window, stride) in [(usize::MAX, 1), (30, 1), (usize::MAX, 4)] {
            let mut most = 0;
            let mut capped = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
                assert!(batch.len() <= rows, "{} rows of {rows}", batch.len());
                most = most.max(batch.len());
                epsilon(&mixture, batch, x, out);
                Ok::<(), Infallible>(())
            });
            let picard = Picard { rows, window, stride, ..Picard::default() };
            let got: Outcome<f64> = run(&picard, &plan, &mut capped, &noise, BATCH, DIM).unwrap();
            let apart = farthest(&got.x, &reference.x);
            assert!(got.report.finished && apart <= picard.tolerance, "{picard:?}: {apart:e}");
            assert!(
                most > BATCH / 2 && got.report.rounds <= 100,
                "{picard:?}: {most} rows, {:?}",
                got.report
            );
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_named_with_their_mend() {
    let nodes = plan(Solved::Ddpm, 10);
    let (plan, noise, standard) = (ddpm(&nodes), Noise::seeded(0), Picard::default());
    for (picard, expected, words) in [
        (Picard { window: 0, ..standard }, SetupError::Zero("window"), ["window of 0", "give at least 1"]),
        (Picard { stride: 0, ..standard }, SetupError::Zero("stride"), ["stride of 0", "give at least 1"]),
        (Picard { rows: 0, ..standard }, SetupError::Zero("rows"), ["rows of 0", "give at least 1"]),
        (
            Picard { rows: BATCH - 1, ..standard },
            SetupError::Rows { rows: BATCH - 1, batch: BATCH },
            ["7 rows a call for 8 items", "give at least one row for each"],
        ),
        (
            Picard { slope: Slope::Multisecant(0), ..standard },
            SetupError::History { name: "multisecant", given: 0, most: 4 },
            ["history of 0", "give 1 to 4"],
        ),
        (
            Picard { slope: Slope::Multisecant(5), ..standard },
            SetupError::History { name: "multisecant", given: 5, most: 4 },
            ["history of 5", "give 1 to 4"],
        ),
        (
            Picard { anderson: 6, ..standard },
            SetupError::History { name: "Anderson mixing", given: 6, most: 5 },
            ["history of 6", "1 to 5"],
        ),
        (
            Picard { start: Start::Coarse(0), ..standard },
            SetupError::Zero("coarse start"),
            ["coarse start of 0", "give at least 1"],
        ),
    ] {
        let guess = vec![0.0; BATCH * 11 * DIM];
        for guess in [None, Some(&guess[..])] {
            let mut x = start(&plan, &noise);
            let error = warm(&picard, &plan, &noise, &mut x, guess).map(|_| ()).unwrap_err();
            assert_eq!(error, expected);
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{words:?} in {error}");
            assert_eq!(x, start(&plan, &noise), "x keeps the start");
        }
    }
}
