//! Parareal: the sequential run to the bit, memory that grows with the square root, golden costs, and what goes wrong.

use picardy::guard::{Clamp, Inpaint};
use picardy::{
    AnySolver, Batch, Betas, Form, Guarded, Level, Memory, Need, Node, Noise, Parareal, Picard, Plan,
    Prediction, Run, SampleError, Sampler, Sequential, SetupError, SliceFrames, Solver, Span, Term,
    Workspace, denoiser,
};
use picardy_tests::{Ring, Solved, distance, plan, random_plan, run};
use proptest::prelude::*;
use std::ops::ControlFlow;

const ORDERS: [bool; 2] = [true, false];
const EXACT: Parareal = Parareal { blocks: 0, tolerance: 0.0, pipelined: true, data_variance: 1.0 };

/// A solver's plan over betas, by name.
fn named(solver: &str, steps: usize) -> (Vec<Node>, Form) {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); 3 * steps + 3]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(steps, &mut levels).unwrap();
    let plan = solver.parse::<AnySolver>().unwrap().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    (plan.nodes().to_vec(), plan.form())
}

/// DDIM in noise form: `x_n = (a_n/a_c) x + (s_n - a_n s_c/a_c) eps`.
fn in_noise_form(steps: usize) -> Vec<Node> {
    let mut nodes = plan(Solved::Ddim(0.0), steps);
    for k in 0..nodes.len() {
        let level = nodes[k].level;
        if k > 0 {
            let before = nodes[k - 1].level;
            nodes[k].states[0].weight = level.alpha / before.alpha;
            nodes[k].outputs[0].weight = level.sigma - level.alpha / before.alpha * before.sigma;
        }
        nodes[k].evaluate = nodes[k].evaluate.and(Prediction::Epsilon.readout(&level, Form::Noise));
    }
    nodes
}

/// The most rounds of a run to the exact end: as many sweeps as blocks, each of as many rounds as a block has evaluations
/// (one more where blocks are uneven), and the coarse solver's first.
fn most_rounds(plan: &Plan<'_>, sampler: &Parareal, blocks: usize) -> usize {
    let longest = plan.evaluations().div_ceil(blocks) + 1;
    if sampler.pipelined { blocks * (longest + 1) + blocks } else { blocks * (longest + blocks) }
}

#[test]
fn run_to_the_end_it_is_the_sequential_run_to_the_bit() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(1);
    for steps in [1, 2, 3, 4, 7, 13, 16, 31] {
        let plans = [
            named("ddpm", steps),
            named("ddim", steps),
            named("euler", steps),
            named("heun", steps),
            named("euler_ancestral", steps),
            named("dpmsolver++2s", steps),
            named("dpmsolver++3s", steps),
            named("lcm", steps),
            (in_noise_form(steps), Form::Noise),
        ];
        for (solver, (nodes, form)) in plans.iter().enumerate() {
            let plan = Plan::new(nodes, *form).unwrap();
            let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 3, 2).unwrap();
            for (blocks, pipelined) in [0, 1, 3, usize::MAX].into_iter().flat_map(|b| ORDERS.map(|p| (b, p)))
            {
                let parareal = Parareal { blocks, pipelined, ..EXACT };
                let got = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 3, 2).unwrap();
                assert_eq!(got.x, reference.x, "solver {solver}, {steps} steps, {parareal:?}");
                assert!(got.report.finished);
            }
        }
    }
}

#[test]
fn a_start_that_is_exact_costs_one_more_run_of_its_block() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(1);
    let nodes = plan(Solved::Ddpm, 36);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for pipelined in ORDERS {
        let parareal = Parareal { pipelined, ..EXACT };
        let report = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 1, 2).unwrap().report;
        // Six blocks of six: block i runs in sweeps 0 to i.
        assert_eq!(report.evaluations, 6 * (1 + 2 + 3 + 4 + 5 + 6), "{report:?}");
        assert!(report.rounds <= most_rounds(&plan, &parareal, 6), "{report:?}");
    }
}

/// Steps of random coefficients, of one to three nodes of which some are not evaluated, that use nothing across a step.
fn random_steps<'a>(seed: u64, steps: usize, form: Form, nodes: &'a mut Vec<Node>) -> Plan<'a> {
    random_plan(seed, steps, form, nodes);
    let mut start = 0;
    for (k, node) in nodes.iter_mut().enumerate().skip(1) {
        let across = |back: u8| k - usize::from(back) < start;
        node.states.iter_mut().filter(|term| across(term.back)).for_each(|term| *term = Term::NONE);
        node.outputs.iter_mut().filter(|term| across(term.back)).for_each(|term| *term = Term::NONE);
        if k - start > (seed as usize ^ k) % 3 {
            start = k;
        }
    }
    Plan::new(nodes, form).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_plan_of_steps_runs_in_blocks_as_in_sequence(
        seed in any::<u64>(), steps in 1usize..40, blocks in 0usize..12, noise_form in any::<bool>(), batch in 1usize..4,
        pipelined in any::<bool>(), guarded in any::<bool>(),
    ) {
        let form = if noise_form { Form::Noise } else { Form::Data };
        let mut nodes = Vec::new();
        let plan = random_steps(seed, steps, form, &mut nodes);
        let ring = Ring::default();
        let guard = guarded.then(|| Clamp::symmetric(0.9).unwrap());
        let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), guard);
        let noise = Noise::seeded(seed ^ 1);
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, batch, 2).unwrap();
        let parareal = Parareal { blocks, pipelined, ..EXACT };
        let got = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, batch, 2).unwrap();
        prop_assert_eq!(got.x, reference.x);
        prop_assert!(got.report.finished);
        // With a tolerance it never costs more.
        let parareal = Parareal { tolerance: 0.1, ..parareal };
        let near = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, batch, 2).unwrap().report;
        prop_assert!(near.finished && near.evaluations <= got.report.evaluations);
    }

    #[test]
    fn no_item_depends_on_its_batch(seed in any::<u64>(), split in 1usize..5, pipelined in any::<bool>()) {
        let nodes = plan(Solved::Ddpm, 60);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let noise = Noise::seeded(seed);
        let parareal = Parareal { tolerance: 0.05, pipelined, ..Parareal::default() };
        let whole = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 5, 2).unwrap();
        let mut evaluations = 0;
        for item in 0..5 {
            let noise = noise.from_item(item);
            let one = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 1, 2).unwrap();
            let at = 2 * item as usize;
            prop_assert_eq!(&one.x[..], &whole.x[at..at + 2]);
            evaluations += one.report.evaluations;
        }
        // Nor does an item cost anything when it is done.
        prop_assert_eq!(evaluations, whole.report.evaluations);
        let front = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, split, 2).unwrap();
        prop_assert_eq!(&front.x[..], &whole.x[..2 * split]);
    }
}

#[test]
fn for_gaussian_data_the_coarse_solver_is_exact() {
    let mixture = picardy::Mixture::new(&[0.0, 0.0], &[1.0], 0.8f64.sqrt(), 2).unwrap();
    let mut model = mixture.predicting(Prediction::Epsilon);
    let noise = Noise::seeded(5);
    for solver in [Solved::Ddpm, Solved::Ddim(0.0)] {
        let nodes = plan(solver, 100);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 4, 2).unwrap();
        let parareal = Parareal { tolerance: 1e-9, data_variance: 0.8, pipelined: false, ..EXACT };
        let got = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 4, 2).unwrap();
        // Ten blocks of ten: the coarse solver, the rest of each block, and the sweep that finds nothing to mend.
        assert_eq!((got.report.rounds, got.report.residual < 1e-9), (10 + 9 + 9, true), "{:?}", got.report);
        assert!(distance(&got.x, &reference.x) < 1e-9);
    }
}

#[test]
fn memory_grows_with_the_square_root() {
    let mut got = Vec::new();
    for steps in [1, 4, 100, 400, 1000] {
        let nodes = plan(Solved::Ddpm, steps);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let (one, eight) = (EXACT.need(&plan, 1), EXACT.need(&plan, 8));
        assert_eq!(eight.rows - 3, 8 * (one.rows - 3));
        let barrier = Parareal { pipelined: false, ..EXACT }.need(&plan, 1);
        got.push((steps, one.rows, barrier.rows, one.spans));
    }
    assert_eq!(got, GOLDEN_NEED);
    // What no machine has is no panic.
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    assert_eq!(EXACT.need(&plan, usize::MAX), Need { rows: usize::MAX, spans: usize::MAX, marks: 0 });
}

const GOLDEN_NEED: [(usize, usize, usize, usize); 5] =
    [(1, 13, 13, 4), (4, 26, 22, 7), (100, 114, 94, 31), (400, 224, 184, 61), (1000, 356, 292, 97)];

/// What runs cost on the ring of eight Gaussians, batch 16, at tolerance 0.01. A change here is a change of the algorithm:
/// say why in the commit.
#[test]
fn costs_are_golden() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(0);
    let mut got = Vec::new();
    for (solver, steps) in [(Solved::Ddpm, 1000), (Solved::Ddpm, 100), (Solved::Ddim(0.0), 100)] {
        let nodes = plan(solver, steps);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 16, 2).unwrap();
        let [piped, barrier] = ORDERS.map(|pipelined| {
            let parareal = Parareal { pipelined, ..Parareal::default() };
            let got = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 16, 2).unwrap();
            let error = distance(&got.x, &reference.x);
            assert!(error < 2e-3, "{solver:?} {steps} {parareal:?}: {error}");
            got.report
        });
        assert!(piped.rounds < barrier.rounds && barrier.rounds < steps, "{piped:?} {barrier:?}");
        got.push((steps, piped.rounds, piped.evaluations, barrier.rounds, barrier.evaluations));
    }
    assert_eq!(got, GOLDEN_COSTS);
}

const GOLDEN_COSTS: [(usize, usize, usize, usize, usize); 3] =
    [(1000, 125, 21961, 169, 21961), (100, 46, 2525, 60, 2525), (100, 37, 2349, 51, 2349)];

#[test]
fn it_can_be_watched_and_stopped_at_any_round() {
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(4);
    let whole = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 8, 2).unwrap();
    for pipelined in ORDERS {
        let parareal = Parareal { pipelined, ..EXACT };
        let mut errors = Vec::new();
        for stop in 0..30 {
            let mut x = vec![0.0f64; 16];
            plan.start(&noise, 2, &mut x);
            let mut memory = Memory::new();
            let mut workspace = memory.workspace(parareal.need(&plan, 8), 2);
            let mut seen = Vec::new();
            let watch = |round: &picardy::Round| {
                seen.push(*round);
                if round.rounds == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let report = if stop == 0 {
                parareal.begin(&plan, &noise, &x, &mut workspace).unwrap().finish(&mut x)
            } else {
                parareal.run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, watch).unwrap()
            };
            assert_eq!((seen.len(), report.rounds, report.finished), (stop, stop, false));
            assert!(seen.windows(2).all(|w| w[0].done <= w[1].done && w[0].evaluations < w[1].evaluations));
            assert!(seen.iter().all(|round| round.last == 100 && round.done < 100));
            assert!(x.iter().all(|x| x.abs() < 4.0), "{x:?}");
            errors.push(distance(&x, &whole.x));
        }
        assert!(errors[29] < errors[10] && errors[10] < errors[1], "{errors:?}");
    }
}

#[test]
fn a_denoiser_that_fails_midway_can_be_asked_again() {
    let nodes = plan(Solved::Ddpm, 50);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mixture = ring.mixture();
    let noise = Noise::seeded(2);
    for pipelined in ORDERS {
        let parareal = Parareal { pipelined, ..Parareal::default() };
        let clamp = Clamp::symmetric(1.5).unwrap();
        let mut sound = Guarded::new(mixture.predicting(Prediction::Epsilon), clamp);
        let reference = run::<f64, _, _, _>(&parareal, &plan, &mut sound, &noise, 2, 2).unwrap();
        let mut calls = 0;
        let faulty = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
            calls += 1;
            out.fill(1e6);
            if calls % 3 == 0 {
                return Err("out of order");
            }
            for ((row, x), out) in batch.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
                mixture.denoise(x, &row.level, out);
                for (out, x) in out.iter_mut().zip(x) {
                    *out = (x - row.level.alpha * *out) / row.level.sigma;
                }
            }
            // The last row only: those before it have been read by then.
            if calls % 3 == 1 {
                out[2 * batch.len() - 1] = f64::NAN;
            }
            Ok(())
        });
        let mut faulty = Guarded::new(faulty, clamp);
        let mut x = vec![0.0; 4];
        plan.start(&noise, 2, &mut x);
        let mut memory = Memory::new();
        let mut workspace = memory.workspace(parareal.need(&plan, 2), 2);
        let mut run = parareal.begin(&plan, &noise, &x, &mut workspace).unwrap();
        let mut failures = [0; 2];
        loop {
            match run.round(&mut faulty) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(SampleError::Denoiser("out of order")) => failures[0] += 1,
                Err(SampleError::NotFinite { .. }) => failures[1] += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let report = run.finish(&mut x);
        assert!(failures.iter().all(|failures| *failures > 10));
        assert_eq!((x, report), (reference.x, reference.report));
    }
}

#[test]
fn a_nan_names_its_item_and_node() {
    let nodes = plan(Solved::Ddim(0.0), 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for node in 0..10 {
        let mut broken = denoiser::from_fn(|batch: &Batch<'_>, _: &[f32], out: &mut [f32]| {
            for (row, out) in batch.iter().zip(out) {
                *out = if row.item == 1 && row.node == node { f32::NAN } else { 0.1 };
            }
            Ok::<(), std::convert::Infallible>(())
        });
        let error = run(&Parareal::default(), &plan, &mut broken, &Noise::seeded(0), 3, 1).map(|r| r.x);
        assert_eq!(error.unwrap_err(), SampleError::NotFinite { item: 1, node });
    }
}

#[test]
fn what_overflows_at_the_end_is_an_error() {
    let mut nodes = plan(Solved::Ddim(0.0), 5);
    nodes[5].outputs[0].weight = 50.0;
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut large = denoiser::from_fn(|batch: &Batch<'_>, _: &[f32], out: &mut [f32]| {
        for (row, out) in batch.iter().zip(out) {
            *out = if row.node == 4 { -3e38 } else { 0.0 };
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let error = run(&Parareal::default(), &plan, &mut large, &Noise::seeded(0), 1, 1).map(|r| r.x);
    assert_eq!(error.unwrap_err(), SampleError::Overflow { item: 0, node: 5 });
}

#[test]
fn guards_keep_their_promise_at_any_tolerance_and_any_round() {
    let ring = Ring::default();
    let clamp = Clamp::new(-0.5, 0.4).unwrap();
    let (mask, known) = ([1.0, 0.0], [0.3, f64::NAN]);
    let inpaint = Inpaint::new(&mask, &known).unwrap();
    for (seed, pipelined) in (0..6).flat_map(|seed| ORDERS.map(|pipelined| (seed, pipelined))) {
        let noise = Noise::seeded(seed);
        let nodes = plan(if seed % 2 == 0 { Solved::Ddpm } else { Solved::Ddim(0.3) }, 30);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        for tolerance in [0.0, 0.01, 0.3, f64::INFINITY] {
            let parareal = Parareal { tolerance, pipelined, ..Parareal::default() };
            let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), inpaint);
            let x = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 3, 2).unwrap().x;
            assert_eq!((x[0], x[2], x[4]), (0.3, 0.3, 0.3), "{parareal:?}");
            let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), clamp);
            let x = run::<f64, _, _, _>(&parareal, &plan, &mut model, &noise, 3, 2).unwrap().x;
            let within = |x: &[f64]| x.iter().all(|x| (-0.5 - 1e-12..=0.4 + 1e-12).contains(x));
            assert!(within(&x), "{parareal:?} {x:?}");
            let mut memory = Memory::new();
            let mut workspace = memory.workspace(parareal.need(&plan, 3), 2);
            for stop in 1..12 {
                let mut x = vec![0.0; 6];
                plan.start(&noise, 2, &mut x);
                let mut run = parareal.begin(&plan, &noise, &x, &mut workspace).unwrap();
                for _ in 0..stop {
                    run.round(&mut model).unwrap();
                }
                run.finish(&mut x);
                assert!(within(&x), "{parareal:?} stopped after {stop}: {x:?}");
            }
        }
    }
}

#[test]
fn multistep_plans_are_refused() {
    let noise = Noise::seeded(0);
    for solver in
        ["dpmsolver++", "dpmsolver++3", "unipc", "deis", "lms", "gradient_estimation", "sde-dpmsolver++"]
    {
        let (nodes, form) = named(solver, 20);
        let plan = Plan::new(&nodes, form).unwrap();
        let (mut memory, parareal) = (Memory::<f32>::new(), Parareal::default());
        let mut workspace = memory.workspace(parareal.need(&plan, 1), 1);
        let error = parareal.begin(&plan, &noise, &[0.5], &mut workspace).map(|_| ()).unwrap_err();
        let SetupError::Uncut { evaluations: 20, stretch: 19.. } = error else {
            panic!("{solver}: {error:?}")
        };
        assert!(error.to_string().contains("take Picard"), "{error}");
        let mut workspace = memory.workspace(Picard::default().need(&plan, 1), 1);
        assert!(Picard::default().begin(&plan, &noise, &[0.5], &mut workspace).is_ok());
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_what_would() {
    let nodes = plan(Solved::Ddpm, 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(0);
    let x = [0.0f32; 4];
    let (mut memory, mut spans) = ([0.0f32; 1000], [Span::default(); 30]);
    let need = EXACT.need(&plan, 2);
    let mut begin = |parareal: Parareal, x: &[f32], numbers: usize, spare: usize| {
        let frames = SliceFrames::new(&mut memory[..numbers], 2);
        let mut workspace = Workspace::new(frames, &mut spans[..spare]);
        parareal.begin(&plan, &noise, x, &mut workspace).map(|_| ()).unwrap_err()
    };
    let (rows, spans) = (2 * need.rows, need.spans);
    let short = begin(EXACT, &x, rows - 1, spans);
    assert_eq!(short, SetupError::Workspace { need, given: Need { rows: need.rows - 1, spans, marks: 0 } });
    let short = begin(EXACT, &x, rows, spans - 1);
    assert_eq!(short, SetupError::Workspace { need, given: Need { spans: spans - 1, ..need } });
    assert_eq!(begin(EXACT, &x[..3], rows, spans), SetupError::Shape { len: 3, dim: 2 });
    for tolerance in [-1.0, f64::NEG_INFINITY] {
        let error = begin(Parareal { tolerance, ..EXACT }, &x, rows, spans);
        assert_eq!(error, SetupError::Tolerance(tolerance));
    }
    let error = begin(Parareal { tolerance: f64::NAN, ..EXACT }, &x, rows, spans);
    assert!(matches!(error, SetupError::Tolerance(_)));
    for data_variance in [0.0, -1.0, f64::INFINITY] {
        let error = begin(Parareal { data_variance, ..EXACT }, &x, rows, spans);
        assert_eq!(error, SetupError::DataVariance(data_variance));
    }
    let error = begin(EXACT, &[0.0, 0.0, f32::NAN, 0.0], rows, spans);
    assert_eq!(error, SetupError::Start { item: 1 });
    let tape = [0.0; 39];
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(need, 2);
    let short = EXACT.begin(&plan, &Noise::tape(&tape, 2, 2), &x, &mut workspace).map(|_| ()).unwrap_err();
    assert_eq!(short, SetupError::Tape(picardy::noise::TapeError::Length { needed: 40, given: 39 }));
}
