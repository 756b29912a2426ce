//! Every solver: its order of convergence, its cost, its traps, and the same run in parallel.

use picardy::{
    AnySolver, Betas, Bh, Coordinates, Curve, Ddim, DdimStride, Ddpm, Deis, DpmSolverPp, DpmSolverSingle,
    Edm, Euler, EulerAncestral, Final, FlowShift, GradientEstimation, Grid, Heun, Lcm, Level, Lms, Mixture,
    Node, Noise, Picard, Pinned, Plan, PlanError, Pndm, Prediction, ScheduleError, Sequential, SigmaShape,
    Slope, Solver, Spacing, Start, Tcd, Told, UniPc, Variance, Variant,
};
use picardy_tests::{Ring, run};

fn planned<'n>(
    solver: AnySolver,
    grid: &Grid<'_>,
    prediction: Prediction,
    nodes: &'n mut Vec<Node>,
) -> Plan<'n> {
    nodes.clear();
    nodes.resize(solver.nodes(grid.steps()), Node::default());
    solver.plan(grid, prediction, nodes).unwrap_or_else(|error| panic!("{solver:?}: {error}"))
}

/// Every named solver and the settings that names do not reach.
fn labelled() -> Vec<(&'static str, AnySolver)> {
    let more: [(_, AnySolver); 16] = [
        ("ddpm, fixed large", Ddpm::fixed_large().into()),
        ("ddpm, fixed large throughout", Ddpm { variance: Variance::FixedLargeThroughout }.into()),
        ("ddim, eta 0.5", Ddim { eta: 0.5 }.into()),
        ("ddim_stride, eta 1", DdimStride { eta: 1.0, last: Final::Data, ..DdimStride::default() }.into()),
        ("edm, churn", Edm { s_churn: 10.0, s_min: 0.05, s_max: f64::INFINITY, s_noise: 1.003 }.into()),
        ("dpmsolver++, heun", DpmSolverPp { variant: Variant::Heun, ..DpmSolverPp::order2() }.into()),
        ("sde-dpmsolver++, heun", DpmSolverPp { variant: Variant::Heun, ..DpmSolverPp::sde() }.into()),
        ("dpmsolver++1s", DpmSolverSingle { order: 1 }.into()),
        ("unipc1", UniPc { order: 1, ..UniPc::default() }.into()),
        ("unipc, bh1", UniPc { variant: Bh::B1, ..UniPc::default() }.into()),
        ("deis1", Deis { order: 1, ..Deis::default() }.into()),
        ("lms2", Lms { order: 2 }.into()),
        ("gradient_estimation, mu 0.5", GradientEstimation { gamma: 2.0, mu: 0.5 }.into()),
        ("euler_ancestral, eta 0.4", EulerAncestral { eta: 0.4 }.into()),
        ("tcd, eta 1", Tcd { eta: 1.0, ..Tcd::default() }.into()),
        ("pinned, variance 0.5", Pinned { variance: 0.5 }.into()),
    ];
    AnySolver::list().chain(more).collect()
}

/// A solver that looks levels up in a table of betas, with the grid's.
fn with_betas(solver: AnySolver, table: Betas) -> AnySolver {
    match solver {
        AnySolver::Tcd(tcd) => Tcd { betas: table, ..tcd }.into(),
        AnySolver::DdimStride(ddim) => DdimStride { betas: table, ..ddim }.into(),
        AnySolver::Pndm(pndm) => Pndm { betas: table, ..pndm }.into(),
        other => other,
    }
}

fn all() -> impl Iterator<Item = AnySolver> {
    labelled().into_iter().map(|(_, solver)| solver)
}

/// For one Gaussian the probability flow has a closed form: `(x - a mean)/sqrt(a^2 v + s^2)` is constant.
fn error(solver: AnySolver, steps: usize) -> f64 {
    let (mean, std) = (0.7, 0.5);
    let (means, weights) = ([mean], [1.0]);
    let mut model = Mixture::new(&means, &weights, std, 1).unwrap().predicting(Prediction::V);
    // Equal steps in log-SNR, from levels at which the first steps' low orders do no harm, to where noise is left.
    let level = |i: usize| {
        let lambda = -12.0 + 14.0 * i as f64 / steps as f64;
        let alpha = 1.0 / (1.0 + (-2.0 * lambda).exp()).sqrt();
        Level { alpha, sigma: alpha * (-lambda).exp(), t: i as f64 }
    };
    let levels: Vec<Level> = (0..=steps).map(level).collect();
    let grid = Grid::new(&levels).unwrap();
    let mut nodes = Vec::new();
    let plan = planned(solver, &grid, Prediction::V, &mut nodes);
    let noise = Noise::seeded(1);
    let got = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 1, 1).unwrap();
    let mut start = [0.0];
    plan.start(&noise, 1, &mut start);
    let (first, last) = (plan.nodes()[0].level, plan.nodes()[plan.last()].level);
    let scale = |l: &Level| (l.alpha * l.alpha * std * std + l.sigma * l.sigma).sqrt();
    let exact = last.alpha * mean + (start[0] - first.alpha * mean) * scale(&last) / scale(&first);
    (got.x[0] - exact).abs()
}

#[test]
fn every_deterministic_solver_has_its_order() {
    let dpm = |order, variant| DpmSolverPp { order, variant, sde: false, lower_order_final: false };
    let unipc = |order, variant| UniPc { order, variant, lower_order_final: false };
    let cases: Vec<(&str, AnySolver, f64)> = vec![
        ("ddim", Ddim::default().into(), 1.0),
        ("euler", Euler::ve().into(), 1.0),
        ("flow_euler", Euler::flow().into(), 1.0),
        ("euler_ancestral, eta 0", EulerAncestral { eta: 0.0 }.into(), 1.0),
        ("heun", Heun::ve().into(), 2.0),
        ("flow_heun", Heun::flow().into(), 2.0),
        ("edm_heun", Edm::default().into(), 2.0),
        ("dpmsolver++ 1", dpm(1, Variant::Midpoint).into(), 1.0),
        ("dpmsolver++ 2 midpoint", dpm(2, Variant::Midpoint).into(), 2.0),
        ("dpmsolver++ 2 heun", dpm(2, Variant::Heun).into(), 2.0),
        // The public form, which halves the curvature; and the true one.
        ("dpmsolver++ 3 midpoint", dpm(3, Variant::Midpoint).into(), 2.0),
        ("dpmsolver++ 3 heun", dpm(3, Variant::Heun).into(), 3.0),
        ("dpmsolver++ 2S", DpmSolverSingle { order: 2 }.into(), 2.0),
        ("dpmsolver++ 3S", DpmSolverSingle { order: 3 }.into(), 3.0),
        // With the corrector, one more than the predictor's.
        ("unipc 1", unipc(1, Bh::B2).into(), 2.0),
        ("unipc 2 bh1", unipc(2, Bh::B1).into(), 3.0),
        ("unipc 2 bh2", unipc(2, Bh::B2).into(), 3.0),
        ("unipc 3 bh1", unipc(3, Bh::B1).into(), 4.0),
        ("unipc 3 bh2", unipc(3, Bh::B2).into(), 4.0),
        ("deis 1", Deis { order: 1, lower_order_final: false }.into(), 1.0),
        ("deis 2", Deis { order: 2, lower_order_final: false }.into(), 2.0),
        ("deis 3", Deis { order: 3, lower_order_final: false }.into(), 3.0),
        ("lms 1", Lms { order: 1 }.into(), 1.0),
        ("lms 2", Lms { order: 2 }.into(), 2.0),
        ("lms 3", Lms { order: 3 }.into(), 3.0),
        ("lms 4", Lms { order: 4 }.into(), 4.0),
        ("gradient_estimation 1", GradientEstimation { gamma: 1.0, mu: 0.0 }.into(), 1.0),
        ("gradient_estimation 2", GradientEstimation { gamma: 2.0, mu: 0.0 }.into(), 1.0),
    ];
    let mut wrong = Vec::new();
    for (name, solver, nominal) in cases {
        let errors = [240, 480, 960].map(|steps| error(solver, steps));
        let orders = [(errors[0] / errors[1]).log2(), (errors[1] / errors[2]).log2()];
        println!("{name:<24} order {:.2} {:.2} of {nominal}  errors {errors:?}", orders[0], orders[1]);
        if (orders[1] - nominal).abs() > 0.3 {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Every solver's plan of 12 trailing steps: name, nodes, evaluations.
#[test]
fn evaluation_counts_are_golden_and_parallel_runs_are_sequential_ones() {
    let betas = Betas::scaled_linear(1000, 0.00085, 0.012);
    let (mut by_betas, mut by_flow) = ([Level::default(); 13], [Level::default(); 13]);
    let by_betas = betas.trailing(12, &mut by_betas).unwrap();
    let by_flow = FlowShift { train_steps: 1000, shift: 3.0 }.grid(12, &mut by_flow).unwrap();
    let ring = Ring::default();
    let noise = Noise::seeded(3);
    let (mut nodes, mut counts) = (Vec::new(), Vec::new());
    for (name, solver) in labelled() {
        // Flow grids start without any signal, where only some solvers can.
        for (grid, prediction) in [(&by_betas, Prediction::Epsilon), (&by_flow, Prediction::Flow)] {
            nodes.clear();
            nodes.resize(solver.nodes(12), Node::default());
            let plan = match solver.plan(grid, prediction, &mut nodes) {
                Ok(plan) => plan,
                Err(PlanError::Singular { node: 0, alpha: 0.0, .. }) => continue,
                Err(PlanError::Parameter { name: "the grid's first timestep", .. }) => continue,
                Err(error) => panic!("{solver:?}: {error}"),
            };
            let mut model = ring.mixture().predicting(prediction);
            let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
            assert_eq!(reference.report.evaluations, 2 * plan.evaluations());
            assert!(reference.x.iter().all(|x| x.abs() < 4.0), "{solver:?} {:?}", reference.x);
            if prediction == Prediction::Epsilon {
                counts.push((name, plan.nodes().len(), plan.evaluations()));
            }
            for slope in
                [Slope::Identity, Slope::Frozen, Slope::Gaussian, Slope::Secant, Slope::Multisecant(1)]
            {
                for (window, start) in [(5, Start::Gaussian), (usize::MAX, Start::Constant)] {
                    let picard = Picard { window, slope, start, tolerance: 0.0, ..Picard::default() };
                    let got = run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 2, 2).unwrap();
                    assert_eq!(got.x, reference.x, "{solver:?} {picard:?}");
                    assert!(got.report.rounds <= plan.last(), "{solver:?} {:?}", got.report);
                }
            }
        }
    }
    let golden = [
        ("ddpm", 13, 12),
        ("ddim", 13, 12),
        ("ddim_stride", 13, 12),
        ("euler", 13, 12),
        ("euler_ancestral", 13, 12),
        ("heun", 24, 23),
        ("edm_heun", 24, 23),
        ("dpmsolver++", 13, 12),
        ("dpmsolver++1", 13, 12),
        ("dpmsolver++3", 13, 12),
        ("sde-dpmsolver++", 13, 12),
        ("dpmsolver++2s", 13, 12),
        ("dpmsolver++3s", 13, 12),
        ("unipc", 24, 12),
        ("unipc3", 24, 12),
        ("deis", 13, 12),
        ("deis2", 13, 12),
        ("lms", 13, 12),
        ("pndm", 14, 13),
        ("gradient_estimation", 13, 12),
        ("flow_euler", 13, 12),
        ("flow_heun", 24, 23),
        ("lcm", 13, 12),
        ("tcd", 13, 12),
        ("pinned", 13, 12),
        ("ddpm, fixed large", 13, 12),
        ("ddpm, fixed large throughout", 13, 12),
        ("ddim, eta 0.5", 13, 12),
        ("ddim_stride, eta 1", 13, 12),
        ("edm, churn", 36, 23),
        ("dpmsolver++, heun", 13, 12),
        ("sde-dpmsolver++, heun", 13, 12),
        ("dpmsolver++1s", 13, 12),
        ("unipc1", 24, 12),
        ("unipc, bh1", 24, 12),
        ("deis1", 13, 12),
        ("lms2", 13, 12),
        ("gradient_estimation, mu 0.5", 13, 12),
        ("euler_ancestral, eta 0.4", 13, 12),
        ("tcd, eta 1", 13, 12),
        ("pinned, variance 0.5", 13, 12),
    ];
    assert_eq!(counts, golden);
}

#[test]
fn names_are_solvers_and_a_wrong_one_lists_them() {
    for (name, solver) in AnySolver::list() {
        assert_eq!(name.parse::<AnySolver>().unwrap(), solver);
        assert_eq!((solver.name(), solver.to_string().as_str()), (name, name));
    }
    for (_, solver) in labelled() {
        let named: AnySolver = solver.name().parse().unwrap();
        assert_eq!(std::mem::discriminant(&named), std::mem::discriminant(&solver), "{solver:?}");
    }
    let message = "heum".parse::<AnySolver>().unwrap_err().to_string();
    assert!(
        message.contains("`heum`") && AnySolver::list().all(|(name, _)| message.contains(name)),
        "{message}"
    );
    let message = "é".repeat(99).parse::<AnySolver>().unwrap_err().to_string();
    assert!(message.contains("ééé") && message.len() < 400, "{message}");
    let message = "eps".parse::<Prediction>().unwrap_err().to_string();
    assert!(message.contains("`eps`") && message.contains("epsilon"), "{message}");
}

/// Cosine betas reach sigmas of 20000, where libraries repeat timesteps, lose their place, or make NaN.
#[test]
fn cosine_betas_are_no_trap() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::V);
    let mut nodes = Vec::new();
    for train_steps in [100, 1000] {
        let betas = Betas::cosine(train_steps);
        for shape in [
            SigmaShape::Karras { rho: 7.0 },
            SigmaShape::Exponential,
            SigmaShape::Beta { alpha: 0.6, beta: 0.6 },
        ] {
            for told in [Told::Fractional, Told::Rounded, Told::Truncated] {
                for between in [None, Some(Spacing::Trailing), Some(Spacing::Leading { offset: 0 })] {
                    let mut levels = vec![Level::default(); 41];
                    let curve = Curve { shape, between, told };
                    let grid = betas.respaced(40, &curve, Final::Data, &mut levels).unwrap();
                    assert!(grid.levels().windows(2).all(|w| w[0].t >= w[1].t), "{curve:?}");
                    for solver in all() {
                        let plan = planned(solver, &grid, Prediction::V, &mut nodes);
                        let got =
                            run::<f64, _, _, _>(&Sequential, &plan, &mut model, &Noise::seeded(5), 2, 2)
                                .unwrap();
                        assert!(
                            got.report.finished && got.x.iter().all(|x| x.is_finite()),
                            "{solver:?} {curve:?}"
                        );
                    }
                }
            }
        }
        // Ancestral, every spacing, as many steps as there are: the noise is real at every step but the last.
        for spacing in [
            Spacing::Trailing,
            Spacing::Linspace,
            Spacing::LinspaceFractional,
            Spacing::LeadingOpen { offset: 0 },
        ] {
            let mut levels = vec![Level::default(); train_steps + 1];
            let grid = betas.grid(train_steps, spacing, Final::Data, &mut levels).unwrap();
            let plan = planned(EulerAncestral::default().into(), &grid, Prediction::Epsilon, &mut nodes);
            assert_eq!(plan.evaluations(), train_steps, "as many as asked");
            assert!(
                plan.nodes()[1..train_steps].iter().all(|node| node.noise > 0.0 && node.noise.is_finite())
            );
        }
    }
}

#[test]
fn zero_terminal_snr_is_an_error_or_has_its_limit() {
    let betas = Betas::scaled_linear(1000, 0.00085, 0.012).zero_snr();
    let before = Betas::scaled_linear(1000, 0.00085, 0.012).level(0).unwrap();
    let mut levels = vec![Level::default(); 11];
    let grid = betas.trailing(10, &mut levels).unwrap();
    assert_eq!(grid.levels()[0], Level { alpha: 0.0, sigma: 1.0, t: 999.0 });
    assert!(
        (betas.level(0).unwrap().alpha - before.alpha).abs() < 1e-12,
        "the first timestep keeps its level"
    );
    let curve = betas.respaced(10, &Curve::karras(), Final::Data, &mut [Level::default(); 11]).map(|_| ());
    assert!(matches!(curve, Err(ScheduleError::SigmaRange { .. })), "{curve:?}");

    let ring = Ring::default();
    let noise = Noise::seeded(8);
    // The limit: the same run from a level with next to no signal.
    let mut near: Vec<Level> = grid.levels().to_vec();
    near[0].alpha = 1e-9;
    let near = Grid::new(&near).unwrap();
    let (mut nodes, mut limit) = (Vec::new(), Vec::new());
    let (mut reached, mut refused) = (0, 0);
    for solver in all() {
        nodes.resize(solver.nodes(10), Node::default());
        let error = solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap_err();
        assert!(matches!(error, PlanError::Singular { node: 0 | 1, alpha: 0.0, .. }), "{solver:?}: {error}");
        assert!(error.to_string().contains("zero SNR"), "{error}");
        for prediction in [Prediction::V, Prediction::Sample] {
            let mut model = ring.mixture().predicting(prediction);
            nodes.resize(solver.nodes(10), Node::default());
            match solver.plan(&grid, prediction, &mut nodes) {
                Ok(plan) => {
                    let got = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
                    let plan = planned(solver, &near, prediction, &mut limit);
                    let expected = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
                    let distance = picardy_tests::distance(&got.x, &expected.x);
                    // Higher orders meet their limit slowly: a past step of length 20 in lambda, not of infinite length.
                    assert!(distance < 0.05, "{solver:?} {distance}");
                    reached += 1;
                }
                Err(error) => {
                    assert!(matches!(error, PlanError::Singular { node: 0 | 1, alpha: 0.0, .. }), "{error}");
                    refused += 1;
                }
            }
        }
    }
    println!("{reached} reached, {refused} refused");
    assert!(reached > refused);
}

#[test]
fn few_steps_and_any_end_make_sound_plans() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let mut nodes = Vec::new();
    for betas in [Betas::linear(1000, 1e-4, 2e-2), Betas::cosine(100)] {
        for last in [Final::Data, Final::FirstTimestep] {
            for steps in [1, 2, 3, 4, 100] {
                for spacing in [Spacing::Trailing, Spacing::LinspaceOpen, Spacing::LeadingOpen { offset: 1 }]
                {
                    let mut levels = vec![Level::default(); steps + 1];
                    // offset 1 has no room for all 100 of 100 timesteps.
                    let spacing = match spacing {
                        Spacing::LeadingOpen { .. } if steps == 100 => Spacing::LeadingOpen { offset: 0 },
                        other => other,
                    };
                    let grid = betas.grid(steps, spacing, last, &mut levels).unwrap();
                    let start = grid.levels()[0].sigma / grid.levels()[0].alpha;
                    for solver in all().map(|solver| with_betas(solver, betas)) {
                        let plan = planned(solver, &grid, Prediction::Epsilon, &mut nodes);
                        let got =
                            run::<f64, _, _, _>(&Sequential, &plan, &mut model, &Noise::seeded(5), 2, 2)
                                .unwrap();
                        // The data lie within 2. Trapezoids and extrapolations over one to four steps leave a part of the start.
                        let coarse = matches!(
                            solver,
                            AnySolver::Heun(Heun { coordinates: Coordinates::Ve })
                                | AnySolver::Edm(_)
                                | AnySolver::GradientEstimation(_)
                                | AnySolver::Pndm(_)
                        );
                        let most = if coarse && steps < 100 { 6.0 + 2.0 * start } else { 6.0 };
                        assert!(
                            got.x.iter().all(|x| x.abs() < most),
                            "{solver:?} {steps} {spacing:?} {last:?} {:?}",
                            got.x
                        );
                        assert!(plan.evaluations() >= steps);
                    }
                }
            }
        }
        let mut levels = vec![Level::default(); 2000];
        let asked = betas.train_steps + 1;
        let error = ScheduleError::TooManySteps { asked, train_steps: betas.train_steps };
        assert_eq!(
            betas.grid(asked, Spacing::LeadingOpen { offset: 0 }, Final::Data, &mut levels),
            Err(error)
        );
        assert_eq!(betas.respaced(asked, &Curve::karras(), Final::Data, &mut levels), Err(error));
    }
}

#[test]
fn settings_out_of_range_are_errors() {
    let mut levels = [Level::default(); 11];
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels).unwrap();
    let mut nodes = [Node::default(); 40];
    let wrong: [AnySolver; 18] = [
        DpmSolverPp { order: 0, ..DpmSolverPp::order2() }.into(),
        DpmSolverPp { order: 4, ..DpmSolverPp::order2() }.into(),
        DpmSolverPp { order: 3, ..DpmSolverPp::sde() }.into(),
        DpmSolverSingle { order: 4 }.into(),
        UniPc { order: 4, ..UniPc::default() }.into(),
        Deis { order: 0, ..Deis::default() }.into(),
        Lms { order: 5 }.into(),
        GradientEstimation { gamma: f64::NAN, mu: 0.0 }.into(),
        GradientEstimation { gamma: 2.0, mu: 1.0 }.into(),
        Edm { s_churn: -1.0, ..Edm::default() }.into(),
        Edm { s_max: f64::NAN, ..Edm::default() }.into(),
        Edm { s_max: -1.0, ..Edm::default() }.into(),
        Edm { s_min: 2.0, s_max: 1.0, ..Edm::default() }.into(),
        DdimStride { betas: Betas::cosine(100), ..DdimStride::default() }.into(),
        EulerAncestral { eta: 1.5 }.into(),
        Lcm { sigma_data: 0.0, ..Lcm::default() }.into(),
        Tcd { betas: Betas::cosine(100), ..Tcd::default() }.into(),
        Pinned { variance: -1.0 }.into(),
    ];
    for solver in wrong {
        let error = solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap_err();
        assert!(!matches!(error, PlanError::NotFinite { .. }), "{solver:?}: {error}");
    }
    for (name, solver) in AnySolver::list() {
        let needed = solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap().nodes().len();
        assert!(needed <= solver.nodes(10), "{name}");
        let error = solver.plan(&grid, Prediction::Epsilon, &mut nodes[..needed - 1]).unwrap_err();
        assert_eq!(error, PlanError::Buffer { needed, given: needed - 1 }, "{name}");
    }
}

/// `X/sqrt(tau)` of the pinned process of variance 1 is DDPM's state, noise for noise.
#[test]
fn the_pinned_process_is_ddpm_in_other_coordinates() {
    let mut levels = [Level::default(); 51];
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(50, &mut levels).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let pinned = planned(Pinned::default().into(), &grid, Prediction::Epsilon, &mut a);
    let ddpm = planned(Ddpm::fixed_small().into(), &grid, Prediction::Epsilon, &mut b);
    let noise = Noise::seeded(2);
    let x = run::<f64, _, _, _>(&Sequential, &pinned, &mut model, &noise, 4, 2).unwrap().x;
    let y = run::<f64, _, _, _>(&Sequential, &ddpm, &mut model, &noise, 4, 2).unwrap().x;
    assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-9), "{x:?} {y:?}");
}

/// The claim is 1 ms, grid and plan, in a release build on a host core; the bin `plan_time` prints what it takes. The best of
/// many, so that another process on the core does not count; builds with checks are only kept from being absurd.
#[test]
fn a_plan_of_1000_steps_takes_no_time() {
    let limit = if cfg!(debug_assertions) { 10e-3 } else { 1e-3 };
    let (mut levels, mut nodes) = (vec![Level::default(); 1001], vec![Node::default(); 3001]);
    for (name, solver) in AnySolver::list() {
        let mut best = f64::INFINITY;
        for _ in 0..200 {
            let start = std::time::Instant::now();
            let grid = Betas::cosine(1000).trailing(1000, &mut levels).unwrap();
            solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
            if best < limit {
                break;
            }
        }
        assert!(best < limit, "{name}: {best} s");
    }
}
