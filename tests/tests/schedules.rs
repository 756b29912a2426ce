//! Schedules, grids and solvers against published numbers and their own invariants.

use picardy::{
    AnySolver, Betas, Curve, Ddim, Ddpm, Final, FlowShift, Form, Grid, Level, Mixture, Node, Noise, Plan,
    PlanError, Prediction, ScheduleError, Sequential, Sigmas, Solver, Spacing,
};
use picardy_tests::run;
use proptest::prelude::*;

fn levels(betas: Betas, steps: usize, spacing: Spacing) -> Vec<Level> {
    let mut levels = vec![Level::default(); steps + 1];
    betas.grid(steps, spacing, Final::Data, &mut levels).expect("a sound grid");
    levels
}

#[test]
fn alpha_bars_are_the_published_ones() {
    // Computed with 50 digits from the schedules' formulas; DDPM's paper gives the first as 4e-5.
    let last = |betas: Betas| betas.alpha_bars().last().unwrap();
    assert!((last(Betas::linear(1000, 1e-4, 2e-2)) / 4.035_829_765_375_676e-5 - 1.0).abs() < 1e-9);
    assert!((last(Betas::scaled_linear(1000, 0.00085, 0.012)) / 4.660_095_977_824_1e-3 - 1.0).abs() < 1e-6);
    let cosine = Betas::cosine(100);
    assert!((0..100).all(|i| cosine.beta(i) > 0.0), "every cosine beta is positive");
    assert_eq!(cosine.beta(99), 0.999);
    let sigmoid = Betas::sigmoid(1000, 1e-4, 2e-2);
    assert!(
        sigmoid.beta(0) > 1e-4
            && sigmoid.beta(0) < 2e-4
            && sigmoid.beta(999) < 2e-2
            && sigmoid.beta(999) > 1.9e-2
    );
}

#[test]
fn as_many_steps_run_as_were_asked() {
    for steps in 1..=1000 {
        for spacing in [Spacing::Trailing, Spacing::Leading { offset: 0 }, Spacing::Linspace] {
            let levels = levels(Betas::cosine(1000), steps, spacing);
            assert_eq!(levels.len(), steps + 1);
            assert!(levels.windows(2).all(|w| w[0].t > w[1].t || w[1] == Level::DATA), "{steps} {spacing:?}");
        }
    }
    let t =
        |spacing| levels(Betas::linear(1000, 1e-4, 2e-2), 4, spacing).iter().map(|l| l.t).collect::<Vec<_>>();
    assert_eq!(t(Spacing::Trailing)[..4], [999.0, 749.0, 499.0, 249.0]);
    assert_eq!(t(Spacing::Leading { offset: 1 })[..4], [751.0, 501.0, 251.0, 1.0]);
    assert_eq!(t(Spacing::Linspace)[..4], [999.0, 666.0, 333.0, 0.0]);
}

#[test]
fn karras_and_log_linear_run_from_end_to_end() {
    let mut memory = [Level::default(); 41];
    let karras = Sigmas::karras(0.002, 80.0, 7.0);
    let grid = karras.grid(40, 0.0, &mut memory).unwrap();
    assert!((grid.levels()[39].sigma / 0.002 - 1.0).abs() < 1e-12);
    // (80^(1/7) + 20/39 (0.002^(1/7) - 80^(1/7)))^7
    assert!((grid.levels()[20].sigma - 2.240439758931).abs() < 1e-10, "{}", grid.levels()[20].sigma);
    let mut memory = [Level::default(); 4];
    let grid = Sigmas::log_linear(0.1, 10.0).grid(3, 0.05, &mut memory).unwrap();
    assert!((grid.levels()[1].sigma - 1.0).abs() < 1e-12);
    let mut one = [Level::default(); 2];
    assert_eq!(karras.grid(1, 0.0, &mut one).unwrap().levels()[0].sigma.round(), 80.0);
}

#[test]
fn bad_schedules_say_what_is_wrong() {
    let mut memory = [Level::default(); 11];
    let linear = Betas::linear(1000, 1e-4, 2e-2);
    assert_eq!(linear.trailing(0, &mut memory), Err(ScheduleError::NoSteps));
    let too_many = linear.trailing(1001, &mut memory).unwrap_err();
    assert_eq!(too_many, ScheduleError::TooManySteps { asked: 1001, train_steps: 1000 });
    assert!(too_many.to_string().contains("1001") && too_many.to_string().contains("1000"));
    assert_eq!(linear.trailing(11, &mut memory), Err(ScheduleError::Buffer { needed: 12, given: 11 }));
    assert_eq!(Betas::linear(0, 1e-4, 2e-2).trailing(1, &mut memory), Err(ScheduleError::NoTrainSteps));
    let nan = Betas::linear(10, 1e-4, f64::NAN).trailing(5, &mut memory);
    assert!(matches!(nan, Err(ScheduleError::Beta { timestep: 0, .. })));
    for end in [1.0, -0.1, 2.0] {
        assert!(matches!(
            Betas::linear(10, 1e-4, end).trailing(5, &mut memory),
            Err(ScheduleError::Beta { timestep: 9, .. })
        ));
    }
    assert!(matches!(
        linear.grid(10, Spacing::Leading { offset: 500 }, Final::Data, &mut memory),
        Err(ScheduleError::Timestep { timestep: 1000, train_steps: 1000 })
    ));
    assert!(linear.grid(10, Spacing::Leading { offset: usize::MAX }, Final::Data, &mut memory).is_err());
    assert!(linear.level(usize::MAX).is_err());
    assert!(matches!(Betas::linear(1, 0.1, 7.0).trailing(1, &mut memory), Err(ScheduleError::Beta { .. })));
    // A schedule without an end is not walked.
    let endless = Betas::linear(1 << 40, 1e-4, 2e-2);
    assert_eq!(endless.trailing(5, &mut memory), Err(ScheduleError::TooManyTrainSteps(1 << 40)));
    assert!(matches!(
        linear.zero_snr().ending_at(1.0).level(3),
        Err(ScheduleError::AlphaBar { timestep: 999, .. })
    ));
    for (start, end) in [(0.5, 0.9), (1e-18, 1e-18)] {
        let error = Betas::linear(5000, start, end).trailing(10, &mut memory).unwrap_err();
        assert!(matches!(error, ScheduleError::AlphaBar { .. }), "{error}");
    }
    let sigmas = Sigmas::karras(1.0, 0.5, 7.0);
    assert!(matches!(sigmas.grid(5, 0.0, &mut memory), Err(ScheduleError::SigmaRange { .. })));
    let sigmas = Sigmas::karras(0.1, 5.0, 0.0);
    assert_eq!(sigmas.grid(5, 0.0, &mut memory), Err(ScheduleError::Rho(0.0)));
    assert_eq!(
        Grid::new(&[Level::ve(1.0), Level::ve(2.0)]).unwrap_err(),
        ScheduleError::NotDecreasing { index: 1 }
    );
    assert_eq!(
        Grid::new(&[Level::ve(f64::NAN), Level::DATA]).unwrap_err(),
        ScheduleError::Level { index: 0 }
    );
}

/// Sizes at the end of their range: errors, whatever the build checks.
#[test]
fn no_size_wraps() {
    let mut memory = [Level::default(); 4];
    let (most, given) = (usize::MAX, 4);
    let buffer = Err(ScheduleError::Buffer { needed: most, given });
    assert_eq!(Sigmas::karras(0.1, 5.0, 7.0).grid(most, 0.0, &mut memory), buffer);
    let flow = FlowShift { train_steps: most, shift: 3.0 };
    assert_eq!(flow.grid(most, &mut memory), buffer);
    assert_eq!(flow.open_grid(most, 1.0, 0.0, &mut memory), buffer);
    let linear = |train_steps| Betas::linear(train_steps, 1e-4, 2e-2);
    assert_eq!(linear(most).trailing(most, &mut memory), Err(ScheduleError::TooManyTrainSteps(most)));
    assert_eq!(linear(most).level(most), Err(ScheduleError::TooManyTrainSteps(most)));
    let curve = linear(most).respaced(most, &Curve::karras(), Final::Data, &mut memory);
    assert_eq!(curve, Err(ScheduleError::TooManyTrainSteps(most)));
    let asked = Err(ScheduleError::TooManySteps { asked: most, train_steps: 1000 });
    assert_eq!(linear(1000).trailing(most, &mut memory), asked);
    for spacing in [
        Spacing::Leading { offset: most },
        Spacing::LeadingOpen { offset: most },
        Spacing::Leading { offset: most - 1 },
        Spacing::LeadingOpen { offset: most - 1 },
    ] {
        let grid = linear(1000).grid(3, spacing, Final::Data, &mut memory);
        assert!(
            matches!(grid, Err(ScheduleError::Timestep { train_steps: 1000, .. })),
            "{spacing:?} {grid:?}"
        );
    }
    let distilled = Spacing::Distilled { original: most };
    assert_eq!(
        linear(1000).grid(3, distilled, Final::Data, &mut memory).map(|grid| grid.levels()[0].t),
        Ok(999.0)
    );
    for (name, solver) in AnySolver::list() {
        assert_eq!(solver.nodes(most), most, "{name}");
    }
}

#[test]
fn bad_plans_say_what_is_wrong() {
    let mut memory = [Level::default(); 11];
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut memory).unwrap();
    let mut nodes = [Node::default(); 11];
    for eta in [-0.1, 1.1, f64::NAN] {
        let error = Ddim { eta }.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap_err();
        assert!(matches!(error, PlanError::Eta(_)) && error.to_string().contains("[0, 1]"));
    }
    assert_eq!(
        Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes[..10]).unwrap_err(),
        PlanError::Buffer { needed: 11, given: 10 }
    );
    // Zero terminal SNR: epsilon says nothing of the data there, v does.
    let zero = [Level { alpha: 0.0, sigma: 1.0, t: 999.0 }, Level::vp(0.5, 500.0), Level::DATA];
    let grid = Grid::new(&zero).unwrap();
    assert!(matches!(
        Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap_err(),
        PlanError::Singular { node: 0, .. }
    ));
    for prediction in [Prediction::V, Prediction::Sample] {
        let plan = Ddpm::default().plan(&grid, prediction, &mut nodes).unwrap();
        assert!(plan.nodes().iter().all(|n| n.states[0].weight.is_finite() && n.noise.is_finite()));
    }
    assert_eq!(Plan::new(&nodes[..1], Form::Data).unwrap_err(), PlanError::Empty);
    assert_eq!(Plan::new(&nodes[..2], Form::Data).unwrap().evaluations(), 1, "the front of a plan");
}

/// For one Gaussian the probability flow has a closed form: x/sqrt(a^2 v + s^2) is constant.
#[test]
fn ddim_converges_to_the_ode_with_order_one() {
    let (mean, weight) = ([0.0], [1.0]);
    let std = 0.5;
    let mut model = Mixture::new(&mean, &weight, std, 1).unwrap().predicting(Prediction::Epsilon);
    // A fine schedule, so that a grid of any number of steps lies on it, down to a level where noise is left.
    let betas = Betas::linear(100_000, 1e-6, 2e-4);
    let scale = |l: &Level| (l.alpha * l.alpha * std * std + l.sigma * l.sigma).sqrt();
    let mut errors = Vec::new();
    for steps in [40, 80, 160] {
        let mut memory = vec![Level::default(); steps + 1];
        for (i, level) in memory.iter_mut().enumerate() {
            *level = betas.level(99_999 - i * 80_000 / steps).unwrap();
        }
        let grid = Grid::new(&memory).unwrap();
        let mut nodes = vec![Node::default(); steps + 1];
        let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
        let noise = Noise::seeded(1);
        let got = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 1, 1).unwrap();
        let mut start = [0.0];
        plan.start(&noise, 1, &mut start);
        let exact = start[0] * scale(&memory[steps]) / scale(&memory[0]);
        errors.push((got.x[0] - exact).abs());
    }
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - 1.0).abs() < 0.3, "observed order {order}, errors {errors:?}");
    }
}

proptest! {
    /// Reading an output and writing it again is the identity, in every parametrisation and form.
    #[test]
    fn predictions_invert(x0 in -3.0f64..3.0, eps in -3.0f64..3.0, alpha in 0.05f64..1.0, sigma in 0.05f64..1.0) {
        let level = Level { alpha, sigma, t: 0.0 };
        let x = alpha * x0 + sigma * eps;
        for (prediction, out) in [
            (Prediction::Epsilon, eps),
            (Prediction::Sample, x0),
            (Prediction::V, alpha * eps - sigma * x0),
            (Prediction::Flow, eps - x0),
        ] {
            for (form, expected) in [(Form::Data, x0), (Form::Noise, eps)] {
                let read = prediction.readout(&level, form).unwrap();
                let got = read.state * x + read.output * out;
                prop_assert!((got - expected).abs() < 1e-10, "{prediction:?} {form:?}: {got} for {expected}");
            }
        }
    }

    /// A DDPM step has the posterior's mean and variance; DDIM of eta 1 is the same plan.
    #[test]
    fn ddim_of_eta_one_is_ddpm(steps in 1usize..200, cosine in any::<bool>()) {
        let betas = if cosine { Betas::cosine(1000) } else { Betas::linear(1000, 1e-4, 2e-2) };
        let mut memory = vec![Level::default(); steps + 1];
        let grid = betas.trailing(steps, &mut memory).unwrap();
        let (mut a, mut b) = (vec![Node::default(); steps + 1], vec![Node::default(); steps + 1]);
        Ddpm::default().plan(&grid, Prediction::Epsilon, &mut a).unwrap();
        Ddim { eta: 1.0 }.plan(&grid, Prediction::Epsilon, &mut b).unwrap();
        for (a, b) in a.iter().zip(&b) {
            prop_assert!((a.states[0].weight - b.states[0].weight).abs() < 1e-9);
            prop_assert!((a.outputs[0].weight - b.outputs[0].weight).abs() < 1e-9);
            prop_assert!((a.noise - b.noise).abs() < 1e-12);
        }
    }

    /// For unit Gaussian data, every DDPM step with the large variance keeps the marginal variance at 1 to first
    /// order; with small steps both do.
    #[test]
    fn steps_keep_the_marginal(i in 10usize..999) {
        let betas = Betas::linear(1000, 1e-4, 2e-2);
        let mut memory = vec![Level::default(); 1001];
        let grid = betas.trailing(1000, &mut memory).unwrap();
        let mut nodes = vec![Node::default(); 1001];
        Ddpm::fixed_large().plan(&grid, Prediction::Sample, &mut nodes).unwrap();
        let (node, level) = (&nodes[i], &memory[i - 1]);
        // x0-hat = alpha x for unit Gaussian data.
        let factor = node.states[0].weight + node.outputs[0].weight * level.alpha;
        let variance = factor * factor + node.noise * node.noise;
        prop_assert!((variance - 1.0).abs() < 1e-3, "step {i}: {variance}");
    }
}
