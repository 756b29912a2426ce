//! Sequential and Picard on plans of every shape: equal to each other, to themselves in parts, to what they cost.

use picardy::noise::TapeError;
use picardy::{
    Batch, Form, Mark, Noise, Picard, Plan, Prediction, Run, SampleError, Sampler, Sequential, SetupError,
    SliceFrames, Slope, Span, Start, Workspace, denoiser,
};
use picardy_tests::{Ring, Solved, distance, plan, random_plan, run};
use proptest::prelude::*;

const SLOPES: [Slope; 6] = [
    Slope::Identity,
    Slope::Frozen,
    Slope::Gaussian,
    Slope::Secant,
    Slope::Multisecant(1),
    Slope::Multisecant(3),
];
const STARTS: [Start; 3] = [Start::Constant, Start::Gaussian, Start::Coarse(3)];

#[test]
fn picard_run_to_the_end_is_the_sequential_run_to_the_bit() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    for solver in [Solved::Ddpm, Solved::Ddim(0.0), Solved::Ddim(0.4)] {
        let nodes = plan(solver, 30);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let noise = Noise::seeded(1);
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 3, 2).unwrap();
        for slope in SLOPES {
            for start in STARTS {
                for window in [1, 7, usize::MAX] {
                    let picard = Picard { window, slope, start, tolerance: 0.0, ..Picard::default() };
                    let got = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 3, 2).unwrap();
                    assert_eq!(got.x, reference.x, "{solver:?} {picard:?}");
                    let lead = if start == Start::Coarse(3) { 3 } else { 0 };
                    assert!(got.report.finished && got.report.rounds <= 30 + lead, "{:?}", got.report);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_plan_runs_in_parallel_as_in_sequence(
        seed in any::<u64>(), steps in 1usize..24, window in 1usize..30, slope in 0usize..6, start in 0usize..3,
        noise_form in any::<bool>(), batch in 1usize..4, stride in 1usize..6, rows in 1usize..40, anderson in 0usize..6,
    ) {
        let form = if noise_form { Form::Noise } else { Form::Data };
        let mut nodes = Vec::new();
        let plan = random_plan(seed, steps, form, &mut nodes);
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let noise = Noise::seeded(seed ^ 1);
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, batch, 2).unwrap();
        prop_assert_eq!(reference.report.evaluations, batch * plan.evaluations());
        let (slope, start, rows) = (SLOPES[slope], STARTS[start], rows.max(batch));
        let picard = Picard { window, stride, rows, slope, start, anderson, tolerance: 0.0, ..Picard::default() };
        let got = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, batch, 2).unwrap();
        prop_assert_eq!(got.x, reference.x);
        let lead = if matches!(start, Start::Coarse(_)) { 3 } else { 0 };
        prop_assert!(got.report.rounds <= steps + lead);
    }

    #[test]
    fn no_item_depends_on_its_batch(seed in any::<u64>(), split in 1usize..5, window in 1usize..50, stride in 1usize..5) {
        let nodes = plan(Solved::Ddpm, 40);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let noise = Noise::seeded(seed);
        let picard = Picard { window, stride, ..Picard::default() };
        let whole = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 5, 2).unwrap();
        let front = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, split, 2).unwrap();
        prop_assert_eq!(&front.x[..], &whole.x[..2 * split]);
        if split < 5 {
            let rest = noise.from_item(split as u64);
            let back = run::<f64, _, _, _>(&picard, &plan, &mut model, &rest, 5 - split, 2).unwrap();
            prop_assert_eq!(&back.x[..], &whole.x[2 * split..]);
        }
    }
}

/// What each run costs on the ring of eight Gaussians, DDPM 200 and DDIM 50, batch 16, default tolerance. A change here
/// is a change of the algorithm: say why in the commit.
#[test]
fn evaluation_counts_are_golden() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(0);
    let mut got = Vec::new();
    for (solver, steps) in [(Solved::Ddpm, 200), (Solved::Ddim(0.0), 50)] {
        let nodes = plan(solver, steps);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 16, 2).unwrap();
        assert_eq!((reference.report.rounds, reference.report.evaluations), (steps, 16 * steps));
        for slope in SLOPES {
            let picard = Picard { slope, ..Picard::default() };
            let run = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 16, 2).unwrap();
            let error = distance(&run.x, &reference.x);
            assert!(error < 0.02, "{solver:?} {slope:?}: {error}");
            got.push((steps, slope, run.report.rounds, run.report.evaluations));
        }
    }
    use Slope::{Frozen, Gaussian, Identity, Multisecant, Secant};
    assert_eq!(
        got,
        [
            (200, Identity, 21, 28073),
            (200, Frozen, 20, 14624),
            (200, Gaussian, 16, 12201),
            (200, Secant, 12, 8772),
            (200, Multisecant(1), 11, 8657),
            (200, Multisecant(3), 10, 8644),
            (50, Identity, 11, 2311),
            (50, Frozen, 9, 2414),
            (50, Gaussian, 11, 2306),
            (50, Secant, 6, 1704),
            (50, Multisecant(1), 6, 1705),
            (50, Multisecant(3), 7, 1706),
        ]
    );
}

#[test]
fn a_run_can_be_watched_stopped_and_gives_its_best_guess() {
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(4);
    let whole = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 8, 2).unwrap();
    for sampler in
        [Picard { window: usize::MAX, ..Picard::default() }, Picard { window: 20, ..Picard::default() }]
    {
        let mut x = vec![0.0f64; 16];
        plan.start(&noise, 2, &mut x);
        let mut memory = picardy::Memory::new();
        let mut workspace = memory.workspace(sampler.need(&plan, 8), 2);
        let mut seen = Vec::new();
        let report = sampler
            .run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, |round| {
                seen.push(*round);
                if round.rounds == 3 {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            })
            .unwrap();
        assert_eq!((seen.len(), report.rounds, report.finished), (3, 3, false));
        assert!(seen.windows(2).all(|w| w[0].done < w[1].done && w[0].evaluations < w[1].evaluations));
        // A guess of the data: in its range, though not yet the sample.
        assert!(x.iter().all(|x| x.abs() < 2.0), "{x:?}");
        assert_ne!(x, whole.x);
    }
}

#[test]
fn a_denoiser_that_fails_midway_can_be_asked_again() {
    let nodes = plan(Solved::Ddpm, 50);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mixture = ring.mixture();
    let mut calls = 0;
    let mut faulty = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        calls += 1;
        if calls % 3 == 0 {
            return Err("out of order");
        }
        for ((row, x), out) in batch.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
            mixture.denoise(x, &row.level, out);
            for (out, x) in out.iter_mut().zip(x) {
                *out = (x - row.level.alpha * *out) / row.level.sigma;
            }
        }
        Ok(())
    });
    let noise = Noise::seeded(2);
    let picard = Picard { window: 10, ..Picard::default() };
    let reference =
        run::<f64, _, _, _>(&picard, &plan, &mut mixture.predicting(Prediction::Epsilon), &noise, 2, 2)
            .unwrap();
    let mut x = vec![0.0; 4];
    plan.start(&noise, 2, &mut x);
    let mut memory = picardy::Memory::new();
    let mut workspace = memory.workspace(picard.need(&plan, 2), 2);
    let mut run = picard.begin(&plan, &noise, &x, &mut workspace).unwrap();
    let mut failures = 0;
    loop {
        match run.round(&mut faulty) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error, SampleError::Denoiser("out of order"));
                failures += 1;
            }
        }
    }
    let report = run.finish(&mut x);
    assert!(failures > 2);
    assert_eq!((x, report), (reference.x, reference.report));
}

#[test]
fn a_nan_names_its_item_and_node() {
    let nodes = plan(Solved::Ddim(0.0), 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut broken = denoiser::from_fn(|batch: &Batch<'_>, _: &[f32], out: &mut [f32]| {
        for (row, out) in batch.iter().zip(out) {
            *out = if row.item == 1 && row.node == 6 { f32::NAN } else { 0.1 };
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let expected = SampleError::NotFinite { item: 1, node: 6 };
    let noise = Noise::seeded(0);
    assert_eq!(run(&Sequential, &plan, &mut broken, &noise, 3, 1).map(|r| r.x).unwrap_err(), expected);
    assert_eq!(run(&Picard::default(), &plan, &mut broken, &noise, 3, 1).map(|r| r.x).unwrap_err(), expected);
    assert!(expected.to_string().contains("item 1") && expected.to_string().contains("node 6"));
}

#[test]
fn what_does_not_fit_is_an_error_that_says_what_would() {
    let nodes = plan(Solved::Ddpm, 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(0);
    let x = [0.0f32; 4];
    let (mut memory, mut spans, mut marks) = ([0.0f32; 1000], [Span::default(); 4], [Mark::default(); 100]);
    let picard = Picard::default();
    let need = picard.need(&plan, 2);
    let mut begin = |picard: Picard, x: &[f32], numbers: usize, items: usize, noise: &Noise<'_>| {
        let frames = SliceFrames::new(&mut memory[..numbers], 2);
        let mut workspace = Workspace::new(frames, &mut spans[..2 * items]).with_marks(&mut marks);
        picard.begin(&plan, noise, x, &mut workspace).map(|_| ()).unwrap_err()
    };
    let error = begin(picard, &x, 2 * need.rows - 1, 2, &noise);
    assert!(
        matches!(error, SetupError::Workspace { need: n, given } if n == need && given.rows == need.rows - 1)
    );
    assert!(error.to_string().contains(&need.rows.to_string()), "{error}");
    assert!(error.to_string().contains(&(need.rows - 1).to_string()), "{error}");
    assert!(matches!(begin(picard, &x, 1000, 1, &noise), SetupError::Workspace { .. }));
    assert_eq!(begin(picard, &x[..3], 1000, 2, &noise), SetupError::Shape { len: 3, dim: 2 });
    assert_eq!(begin(picard, &[], 1000, 2, &noise), SetupError::Shape { len: 0, dim: 2 });
    assert_eq!(begin(Picard { window: 0, ..picard }, &x, 1000, 2, &noise), SetupError::Zero("window"));
    assert_eq!(begin(Picard { tolerance: -1.0, ..picard }, &x, 1000, 2, &noise), SetupError::Tolerance(-1.0));
    assert!(matches!(
        begin(Picard { tolerance: f64::NAN, ..picard }, &x, 1000, 2, &noise),
        SetupError::Tolerance(_)
    ));
    assert_eq!(
        begin(Picard { data_variance: 0.0, ..picard }, &x, 1000, 2, &noise),
        SetupError::DataVariance(0.0)
    );
    assert_eq!(begin(picard, &[0.0, 0.0, 0.0, f32::NAN], 1000, 2, &noise), SetupError::Start { item: 1 });
    let mut tape = [0.0; 10 * 2 * 2];
    let short = begin(picard, &x, 1000, 2, &Noise::tape(&tape[1..], 2, 2));
    assert_eq!(short, SetupError::Tape(TapeError::Length { needed: 40, given: 39 }));
    let other = begin(picard, &x, 1000, 2, &Noise::tape(&tape, 2, 1));
    assert_eq!(other, SetupError::Tape(TapeError::Dim { run: 2, tape: 1 }));
    let fewer = begin(picard, &x, 1000, 2, &Noise::tape(&tape, 2, 2).from_item(1));
    assert_eq!(fewer, SetupError::Tape(TapeError::Items { run: 3, tape: 2 }));
    tape[7] = f64::NAN;
    let nan = begin(picard, &x, 1000, 2, &Noise::tape(&tape, 2, 2));
    assert_eq!(nan, SetupError::Tape(TapeError::NotFinite { index: 7 }));
    let mut small = [0.0f32; 7];
    let mut workspace = Workspace::new(SliceFrames::new(&mut small, 2), &mut []);
    let error = Sequential.begin(&plan, &noise, &x, &mut workspace).map(|_| ()).unwrap_err();
    assert!(matches!(error, SetupError::Workspace { need, given } if need.rows == 4 && given.rows == 3));
}

#[test]
fn a_tape_replaces_the_generator() {
    let nodes = plan(Solved::Ddpm, 20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let seeded = Noise::seeded(9);
    let mut tape = vec![0.0; 20 * 3 * 2];
    for (row, z) in tape.chunks_mut(2).enumerate() {
        seeded.fill(1.0, row % 3, row / 3 + 1, z);
    }
    let mut x = vec![0.0; 6];
    plan.start(&seeded, 2, &mut x);
    let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &seeded, 3, 2).unwrap();
    let mut memory = picardy::Memory::new();
    let picard = Picard { tolerance: 0.0, ..Picard::default() };
    let mut workspace = memory.workspace(picard.need(&plan, 3), 2);
    picard.run(&plan, &mut model, &Noise::tape(&tape, 3, 2), &mut x, &mut workspace).unwrap();
    assert_eq!(x, reference.x);
}

#[test]
fn what_overflows_at_the_end_is_an_error() {
    let nodes = plan(Solved::Ddim(0.0), 5);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    // Finite outputs, whose last combination is not.
    let mut large = denoiser::from_fn(|batch: &Batch<'_>, _: &[f32], out: &mut [f32]| {
        for (row, out) in batch.iter().zip(out) {
            *out = if row.node == 4 { -3e38 } else { 0.0 };
        }
        Ok::<(), std::convert::Infallible>(())
    });
    // Epsilon-prediction divides by alpha < 1: -s/a * -3e38 is still finite at node 4, x0 + x0 is not.
    let mut scaled = nodes.clone();
    scaled[5].outputs[0].weight = 50.0;
    let plan = Plan::new(&scaled, plan.form()).unwrap();
    let noise = Noise::seeded(0);
    let expected = SampleError::Overflow { item: 0, node: 5 };
    assert_eq!(run(&Sequential, &plan, &mut large, &noise, 1, 1).map(|r| r.x).unwrap_err(), expected);
    assert_eq!(run(&Picard::default(), &plan, &mut large, &noise, 1, 1).map(|r| r.x).unwrap_err(), expected);
}

#[test]
fn a_window_that_needs_no_network_calls_none() {
    let mut nodes = Vec::new();
    random_plan(3, 12, Form::Data, &mut nodes);
    for node in &mut nodes[1..] {
        node.evaluate = None;
        node.outputs = Default::default();
    }
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut calls = 0;
    let mut counted = denoiser::from_fn(|batch: &Batch<'_>, _: &[f64], out: &mut [f64]| {
        assert!(!batch.is_empty());
        calls += 1;
        out.fill(0.0);
        Ok::<(), std::convert::Infallible>(())
    });
    let picard = Picard { window: 2, ..Picard::default() };
    let report = run::<f64, _, _, _>(&picard, &plan, &mut counted, &Noise::seeded(0), 1, 1).unwrap().report;
    assert_eq!((report.rounds, report.evaluations, report.finished), (1, 1, true));
    assert_eq!(calls, 1);
}

#[test]
fn after_a_failed_call_a_sequential_run_gives_its_newest_state() {
    let nodes = plan(Solved::Ddim(0.0), 5);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut spoiling = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        out.fill(1e6);
        if batch.iter().any(|row| row.node == 2) {
            return Err("gone");
        }
        out.copy_from_slice(x);
        Ok(())
    });
    let (noise, mut x, mut memory) = (Noise::seeded(0), [0.0f64; 2], picardy::Memory::new());
    plan.start(&noise, 2, &mut x);
    let mut workspace = memory.workspace(Sequential.need(&plan, 1), 2);
    let mut run = Sequential.begin(&plan, &noise, &x, &mut workspace).unwrap();
    while run.round(&mut spoiling) != Err(SampleError::Denoiser("gone")) {}
    assert!(!run.finish(&mut x).finished);
    assert!(x.iter().all(|x| x.abs() < 10.0), "{x:?}");
}

/// A multistep plan reaches back to outputs of nodes that the window has passed: they must be those that the passed
/// states were made with, at a tolerance where these are not yet exact.
#[test]
fn passed_outputs_are_kept_for_multistep_plans() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(0);
    let (mut levels, mut nodes) = (vec![picardy::Level::default(); 61], vec![picardy::Node::default(); 181]);
    for (name, tolerance, most) in [
        ("dpmsolver++", 0.05, 2.8e-4),
        ("dpmsolver++3", 0.05, 3.5e-4),
        ("unipc3", 0.05, 4.3e-4),
        ("deis", 0.05, 3.2e-4),
        ("sde-dpmsolver++", 0.3, 3.5e-3),
    ] {
        let solver: picardy::AnySolver = name.parse().unwrap();
        let grid = picardy::Betas::linear(1000, 1e-4, 2e-2).trailing(60, &mut levels).unwrap();
        let plan = picardy::Solver::plan(&solver, &grid, Prediction::Epsilon, &mut nodes).unwrap();
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 32, 2).unwrap();
        let picard = Picard { window: 12, tolerance, ..Picard::default() };
        let got = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 32, 2).unwrap();
        let distance = distance(&got.x, &reference.x);
        assert!(distance < most, "{name}: {distance:e}");
    }
}
