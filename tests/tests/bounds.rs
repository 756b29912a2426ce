//! What a run costs at most, whatever the network says; and the best state so far, asked for on the way.

use picardy::{
    AnySampler, AnySolver, Batch, Betas, Bound, Form, Level, Memory, Node, Noise, Parareal, Picard, Plan,
    Prediction, Run, Sampler, Sequential, Slope, Solver, Speculative, Start, denoiser,
};
use picardy_tests::{Ring, random_plan};
use proptest::prelude::*;
use std::ops::ControlFlow;

/// Plans of solvers of every kind of reach (at an index), or random ones.
fn plan_of(kind: usize, seed: u64, steps: usize, nodes: &mut Vec<Node>) -> Plan<'_> {
    const SOLVERS: [&str; 7] = ["ddim", "ddpm", "dpmsolver++", "heun", "unipc", "dpmsolver++3s", "pndm"];
    let Some(name) = SOLVERS.get(kind) else {
        let form = if kind.is_multiple_of(2) { Form::Data } else { Form::Noise };
        return random_plan(seed, steps, form, nodes);
    };
    let solver: AnySolver = name.parse().unwrap();
    let mut levels = vec![Level::default(); steps + 1];
    let grid = Betas::scaled_linear(1000, 0.00085, 0.012).trailing(steps, &mut levels).unwrap();
    nodes.resize(solver.nodes(steps), Node::default());
    solver.plan(&grid, Prediction::Epsilon, nodes).unwrap()
}

fn samplers() -> impl Strategy<Value = AnySampler> {
    let window = prop_oneof![1usize..30, Just(usize::MAX)];
    let tolerance = prop_oneof![Just(0.0), 1e-4..1.0f64];
    let start =
        prop_oneof![Just(Start::Constant), Just(Start::Gaussian), (1usize..40).prop_map(Start::Coarse)];
    let slope = prop_oneof![Just(Slope::Secant), Just(Slope::Identity), Just(Slope::Multisecant(2))];
    let picard = (
        window.clone(),
        1usize..6,
        prop_oneof![1usize..40, Just(usize::MAX)],
        start,
        slope,
        0usize..4,
        tolerance.clone(),
    );
    let picard = picard.prop_map(|(window, stride, rows, start, slope, anderson, tolerance)| {
        AnySampler::Picard(Picard {
            window,
            stride,
            rows,
            start,
            slope,
            anderson,
            tolerance,
            ..Picard::default()
        })
    });
    let parareal = (0usize..12, tolerance, any::<bool>()).prop_map(|(blocks, tolerance, pipelined)| {
        AnySampler::Parareal(Parareal { blocks, tolerance, pipelined, ..Parareal::default() })
    });
    let speculative = (window, 0usize..4).prop_map(|(draft, sweeps)| {
        AnySampler::Speculative(Speculative { draft, sweeps, ..Speculative::default() })
    });
    prop_oneof![1 => Just(AnySampler::Sequential(Sequential)), 4 => picard, 2 => parareal, 2 => speculative]
}

/// A network that never says the same twice, and answers far off: what is hardest to run in parallel.
fn fickle(seed: u64) -> impl FnMut(&Batch<'_>, &[f64], &mut [f64]) -> Result<(), ()> {
    let mut call = 0;
    move |_, x, out| {
        call += 1;
        Noise::seeded(seed).fill(3.0, call, 0, out);
        for (out, x) in out.iter_mut().zip(x) {
            *out += 0.3 * x;
        }
        Ok(())
    }
}

/// Whether the sampler refuses the plan, as parareal does where it has no cuts and speculation where it has no noise.
fn refuses(sampler: &AnySampler, plan: &Plan<'_>, batch: usize) -> bool {
    let (mut memory, noise, x) = (Memory::<f64>::new(), Noise::seeded(0), vec![0.0; batch * 2]);
    let mut workspace = memory.workspace(sampler.need(plan, batch), 2);
    sampler.begin(plan, &noise, &x, &mut workspace).is_err()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_run_exceeds_its_bound(
        sampler in samplers(), kind in 0usize..11, seed in any::<u64>(), steps in 1usize..24, batch in 1usize..4,
        honest in prop::bool::weighted(0.2),
    ) {
        let mut nodes = Vec::new();
        let plan = plan_of(kind, seed, steps, &mut nodes);
        prop_assume!(!refuses(&sampler, &plan, batch));
        let (noise, mut x, mut memory) = (Noise::seeded(seed), vec![0.0; batch * 2], Memory::new());
        plan.start(&noise, 2, &mut x);
        let bound = sampler.bound(&plan, batch);
        let mut workspace = memory.workspace(sampler.need(&plan, batch), 2);
        let mut rows = 0;
        let mut watch = |round: &picardy::Round| { rows = rows.max(round.rows); ControlFlow::Continue(()) };
        let report = if honest {
            let ring = Ring::default();
            let mut model = ring.mixture().predicting(Prediction::Epsilon);
            sampler.run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, &mut watch).unwrap()
        } else {
            let mut model = denoiser::from_fn(fickle(seed));
            sampler.run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, &mut watch).unwrap()
        };
        let got = Bound { rounds: report.rounds, evaluations: report.evaluations, rows };
        prop_assert!(report.finished);
        prop_assert!(
            got.rounds <= bound.rounds && got.evaluations <= bound.evaluations && got.rows <= bound.rows,
            "{got:?} of {bound:?}"
        );
        if let AnySampler::Sequential(_) = sampler {
            prop_assert_eq!(got, bound);
        }
    }

    #[test]
    fn the_best_so_far_is_that_of_a_run_stopped_there_and_changes_nothing(
        sampler in samplers(), kind in 0usize..11, seed in any::<u64>(), steps in 1usize..16, batch in 1usize..3,
    ) {
        let mut nodes = Vec::new();
        let plan = plan_of(kind, seed, steps, &mut nodes);
        prop_assume!(!refuses(&sampler, &plan, batch));
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let (noise, mut start) = (Noise::seeded(seed), vec![0.0; batch * 2]);
        plan.start(&noise, 2, &mut start);
        let (mut one, mut other) = (Memory::<f64>::new(), Memory::<f64>::new());
        let need = sampler.need(&plan, batch);
        let mut workspace = one.workspace(need, 2);
        let mut run = sampler.begin(&plan, &noise, &start, &mut workspace).unwrap();
        let mut stops = 0;
        loop {
            let mut best = vec![f64::NAN; batch * 2];
            run.best(&mut best);
            // Asked twice, it says the same.
            let mut again = vec![f64::NAN; batch * 2];
            run.best(&mut again);
            prop_assert_eq!(&best, &again);
            let mut workspace = other.workspace(need, 2);
            let mut stopped = sampler.begin(&plan, &noise, &start, &mut workspace).unwrap();
            for _ in 0..stops {
                stopped.round(&mut model).unwrap();
            }
            let mut x = start.clone();
            prop_assert_eq!(stopped.finish(&mut x), run.report());
            prop_assert_eq!(&best, &x, "after {} rounds", stops);
            stops += 1;
            if run.round(&mut model).unwrap().is_none() {
                break;
            }
        }
    }
}
