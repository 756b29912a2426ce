//! Models of other forms than our own export's, good and bad.

mod common;

use common::PlainMlp;
use picardy_ort::{Model, Options, OrtDenoiser, OrtError, ensure_runtime};
use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

const N: Extent<'_> = Extent::Free("n");

fn load(graph: GraphBuilder) -> Model {
    ensure_runtime().unwrap();
    Model::from_bytes(&graph.finish().unwrap(), Options::default()).unwrap()
}

/// out = x + t over images of 2 by 3, t in the type given.
fn image_model(t: Element, rows: Extent<'_>, width: Extent<'_>) -> GraphBuilder {
    let shape = [rows, Extent::Fixed(2), width];
    let mut graph = GraphBuilder::new("images");
    graph.input("sample", Element::F32, &shape);
    graph.input("timestep", t, &[rows]);
    graph.integers("axes", &[1, 2]);
    let to_float = [("to", Attribute::Int(i64::from(Element::F32.code())))];
    let float = graph.node("float", "Cast", &["timestep"], &to_float);
    let column = graph.node("column", "Unsqueeze", &[&float, "axes"], &[]);
    graph.node("noise_pred", "Add", &["sample", &column], &[]);
    graph.output("noise_pred", &shape);
    graph
}

#[test]
fn names_types_and_ranks_of_others() {
    for element in [Element::F32, Element::I64] {
        let model = load(image_model(element, N, Extent::Fixed(3)));
        let mut denoiser = OrtDenoiser::new(model).unwrap();
        assert_eq!(denoiser.item_shape(), [2, 3]);
        // More row counts than are kept, each twice.
        for rows in (1..=12).chain(1..=12) {
            let x: Vec<f32> = (0..rows * 6).map(|i| i as f32).collect();
            let mut out = vec![0.0; x.len()];
            denoiser.run(&x, (0..rows).map(|row| row as f64 * 10.0), &mut out).unwrap();
            for (i, &out) in out.iter().enumerate() {
                assert_eq!(out, (i + i / 6 * 10) as f32);
            }
        }
    }
}

#[test]
fn integer_timesteps_take_whole_numbers_alone() {
    let mut denoiser = OrtDenoiser::new(load(image_model(Element::I64, N, Extent::Fixed(3)))).unwrap();
    let mut out = [7.0; 12];
    let error = denoiser.run(&[0.0; 12], [1.0, 2.5].into_iter(), &mut out).unwrap_err();
    assert!(matches!(error, OrtError::FractionalTime { row: 1, value } if value == 2.5), "{error}");
    assert_eq!(out, [7.0; 12]);
}

#[test]
fn lengths_that_disagree_are_named() {
    let mut denoiser = OrtDenoiser::new(load(image_model(Element::F32, N, Extent::Fixed(3)))).unwrap();
    let mut run = |x: usize, t: usize, out: usize| {
        denoiser.run(&vec![0.0; x], (0..t).map(|t| t as f64), &mut vec![0.0; out])
    };
    for (x, t, out, what) in [(7, 1, 6, "x"), (6, 1, 7, "out"), (12, 1, 12, "t"), (6, 2, 6, "t")] {
        match run(x, t, out) {
            Err(OrtError::Length { what: named, .. }) => assert_eq!(named, what),
            other => panic!("{x} {t} {out}: {other:?}"),
        }
    }
    run(0, 0, 0).unwrap();
    run(6, 1, 6).unwrap();
}

#[test]
fn a_free_extent_must_be_given() {
    let model = || load(image_model(Element::F32, N, Extent::Free("w")));
    let error = OrtDenoiser::new(model()).unwrap_err().to_string();
    assert!(error.contains("give it"), "{error}");
    let error = OrtDenoiser::with_item_shape(model(), Some(&[3, 3])).unwrap_err().to_string();
    assert!(error.contains("[3, 3]"), "{error}");
    let mut denoiser = OrtDenoiser::with_item_shape(model(), Some(&[2, 5])).unwrap();
    let mut out = [0.0; 10];
    denoiser.run(&[1.0; 10], [3.0].into_iter(), &mut out).unwrap();
    assert_eq!(out, [4.0; 10]);
}

#[test]
fn models_that_are_no_denoisers_are_refused() {
    let mut one_input = GraphBuilder::new("one");
    one_input.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    one_input.node("y", "Relu", &["x"], &[]);
    one_input.output("y", &[N, Extent::Fixed(2)]);
    let mut other_shape = GraphBuilder::new("sum");
    other_shape.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    other_shape.input("t", Element::F32, &[N]);
    other_shape.node("y", "Concat", &["x", "x", "x"], &[("axis", Attribute::Int(1))]);
    other_shape.output("y", &[N, Extent::Fixed(6)]);
    for (graph, part) in [(one_input, "1 inputs (x: f32 [n, 2])"), (other_shape, "another shape")] {
        let message = OrtDenoiser::new(load(graph)).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_output_of_an_unforeseen_shape_is_an_error() {
    // The graph says [n, w] and gives three times as many columns.
    let mut graph = GraphBuilder::new("liar");
    graph.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("t", Element::F32, &[N]);
    graph.node("y", "Concat", &["x", "x", "x"], &[("axis", Attribute::Int(1))]);
    graph.output("y", &[N, Extent::Free("w")]);
    let loaded = Model::from_bytes(&graph.finish().unwrap(), Options::default());
    // Whether the loader or the run sees it: an error, and `out` as it was.
    if let Ok(mut denoiser) = loaded.and_then(OrtDenoiser::new) {
        let mut out = [5.0; 2];
        denoiser.run(&[1.0, 2.0], [0.0].into_iter(), &mut out).unwrap_err();
        assert_eq!(out, [5.0; 2]);
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    ensure_runtime().unwrap();
    let good = PlainMlp::new(2, 4, 1).onnx(&[]);
    let mut cases: Vec<Vec<u8>> = vec![vec![], b"not a model".to_vec(), vec![0xff; 4096]];
    // Cut short, and a bit turned over, at many places.
    for i in 0..200 {
        cases.push(good[..i * good.len() / 200].to_vec());
        let mut turned = good.clone();
        turned[i * good.len() / 200] ^= 1 << (i % 8);
        cases.push(turned);
    }
    for bytes in cases {
        // A turned bit may leave a good model (a weight's) or one of another form: never a panic.
        let loaded = Model::from_bytes(&bytes, Options::default()).and_then(OrtDenoiser::new);
        if let Ok(mut denoiser) = loaded
            && denoiser.dim() == 2
        {
            let _ = denoiser.run(&[0.0; 4], [1.0, 2.0].into_iter(), &mut [0.0; 4]);
        }
    }
    let error = Model::from_bytes(b"not a model", Options::default()).unwrap_err();
    assert!(error.to_string().contains("the model of 11 bytes"), "{error}");
}

#[test]
fn files_that_are_no_model_are_named() {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.onnx");
    let error = Model::load(&missing, Options::default()).unwrap_err();
    assert!(matches!(error, OrtError::Read { .. }) && error.to_string().contains("missing.onnx"), "{error}");
    let text = dir.path().join("text.onnx");
    std::fs::write(&text, "hello").unwrap();
    for path in [text.as_path(), dir.path()] {
        let error = Model::load(path, Options::default()).unwrap_err();
        assert!(matches!(error, OrtError::NotAModel { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
