//! Rows that stay on the device, with models of every form, guidance and guards: the host path's samples.
//!
//! On the processor's provider in `cargo test`; tests/webgpu.sh and tests/cuda.sh run the same on the provider that
//! PICARDY_TEST_PROVIDER names.

mod common;

use common::affine::{Affine, Level as TimeRank};
use common::rows::{apart, ddim, deis, denoiser, on_device, on_host, options, provider};
use picardy::guard::{Clamp, Inpaint};
use picardy::{
    Form, Guarded, Guided, GuidedError, Picard, Plan, SampleError, Sampler, Sequential, SliceFrames, Slope,
    SpareRows,
};
use picardy_ort::{Array, Model, OrtDenoiser, OrtError, Provider, Signature};
use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

const ITEMS: usize = 3;

/// The largest difference between the two paths, in sequence and in parallel.
fn largest(make: &dyn Fn() -> OrtDenoiser, tolerance: f64) -> Result<f32, OrtError> {
    let nodes = ddim(16);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let picard = Picard { slope: Slope::Secant, tolerance, ..Picard::default() };
    let (mut host, mut device) = (make(), make());
    let (dim, item) = (host.dim(), host.item_shape().to_vec());
    let of = |result: SampleError<OrtError>| match result {
        SampleError::Denoiser(error) => error,
        other => panic!("{other}"),
    };
    let (b, _, moved) = on_device(&Sequential, &plan, &mut device, (ITEMS, &item), 0).map_err(of)?;
    // Beside the model's own run: one a step, of which the last reads nothing, and for each item the reading of its sample.
    let most = if matches!(provider(), Provider::TensorRt { .. }) { 2 * 16 } else { 16 };
    assert!(moved.runs <= most + 1 + ITEMS, "{moved:?}");
    let (a, _) = on_host(&Sequential, &plan, &mut host, (ITEMS, dim));
    let (c, _) = on_host(&picard, &plan, &mut host, (ITEMS, dim));
    let (d, report, moved) = on_device(&picard, &plan, &mut device, (ITEMS, &item), 0).map_err(of)?;
    let most = if matches!(provider(), Provider::TensorRt { .. }) { 3 } else { 1 } * report.rounds;
    // The first states before the first round, and for each item whether its sample is finite, and the reading of it.
    assert!(moved.runs <= most + 1 + 2 * ITEMS, "{moved:?} {report:?}");
    // A model that answers zeros would agree with anything.
    assert!(apart(&a, &vec![0.0; a.len()]) > 0.1);
    Ok(apart(&a, &b).max(apart(&c, &d)))
}

/// WebGPU has no kernels of bf16 and f64, and a device may have no f16: rows must not take another way unseen.
fn or_refused(found: Result<f32, OrtError>, elements: &[Element]) -> Option<f32> {
    let has = |element| elements.contains(&element) && provider() == Provider::WebGpu;
    match found {
        Err(OrtError::NotOnDevice { provider, node }) if has(Element::Bf16) || has(Element::F64) => {
            assert!(provider == Provider::WebGpu && node.contains("Cast: CPUExecutionProvider"), "{node}");
            None
        }
        Err(OrtError::Run(error)) if has(Element::F16) => {
            let said = error.to_string();
            assert!(said.contains("requires f16 but the device does not support it"), "{said}");
            None
        }
        found => {
            assert!(!has(Element::Bf16) && !has(Element::F64), "{found:?}");
            Some(found.unwrap())
        }
    }
}

#[test]
fn models_of_every_form_get_the_host_paths_samples() {
    let plain = |item| Affine::plain(item);
    let of = |x, out| Affine { x, out, ..Affine::plain(&[2, 3]) };
    let (f32, f16, bf16, f64) = (Element::F32, Element::F16, Element::Bf16, Element::F64);
    // Halves differ where the two paths round a state to another side: see `samplers_do_not_see_the_form` in forms.rs.
    let forms = [
        (plain(&[2]), 1e-4),
        (plain(&[2, 3, 2]), 1e-4),
        (plain(&[1, 2, 1, 3, 1]), 1e-4),
        (Affine { rank: TimeRank::Scalar, ..plain(&[2]) }, 1e-4),
        (Affine { rank: TimeRank::One, t: Element::I64, ..plain(&[2, 3]) }, 1e-4),
        (Affine { rank: TimeRank::Column, t: Element::I64, ..plain(&[3]) }, 1e-4),
        (Affine { t: Element::I32, batch: Some(4), ..plain(&[2, 3]) }, 1e-4),
        (Affine { rank: TimeRank::Scalar, batch: Some(2), ..plain(&[2]) }, 1e-4),
        (Affine { batch: Some(1), ..plain(&[2]) }, 1e-4),
        (of(f16, f16), 5e-4),
        (of(f32, f16), 5e-4),
        (of(f16, f32), 5e-4),
        (Affine { batch: Some(4), ..of(f16, f16) }, 5e-4),
        (of(bf16, bf16), 4e-3),
        (of(f64, f64), 1e-4),
    ];
    for (form, bound) in forms {
        let found = largest(&|| denoiser(form.graph(), None), if bound > 1e-4 { 0.0 } else { 1e-3 });
        if let Some(found) = or_refused(found, &[form.x, form.out]) {
            assert!(found <= bound, "{form:?}: {found:.1e}");
        }
    }
}

#[test]
fn of_a_learned_variance_the_mean_is_taken() {
    for element in [Element::F32, Element::F16] {
        for batch in [None, Some(2)] {
            let make = || {
                let form = Affine { x: element, out: element, batch, ..Affine::plain(&[2, 3]) };
                let mut graph = form.graph();
                let rows = batch.map_or(Extent::Free("n"), Extent::Fixed);
                graph.node("both", "Concat", &["noise_pred", "sample"], &[("axis", Attribute::Int(1))]);
                graph.output_of("both", element, &[rows, Extent::Fixed(4), Extent::Fixed(3)]);
                denoiser(graph, Some("both"))
            };
            assert!(make().learned_variance());
            let bound = if element == Element::F32 { 1e-4 } else { 5e-4 };
            if let Some(found) = or_refused(largest(&make, 0.0), &[element]) {
                assert!(found <= bound, "{element:?} {batch:?}: {found:.1e}");
            }
        }
    }
}

/// One denoiser on both kinds of rows, in turn: its session is another one for each.
#[test]
fn a_denoiser_goes_from_one_kind_of_rows_to_the_other() {
    let nodes = ddim(8);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut both = denoiser(Affine::plain(&[2]).graph(), None);
    let (want, _) = on_host(&Sequential, &plan, &mut both, (ITEMS, 2));
    for _ in 0..2 {
        let (device, ..) = on_device(&Sequential, &plan, &mut both, (ITEMS, &[2]), 0).unwrap();
        assert!(apart(&want, &device) <= 1e-4, "{want:?} {device:?}");
        let (host, _) = on_host(&Sequential, &plan, &mut both, (ITEMS, 2));
        assert_eq!(host, want);
    }
}

/// A model that has a name of ours keeps its graph as it is: the rows are gathered and judged by graphs of their own.
#[test]
fn a_model_that_takes_no_nodes_gets_the_same_samples() {
    let make = |bias: &str| {
        let mut graph = Affine::plain(&[2]).graph();
        graph.input(bias, Element::F32, &[Extent::Free("n"), Extent::Fixed(2)]);
        graph.node("biased", "Add", &["noise_pred", bias], &[]);
        graph.output("biased", &[Extent::Free("n"), Extent::Fixed(2)]);
        let mut denoiser = denoiser(graph, Some("biased"));
        denoiser.bind(bias, Array::floats(&[2], vec![0.1, -0.1]).unwrap(), None).unwrap();
        denoiser
    };
    let nodes = ddim(16);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let picard = Picard { slope: Slope::Secant, tolerance: 1e-3, ..Picard::default() };
    let (free, _, few) = on_device(&picard, &plan, &mut make("bias"), (ITEMS, &[2]), 0).unwrap();
    let (taken, _, more) = on_device(&picard, &plan, &mut make("picardy.base"), (ITEMS, &[2]), 0).unwrap();
    assert!(apart(&free, &taken) <= 1e-5, "{free:?} {taken:?}");
    assert!(few.runs < more.runs || matches!(provider(), Provider::TensorRt { .. }), "{few:?} {more:?}");
}

/// Weights in a file beside the model's, to which bytes made of the model refer too.
#[test]
fn data_beside_the_model_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let mut graph = Affine::plain(&[2]).graph();
    graph.external_floats("w", &[2], "w.bin", 0);
    graph.node("weighted", "Mul", &["noise_pred", "w"], &[]);
    graph.output("weighted", &[Extent::Free("n"), Extent::Fixed(2)]);
    std::fs::write(&path, graph.finish().unwrap()).unwrap();
    let weights = [0.5f32, 0.25].map(f32::to_le_bytes).concat();
    std::fs::write(dir.path().join("w.bin"), weights).unwrap();
    provider();
    let make = || {
        let options = options();
        let signature = Signature { output: Some("weighted".to_owned()), ..Signature::default() };
        OrtDenoiser::with_signature(Model::load(&path, options).unwrap(), &signature).unwrap()
    };
    assert!(largest(&make, 1e-3).unwrap() <= 1e-4);
}

/// y = x / 4 + table[label] + bias, of x `[n, 2]`, label i64 `[n]` and bias `[n, 2]`.
fn conditioned(batch: Option<usize>, labels: &[i64], bias: &[f32]) -> OrtDenoiser {
    let n = batch.map_or(Extent::Free("n"), Extent::Fixed);
    let mut graph = GraphBuilder::new("conditioned");
    graph.input("sample", Element::F32, &[n, Extent::Fixed(2)]);
    graph.input("timestep", Element::F32, &[n]);
    graph.input("label", Element::I64, &[n]);
    graph.input("bias", Element::F32, &[n, Extent::Fixed(2)]);
    graph.floats("table", &[3, 1], &[0.5, -1.0, 0.25]).unwrap();
    graph.floats("quarter", &[1], &[0.25]).unwrap();
    graph.node("class", "Gather", &["table", "label"], &[]);
    graph.node("x_quarter", "Mul", &["sample", "quarter"], &[]);
    graph.node("a", "Add", &["x_quarter", "class"], &[]);
    graph.node("y", "Add", &["a", "bias"], &[]);
    graph.output("y", &[n, Extent::Fixed(2)]);
    let mut denoiser = denoiser(graph, None);
    let null = Array::integers(&[1], vec![0]).unwrap();
    denoiser.bind("label", Array::integers(&[labels.len()], labels.to_vec()).unwrap(), Some(null)).unwrap();
    denoiser.bind("bias", Array::floats(&[bias.len() / 2, 2], bias.to_vec()).unwrap(), None).unwrap();
    denoiser
}

#[test]
fn conditions_are_shared_or_each_items() {
    let each = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6];
    for batch in [None, Some(4)] {
        let shared = largest(&|| conditioned(batch, &[1], &each[..2]), 1e-3).unwrap();
        let own = largest(&|| conditioned(batch, &[2, 0, 1], &each), 1e-3).unwrap();
        assert!(shared <= 1e-4 && own <= 1e-4, "{shared:.1e} {own:.1e}");
    }
    // The items' conditions do matter.
    let nodes = ddim(16);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let run = |labels: &[i64]| {
        let mut denoiser = conditioned(None, labels, &[0.0, 0.0]);
        on_device(&Sequential, &plan, &mut denoiser, (ITEMS, &[2]), 0).unwrap().0
    };
    assert!(apart(&run(&[0, 1, 2]), &run(&[0, 2, 1])) > 1e-2);
}

#[test]
fn guidance_is_one_call_and_copies_nothing_to_the_host() {
    let nodes = ddim(16);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let make = |batch| conditioned(batch, &[1, 2, 2], &[0.1, -0.2]);
    let picard = Picard { slope: Slope::Secant, tolerance: 1e-3, ..Picard::default() };
    for (batch, weight) in [(None, 3.0), (None, 1.0), (None, 0.0), (Some(4), 2.5)] {
        let rows = 4 * ITEMS * 16;
        let mut memory = vec![0.0; rows * 2];
        let mut host = Guided::new(make(batch), SliceFrames::new(&mut memory, 2), weight);
        let (a, _) = on_host(&Sequential, &plan, &mut host, (ITEMS, 2));
        let (c, _) = on_host(&picard, &plan, &mut host, (ITEMS, 2));
        let spare = |need: picardy::Need| SpareRows { first: need.rows, rows };
        let mut device = Guided::new(make(batch), spare(Sequential.need(&plan, ITEMS)), weight);
        let (b, _, moved) = on_device(&Sequential, &plan, &mut device, (ITEMS, &[2]), rows).unwrap();
        let mut device = Guided::new(make(batch), spare(picard.need(&plan, ITEMS)), weight);
        let (d, report, in_parallel) = on_device(&picard, &plan, &mut device, (ITEMS, &[2]), rows).unwrap();
        assert!(apart(&a, &b) <= 1e-4 && apart(&c, &d) <= 1e-4, "{} {}", apart(&a, &b), apart(&c, &d));
        // The start, and the samples.
        assert_eq!((moved.rows_up, moved.rows_down), (ITEMS, ITEMS));
        assert_eq!((in_parallel.rows_up, in_parallel.rows_down), (ITEMS, ITEMS));
        if batch.is_none() {
            // One a round more than without guidance: what the two answers make is judged by a run of its own.
            assert!(moved.runs <= 2 * 16 + ITEMS + 1, "{moved:?}");
            assert!(in_parallel.runs <= 2 * report.rounds + 2 * ITEMS + 1, "{in_parallel:?} {report:?}");
        }
    }
}

#[test]
fn what_guidance_on_rows_cannot_is_an_error() {
    let nodes = ddim(4);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let first = Sequential.need(&plan, ITEMS).rows;
    let run = |spare: SpareRows, there: usize, rescale: f64| {
        let network = conditioned(None, &[1], &[0.0, 0.0]);
        let mut guided = Guided::new(network, spare, 2.0).rescaled(rescale);
        match on_device(&Sequential, &plan, &mut guided, (ITEMS, &[2]), there) {
            Err(SampleError::Denoiser(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let rows = 4 * ITEMS;
    let error = run(SpareRows { first, rows }, rows, 0.7);
    assert!(matches!(error, GuidedError::RescaleOnRows(0.7)), "{error}");
    for (spare, there) in [
        (SpareRows { first, rows: rows - 1 }, rows),
        (SpareRows { first, rows }, rows - 1),
        (SpareRows { first: first - 1, rows }, rows),
        (SpareRows { first: usize::MAX, rows }, rows),
    ] {
        let error = run(spare, there, 0.0);
        assert!(matches!(error, GuidedError::Frames { needed: 12, .. }), "{error}");
    }
}

#[test]
fn guards_run_with_the_rows() {
    let mask = [1.0, 0.0, 0.5, 1.0, 0.0, 0.0];
    let values = [0.3, f32::NAN, -0.2, 0.7, f32::NAN, 0.1];
    let network = || denoiser(Affine::plain(&[2]).graph(), None);
    let picard = Picard { slope: Slope::Secant, tolerance: 1e-4, ..Picard::default() };
    for form in [Form::Data, Form::Noise] {
        // A solver of one step in each form.
        let nodes = if form == Form::Data { ddim(16) } else { deis(16) };
        let plan = Plan::new(&nodes, form).unwrap();
        let clamp = Clamp::new(-0.75, 0.5).unwrap();
        let guard = || (clamp, Inpaint::new(&mask, &values).unwrap());
        let mut host = Guarded::new(network(), guard());
        let mut device = Guarded::new(network(), guard());
        let (a, _) = on_host(&Sequential, &plan, &mut host, (ITEMS, 2));
        let (b, _, moved) = on_device(&Sequential, &plan, &mut device, (ITEMS, &[2]), 0).unwrap();
        assert!(apart(&a, &b) <= 1e-4, "{a:?} {b:?}");
        // The start and what is known of three items, once.
        assert_eq!((moved.rows_up, moved.rows_down), (3 * ITEMS, ITEMS), "{moved:?}");
        let (c, _) = on_host(&picard, &plan, &mut host, (ITEMS, 2));
        let (d, report, moved) = on_device(&picard, &plan, &mut device, (ITEMS, &[2]), 0).unwrap();
        // A sweep goes node by node, in four stages each; a graph has sixteen.
        let nodes = ITEMS * 16;
        assert!(
            moved.runs <= report.rounds * (5 + 4 * nodes / 16) + 2 * ITEMS,
            "{form:?}: {report:?} {moved:?}"
        );
        assert!(apart(&c, &d) <= 1e-4, "{c:?} {d:?}");
        assert_eq!((moved.rows_up, moved.rows_down), (3 * ITEMS, ITEMS), "{moved:?}");
        if form == Form::Data {
            // What is known, to the bit; what is free, within the limits.
            assert!(b[0] == 0.3 && b[3] == 0.7 && d[0] == 0.3 && d[3] == 0.7, "{b:?} {d:?}");
            assert!(b.iter().all(|x| (-0.75..=0.7).contains(x)), "{b:?}");
        }
    }
    // Values for one item fewer than there are.
    let nodes = ddim(16);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut short = Guarded::new(network(), Inpaint::new(&mask[..4], &[0.0; 4]).unwrap());
    let error = on_device(&Sequential, &plan, &mut short, (ITEMS, &[2]), 0).unwrap_err();
    assert!(matches!(error, SampleError::Guard(_)), "{error}");
}
