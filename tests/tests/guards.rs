//! Guards: the same to the bit in sequence and in parallel, exact at the end, and errors where they do not fit.

use picardy::config::SchedulerConfig;
use picardy::guard::{self, Clamp, DynamicThreshold, Inpaint, Limits, RawNoise};
use picardy::{
    Betas, Ddim, Form, Guard, GuardError, Guarded, HostTensor, Level, Memory, Node, Noise, Picard, Plan,
    Prediction, Row, Run, SampleError, Sampler, Sequential, Slope, Solver, Start,
};
use picardy_tests::{Outcome, Ring, Solved, plan, random_plan, run};
use proptest::prelude::*;

const SLOPES: [Slope; 6] = [
    Slope::Identity,
    Slope::Frozen,
    Slope::Gaussian,
    Slope::Secant,
    Slope::Multisecant(1),
    Slope::Multisecant(3),
];
const STARTS: [Start; 2] = [Start::Constant, Start::Gaussian];
const MASK: [f64; 6] = [1.0, 0.0, 0.0, 1.0, 0.25, 1.0];
const KNOWN: [f64; 6] = [0.3, f64::NAN, 0.0, -0.7, 1.1, 0.2];

/// One of every kind, and all of them in a row.
fn guard<F: HostTensor<Scalar = f64>>(kind: usize) -> Box<dyn Guard<F>> {
    let clamp = Clamp::new(-0.8, 0.9).unwrap();
    let dynamic = DynamicThreshold::within(0.7, 0.5, 1.5).unwrap();
    let inpaint = Inpaint::new(&MASK, &KNOWN).unwrap();
    let project = guard::from_fn(|at: &Row, x0: &mut [f64]| {
        let radius = x0[0].hypot(x0[1]).max(1e-9);
        let most = 0.6 + 0.1 * at.item as f64 + 0.01 * at.node as f64 + 0.1 * at.level.sigma;
        x0.iter_mut().for_each(|x| *x *= (most / radius).min(1.0));
    });
    match kind {
        0 => Box::new(clamp),
        1 => Box::new(dynamic),
        2 => Box::new(inpaint),
        3 => Box::new(project),
        4 => Box::new(()),
        5 => Box::new((inpaint, Limits::new(1, 0.3, 0.2).unwrap().keeping(1))),
        _ => Box::new((clamp, Some(project), (dynamic, inpaint))),
    }
}
const KINDS: usize = 7;

struct Boxed(usize);

impl<F: HostTensor<Scalar = f64>> Guard<F> for Boxed {
    fn apply(&mut self, at: &Row, frames: &mut F, row: usize) -> Result<(), GuardError> {
        guard::<F>(self.0).apply(at, frames, row)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn guarded_plans_run_in_parallel_as_in_sequence(
        seed in any::<u64>(), steps in 1usize..20, window in 1usize..24, slope in 0usize..6, start in 0usize..2,
        noise_form in any::<bool>(), batch in 1usize..4, kind in 0usize..KINDS,
    ) {
        let form = if noise_form { Form::Noise } else { Form::Data };
        let mut nodes = Vec::new();
        let plan = random_plan(seed, steps, form, &mut nodes);
        let ring = Ring::default();
        let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), Boxed(kind));
        let noise = Noise::seeded(seed ^ 1);
        let reference: Outcome<f64> = run(&Sequential, &plan, &mut model, &noise, batch, 2).unwrap();
        let picard = Picard { window, slope: SLOPES[slope], start: STARTS[start], tolerance: 0.0, ..Picard::default() };
        let got: Outcome<f64> = run(&picard, &plan, &mut model, &noise, batch, 2).unwrap();
        prop_assert_eq!(&got.x, &reference.x);
        prop_assert!(got.report.rounds <= steps);
        let free: Outcome<f64> = run(&Sequential, &plan, &mut model.denoiser, &noise, batch, 2).unwrap();
        // Noise form rounds on its way to the data estimate and back.
        if kind == 4 && form == Form::Data {
            prop_assert_eq!(free.x, reference.x);
        } else if kind == 4 {
            prop_assert!(free.x.iter().zip(&reference.x).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn known_entries_are_kept_and_limits_hold(seed in any::<u64>(), ddpm in any::<bool>(), window in 1usize..40) {
        let nodes = plan(if ddpm { Solved::Ddpm } else { Solved::Ddim(0.3) }, 25);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let ring = Ring::default();
        let noise = Noise::seeded(seed);
        for sampler in [Picard { window, ..Picard::default() }, Picard { tolerance: 0.0, ..Picard::default() }] {
            let inpaint = Inpaint::new(&MASK, &KNOWN).unwrap();
            let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), inpaint);
            let x = run::<f64, _, _, _>(&sampler, &plan, &mut model, &noise, 3, 2).unwrap().x;
            prop_assert_eq!((x[0], x[3], x[5]), (0.3, -0.7, 0.2));
            let clamp = Clamp::new(-0.5, 0.4).unwrap();
            let mut model = Guarded::new(ring.mixture().predicting(Prediction::V), clamp);
            let v = v_plan(&plan);
            let plan = Plan::new(&v, Form::Data).unwrap();
            let x = run::<f32, _, _, _>(&sampler, &plan, &mut model, &noise, 3, 2).unwrap().x;
            prop_assert!(x.iter().all(|x| (-0.5..=0.4).contains(x)), "{x:?}");
            let limits = Limits::new(1, 0.1, f64::INFINITY).unwrap();
            let mut model = Guarded::new(ring.mixture().predicting(Prediction::V), limits);
            let x = run::<f32, _, _, _>(&sampler, &plan, &mut model, &noise, 3, 2).unwrap().x;
            prop_assert!(x.chunks(2).all(|x| (x[1] - x[0]).abs() <= 0.1 + 1e-6), "{x:?}");
            let dynamic = DynamicThreshold::new(0.5).unwrap();
            let mut model = Guarded::new(ring.mixture().predicting(Prediction::V), dynamic);
            let x = run::<f32, _, _, _>(&sampler, &plan, &mut model, &noise, 3, 2).unwrap().x;
            prop_assert!(x.iter().all(|x| x.abs() <= 1.0), "{x:?}");
        }
    }
}

/// The plan for a network that predicts v.
fn v_plan(plan: &Plan<'_>) -> Vec<Node> {
    let read = |node: &Node| node.evaluate.and(Prediction::V.readout(&node.level, plan.form()));
    plan.nodes().iter().map(|node| Node { evaluate: read(node), ..*node }).collect()
}

/// A deterministic first-order solver written in noise: `x_n = (a_n/a_c) x + (s_n - a_n s_c/a_c) eps`.
#[test]
fn in_noise_form_guards_act_on_the_data_too() {
    let mut levels = [Level::default(); 31];
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(30, &mut levels).unwrap();
    let mut nodes = [Node::default(); 31];
    Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let data = nodes;
    for k in 0..nodes.len() {
        let level = data[k].level;
        if k > 0 {
            let before = data[k - 1].level;
            nodes[k].states[0].weight = level.alpha / before.alpha;
            nodes[k].outputs[0].weight = level.sigma - level.alpha / before.alpha * before.sigma;
        }
        nodes[k].evaluate = nodes[k].evaluate.and(Prediction::Epsilon.readout(&level, Form::Noise));
    }
    let (data, eps) = (Plan::new(&data, Form::Data).unwrap(), Plan::new(&nodes, Form::Noise).unwrap());
    let ring = Ring::default();
    for kind in 0..KINDS {
        let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), Boxed(kind));
        let noise = Noise::seeded(3);
        let a: Outcome<f64> = run(&Sequential, &data, &mut model, &noise, 3, 2).unwrap();
        let b: Outcome<f64> = run(&Sequential, &eps, &mut model, &noise, 3, 2).unwrap();
        assert!(a.x.iter().zip(&b.x).all(|(a, b)| (a - b).abs() < 1e-9), "{kind} {:?} {:?}", a.x, b.x);
    }
}

/// `clip_sample` of diffusers' DDIM: x0 clipped, eps the network's.
#[test]
fn raw_noise_is_ddim_with_the_networks_noise() {
    let mut levels = [Level::default(); 11];
    let grid = Betas::cosine(100).trailing(10, &mut levels).unwrap();
    let mut nodes = [Node::default(); 11];
    let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let ring = Ring::default();
    let noise = Noise::seeded(5);
    let mut x = [0.0f64; 4];
    plan.start(&noise, 2, &mut x);
    let mut x0 = [0.0; 2];
    for x in x.chunks_mut(2) {
        for pair in levels.windows(2) {
            let (c, n) = (pair[0], pair[1]);
            ring.mixture().denoise(x, &c, &mut x0);
            for (x, x0) in x.iter_mut().zip(&x0) {
                let eps = (*x - c.alpha * x0) / c.sigma;
                *x = n.alpha * x0.clamp(-0.6, 0.6) + n.sigma * eps;
            }
        }
    }
    let (mut scratch, model) = ([0.0; 2], ring.mixture().predicting(Prediction::Epsilon));
    let guard = RawNoise::new(Clamp::symmetric(0.6).unwrap(), &plan, &mut scratch).unwrap();
    let mut model = Guarded::new(model, guard);
    let got: Outcome<f64> = run(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
    assert!(got.x.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-9), "{:?} {x:?}", got.x);
    let exact = Picard { tolerance: 0.0, ..Picard::default() };
    assert_eq!(run::<f64, _, _, _>(&exact, &plan, &mut model, &noise, 2, 2).unwrap().x, got.x);

    let mut random = Vec::new();
    let other = random_plan(1, 5, Form::Noise, &mut random);
    assert_eq!(
        RawNoise::new((), &other, &mut scratch).map(|_| ()).unwrap_err(),
        GuardError::Plan { node: 1 }
    );
    let guard = RawNoise::new((), &plan, &mut scratch[..1]).unwrap();
    let error = run::<f64, _, _, _>(
        &Sequential,
        &plan,
        &mut Guarded::new(ring.mixture().predicting(Prediction::Epsilon), guard),
        &noise,
        2,
        2,
    );
    assert_eq!(error.unwrap_err(), SampleError::Guard(GuardError::Scratch { needed: 2, given: 1 }));
}

/// diffusers' DDIM whose last step stands still: the clipped estimate moves the sample all the same.
#[test]
fn a_configuration_guards_a_step_that_stands_still() {
    for text in [
        r#"{"_class_name": "DDIMScheduler", "set_alpha_to_one": false, "clip_sample_range": 0.6}"#,
        r#"{"_class_name": "DDIMScheduler", "set_alpha_to_one": false, "clip_sample_range": 0.6, "timestep_spacing": "linspace"}"#,
    ] {
        let config: SchedulerConfig = text.parse().unwrap();
        let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
        let plan = config.plan(10, &mut levels, &mut nodes).unwrap();
        let (ring, noise) = (Ring::default(), Noise::seeded(5));
        let mut x = [0.0f64; 4];
        plan.start(&noise, 2, &mut x);
        let betas = Betas::linear(1000, 1e-4, 2e-2);
        let mut x0 = [0.0; 2];
        for x in x.chunks_mut(2) {
            for c in &levels[..10] {
                let n = betas.level((c.t - 100.0).max(0.0) as usize).unwrap();
                ring.mixture().denoise(x, c, &mut x0);
                for (x, x0) in x.iter_mut().zip(&x0) {
                    let eps = (*x - c.alpha * x0) / c.sigma;
                    *x = n.alpha * x0.clamp(-0.6, 0.6) + n.sigma * eps;
                }
            }
        }
        let mut scratch = [0.0; 2];
        let model = ring.mixture().predicting(Prediction::Epsilon);
        let mut model = config.guarded(model, &plan, &mut scratch).unwrap();
        let got: Outcome<f64> = run(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
        assert!(got.x.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-8), "{text} {:?} {x:?}", got.x);
        let exact = Picard { tolerance: 0.0, ..Picard::default() };
        assert_eq!(run::<f64, _, _, _>(&exact, &plan, &mut model, &noise, 2, 2).unwrap().x, got.x);
        let mut scratch = [0.0f32; 2];
        let model = ring.mixture().predicting(Prediction::Epsilon);
        let mut model = config.guarded(model, &plan, &mut scratch).unwrap();
        let single: Outcome<f32> = run(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
        assert!(
            single.x.iter().zip(&x).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4),
            "{text} {:?}",
            single.x
        );
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let range = Clamp::new(0.5, f64::NAN).unwrap_err();
    assert!(range.to_string().contains("0.5") && range.to_string().contains("NaN"));
    for p in [0.0, -0.1, 1.01, f64::NAN] {
        assert!(matches!(DynamicThreshold::new(p), Err(GuardError::Quantile(_))), "{p}");
    }
    for (floor, ceiling) in
        [(0.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, f64::INFINITY)]
    {
        let error = DynamicThreshold::within(0.9, floor, ceiling).unwrap_err();
        assert!(matches!(error, GuardError::Bounds { .. }) && error.to_string().contains(&floor.to_string()));
    }
    assert_eq!(Inpaint::new(&[1.0], &[1.0, 2.0]), Err(GuardError::Mask { mask: 1, values: 2 }));
    assert_eq!(Inpaint::<f64>::new(&[], &[]), Err(GuardError::Mask { mask: 0, values: 0 }));
    assert_eq!(Inpaint::new(&[0.0, 1.5], &[1.0, 2.0]), Err(GuardError::Weight { index: 1, weight: 1.5 }));
    assert_eq!(Inpaint::new(&[0.0, 1.0], &[1.0, f64::NAN]), Err(GuardError::Value { index: 1 }));

    // Known values for two items, and for no whole number of states.
    let nodes = plan(Solved::Ddim(0.0), 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let noise = Noise::seeded(0);
    for (values, item) in [(4, 2), (3, 0)] {
        let known = Inpaint::new(&MASK[2..2 + values], &KNOWN[2..2 + values]).unwrap();
        let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), known);
        let expected = SampleError::Guard(GuardError::Length { values, dim: 2, item });
        assert_eq!(run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 3, 2).unwrap_err(), expected);
        assert_eq!(
            run::<f64, _, _, _>(&Picard::default(), &plan, &mut model, &noise, 3, 2).unwrap_err(),
            expected
        );
        assert!(expected.to_string().contains(&values.to_string()), "{expected}");
    }
}

#[test]
fn a_nan_of_a_projection_is_found_and_the_round_can_be_asked_again() {
    let nodes = plan(Solved::Ddim(0.0), 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let noise = Noise::seeded(0);
    let (sane, broken) = (std::cell::Cell::new(true), std::cell::Cell::new(0));
    let project = guard::from_fn(|at: &Row, x0: &mut [f64]| {
        x0[0] = x0[0].min(0.5);
        if at.item == 1 && at.node == 6 && !sane.get() {
            broken.set(broken.get() + 1);
            x0[1] = f64::NAN;
        }
    });
    let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), project);
    let picard = Picard { window: 4, tolerance: 0.0, ..Picard::default() };
    let reference: Outcome<f64> = run(&picard, &plan, &mut model, &noise, 3, 2).unwrap();
    sane.set(false);
    let expected = SampleError::NotFinite { item: 1, node: 6 };
    assert_eq!(run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 3, 2).unwrap_err(), expected);
    assert_eq!(run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 3, 2).unwrap_err(), expected);

    let (mut x, mut memory) = (vec![0.0; 6], Memory::new());
    plan.start(&noise, 2, &mut x);
    let mut workspace = memory.workspace(picard.need(&plan, 3), 2);
    let mut going = picard.begin(&plan, &noise, &x, &mut workspace).unwrap();
    loop {
        match going.round(&mut model) {
            Ok(None) => break,
            Ok(Some(_)) => {}
            Err(error) => {
                assert_eq!(error, expected);
                sane.set(true);
            }
        }
    }
    // A guess that is spoiled on the way is left as the network made it, and is no error.
    assert!(broken.get() >= 3);
    assert!(going.finish(&mut x).finished);
    assert_eq!(x, reference.x);
}

#[test]
fn a_run_that_is_stopped_keeps_what_the_guard_promises() {
    let nodes = plan(Solved::Ddpm, 60);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let noise = Noise::seeded(11);
    for window in [12, usize::MAX] {
        let picard = Picard { window, ..Picard::default() };
        let guard = (Clamp::symmetric(0.7).unwrap(), Inpaint::new(&[1.0, 0.0], &[0.4, 0.0]).unwrap());
        let mut model = Guarded::new(ring.mixture().predicting(Prediction::Epsilon), guard);
        let (mut x, mut memory) = (vec![0.0f64; 8], Memory::new());
        plan.start(&noise, 2, &mut x);
        let mut workspace = memory.workspace(picard.need(&plan, 4), 2);
        let stop = |round: &picardy::Round| {
            if round.rounds == 3 {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        };
        let report = picard.run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, stop).unwrap();
        assert!(!report.finished);
        assert!(x.chunks(2).all(|x| x[0] == 0.4 && x[1].abs() <= 0.7), "{x:?}");
    }
}
