//! Rows that stay on the device, used in unforeseen ways: several models on one set of rows, files that go or change, calls of
//! other lengths.

mod common;

use std::fs;

use common::affine::Affine;
use common::rows::{apart, called, ddim, denoiser, on_device, on_host, options, provider};
use picardy::{Denoiser, Foreseen, Form, Picard, Plan, SampleError, Sampler, Sequential, Tensor};
use picardy_ort::{Model, OrtDenoiser, OrtError};
use picardy_trainer::onnx::{Element, Extent, GraphBuilder};

#[test]
fn two_models_of_two_forms_share_rows() {
    let half = Affine { x: Element::F16, out: Element::F16, ..Affine::plain(&[2]) };
    let models = || [denoiser(Affine::plain(&[2]).graph(), None), denoiser(half.graph(), None)];
    let nodes = ddim(8);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut plain = denoiser(Affine::plain(&[2]).graph(), None);
    let (want, _) = on_host(&Sequential, &plan, &mut plain, (2, 2));
    let picard = Picard::default();
    for rows in [Sequential.need(&plan, 2).rows, picard.need(&plan, 2).rows] {
        let [mut first, mut second] = models();
        // The mean of the two models' answers, the second's in spare rows.
        let mut mean = called(|batch, frames, x, out| {
            let spare = rows..rows + out.len();
            first.evaluate(batch, frames, x.clone(), out.clone())?;
            second.evaluate(batch, frames, x, spare.clone())?;
            for (out, spare) in out.zip(spare) {
                frames.combine(out, &[(0.5, out), (0.5, spare)]);
            }
            Ok(())
        });
        let got = if rows == Sequential.need(&plan, 2).rows {
            on_device(&Sequential, &plan, &mut mean, (2, &[2]), 64)
        } else {
            on_device(&picard, &plan, &mut mean, (2, &[2]), 64)
        };
        let got = match got {
            // A software adapter has no halves.
            Err(error) if error.to_string().contains("requires f16 but the device does not support it") => {
                return;
            }
            got => got.unwrap().0,
        };
        // The two are the same network, but for halves' rounding.
        assert!(apart(&want, &got) < 2e-2, "{want:?} {got:?}");
    }
}

#[test]
fn a_model_whose_file_goes_or_changes_is_told() {
    provider();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let bytes = Affine::plain(&[2]).graph().finish().unwrap();
    fs::write(&path, &bytes).unwrap();
    let options = options();
    let load = || OrtDenoiser::new(Model::load(&path, options.clone()).unwrap()).unwrap();
    let nodes = ddim(8);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let on_rows = |denoiser: &mut OrtDenoiser| on_device(&Sequential, &plan, denoiser, (2, &[2]), 0);
    let call = |denoiser: &mut OrtDenoiser| denoiser.run(&[1.0, 1.0], [1.0].into_iter(), &mut [0.0; 2]);

    let mut known = load();
    let (want, ..) = on_rows(&mut known).unwrap();
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        assert!(matches!(call(&mut known), Err(OrtError::Read { .. })));
        assert!(on_rows(&mut known).is_err());
    }
    // The same file, with the same time, is back.
    let other = dir.path().join("other.onnx");
    fs::write(&path, &bytes).unwrap();
    let mut known = load();
    on_rows(&mut known).unwrap();
    fs::rename(&path, &other).unwrap();
    assert!(call(&mut known).is_err());
    fs::rename(&other, &path).unwrap();
    let (again, ..) = on_rows(&mut known).unwrap();
    call(&mut known).unwrap();
    assert_eq!(again, want);

    // Another model in its place, before there was a call: rows are gathered beside the one that was loaded.
    let mut known = load();
    call(&mut known).unwrap();
    let mut graph = GraphBuilder::new("another");
    graph.input("sample", Element::F32, &[Extent::Free("n"), Extent::Fixed(2)]);
    graph.input("timestep", Element::F32, &[Extent::Free("n")]);
    graph.floats("little", &[1], &[0.01]).unwrap();
    graph.node("noise_pred", "Mul", &["sample", "little"], &[]);
    graph.output("noise_pred", &[Extent::Free("n"), Extent::Fixed(2)]);
    fs::write(&path, graph.finish().unwrap()).unwrap();
    let (same, ..) = on_rows(&mut known).unwrap();
    assert!(apart(&same, &want) < 1e-5, "{same:?} {want:?}");
    // And after one: an error that says so.
    fs::write(&path, &bytes).unwrap();
    let mut known = load();
    on_rows(&mut known).unwrap();
    fs::write(&path, [&bytes[..], &[0x12, 0]].concat()).unwrap();
    let error = call(&mut known).unwrap_err();
    let said = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(said.contains("model.onnx") && said.contains("has changed since"), "{said}");
}

#[test]
fn a_call_of_another_length_is_an_error() {
    let nodes = ddim(4);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for (read, written) in [(1, 0), (0, 1), (1, 1), (3, 3)] {
        let mut inner = denoiser(Affine::plain(&[2]).graph(), None);
        // Passes on fewer rows to read, or to write, than the call has.
        let mut short = called(|batch, frames, x, out| {
            let out = out.start..out.end - written;
            // Foreseen for as many as are written.
            let of = |out| Foreseen { x: x.start, out, m: out, state: 0.0, output: 1.0, since: None };
            frames.foresee(out.clone().map(of));
            inner.evaluate(batch, frames, x.start..x.end - read, out)
        });
        let error = on_device(&Sequential, &plan, &mut short, (3, &[2]), 0).unwrap_err();
        assert!(matches!(error, SampleError::Denoiser(OrtError::Length { rows: 3, .. })), "{error}");
    }
}
