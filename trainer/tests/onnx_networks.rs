//! Exported networks: through ONNX Runtime what the artifact and the trainer compute, and valid by the ONNX checker.

mod onnx_common;

use onnx_common::{configs, network, rows};
use picardy::nn::{self, Artifact, Step};
use picardy_ort::call::{Sink, Source, call};
use picardy_ort::{Model, Options, ensure_runtime};
use picardy_trainer::model::Precision;
use picardy_trainer::onnx::export_network;

/// The largest difference, over the largest number of `want`.
fn worst(got: &[f32], want: &[f32]) -> f32 {
    let size = want.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    assert!(got.len() == want.len() && size > 0.05 && got.iter().all(|x| x.is_finite()));
    got.iter().zip(want).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / size
}

#[test]
fn onnx_runtime_computes_what_was_trained() {
    ensure_runtime().unwrap();
    for config in configs() {
        let mut trained = network(&config, 7);
        let file = export_network(&trained, &[]).unwrap();
        let mut model = Model::from_bytes(&file, Options::default()).unwrap();
        let names: Vec<&str> = model.inputs().iter().map(|port| port.name.as_str()).collect();
        assert_eq!(names, &["x", "t", "condition"][..if config.condition > 0 { 3 } else { 2 }]);
        let bytes = trained.to_safetensors(&[], Precision::F32).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        let mut steps = vec![Step::default(); config.architecture.steps(config.condition)];
        let inferred =
            nn::Network::new(&artifact, &config.architecture, &config.shape, config.condition, &mut steps)
                .unwrap();
        for n in [1, 7] {
            let [x, t, c] = rows(&config, n, 9);
            let shape = [&[n], &config.shape[..]].concat();
            let (t_shape, c_shape) = ([n], [n, config.condition]);
            let run = |model: &mut Model, c: &[f32]| {
                let mut inputs = vec![("x", Source::Host(&shape, &x)), ("t", Source::Host(&t_shape, &t))];
                if config.condition > 0 {
                    inputs.push(("condition", Source::Host(&c_shape, c)));
                }
                let mut out = vec![f32::NAN; x.len()];
                call(model, &inputs, &mut [("out", Sink::Host(&shape, &mut out))]).unwrap();
                out
            };
            let out = run(&mut model, &c);
            let want = trained.forward(&x, &t, &c).unwrap();
            let apart = worst(&out, want);
            assert!(apart < 1e-5, "{config:?}, {n} rows: {apart} from the trainer's");
            let mut scratch = vec![f32::NAN; inferred.scratch_len(4)];
            let mut want = vec![f32::NAN; x.len()];
            inferred.forward(&x, t.iter().copied(), &c, &mut want, &mut scratch).unwrap();
            let apart = worst(&out, &want);
            assert!(apart < 1e-5, "{config:?}, {n} rows: {apart} from the artifact's");
            // No condition is one of zeros, and another answer.
            inferred.forward(&x, t.iter().copied(), &[], &mut want, &mut scratch).unwrap();
            let none = run(&mut model, &vec![0.0; c.len()]);
            assert!(worst(&none, &want) < 1e-5);
            assert_eq!(none != out, config.condition > 0 && n > 1);
        }
    }
}

#[test]
fn a_parameter_that_is_no_number_is_named() {
    for config in configs() {
        let mut model = network(&config, 1);
        let bad = model.layout()[model.layout().len() / 2].clone();
        model.parameters_mut()[bad.range.start] = f32::NAN;
        let error = export_network(&model, &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{}` holds NaN", bad.name)), "{error}");
    }
}

#[test]
fn the_mlps_nodes_are_those_that_onnx_runtime_fuses() {
    ensure_runtime().unwrap();
    let file = export_network(&network(&configs()[0], 1), &[]).unwrap();
    let model = Model::from_bytes(&file, Options::default()).unwrap();
    let operators: Vec<&str> = model.placements().iter().map(|node| node.operator.as_str()).collect();
    let embedding = ["Unsqueeze", "Mul", "Sin", "Cos", "Concat", "Gemm"];
    // Those of the GELU in the middle become one kernel, after this record is made.
    let block = ["Add", "LayerNormalization", "Gemm", "Div", "Erf", "Add", "Mul", "Mul", "Gemm", "Add"];
    let end = ["LayerNormalization", "Gemm"];
    assert_eq!(operators, [&embedding[..], &block, &block, &end].concat());
}
