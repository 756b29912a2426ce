//! Captured runs on a GPU's provider: the one that PICARDY_TEST_PROVIDER names.
//!
//! tests/webgpu.sh and tests/cuda.sh run these tests; without them they are reported as ignored.

mod common;

use std::time::{Duration, Instant};

use common::PlainMlp;
use common::affine::{Affine, biased};
use common::command;
use common::rows::{BETAS, apart, ddim, provider};
use picardy::{
    AnySampler, Ddpm, Form, Guided, Level, Mark, Node, Noise, Picard, Plan, Prediction, Run, Sampler,
    Sequential, Slope, Solver, Span, SpareRows, Workspace,
};
use picardy_ort::resident::Traffic;
use picardy_ort::{Array, GpuGraphs, Model, Options, OrtDenoiser, Provider, ResidentFrames};
use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

const ITEMS: usize = 3;
const STEPS: usize = 100;

fn denoiser(bytes: &[u8], graphs: GpuGraphs) -> OrtDenoiser {
    let options = Options { provider: provider(), graphs, ..Options::default() };
    OrtDenoiser::new(Model::from_bytes(bytes, options).unwrap()).unwrap()
}

/// What a run gave.
struct Ran {
    x: Vec<f32>,
    moved: Traffic,
    uncaptured: Option<String>,
    /// The median of the rounds.
    round: Duration,
    rounds: usize,
}

fn sampled(
    sampler: &AnySampler,
    plan: &Plan<'_>,
    denoiser: &mut OrtDenoiser,
    items: usize,
    seed: u64,
) -> Ran {
    let (noise, dim, need) = (Noise::seeded(seed), denoiser.dim(), sampler.need(plan, items));
    let mut x = vec![0.0; items * dim];
    plan.start(&noise, dim, &mut x);
    let frames = ResidentFrames::new(provider(), need, denoiser.item_shape()).unwrap();
    let counter = frames.counter();
    let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
    let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
    let mut run = sampler.begin(plan, &noise, &x, &mut workspace).unwrap();
    let (mut times, mut begun) = (Vec::new(), Instant::now());
    while run.round(denoiser).unwrap().is_some() {
        times.push(begun.elapsed());
        begun = Instant::now();
    }
    let report = run.finish(&mut x);
    times.sort();
    let round = times.get(times.len() / 2).copied().unwrap_or_default();
    Ran { x, moved: counter.get(), uncaptured: counter.uncaptured(), round, rounds: report.rounds }
}

fn ddpm(steps: usize) -> Vec<Node> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); steps + 1]);
    let grid = BETAS.trailing(steps, &mut levels).unwrap();
    Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    nodes
}

/// Captured runs give the samples of ordinary ones, and nearly all runs of a long one are such.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn captured_runs_give_the_same_samples() {
    let sliding =
        AnySampler::Picard(Picard { slope: Slope::Secant, window: 8, tolerance: 1e-3, ..Picard::default() });
    let many =
        AnySampler::Picard(Picard { slope: Slope::Multisecant(2), tolerance: 1e-3, ..Picard::default() });
    let once = AnySampler::Sequential(Sequential);
    let mlp = PlainMlp::new(2, 16, 2).onnx(&[]);
    let image = Affine::plain(&[2, 3, 2]).graph().finish().unwrap();
    let learned = Affine { t: Element::I64, ..Affine::plain(&[3]) }.graph().finish().unwrap();
    for (name, bytes) in [("mlp", &mlp), ("image", &image), ("integer times", &learned)] {
        for (solver, nodes) in [("ddim", ddim(STEPS)), ("ddpm", ddpm(STEPS))] {
            let plan = Plan::new(&nodes, Form::Data).unwrap();
            for (way, sampler) in [("sequential", once), ("sliding", sliding), ("multisecant", many)] {
                // About one small run for each node that is evaluated: once is enough.
                if way == "multisecant" && (name, solver) != ("mlp", "ddim") {
                    continue;
                }
                let off = sampled(&sampler, &plan, &mut denoiser(bytes, GpuGraphs::Off), ITEMS, 5);
                let mut device = denoiser(bytes, GpuGraphs::After(1));
                let on = sampled(&sampler, &plan, &mut device, ITEMS, 5);
                let (apart, moved) = (apart(&off.x, &on.x), on.moved);
                println!("{name}, {solver}, {way}: {apart:.1e} apart, {} rounds, {moved:?}", on.rounds);
                assert!(apart <= 1e-5, "{name}, {solver}, {way}: {apart:e}");
                assert_eq!((off.moved.captured, on.uncaptured), (0, None), "{name}, {solver}, {way}");
                // Rounding may cost a round more, whose window takes nodes in.
                assert!(on.moved.runs <= off.moved.runs + 4, "{:?} {moved:?}", off.moved);
                // The model's runs and the small ones, but for those on the way to a captured graph: one as usual and two more for each
                // of two places of the rows.
                if way == "sequential" {
                    assert!(moved.captured >= 2 * STEPS - 2 * 6 - ITEMS, "{name}, {solver}: {moved:?}");
                }
                // Of a window that slides, each round has rows of its own number, of which few come twice.
                assert!(moved.captured > on.rounds / 5, "{name}, {solver}, {way}: {moved:?}");
            }
        }
    }
}

/// One denoiser over rows that come and go, and of changing conditions: no captured graph keeps an older one's.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn other_rows_and_conditions_are_seen() {
    let bytes = biased().finish().unwrap();
    let nodes = ddim(20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let once = AnySampler::Sequential(Sequential);
    let [mut off, mut on] = [GpuGraphs::Off, GpuGraphs::After(1)].map(|graphs| denoiser(&bytes, graphs));
    let mut counted = Vec::new();
    for (items, seed, shift) in [(3, 1, 0.5), (3, 2, 0.5), (2, 3, -0.5), (3, 1, 4.0), (3, 1, 0.25)] {
        let bias: Vec<f32> = (0..2 * items).map(|i| shift * (1.0 + i as f32)).collect();
        for denoiser in [&mut off, &mut on] {
            denoiser.bind("bias", Array::floats(&[items, 2], bias.clone()).unwrap(), None).unwrap();
        }
        let [a, b] = [&mut off, &mut on].map(|denoiser| sampled(&once, &plan, denoiser, items, seed));
        assert!(apart(&a.x, &b.x) <= 1e-5, "{items} {seed} {shift}: {:?} {:?}", a.x, b.x);
        assert_eq!(b.uncaptured, None);
        counted.push(b.moved.captured);
    }
    assert!(counted.iter().all(|captured| *captured > 10), "{counted:?}");

    // Guidance changes between conditional rows and others in every call.
    let need = once.need(&plan, ITEMS);
    let guided = |denoiser: &mut OrtDenoiser| {
        let spare = SpareRows { first: need.rows, rows: Guided::<OrtDenoiser, SpareRows>::rows(ITEMS) };
        let bias = Array::floats(&[2], vec![0.5, -0.25]).unwrap();
        denoiser.bind("bias", bias, None).unwrap();
        let mut guided = Guided::new(denoiser, spare, 2.5);
        common::rows::on_device(&Sequential, &plan, &mut guided, (ITEMS, &[2]), spare.rows).unwrap()
    };
    let [(a, ..), (b, _, moved)] = [&mut off, &mut on].map(guided);
    assert!(apart(&a, &b) <= 1e-5 && moved.captured > 10, "{a:?} {b:?} {moved:?}");
}

/// What cannot be captured runs as usual, and says why.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn what_cannot_be_captured_says_why() {
    let n = Extent::Free("n");
    let shape = [n, Extent::Fixed(4)];
    let new = |name: &str| {
        let mut graph = GraphBuilder::new(name);
        graph.input("x", Element::F32, &shape);
        graph.input("t", Element::F32, &[n]);
        graph
    };
    // Neither CUDA nor WebGPU has a kernel for Hardmax.
    let mut left = new("left");
    left.node("h", "Hardmax", &["x"], &[]);
    left.node("y", "Add", &["h", "x"], &[]);
    left.output("y", &shape);
    // WebGPU scatters into a copy of its input, which is no kernel.
    let mut copies = new("copies");
    copies.integers("at", &[0]);
    copies.integers("one", &[1, 1]);
    copies.node("first", "Gather", &["x", "at"], &[("axis", Attribute::Int(0))]);
    copies.node("twice", "Add", &["first", "first"], &[]);
    copies.node("where", "Reshape", &["at", "one"], &[]);
    copies.node("y", "ScatterND", &["x", "where", "twice"], &[]);
    copies.output("y", &shape);
    let nodes = ddim(20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let once = AnySampler::Sequential(Sequential);
    for (graph, why) in
        [(left, Some("Hardmax")), (copies, (provider() == Provider::WebGpu).then_some("other numbers"))]
    {
        let bytes = graph.finish().unwrap();
        let [off, on] = [GpuGraphs::Off, GpuGraphs::After(1)]
            .map(|graphs| sampled(&once, &plan, &mut denoiser(&bytes, graphs), ITEMS, 3));
        assert!(apart(&off.x, &on.x) <= 1e-5, "{why:?}: {:?} {:?}", off.x, on.x);
        assert_eq!(on.uncaptured.is_some(), why.is_some(), "{:?}", on.uncaptured);
        let said = on.uncaptured.unwrap_or_default();
        assert!(said.contains(why.unwrap_or_default()), "{said}");
        // The small runs are captured all the same.
        assert!(on.moved.captured > 5, "{why:?}: {:?}", on.moved);
    }
}

/// The command with captured runs: the same samples, and how many they were.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn the_command_captures_where_it_is_asked() {
    let dir = command::models();
    let name = provider().to_string();
    let mut samples = Vec::new();
    for graphs in ["off", "2"] {
        let args = [
            "sample",
            "card.onnx",
            "--steps",
            "30",
            "--out",
            "a.npy",
            "--provider",
            &name,
            "--gpu-graphs",
            graphs,
        ];
        let output = command::picardy_ort(dir.path(), &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let note = said
            .lines()
            .find_map(|line| line.strip_prefix("note: ")?.strip_suffix(" runs repeated a captured graph"));
        let captured = note.map(|count| count.parse::<usize>().unwrap());
        assert!(
            if graphs == "off" { captured.is_none() } else { captured.unwrap() > 30 },
            "{graphs}: {said}"
        );
        assert!(!said.contains("captured: "), "{said}");
        samples.push(command::numbers(&dir.path().join("a.npy")).1);
    }
    assert!(apart(&samples[0], &samples[1]) <= 1e-5, "{samples:?}");
}

/// The time of a round, as usual and captured, which is printed: `-- --ignored --nocapture round_takes`.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn what_a_round_takes() {
    for (dim, width, blocks, items) in [(2, 16, 2, 1), (2, 128, 2, 1), (64, 128, 4, 8)] {
        let bytes = PlainMlp::new(dim, width, blocks).onnx(&[]);
        let nodes = ddim(100);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let once = AnySampler::Sequential(Sequential);
        let ran = |graphs| {
            let ran = sampled(&once, &plan, &mut denoiser(&bytes, graphs), items, 1);
            assert_eq!(ran.uncaptured, None);
            assert!((ran.moved.captured > 150) == (graphs != GpuGraphs::Off), "{:?}", ran.moved);
            ran.round
        };
        // In turn, that what else the machine does falls on both.
        let mut times = [[Duration::ZERO; 3]; 2];
        for turn in 0..3 {
            for (times, graphs) in times.iter_mut().zip([GpuGraphs::Off, GpuGraphs::ON]) {
                times[turn] = ran(graphs);
            }
        }
        let [off, on] = times.map(|times| times.into_iter().min().unwrap_or_default());
        let ratio = on.as_secs_f64() / off.as_secs_f64();
        println!(
            "{dim} numbers, {blocks} blocks of {width}, {items} items: a round {off:?}, captured {on:?}, ratio {ratio:.2}"
        );
    }
}
