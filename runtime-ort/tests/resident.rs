//! States that stay on the device: every sampler gets the host path's samples, and nothing but inner products comes back.
//!
//! On the processor's provider in `cargo test`; tests/webgpu.sh and tests/cuda.sh run the same on the provider that
//! PICARDY_TEST_PROVIDER names.

use std::sync::OnceLock;

use picardy::{
    AnySampler, Betas, Ddim, Ddpm, DpmSolverPp, Edm, Level, Link, Mark, Node, Noise, Parareal, Picard, Plan,
    Prediction, Report, Run, SampleError, Sampler, Sequential, SetupError, SliceFrames, Slope, Solver, Span,
    Speculative, Start, Tensor, Workspace,
};
use picardy_ort::{
    GpuGraphs, Model, Options, OrtDenoiser, OrtError, Provider, ResidentFrames, Runtime, ensure_runtime,
};
use picardy_trainer::data::dino_points;
use picardy_trainer::exact::exact_onnx;
use picardy_trainer::onnx::{Element, Extent, GraphBuilder};

const BETAS: Betas = Betas::linear(1000, 1e-4, 2e-2);

fn provider() -> Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    *PROVIDER.get_or_init(|| {
        let provider =
            std::env::var("PICARDY_TEST_PROVIDER").map_or(Provider::Cpu, |name| name.parse().unwrap());
        if Runtime::load_for(provider, None).is_err() {
            ensure_runtime().unwrap();
        }
        provider
    })
}

/// With captured runs as PICARDY_TEST_GRAPHS says.
fn options() -> Options {
    let graphs = std::env::var("PICARDY_TEST_GRAPHS").map_or(GpuGraphs::Off, |text| text.parse().unwrap());
    Options { provider: provider(), graphs, ..Options::default() }
}

fn denoiser() -> OrtDenoiser {
    let bytes = exact_onnx(&dino_points(), 0.1, BETAS).unwrap();
    OrtDenoiser::new(Model::from_bytes(&bytes, options()).unwrap()).unwrap()
}

fn nodes(solver: &dyn Fn(&picardy::Grid<'_>, &mut [Node]) -> usize, steps: usize) -> Vec<Node> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); 2 * steps + 1]);
    let grid = BETAS.trailing(steps, &mut levels).unwrap();
    let count = solver(&grid, &mut nodes);
    nodes.truncate(count);
    nodes
}

const SEED: u64 = 11;

/// The samples of the host path.
fn on_host(sampler: &AnySampler, plan: &Plan<'_>, items: usize) -> (Vec<f32>, Report) {
    let (noise, mut x) = (Noise::seeded(SEED), vec![0.0; 2 * items]);
    plan.start(&noise, 2, &mut x);
    let mut memory = picardy::Memory::new();
    let mut workspace = memory.workspace(sampler.need(plan, items), 2);
    let report = sampler.run(plan, &mut denoiser(), &noise, &mut x, &mut workspace).unwrap();
    (x, report)
}

/// The samples of rows that stay on the device, and what crossed the bus in the rounds after the first `begun`.
fn on_device(sampler: &AnySampler, plan: &Plan<'_>, items: usize) -> (Vec<f32>, Report, Vec<[usize; 3]>) {
    let (noise, mut x) = (Noise::seeded(SEED), vec![0.0; 2 * items]);
    plan.start(&noise, 2, &mut x);
    let mut denoiser = denoiser();
    let need = sampler.need(plan, items);
    let frames = ResidentFrames::new(provider(), need, denoiser.item_shape()).unwrap();
    let counted = frames.counter();
    let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
    let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
    let mut run = sampler.begin(plan, &noise, &x, &mut workspace).unwrap();
    let mut rounds = Vec::new();
    let mut before = counted.get();
    while run.round(&mut denoiser).unwrap().is_some() {
        let now = counted.get();
        rounds.push([now.runs - before.runs, now.rows_up - before.rows_up, now.rows_down - before.rows_down]);
        before = now;
    }
    let report = run.finish(&mut x);
    println!("{:?} {:?}", counted.get(), counted.uncaptured());
    (x, report, rounds)
}

fn largest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_sampler_gets_the_host_paths_samples() {
    let ddpm = |grid: &picardy::Grid<'_>, nodes: &mut [Node]| {
        Ddpm::default().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1
    };
    let ddim = |grid: &picardy::Grid<'_>, nodes: &mut [Node]| {
        Ddim::default().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1
    };
    let dpm = |grid: &picardy::Grid<'_>, nodes: &mut [Node]| {
        DpmSolverPp::order2().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1
    };
    let heun = |grid: &picardy::Grid<'_>, nodes: &mut [Node]| {
        Edm::default().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1
    };
    #[allow(clippy::type_complexity)] // A table of closures.
    let solvers: [(&str, &dyn Fn(&picardy::Grid<'_>, &mut [Node]) -> usize, usize); 4] =
        [("ddpm", &ddpm, 30), ("ddim", &ddim, 20), ("dpmsolver++", &dpm, 12), ("edm", &heun, 10)];
    let picard = Picard { tolerance: 1e-3, ..Picard::default() };
    let samplers = [
        AnySampler::Sequential(Sequential),
        AnySampler::Picard(Picard { slope: Slope::Secant, ..picard }),
        AnySampler::Picard(Picard { slope: Slope::Gaussian, stride: 1, ..picard }),
        AnySampler::Picard(Picard { slope: Slope::Identity, start: Start::Constant, ..picard }),
        AnySampler::Picard(Picard { slope: Slope::Multisecant(2), ..picard }),
        AnySampler::Picard(Picard { window: 7, rows: 16, start: Start::Coarse(3), ..picard }),
        AnySampler::Picard(Picard { anderson: 2, ..picard }),
        AnySampler::Parareal(Parareal { tolerance: 1e-4, ..Parareal::default() }),
        AnySampler::Parareal(Parareal { tolerance: 1e-4, pipelined: true, ..Parareal::default() }),
        AnySampler::Speculative(Speculative::default()),
    ];
    for (name, solver, steps) in solvers {
        let nodes = nodes(solver, steps);
        let plan = Plan::new(&nodes, picardy::Form::Data).unwrap();
        for sampler in samplers {
            // Speculative is for stochastic solvers of one step, and a multistep plan cannot be cut into blocks.
            let one_step = matches!(name, "ddpm" | "ddim");
            match sampler {
                AnySampler::Speculative(_) if name != "ddpm" => continue,
                AnySampler::Parareal(_) if !one_step => continue,
                _ => {}
            }
            let (host, host_report) = on_host(&sampler, &plan, 3);
            let (device, device_report, _) = on_device(&sampler, &plan, 3);
            let apart = largest(&host, &device);
            assert!(apart < 1e-4, "{name} {sampler:?}: {apart}");
            let close = host_report.rounds.abs_diff(device_report.rounds) <= 1;
            assert!(close && device_report.finished, "{name} {sampler:?}: {host_report:?} {device_report:?}");
        }
    }
}

#[test]
fn a_round_moves_no_state_over_the_bus() {
    let nodes =
        nodes(&|grid, nodes| Ddpm::default().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1, 100);
    let plan = Plan::new(&nodes, picardy::Form::Data).unwrap();
    let sampler = AnySampler::Picard(Picard { slope: Slope::Secant, ..Picard::default() });
    let (x, report, rounds) = on_device(&sampler, &plan, 4);
    assert!(report.rounds > 3 && x.iter().all(|x| x.is_finite()));
    // The start and its noise come in with the first round, by a run of their own; after it, the model's run and one more, and no
    // row at all. And one for each of the four items at its end: whether its sample is finite.
    let runs: usize = rounds.iter().map(|[runs, ..]| runs).sum();
    assert!(runs <= rounds.len() + 1 + 4, "{rounds:?}");
    for (i, [_, up, down]) in rounds.into_iter().enumerate() {
        assert!(down == 0 && (i == 0 || up == 0), "round {i}: {up} rows up, {down} down");
    }
}

/// The small runs of each round, which resident's module doc states.
#[test]
fn a_round_of_any_solver_takes_few_runs() {
    let ddpm = |grid: &picardy::Grid<'_>, nodes: &mut [Node]| {
        Ddpm::default().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1
    };
    let dpm = |grid: &picardy::Grid<'_>, nodes: &mut [Node]| {
        DpmSolverPp::order2().plan(grid, Prediction::Epsilon, nodes).unwrap().last() + 1
    };
    #[allow(clippy::type_complexity)] // A table of closures.
    let cases: [(&dyn Fn(&picardy::Grid<'_>, &mut [Node]) -> usize, Slope, usize, usize); 5] = [
        (&ddpm, Slope::Secant, 100, 1),
        (&ddpm, Slope::Secant, 1000, 1),
        (&dpm, Slope::Secant, 100, 1),
        (&ddpm, Slope::Multisecant(2), 100, 110),
        (&dpm, Slope::Multisecant(2), 100, 90),
    ];
    for (solver, slope, steps, most) in cases {
        let nodes = nodes(solver, steps);
        let plan = Plan::new(&nodes, picardy::Form::Data).unwrap();
        let sampler = AnySampler::Picard(Picard { slope, ..Picard::default() });
        let (device, report, rounds) = on_device(&sampler, &plan, 1);
        let runs: Vec<usize> = rounds.into_iter().map(|[runs, ..]| runs).collect();
        println!("{slope:?}, {steps} steps, {} rounds: {runs:?}", report.rounds);
        // In the first the start comes in, in the last the sample is seen to be finite.
        let ends = [0, runs.len() - 1];
        let within = |(i, runs): (usize, &usize)| *runs <= most + usize::from(ends.contains(&i));
        assert!(runs.iter().enumerate().all(within), "{slope:?}, {steps} steps: {runs:?}");
        assert!(largest(&on_host(&sampler, &plan, 1).0, &device) < 1e-4);
    }
}

/// A model whose answer is x divided by (t - 5): infinite at t = 5.
fn singular() -> OrtDenoiser {
    let shape = [Extent::Free("n"), Extent::Fixed(2)];
    let mut graph = GraphBuilder::new("singular");
    graph.input("x", Element::F32, &shape);
    graph.input("t", Element::F32, &[Extent::Free("n")]);
    graph.floats("five", &[1], &[5.0]).unwrap();
    graph.integers("axis", &[1]);
    graph.node("past", "Sub", &["t", "five"], &[]);
    graph.node("column", "Unsqueeze", &["past", "axis"], &[]);
    graph.node("out", "Div", &["x", "column"], &[]);
    graph.output("out", &shape);
    OrtDenoiser::new(Model::from_bytes(&graph.finish().unwrap(), options()).unwrap()).unwrap()
}

#[test]
fn what_goes_wrong_on_the_device_is_an_error() {
    let mut levels = [Level::default(); 11];
    let mut nodes = [Node::default(); 11];
    for (k, level) in levels.iter_mut().enumerate() {
        *level = Level { t: 10.0 - k as f64, ..Level::vp(0.05 + 0.094 * k as f64, 0.0) };
    }
    let grid = picardy::Grid::new(&levels).unwrap();
    let plan = Ddim::default().plan(&grid, Prediction::Sample, &mut nodes).unwrap();
    let noise = Noise::seeded(1);
    let mut x = [0.5; 4];
    let picard = Picard::default();
    let need = picard.need(&plan, 2);
    let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
    let frames = ResidentFrames::new(provider(), need, &[2]).unwrap();
    let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
    let error = picard.run(&plan, &mut singular(), &noise, &mut x, &mut workspace).unwrap_err();
    // The first item, at the node of t = 5.
    assert!(matches!(error, SampleError::NotFinite { item: 0, node: 5 }), "{error}");
    assert_eq!(x, [0.5; 4]);

    // Rows of another shape than the model's.
    let need = Sequential.need(&plan, 2);
    let frames = ResidentFrames::new(provider(), need, &[2, 1]).unwrap();
    let mut workspace = Workspace::new(frames, &mut []);
    let error = Sequential.run(&plan, &mut singular(), &noise, &mut x, &mut workspace).unwrap_err();
    assert!(matches!(&error, SampleError::Denoiser(OrtError::Shape { .. })), "{error}");
    assert!(error.to_string().contains("[2, 1]"), "{error}");

    // Too small a workspace.
    let short = picardy::Need { rows: need.rows - 1, ..need };
    let frames = ResidentFrames::new(provider(), short, &[2]).unwrap();
    let mut workspace = Workspace::new(frames, &mut []);
    let error = Sequential.run(&plan, &mut singular(), &noise, &mut x, &mut workspace).unwrap_err();
    assert!(matches!(error, SampleError::Setup(SetupError::Workspace { .. })), "{error}");

    // Rows that are not there read as zeros and keep nothing.
    let mut frames = ResidentFrames::new(provider(), picardy::Need { rows: 2, ..need }, &[2]).unwrap();
    let mut memory = [0.0; 4];
    let mut host = SliceFrames::new(&mut memory, 2);
    for row in [0, 1, 2, usize::MAX] {
        frames.load(row, &[1.0, 2.0]);
        host.load(row, &[1.0, 2.0]);
    }
    frames.combine(1, &[(2.0, 0), (1.0, 7)]);
    frames.combine(9, &[(2.0, 0)]);
    host.combine(1, &[(2.0, 0), (1.0, 7)]);
    let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
    frames.store(1, &mut a);
    host.store(1, &mut b);
    assert_eq!((a, b), ([2.0, 4.0], [2.0, 4.0]));
    assert!(frames.is_finite(0) && frames.dot((0, 1), (0, 1)) == 5.0);
    for from in [0, 5] {
        let first = Link::new(1).plus(2.0, from).plus(1.0, 7);
        let links = || [first, Link::new(9).carry(0, 1.0).plus(1.0, 0)].into_iter();
        frames.chain(links());
        host.chain(links());
        frames.store(1, &mut a);
        host.store(1, &mut b);
        assert_eq!(a, b);
    }
}
