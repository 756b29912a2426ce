//! Models of every form that others export: types, ranks, batches, names, outputs.

mod common;

use common::affine::{Affine, Level as TimeRank};
use picardy::{Betas, Ddim, Memory, Noise, Picard, SampleError, Sampler, Sequential, Solver};
use picardy::{Level, Node, Prediction};
use picardy_ort::{Model, Options, OrtDenoiser, OrtError, Signature, ensure_runtime};
use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

const N: Extent<'_> = Extent::Free("n");

fn load(graph: GraphBuilder) -> Model {
    ensure_runtime().unwrap();
    Model::from_bytes(&graph.finish().unwrap(), Options::default()).unwrap()
}

/// The largest error of a model over `rows` rows, each at a time of its own.
fn error(denoiser: &mut OrtDenoiser, rows: usize) -> f64 {
    let dim = denoiser.dim();
    let mut next = common::pseudo_random(rows as u64 + 1);
    let x: Vec<f32> = (0..rows * dim).map(|_| 4.0 * next()).collect();
    // Whole, and of few bits. Of any two rows, some share their time and some do not, and these do not lie together.
    let time = |row: usize| [8.0, 200.0, 64.0][row % 3];
    let mut out = vec![f32::NAN; x.len()];
    denoiser.run(&x, (0..rows).map(time), &mut out).unwrap();
    let value = |i: usize| Affine::value(f64::from(x[i]), time(i / dim));
    out.iter().enumerate().map(|(i, &out)| (f64::from(out) - value(i)).abs()).fold(0.0, f64::max)
}

/// What rounding |x| <= 4 and |out| <= 1.25 to a type may cost: half of its last place each, the slope being 0.625.
fn bound(x: Element, out: Element) -> f64 {
    let half_place = |element| match element {
        Element::F16 => 2f64.powi(-11),
        Element::Bf16 => 2f64.powi(-8),
        _ => 2f64.powi(-22),
    };
    0.625 * 4.0 * half_place(x) + 1.25 * half_place(out) + 1e-6
}

#[test]
fn every_type_rank_and_batch_gives_the_formulas_value() {
    let floats = [Element::F32, Element::F16, Element::Bf16, Element::F64];
    let times = [Element::F32, Element::F64, Element::F16, Element::Bf16, Element::I64, Element::I32];
    let ranks = [TimeRank::Scalar, TimeRank::One, TimeRank::Rows, TimeRank::Column];
    let items: [&[usize]; 4] = [&[3], &[2, 3], &[2, 3, 2], &[1, 2, 1, 3, 1]];
    let mut case = 0;
    for x in floats {
        for t in times {
            for rank in ranks {
                // Shapes, batches and outputs in turn: each meets each type of x, of t, and each rank.
                let (item, out) = (items[case % 4], floats[(case / 3) % 4]);
                let batch = [None, Some(4), None, Some(1)][(case / 4) % 4];
                case += 1;
                let model = load(Affine { x, t, rank, out, item, batch }.graph());
                let mut denoiser = OrtDenoiser::new(model).unwrap();
                assert_eq!((denoiser.item_shape(), denoiser.fixed_batch()), (item, batch));
                for rows in [1, 4, 7] {
                    let (error, bound) = (error(&mut denoiser, rows), bound(x, out));
                    assert!(
                        error <= bound,
                        "{x:?} {t:?} {rank:?} {out:?} {item:?} {batch:?} {rows}: {error:.1e} {bound:.1e}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_fixed_batch_is_filled_up_and_longer_calls_are_split() {
    let model = |batch| {
        let form = Affine { batch, ..Affine::plain(&[2]) };
        OrtDenoiser::new(load(form.graph())).unwrap()
    };
    let (mut free, mut fixed) = (model(None), model(Some(4)));
    for rows in 1..=13 {
        let x: Vec<f32> = (0..rows * 2).map(|i| i as f32 / 10.0).collect();
        let (mut a, mut b) = (vec![0.0; x.len()], vec![1.0; x.len()]);
        free.run(&x, (0..rows).map(|row| row as f64), &mut a).unwrap();
        fixed.run(&x, (0..rows).map(|row| row as f64), &mut b).unwrap();
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{rows}: {a:?} {b:?}");
    }
}

#[test]
fn a_row_limit_changes_nothing_else() {
    let mut denoiser = OrtDenoiser::new(load(Affine::plain(&[2, 3]).graph())).unwrap();
    for limit in [Some(0), Some(2), Some(5), None] {
        denoiser.limit_rows(limit);
        assert!(error(&mut denoiser, 7) < 1e-6, "{limit:?}");
        assert_eq!((denoiser.row_limit(), denoiser.splits()), (limit.map(|rows| rows.max(1)), 0));
    }
}

fn sample(sampler: &impl Sampler, denoiser: &mut OrtDenoiser) -> (Vec<f32>, usize) {
    let (mut levels, mut nodes) = ([Level::default(); 31], [Node::default(); 31]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(30, &mut levels).unwrap();
    let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let (noise, mut memory, mut x) = (Noise::seeded(7), Memory::new(), vec![0.0f32; 5 * denoiser.dim()]);
    plan.start(&noise, denoiser.dim(), &mut x);
    let mut workspace = memory.workspace(sampler.need(&plan, 5), denoiser.dim());
    let report = sampler.run(&plan, denoiser, &noise, &mut x, &mut workspace).unwrap();
    (x, report.rounds)
}

#[test]
fn samplers_do_not_see_the_form() {
    let (want, rounds) =
        sample(&Sequential, &mut OrtDenoiser::new(load(Affine::plain(&[2]).graph())).unwrap());
    assert_eq!(rounds, 30);
    let picard = Picard { tolerance: 0.0, ..Picard::default() };
    let forms = [
        (Affine { rank: TimeRank::Scalar, ..Affine::plain(&[2]) }, 1e-4),
        (Affine { rank: TimeRank::Column, t: Element::I64, batch: Some(4), ..Affine::plain(&[2]) }, 1e-4),
        // 30 steps of rounding, over the largest number of the sample. Found: 2.1e-5 and 1.4e-4.
        (Affine { x: Element::F16, out: Element::F16, ..Affine::plain(&[2]) }, 1e-4),
        (Affine { x: Element::Bf16, out: Element::Bf16, ..Affine::plain(&[2]) }, 1e-3),
    ];
    for (form, bound) in forms {
        let said = format!("{form:?}");
        let mut denoiser = OrtDenoiser::new(load(form.graph())).unwrap();
        for (got, how) in
            [(sample(&Sequential, &mut denoiser), "sequential"), (sample(&picard, &mut denoiser), "picard")]
        {
            let largest = want.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let error = want.iter().zip(&got.0).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
            assert!(error <= bound, "{said}, {how}: {error:.1e}");
        }
    }
}

/// A graph of three inputs by these names, y = x + t, and a second output z = x.
fn named(inputs: [(&str, &[Extent<'_>]); 2], add: [&str; 2]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("named");
    for (name, shape) in inputs {
        graph.input(name, Element::F32, shape);
    }
    graph.node("y", "Add", &add, &[]);
    graph.node("z", "Identity", &add[..1], &[]);
    graph.output("y", &[N, Extent::Fixed(2)]);
    graph.output("z", &[N, Extent::Fixed(2)]);
    graph
}

#[test]
fn x_and_t_are_found_by_name_then_by_place() {
    let (state, column): (&[Extent<'_>], &[Extent<'_>]) = (&[N, Extent::Fixed(2)], &[N, Extent::Fixed(1)]);
    type Inputs<'a> = [(&'a str, &'a [Extent<'a>]); 2];
    let cases: [(Inputs<'_>, [&str; 2]); 6] = [
        ([("sample", state), ("timestep", column)], ["sample", "timestep"]),
        ([("t", column), ("x", state)], ["x", "t"]),
        ([("timestep", column), ("state", state)], ["state", "timestep"]),
        ([("a", state), ("b", column)], ["a", "b"]),
        // x by its shape.
        ([("a", column), ("b", state)], ["b", "a"]),
        // x by its name, t the one before it.
        ([("when", column), ("latents", state)], ["latents", "when"]),
    ];
    for (inputs, [x, t]) in cases {
        let mut denoiser = OrtDenoiser::new(load(named(inputs, [x, t]))).unwrap();
        let found = denoiser.ports().map(|port| port.name.clone());
        assert_eq!(found, [x, t, "y"]);
        let mut out = [0.0; 2];
        denoiser.run(&[1.0, 2.0], [10.0].into_iter(), &mut out).unwrap();
        assert_eq!(out, [11.0, 12.0]);
    }
}

#[test]
fn the_callers_word_stands_before_names_and_metadata() {
    let state: &[Extent<'_>] = &[N, Extent::Fixed(2)];
    let column: &[Extent<'_>] = &[N, Extent::Fixed(1)];
    let graph = || named([("t", state), ("x", column)], ["t", "x"]);
    let form = |input: &str, time: &str, output: &str| Signature {
        input: Some(input.to_owned()),
        time: Some(time.to_owned()),
        output: Some(output.to_owned()),
        item: None,
    };
    for (output, want) in [("y", 11.0), ("z", 1.0), ("0", 11.0), ("1", 1.0)] {
        let mut denoiser = OrtDenoiser::with_signature(load(graph()), &form("t", "x", output)).unwrap();
        let mut out = [0.0; 2];
        denoiser.run(&[1.0, 1.0], [10.0].into_iter(), &mut out).unwrap();
        assert_eq!(out, [want; 2]);
    }
    let mut told = graph();
    for (key, value) in [("picardy.input", "t"), ("picardy.time", "x"), ("picardy.output", "z")] {
        told.metadata(key, value).unwrap();
    }
    let denoiser = OrtDenoiser::new(load(told)).unwrap();
    assert_eq!(denoiser.ports().map(|port| port.name.as_str()), ["t", "x", "z"]);
    for (form, part) in [
        (form("state", "x", "y"), "no input `state`, it has t: f32 [n, 2]; x: f32 [n, 1]"),
        (form("t", "x", "eps"), "no output `eps`, it has y: f32 [n, 2]"),
        (form("t", "x", "2"), "no output `2`"),
        (form("t", "t", "y"), "x and t are both `t: f32 [n, 2]`"),
    ] {
        let message = OrtDenoiser::with_signature(load(graph()), &form).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

/// y, x's channels `times` times over. Of an open graph only a run says so: the channels are cut at a number that is
/// made from t.
fn channels(times: usize, open: bool) -> GraphBuilder {
    let mut graph = GraphBuilder::new("variance");
    graph.input("sample", Element::F32, &[N, Extent::Fixed(2), Extent::Fixed(3)]);
    graph.input("timestep", Element::F32, &[N]);
    graph.node("all", "Concat", &["sample"; 3], &[("axis", Attribute::Int(1))]);
    graph.integers("from", &[0]);
    graph.integers("axis", &[1]);
    let end = if open {
        graph.floats("none", &[1], &[0.0]).unwrap();
        graph.floats("most", &[1], &[2.0 * times as f32]).unwrap();
        graph.node("max", "ReduceMax", &["timestep"], &[]);
        graph.node("zero", "Mul", &["max", "none"], &[]);
        graph.node("end", "Add", &["zero", "most"], &[]);
        graph.node("whole", "Cast", &["end"], &[("to", Attribute::Int(i64::from(Element::I64.code())))])
    } else {
        graph.integers("end", &[2 * times as i64]);
        "end".to_owned()
    };
    graph.node("y", "Slice", &["all", "from", &end, "axis"], &[]);
    graph.output("y", &["n", "c", "w"].map(Extent::Free));
    graph
}

#[test]
fn of_a_learned_variance_the_mean_is_taken() {
    let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
    for open in [false, true] {
        for times in [1, 2] {
            let mut denoiser = OrtDenoiser::new(load(channels(times, open))).unwrap();
            assert_eq!(denoiser.learned_variance(), times == 2 && !open);
            for _ in 0..2 {
                let mut out = [0.0; 12];
                denoiser.run(&x, [1.0, 2.0].into_iter(), &mut out).unwrap();
                assert_eq!(out[..], x);
                assert_eq!(denoiser.learned_variance(), times == 2);
            }
        }
    }
    // Three times the channels are no variance: the graph says it, or the first call.
    let message = OrtDenoiser::new(load(channels(3, false))).unwrap_err().to_string();
    assert!(message.contains("another shape"), "{message}");
    let mut out = [5.0; 12];
    let error = OrtDenoiser::new(load(channels(3, true))).unwrap().run(&x, [1.0, 2.0].into_iter(), &mut out);
    assert!(matches!(&error, Err(OrtError::OutputShape { got, .. }) if *got == [2, 6, 3]), "{error:?}");
    assert_eq!(out, [5.0; 12]);
}

#[test]
fn an_output_that_is_not_finite_is_named_by_its_node() {
    let mut graph = GraphBuilder::new("log");
    graph.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("t", Element::F32, &[N, Extent::Fixed(1)]);
    // t - 400 < 0 has no logarithm.
    graph.floats("four", &[1], &[400.0]).unwrap();
    graph.node("rest", "Sub", &["t", "four"], &[]);
    graph.node("log", "Log", &["rest"], &[]);
    graph.node("y", "Add", &["x", "log"], &[]);
    graph.output("y", &[N, Extent::Fixed(2)]);
    let mut denoiser = OrtDenoiser::new(load(graph)).unwrap();
    let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels).unwrap();
    let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let (noise, mut memory, mut x) = (Noise::seeded(7), Memory::new(), [0.5f32; 4]);
    let mut workspace = memory.workspace(Sequential.need(&plan, 2), 2);
    let error = Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap_err();
    // t is 999, 899, ..., 399 at node 6.
    assert!(matches!(error, SampleError::NotFinite { node: 6, .. }), "{error}");
}

#[test]
fn what_is_no_timestep_and_no_state_is_refused() {
    let graph = |x: Element, t: Element, t_shape: &[Extent<'_>]| {
        let mut graph = GraphBuilder::new("bad");
        graph.input("x", x, &[N, Extent::Fixed(2)]);
        graph.input("t", t, t_shape);
        graph.node("y", "Identity", &["x"], &[]);
        graph.output_of("y", x, &[N, Extent::Fixed(2)]);
        graph
    };
    for (graph, part) in [
        (graph(Element::I64, Element::F32, &[N]), "`x: i64 [n, 2]` is not f32"),
        (graph(Element::F32, Element::Bool, &[N]), "`t: bool [n]` is no timestep"),
        (graph(Element::F32, Element::F32, &[N, Extent::Fixed(2)]), "`t: f32 [n, 2]` is no timestep"),
        (graph(Element::F32, Element::F32, &[Extent::Fixed(8)]), "fixed at 8"),
    ] {
        let message = OrtDenoiser::new(load(graph)).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    // Past the last i32.
    let mut denoiser = OrtDenoiser::new(load(graph(Element::F32, Element::I32, &[N]))).unwrap();
    let error = denoiser.run(&[0.0; 4], [1.0, 3e9].into_iter(), &mut [0.0; 4]).unwrap_err();
    assert!(matches!(error, OrtError::FractionalTime { row: 1, .. }), "{error}");
}
