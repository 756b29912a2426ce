//! Models that are conditioned on more than x and t.

mod common;

use picardy::{
    Betas, Ddim, Guided, Level, Memory, Node, Noise, Prediction, Sampler, Sequential, SliceFrames, Solver,
};
use picardy_ort::pipeline::{Pipeline, Request, RowDenoiser, Settings, SharedPlan};
use picardy_ort::{Array, Model, Options, OrtDenoiser, OrtError, ensure_runtime};
use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

const N: Extent<'_> = Extent::Free("n");

/// The class's number in y: classes 0, 1, 2.
const TABLE: [f32; 3] = [0.5, -1.0, 2.0];

fn denoiser(graph: GraphBuilder) -> OrtDenoiser {
    ensure_runtime().unwrap();
    OrtDenoiser::new(Model::from_bytes(&graph.finish().unwrap(), Options::default()).unwrap()).unwrap()
}

/// y = x / 2 + table[label] + mean(text over tokens) scaled; x `[n, 2]`, label i64 `[n]`, text `[n, tokens, 2]` of the type,
/// scale f32 `[]`.
fn graph(text: Element, batch: Option<usize>) -> GraphBuilder {
    let rows = batch.map_or(N, Extent::Fixed);
    let mut graph = GraphBuilder::new("conditioned");
    graph.input("label", Element::I64, &[rows]);
    graph.input("sample", Element::F32, &[rows, Extent::Fixed(2)]);
    graph.input("timestep", Element::F32, &[rows]);
    graph.input("text", text, &[rows, Extent::Free("tokens"), Extent::Fixed(2)]);
    graph.input("scale", Element::F32, &[]);
    graph.floats("table", &[3, 1], &TABLE).unwrap();
    graph.floats("half", &[1], &[0.5]).unwrap();
    graph.node("class", "Gather", &["table", "label"], &[]);
    let to = [("to", Attribute::Int(i64::from(Element::F32.code())))];
    graph.node("text32", "Cast", &["text"], &to);
    graph.node("mean", "GlobalAveragePool", &["text32"], &[]);
    graph.integers("last", &[2]);
    graph.node("flat", "Squeeze", &["mean", "last"], &[]);
    // The mean of each token's numbers, then the sum over tokens.
    graph.integers("tokens_axis", &[1]);
    graph.node("words", "ReduceSum", &["flat", "tokens_axis"], &[]);
    graph.node("scaled", "Mul", &["words", "scale"], &[]);
    graph.node("x_half", "Mul", &["sample", "half"], &[]);
    graph.node("a", "Add", &["x_half", "class"], &[]);
    graph.node("y", "Add", &["a", "scaled"], &[]);
    graph.output("y", &[rows, Extent::Fixed(2)]);
    graph
}

fn floats(shape: &[usize], values: &[f32]) -> Array {
    Array::floats(shape, values.to_vec()).unwrap()
}

fn labels(values: &[i64]) -> Array {
    Array::integers(&[values.len()], values.to_vec()).unwrap()
}

fn scalar(value: f32) -> Array {
    Array::floats(&[], vec![value]).unwrap()
}

/// The answers to three rows of x = 0.
fn answers(denoiser: &mut OrtDenoiser) -> Result<Vec<f32>, OrtError> {
    let mut out = [7.0; 6];
    let result = denoiser.run(&[0.0; 6], [1.0; 3].into_iter(), &mut out);
    assert!(result.is_ok() || out == [7.0; 6]);
    result.map(|()| out.iter().step_by(2).copied().collect())
}

#[test]
fn conditions_are_shared_or_each_items() {
    for (text, batch) in [(Element::F32, None), (Element::F16, None), (Element::F32, Some(2))] {
        let mut denoiser = denoiser(graph(text, batch));
        let names =
            |denoiser: &OrtDenoiser| denoiser.unbound().map(|port| port.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&denoiser), ["label", "text", "scale"]);
        let error = answers(&mut denoiser).unwrap_err();
        assert!(matches!(&error, OrtError::Unbound { name } if name.contains("label: i64 [")), "{error}");
        denoiser.bind("label", labels(&[1]), None).unwrap();
        denoiser.bind("scale", scalar(2.0), None).unwrap();
        // Two tokens whose means are 1 and 3, for all rows.
        denoiser.bind("text", floats(&[2, 2], &[0.0, 2.0, 3.0, 3.0]), None).unwrap();
        assert_eq!(names(&denoiser), Vec::<String>::new());
        assert_eq!(answers(&mut denoiser).unwrap(), [7.0; 3]);
        // Each its own: then a shared one again, with another number of tokens.
        denoiser.bind("label", labels(&[0, 1, 2]), None).unwrap();
        assert_eq!(answers(&mut denoiser).unwrap(), [8.5, 7.0, 10.0]);
        denoiser.bind("text", floats(&[3, 1, 2], &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0]), None).unwrap();
        assert_eq!(answers(&mut denoiser).unwrap(), [0.5, 1.0, 6.0]);
        denoiser.bind("text", floats(&[1, 1, 2], &[1.0, 0.0]), None).unwrap();
        assert_eq!(answers(&mut denoiser).unwrap(), [1.5, 0.0, 3.0]);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let mut denoiser = denoiser(graph(Element::F32, None));
    let mut say = |name: &str, given: Array, null: Option<Array>| match denoiser.bind(name, given, null) {
        Err(error @ OrtError::Condition { .. }) => error.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    for (message, part) in [
        (say("class", labels(&[1]), None), "not conditioned on it, it has label: i64 [n]; text"),
        (say("label", Array::floats(&[1], vec![0.5]).unwrap(), None), "takes i64 and the array has 0.5"),
        (say("label", Array::floats(&[1], vec![f32::NAN]).unwrap(), None), "NaN"),
        (say("label", Array::integers(&[1, 1], vec![1]).unwrap(), None), "shape [1, 1]"),
        (say("text", floats(&[2, 3], &[0.0; 6]), None), "shape [2, 3] is no `text: f32 [n, tokens, 2]`"),
        (say("text", floats(&[0, 1, 2], &[]), None), "[0, 1, 2]"),
        (
            say("text", floats(&[1, 2], &[0.0; 2]), Some(floats(&[2, 2], &[0.0; 4]))),
            "its null has the shape [2, 2]",
        ),
        (say("label", labels(&[0, 1, 2]), Some(labels(&[0, 1]))), "its null has the shape [2]"),
        (say("scale", floats(&[1], &[1.0]), None), "its own shape"),
        (say("scale", scalar(1.0), Some(scalar(0.0))), "no batch axis"),
    ] {
        assert!(message.contains(part), "{message}");
    }
    // Two items' conditions, three items.
    denoiser.bind("label", labels(&[0, 1]), None).unwrap();
    denoiser.bind("scale", scalar(1.0), None).unwrap();
    denoiser.bind("text", floats(&[1, 2], &[0.0; 2]), None).unwrap();
    let error = answers(&mut denoiser).unwrap_err().to_string();
    assert!(error.contains("`label`: item 2 is asked for and 2 are bound"), "{error}");
    // A class that the table does not have is the model's error, and the denoiser goes on.
    denoiser.bind("label", labels(&[9]), None).unwrap();
    assert!(matches!(answers(&mut denoiser), Err(OrtError::Run(_))));
    denoiser.bind("label", labels(&[2]), None).unwrap();
    assert_eq!(answers(&mut denoiser).unwrap(), [2.0; 3]);
}

/// A DDIM run of three items, guided, and the rows that the model was shown.
fn guided(denoiser: OrtDenoiser, weight: f64) -> Result<Vec<f32>, String> {
    let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels).unwrap();
    let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let (noise, mut memory, mut x) = (Noise::seeded(7), Memory::new(), vec![0.0f32; 6]);
    plan.start(&noise, 2, &mut x);
    let mut frames = [0.0f32; 4 * 3 * 2];
    let mut guided = Guided::new(denoiser, SliceFrames::new(&mut frames, 2), weight);
    let mut workspace = memory.workspace(Sequential.need(&plan, 3), 2);
    Sequential.run(&plan, &mut guided, &noise, &mut x, &mut workspace).map_err(|error| error.to_string())?;
    Ok(x)
}

#[test]
fn guidance_gives_rows_without_their_condition_the_null() {
    let bound = |label: &[i64], null: Option<i64>, text: f32, text_null: Option<f32>| {
        let mut denoiser = denoiser(graph(Element::F32, None));
        denoiser.bind("label", labels(label), null.map(|null| labels(&[null]))).unwrap();
        let words = |value: f32| floats(&[1, 2], &[value; 2]);
        denoiser.bind("text", words(text), text_null.map(words)).unwrap();
        denoiser.bind("scale", scalar(1.0), None).unwrap();
        denoiser
    };
    let weight = 3.0;
    // y = x / 2 + c, so guidance is c_null + w (c - c_null) in c's place: classes 1, 2, 2, null 0, and a text.
    let c = |class: usize, text: f32| f64::from(TABLE[class] + text);
    let got = guided(bound(&[1, 2, 2], Some(0), 0.25, Some(-0.5)), weight).unwrap();
    let null = c(0, -0.5);
    for (item, class) in [1, 2, 2].into_iter().enumerate() {
        let guided_c = null + weight * (c(class, 0.25) - null);
        // A run with that number in the text's place, class 0, unguided.
        let want = guided(bound(&[0], None, guided_c as f32 - TABLE[0], None), 1.0).unwrap();
        for (got, want) in got[2 * item..][..2].iter().zip(&want[2 * item..][..2]) {
            assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{item}: {got} {want}");
        }
    }
    // Floats have zeros for a null, and labels none: 0 is a class.
    let zeros = guided(bound(&[1], Some(1), 0.25, None), weight).unwrap();
    assert_eq!(zeros, guided(bound(&[1], Some(1), 0.25, Some(0.0)), weight).unwrap());
    let error = guided(bound(&[1], None, 0.25, None), weight).unwrap_err();
    assert!(error.contains("label") && error.contains("--uncond"), "{error}");
}

/// y = x / 2 + table[label], with labels for these items.
fn labelled(items: &[i64], null: i64) -> OrtDenoiser {
    let mut graph = GraphBuilder::new("labelled");
    graph.input("sample", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("timestep", Element::F32, &[N]);
    graph.input("label", Element::I64, &[N]);
    graph.floats("table", &[3, 1], &TABLE).unwrap();
    graph.floats("half", &[1], &[0.5]).unwrap();
    graph.node("class", "Gather", &["table", "label"], &[]);
    graph.node("x_half", "Mul", &["sample", "half"], &[]);
    graph.node("y", "Add", &["x_half", "class"], &[]);
    graph.output("y", &[N, Extent::Fixed(2)]);
    let mut denoiser = denoiser(graph);
    denoiser.bind("label", labels(items), Some(labels(&[null]))).unwrap();
    denoiser
}

/// A pipeline's requests take their own rows of what is bound, the one that their tag names and those after it, and their
/// rows without the condition take its null.
#[test]
fn a_requests_tag_names_its_conditions() {
    let betas = Betas::linear(1000, 1e-4, 2e-2);
    let plan = SharedPlan::trailing(&Ddim::default(), &betas, 5, Prediction::Sample).unwrap();
    let samples = |denoiser: OrtDenoiser, requests: &[(u64, usize, Option<f64>)]| -> Vec<Vec<f32>> {
        let denoisers: Vec<Box<dyn RowDenoiser>> = vec![Box::new(denoiser)];
        let pipeline = Pipeline::new(denoisers, Settings::default()).unwrap();
        let submit = |&(tag, items, guidance): &(u64, usize, Option<f64>)| {
            let request = Request::new(&plan, items).seed(7).tag(tag);
            let request = match guidance {
                Some(weight) => request.guided(weight),
                None => request,
            };
            pipeline.submit(request).unwrap()
        };
        let handles: Vec<_> = requests.iter().map(submit).collect();
        handles.into_iter().map(|handle| handle.wait().unwrap().x).collect()
    };
    for guidance in [None, Some(3.0)] {
        let together =
            samples(labelled(&[2, 0, 1], 1), &[(0, 2, guidance), (2, 1, guidance), (1, 1, guidance)]);
        // Each label alone, for the same seed and place among the items.
        let alone = |label: i64, items: usize| {
            samples(labelled(&vec![label; items], 1), &[(0, items, guidance)]).remove(0)
        };
        let want = [[&alone(2, 2)[..2], &alone(0, 2)[2..]].concat(), alone(1, 1), alone(0, 1)];
        assert_eq!(together, want, "{guidance:?}");
        assert!(want[1] != want[2], "labels tell");
    }
    let [plain, guided] = [None, Some(3.0)].map(|guidance| samples(labelled(&[0], 1), &[(0, 1, guidance)]));
    assert_ne!(plain, guided);
}
