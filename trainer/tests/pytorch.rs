//! The networks against PyTorch's: outputs and gradients from the same parameters (tests/peers/gradients.py wrote them).

use picardy_trainer::model::{Network, NetworkConfig, NetworkKind};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    shape: Vec<usize>,
    condition: usize,
    network: NetworkKind,
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The largest difference over the largest number.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(1e-12f32, |size, w| size.max(w.abs()));
    got.iter().zip(want).fold(0.0f32, |worst, (g, w)| worst.max((g - w).abs())) / size
}

#[test]
fn outputs_and_gradients_are_pytorchs() {
    let bytes =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/gradients.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases = metadata.metadata().clone().unwrap();
    assert_eq!(cases.len(), 3);
    for (name, case) in cases {
        let Case { shape, condition, network } = serde_json::from_str(&case).unwrap();
        let architecture = network.architecture().unwrap();
        let config = NetworkConfig { shape, condition, architecture };
        let mut model = Network::<f32>::new(config, 8, 0).unwrap();
        let of = |what: &str| numbers(&file, &format!("{name}/{what}"));
        let mut known = 0;
        for parameter in model.layout().to_vec() {
            let values = of(&format!("p/{}", parameter.name));
            model.parameters_mut()[parameter.range].copy_from_slice(&values);
            known += 1;
        }
        let theirs = file.names().into_iter().filter(|n| n.starts_with(&format!("{name}/p/"))).count();
        assert_eq!(known, theirs, "{name}: parameters");
        let out = model.forward(&of("x"), &of("t"), &of("c")).unwrap();
        let worst = difference(out, &of("out"));
        assert!(worst < 1e-5, "{name}: the output differs by {worst}");
        let mut dx = vec![0.0; of("x").len()];
        model.backward_input(&of("up"), &mut dx).unwrap();
        assert!(difference(&dx, &of("dx")) < 1e-4, "{name}: dx differs by {}", difference(&dx, &of("dx")));
        for parameter in model.layout() {
            let want = of(&format!("g/{}", parameter.name));
            let worst = difference(&model.gradients()[parameter.range.clone()], &want);
            assert!(worst < 1e-4, "{name} {}: the gradient differs by {worst}", parameter.name);
        }
    }
}
