//! What a run leaves behind, and what it begins with: used memory, plans that begin unasked, runs that are stopped early.

use picardy::{
    AnySampler, Form, Memory, Noise, Parareal, Picard, Plan, Prediction, Report, Run, Sampler, Sequential,
    Slope, Speculative, Start, Tensor, Term,
};
use picardy_tests::{Ring, Solved, plan, run};

/// A run in this memory, stopped after so many rounds.
fn run_in(
    sampler: &AnySampler,
    plan: &Plan<'_>,
    seed: u64,
    items: usize,
    memory: &mut Memory<f64>,
    stop: usize,
) -> (Vec<f64>, Report) {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(seed);
    let mut x = vec![0.0; 2 * items];
    plan.start(&noise, 2, &mut x);
    let mut workspace = memory.workspace(sampler.need(plan, items), 2);
    let mut run = sampler.begin(plan, &noise, &x, &mut workspace).unwrap();
    for _ in 0..stop {
        if run.round(&mut model).unwrap().is_none() {
            break;
        }
    }
    let report = run.finish(&mut x);
    (x, report)
}

#[test]
fn a_workspace_that_was_used_gives_what_a_new_one_does() {
    let nodes = plan(Solved::Ddpm, 60);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let slopes = [
        Slope::Identity,
        Slope::Frozen,
        Slope::Gaussian,
        Slope::Secant,
        Slope::Multisecant(1),
        Slope::Multisecant(4),
    ];
    let picards = slopes
        .map(|slope| AnySampler::Picard(Picard { slope, window: 20, tolerance: 0.05, ..Picard::default() }));
    let others = [AnySampler::Parareal(Parareal::default()), AnySampler::Speculative(Speculative::default())];
    for sampler in picards.iter().chain(&others) {
        for seed in 0..5 {
            let fresh = run_in(sampler, &plan, seed, 4, &mut Memory::new(), usize::MAX);
            let mut used = Memory::new();
            run_in(sampler, &plan, seed + 1000, 4, &mut used, usize::MAX);
            assert_eq!(fresh, run_in(sampler, &plan, seed, 4, &mut used, usize::MAX), "{sampler:?}");
        }
    }
}

/// The network is not asked at node 0, a plain step; memory is full of NaN.
#[test]
fn a_plan_that_begins_unasked_starts_as_any() {
    let mut nodes = plan(Solved::Ddim(0.0), 20);
    nodes.insert(0, nodes[0]);
    nodes[0].evaluate = None;
    nodes[1].states = [Term::new(1, 1.0), Term::NONE];
    nodes[1].noise = 0.0;
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let want = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &Noise::seeded(3), 2, 2).unwrap();
    for start in [Start::Constant, Start::Gaussian, Start::Coarse(1), Start::Coarse(4), Start::Coarse(100)] {
        let sampler = AnySampler::Picard(Picard { start, tolerance: 0.0, ..Picard::default() });
        let mut memory = Memory::new();
        let mut frames = memory.workspace(sampler.need(&plan, 2), 2).into_frames();
        for row in 0..frames.rows() {
            frames.load(row, &[f64::NAN; 2]);
        }
        assert_eq!(run_in(&sampler, &plan, 3, 2, &mut memory, usize::MAX).0, want.x, "{start:?}");
    }
}

/// After a tenth of the nodes a state is still noise, of rms 1, and the estimate of the data is near their mean, 0.
#[test]
fn a_run_that_is_stopped_gives_data() {
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
    let mut noise = vec![0.0; 128];
    plan.start(&Noise::seeded(1), 2, &mut noise);
    assert!(rms(&noise) > 0.8);
    for start in [Start::Constant, Start::Gaussian, Start::Coarse(4)] {
        let sampler = AnySampler::Picard(Picard { start, window: 10, ..Picard::default() });
        for stop in 1..=4 {
            let (x, report) = run_in(&sampler, &plan, 1, 64, &mut Memory::new(), stop);
            assert!(!report.finished && rms(&x) < 0.3, "{start:?} after {stop}: {}", rms(&x));
        }
    }
}
