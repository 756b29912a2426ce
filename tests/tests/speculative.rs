//! Speculative samples have the law of the sequential ones, and come in fewer rounds.
//!
//! The tests of laws have fixed seeds. Of seeds drawn at random, each would fail one time in a thousand; what each finds
//! with probability 0.99 stands beside it.

use picardy::guard::Clamp;
use picardy::{
    Batch, Form, Guarded, Level, Mixture, Node, Noise, Picard, Plan, Prediction, Readout, Run, SampleError,
    Sampler, Sequential, SetupError, SliceFrames, Span, Speculative, Term, Workspace, denoiser,
};
use picardy_tests::{Ring, Solved, chi_square_of_signs, ks, ks_detects, ks_limit, plan, random_plan, run};
use proptest::prelude::*;

/// Two modes of unequal weight that lie close enough to be decided over many steps.
const MEANS: [f64; 2] = [-1.0, 0.8];
const WEIGHTS: [f64; 2] = [0.35, 0.65];

fn modes() -> Mixture<'static> {
    Mixture::new(&MEANS, &WEIGHTS, 0.2, 1).unwrap()
}

/// `n` samples of one number, in batches of a thousand.
fn samples<S: Sampler>(sampler: &S, plan: &Plan<'_>, seed: u64, n: usize) -> Vec<f64> {
    let mut model = modes().predicting(Prediction::Epsilon);
    let mut all = Vec::new();
    for first in (0..n).step_by(1000) {
        let noise = Noise::seeded(seed).from_item(first as u64);
        all.extend(run::<f64, _, _, _>(sampler, plan, &mut model, &noise, 1000, 1).unwrap().x);
    }
    all
}

/// What becomes of a draft.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Right,
    AcceptAlways,
    /// A rejected draft is replaced by `m_q + sigma z`.
    NoReflection,
    /// The ratio of the densities the wrong way round.
    Inverse,
    /// `z` of the rejected node is drawn anew.
    Redrawn,
}

/// Speculative sampling of one number in a few lines, drafts with a frozen x0-hat of 0 at first: to show that the tests'
/// statistics catch wrong rules.
fn by_rule(rule: Rule, plan: &Plan<'_>, seed: u64, n: usize) -> Vec<f64> {
    let (nodes, mixture) = (plan.nodes(), modes());
    let noise = Noise::seeded(seed);
    let mean = |k: usize, x: f64, m: f64| nodes[k].states[0].weight * x + nodes[k].outputs[0].weight * m;
    let one = |item: usize| {
        let z: Vec<f64> = (0..nodes.len()).map(|k| noise.block(item, k, 0)[0]).collect();
        let (mut x, mut guess) = (z[0] * nodes[0].noise, 0.0);
        let mut k = 1;
        while k < nodes.len() {
            // A window of drafts from here, all with one guess.
            let from_guess = guess;
            while k < nodes.len() {
                let mut truth = [0.0];
                mixture.denoise(&[x], &nodes[k - 1].level, &mut truth);
                guess = truth[0];
                let (p, q, sigma) = (mean(k, x, from_guess), mean(k, x, guess), nodes[k].noise);
                k += 1;
                if sigma == 0.0 {
                    x = q;
                    break;
                }
                let (d, e) = ((q - p).abs() / sigma, (q - p).signum());
                let (s, u) = (e * z[k - 1], noise.uniform(item, k - 1).unwrap());
                let ratio = d * (s - 0.5 * d);
                let accepted = match rule {
                    Rule::AcceptAlways => true,
                    Rule::Inverse => u.ln() <= -ratio,
                    _ => u.ln() <= ratio,
                };
                if accepted {
                    x = p + sigma * z[k - 1];
                    continue;
                }
                x = q + sigma
                    * match rule {
                        Rule::NoReflection => z[k - 1],
                        Rule::Redrawn => noise.block(item, k - 1, 1)[0],
                        _ => z[k - 1] - 2.0 * s * e,
                    };
                break;
            }
        }
        x
    };
    (0..n).map(one).collect()
}

#[test]
fn samples_have_the_sequential_law_and_the_test_finds_wrong_rules() {
    const N: usize = 200_000;
    // A distance of 0.01 between the distribution functions is found with probability 0.99.
    assert!(ks_detects(N, N) < 0.01);
    for (steps, few) in [(20, 4), (50, 1)] {
        let nodes = plan(Solved::Ddpm, steps);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let mut reference = samples(&Sequential, &plan, 1, N);
        let same = |mut got: Vec<f64>, reference: &mut [f64]| {
            let chi = chi_square_of_signs(&got, reference);
            let distance = ks(&mut got, reference);
            (distance <= ks_limit(N, N) && chi <= 10.83, distance, chi)
        };
        let samplers = [
            Speculative::default(),
            Speculative { draft: 7, ..Speculative::default() },
            Speculative { draft: 15, sweeps: 1, ..Speculative::default() },
            Speculative { sweeps: 2, data_variance: 0.3, ..Speculative::default() },
        ];
        for sampler in samplers.into_iter().take(few) {
            let got = same(samples(&sampler, &plan, 2, N), &mut reference);
            assert!(got.0, "{steps} {sampler:?}: {got:?}");
        }
        let rules = [Rule::Right, Rule::AcceptAlways, Rule::NoReflection, Rule::Inverse, Rule::Redrawn];
        for rule in rules.into_iter().filter(|_| few > 1) {
            let got = same(by_rule(rule, &plan, 3, N), &mut reference);
            assert_eq!(got.0, rule == Rule::Right, "{steps} {rule:?}: {got:?}");
        }
    }
}

/// Gaussian data: states are Gaussian, with means and covariances in closed form. A node that has been put behind node `k`
/// gives `a x_k + b x_{k-1}`, so that laws of pairs of consecutive states are seen too.
#[test]
fn consecutive_states_have_their_joint_law_in_closed_form() {
    const N: usize = 100_000;
    let (mean, std) = (0.7, 0.4);
    let nodes = plan(Solved::Ddpm, 20);
    let means = [mean];
    let mixture = Mixture::new(&means, &[1.0], std, 1).unwrap();
    // m = g x + c
    let line = |level: &Level| {
        let (mut at0, mut at1) = ([0.0], [0.0]);
        mixture.denoise(&[0.0], level, &mut at0);
        mixture.denoise(&[1.0], level, &mut at1);
        (at1[0] - at0[0], at0[0])
    };
    for k in [2, 9, 19] {
        let (mut mu, mut variance) = (0.0, nodes[0].noise.powi(2));
        let (mut mu_before, mut variance_before, mut covariance) = (0.0, 0.0, 0.0);
        for j in 1..=k {
            let (g, c) = line(&nodes[j - 1].level);
            let (a, b) = (nodes[j].states[0].weight, nodes[j].outputs[0].weight);
            (mu_before, variance_before) = (mu, variance);
            covariance = (a + b * g) * variance;
            mu = (a + b * g) * mu + b * c;
            variance = (a + b * g).powi(2) * variance + nodes[j].noise.powi(2);
        }
        for (a, b) in [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0)] {
            let mut front = nodes[..=k].to_vec();
            let mut tail = Node { level: nodes[k].level, ..Node::default() };
            tail.states = [Term::new(1, a), Term::new(2, b)];
            front.push(tail);
            let plan = Plan::new(&front, Form::Data).unwrap();
            let want_mean = a * mu + b * mu_before;
            let want = a * a * variance + 2.0 * a * b * covariance + b * b * variance_before;
            // A wrong variance of the data, so that drafts are off.
            let sampler = Speculative { data_variance: 3.0, draft: 8, ..Speculative::default() };
            let mut model = mixture.predicting(Prediction::Epsilon);
            let noise = Noise::seeded(k as u64);
            let got = run::<f64, _, _, _>(&sampler, &plan, &mut model, &noise, N, 1).unwrap();
            assert!(k == 2 || got.report.rounds > 3, "drafts were all accepted: {:?}", got.report);
            let n = N as f64;
            let got_mean = got.x.iter().sum::<f64>() / n;
            let square = got.x.iter().map(|x| (x - want_mean).powi(2)).sum::<f64>() / n;
            // Standard normal each; 3.9 is exceeded one time in ten thousand. A mean that is off by 0.02 standard deviations,
            // and a variance by 3 percent, are found with probability 0.99.
            let z = [(got_mean - want_mean) / (want / n).sqrt(), (square / want - 1.0) * (n / 2.0).sqrt()];
            assert!(z.iter().all(|z| z.abs() < 3.9), "node {k}, {a} and {b}: {z:?}");
        }
    }
}

#[test]
fn plans_that_reach_far_back_keep_their_law() {
    const N: usize = 20_000;
    assert!(ks_detects(N, N) < 0.033);
    for (seed, form) in [(3, Form::Data), (4, Form::Noise), (5, Form::Data)] {
        let mut nodes = Vec::new();
        let plan = random_plan(seed, 12, form, &mut nodes);
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let mut first = |sampler: &dyn Fn(&Noise<'_>, &mut picardy::MixtureDenoiser<'_>) -> Vec<f64>,
                         seed| {
            sampler(&Noise::seeded(seed), &mut model).iter().step_by(2).copied().collect::<Vec<f64>>()
        };
        let mut reference =
            first(&|noise, model| run::<f64, _, _, _>(&Sequential, &plan, model, noise, N, 2).unwrap().x, 10);
        for sampler in [
            Speculative::default(),
            Speculative { draft: 3, ..Speculative::default() },
            Speculative { draft: 5, sweeps: 1, ..Speculative::default() },
        ] {
            let mut got = first(
                &|noise, model| run::<f64, _, _, _>(&sampler, &plan, model, noise, N, 2).unwrap().x,
                11,
            );
            let distance = ks(&mut got, &mut reference);
            assert!(distance < ks_limit(N, N), "{seed} {form:?} {sampler:?}: {distance}");
        }
    }
}

#[test]
fn under_a_guard_the_law_is_the_guarded_one() {
    const N: usize = 50_000;
    let nodes = plan(Solved::Ddim(0.8), 20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut model = Guarded::new(modes().predicting(Prediction::Epsilon), Clamp::new(-0.9, 0.75).unwrap());
    let mut reference =
        run::<f64, _, _, _>(&Sequential, &plan, &mut model, &Noise::seeded(1), N, 1).unwrap().x;
    let sampler = Speculative::default();
    let mut got = run::<f64, _, _, _>(&sampler, &plan, &mut model, &Noise::seeded(2), N, 1).unwrap().x;
    // To rounding: the last step is the clamped estimate, and a vanishing share of the state.
    assert!(got.iter().all(|x| (-0.9 - 1e-12..=0.75 + 1e-12).contains(x)));
    let distance = ks(&mut got, &mut reference);
    assert!(distance < ks_limit(N, N), "{distance}");
}

#[test]
fn gaussian_data_takes_one_round_and_is_the_sequential_run() {
    let mixture = Mixture::new(&[0.0, 0.0], &[1.0], 1.0, 2).unwrap();
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut model = mixture.predicting(Prediction::Epsilon);
    let noise = Noise::seeded(5);
    let want = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 8, 2).unwrap();
    let got = run::<f64, _, _, _>(&Speculative::default(), &plan, &mut model, &noise, 8, 2).unwrap();
    assert_eq!((got.report.rounds, got.report.evaluations), (1, 800));
    assert!(got.x.iter().zip(&want.x).all(|(a, b)| (a - b).abs() < 1e-9));
}

/// What runs cost on the ring of eight Gaussians, batch 16. A change here is a change of the algorithm: say why in the
/// commit.
#[test]
fn costs_are_golden() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(0);
    let mut got = Vec::new();
    for (solver, steps) in [(Solved::Ddpm, 200), (Solved::Ddpm, 1000), (Solved::Ddim(0.5), 100)] {
        let nodes = plan(solver, steps);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        for (draft, sweeps) in [(usize::MAX, 0), (50, 0), (usize::MAX, 1)] {
            let sampler = Speculative { draft, sweeps, ..Speculative::default() };
            let run = run::<f64, _, _, _>(&sampler, &plan, &mut model, &noise, 16, 2).unwrap();
            assert!(run.report.finished && run.report.rounds < steps / 4);
            got.push((steps, draft.min(steps), sweeps, run.report.rounds, run.report.evaluations));
        }
    }
    assert_eq!(
        got,
        [
            (200, 200, 0, 5, 4155),
            (200, 50, 0, 8, 3898),
            (200, 200, 1, 6, 7084),
            (1000, 1000, 0, 7, 23435),
            (1000, 50, 0, 24, 17602),
            (1000, 1000, 1, 8, 36440),
            (100, 100, 0, 8, 2019),
            (100, 50, 0, 6, 1993),
            (100, 100, 1, 4, 3512),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_item_depends_on_its_batch(
        seed in any::<u64>(), split in 1usize..5, draft in 1usize..50, sweeps in 0usize..3, plain in any::<bool>(),
    ) {
        let mut nodes = if plain { plan(Solved::Ddpm, 40) } else { Vec::new() };
        let plan =
            if plain { Plan::new(&nodes, Form::Data).unwrap() } else { random_plan(seed, 17, Form::Noise, &mut nodes) };
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let noise = Noise::seeded(seed);
        let sampler = Speculative { draft, sweeps, ..Speculative::default() };
        let whole = run::<f64, _, _, _>(&sampler, &plan, &mut model, &noise, 5, 2).unwrap();
        prop_assert!(whole.report.finished && whole.report.rounds <= plan.last() * (sweeps + 1));
        let front = run::<f64, _, _, _>(&sampler, &plan, &mut model, &noise, split, 2).unwrap();
        prop_assert_eq!(&front.x[..], &whole.x[..2 * split]);
        let mut evaluations = front.report.evaluations;
        if split < 5 {
            let rest = noise.from_item(split as u64);
            let back = run::<f64, _, _, _>(&sampler, &plan, &mut model, &rest, 5 - split, 2).unwrap();
            prop_assert_eq!(&back.x[..], &whole.x[2 * split..]);
            evaluations += back.report.evaluations;
        }
        // Items that are done cost nothing.
        prop_assert_eq!(evaluations, whole.report.evaluations);
    }
}

#[test]
fn a_plan_of_one_step_runs() {
    let level = |alpha: f64, sigma: f64| Level { alpha, sigma, t: 0.0 };
    let mut nodes = [Node { level: level(0.6, 0.8), noise: 1.0, ..Node::default() }, Node::default()];
    nodes[0].evaluate = Some(Readout { input: 1.0, state: 0.0, output: 1.0 });
    nodes[1].level = level(1.0, 0.1);
    nodes[1].outputs[0] = Term::new(1, 1.0);
    nodes[1].noise = 0.1;
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut model = modes().predicting(Prediction::Sample);
    let got =
        run::<f64, _, _, _>(&Speculative::default(), &plan, &mut model, &Noise::seeded(1), 64, 1).unwrap();
    assert_eq!((got.report.rounds, got.report.evaluations, got.report.finished), (1, 64, true));
    assert!(got.x.iter().all(|x| x.abs() < 1.5));
}

#[test]
fn a_round_that_failed_can_be_asked_for_again() {
    let nodes = plan(Solved::Ddpm, 50);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mixture = modes();
    let mut calls = 0;
    let mut faulty = denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        calls += 1;
        for ((row, x), out) in batch.iter().zip(x.chunks(1)).zip(out.chunks_mut(1)) {
            mixture.denoise(x, &row.level, out);
            out[0] = (x[0] - row.level.alpha * out[0]) / row.level.sigma;
        }
        match calls % 3 {
            0 => return Err("out of order"),
            // The last item's last row: those before it have been read.
            1 => *out.last_mut().unwrap() = f64::NAN,
            _ => {}
        }
        Ok(())
    });
    let noise = Noise::seeded(2);
    for sweeps in [0, 1] {
        let sampler = Speculative { draft: 10, sweeps, ..Speculative::default() };
        let mut exact = mixture.predicting(Prediction::Epsilon);
        let reference = run::<f64, _, _, _>(&sampler, &plan, &mut exact, &noise, 3, 1).unwrap();
        let mut x = vec![0.0; 3];
        plan.start(&noise, 1, &mut x);
        let mut memory = picardy::Memory::new();
        let mut workspace = memory.workspace(sampler.need(&plan, 3), 1);
        let mut run = sampler.begin(&plan, &noise, &x, &mut workspace).unwrap();
        let (mut failures, mut nans) = (0, 0);
        loop {
            match run.round(&mut faulty) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(SampleError::Denoiser("out of order")) => failures += 1,
                Err(SampleError::NotFinite { item, node }) => {
                    assert!(item < 3 && node < 50);
                    nans += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let report = run.finish(&mut x);
        assert!(failures > 1 && nans > 1);
        assert_eq!((x, report), (reference.x, reference.report));
    }
}

#[test]
fn a_run_that_is_stopped_gives_a_guess() {
    let nodes = plan(Solved::Ddpm, 200);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(4);
    for draft in [usize::MAX, 30] {
        let sampler = Speculative { draft, ..Speculative::default() };
        for rounds in [0, 2] {
            let mut x = vec![0.0f64; 16];
            plan.start(&noise, 2, &mut x);
            let mut memory = picardy::Memory::new();
            let mut workspace = memory.workspace(sampler.need(&plan, 8), 2);
            let mut run = sampler.begin(&plan, &noise, &x, &mut workspace).unwrap();
            let mut before = 0;
            for i in 1..=rounds {
                let round = run.round(&mut model).unwrap().unwrap();
                assert!(round.done > before && round.rounds == i && round.evaluations >= round.rows);
                before = round.done;
            }
            let report = run.finish(&mut x);
            assert_eq!((report.rounds, report.finished), (rounds, false));
            assert!(x.iter().all(|x| x.abs() < 4.0), "{x:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_what_would() {
    let nodes = plan(Solved::Ddpm, 10);
    let plan_of = |nodes| Plan::new(nodes, Form::Data).unwrap();
    let stochastic = plan_of(&nodes);
    let ddim = plan(Solved::Ddim(0.0), 10);
    let one = plan(Solved::Ddpm, 1);
    let seeded = Noise::seeded(0);
    let (mut memory, mut spans) = ([0.0f32; 2000], [Span::default(); 2]);
    let good = Speculative::default();
    let rows = good.need(&stochastic, 2).rows;
    let mut begin = |sampler: Speculative, plan: &Plan<'_>, x: &[f32], rows: usize, noise: &Noise<'_>| {
        let mut workspace = Workspace::new(SliceFrames::new(&mut memory[..2 * rows], 2), &mut spans);
        sampler.begin(plan, noise, x, &mut workspace).map(|_| ()).unwrap_err()
    };
    let x = [0.0f32; 4];
    let error = begin(good, &plan_of(&ddim), &x, rows, &seeded);
    assert_eq!(error, SetupError::Noiseless);
    assert!(error.to_string().contains("Picard"), "{error}");
    assert_eq!(begin(good, &plan_of(&one), &x, rows, &seeded), SetupError::Noiseless);
    let tape = [0.0; 40];
    let error = begin(good, &stochastic, &x, rows, &Noise::tape(&tape, 2, 2));
    assert_eq!(error, SetupError::Recorded);
    assert!(error.to_string().contains("seeded"), "{error}");
    assert_eq!(
        begin(Speculative { draft: 0, ..good }, &stochastic, &x, rows, &seeded),
        SetupError::Zero("draft")
    );
    let variance = Speculative { data_variance: -1.0, ..good };
    assert_eq!(begin(variance, &stochastic, &x, rows, &seeded), SetupError::DataVariance(-1.0));
    assert!(matches!(begin(good, &stochastic, &x, rows - 1, &seeded), SetupError::Workspace { .. }));
    assert_eq!(begin(good, &stochastic, &x[..3], rows, &seeded), SetupError::Shape { len: 3, dim: 2 });
    let nan = [0.0, 0.0, f32::NAN, 0.0];
    assert_eq!(begin(good, &stochastic, &nan, rows, &seeded), SetupError::Start { item: 1 });
    // Sizes beyond memory.
    let all = Speculative { draft: usize::MAX, ..good };
    assert_eq!(all.need(&stochastic, usize::MAX).rows, usize::MAX);
}

#[test]
fn fewer_rounds_than_picard_where_both_run() {
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let nodes = plan(Solved::Ddpm, 1000);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(8);
    let picard = run::<f32, _, _, _>(&Picard::default(), &plan, &mut model, &noise, 16, 2).unwrap().report;
    let got = run::<f32, _, _, _>(&Speculative::default(), &plan, &mut model, &noise, 16, 2).unwrap().report;
    assert!(got.evaluations < picard.evaluations, "{got:?} {picard:?}");
}
