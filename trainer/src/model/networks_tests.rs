//! The U-Nets and conditions: against the network that is run from its file, and against finite differences.

use picardy::nn::{self, Artifact, Dtype, Step};
use proptest::prelude::*;

use super::{Calibration, Int8, Network, NetworkConfig, NetworkKind, Precision};
use crate::op::testing::{values, weighted};

/// Small ones of every kind, with every choice of theirs.
fn configs() -> Vec<NetworkConfig> {
    let unet1d = |scale, widths: &[usize]| NetworkKind::Unet1d {
        widths: widths.to_vec(),
        embedding: 8,
        kernel: 5,
        groups: 2,
        scale,
    };
    let unet2d = |blocks, widths: &[usize]| NetworkKind::Unet2d {
        widths: widths.to_vec(),
        embedding: 4,
        blocks,
        groups: 2,
        heads: 2,
    };
    let config = |shape: &[usize], condition, kind: NetworkKind| NetworkConfig {
        shape: shape.to_vec(),
        condition,
        architecture: kind.architecture().unwrap(),
    };
    vec![
        config(&[3], 2, NetworkKind::ResidualMlp { width: 8, blocks: 2 }),
        config(&[8, 2], 3, unet1d(true, &[4, 6, 8])),
        config(&[4, 3], 0, unet1d(false, &[4, 6])),
        config(&[2, 1], 0, unet1d(true, &[2])),
        config(&[4, 6, 2], 3, unet2d(2, &[4, 8])),
        config(&[8, 8, 1], 0, unet2d(1, &[2, 4, 4])),
    ]
}

fn inputs(config: &NetworkConfig, rows: usize) -> [Vec<f64>; 3] {
    let dim: usize = config.shape.iter().product();
    let t = (0..rows).map(|r| (r * 37 % 100) as f64).collect();
    [values(rows * dim, 1), t, values(rows * config.condition, 2)]
}

/// Norms away from their start, so that they count.
fn shake(model: &mut Network<f64>) {
    let shift = values(model.parameters().len(), 5);
    model.parameters_mut().iter_mut().zip(shift).for_each(|(p, s)| *p += 0.1 * s);
}

#[test]
fn the_file_computes_what_was_trained() {
    for config in configs() {
        let rows = 5;
        let mut model = Network::<f64>::new(&config, rows, 3).unwrap();
        shake(&mut model);
        let [x, t, c] = inputs(&config, rows);
        let want = model.forward(&x, &t, &c).unwrap().to_vec();
        let bytes = model.to_safetensors(&[], Precision::F32).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        let mut steps = vec![Step::default(); config.architecture.steps(config.condition)];
        let network =
            nn::Network::new(&artifact, &config.architecture, &config.shape, config.condition, &mut steps)
                .unwrap();
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (x, c) = (narrow(&x), narrow(&c));
        let mut outs = Vec::new();
        for together in [1, 3, 8] {
            let mut scratch = vec![f32::NAN; network.scratch_len(together)];
            let mut out = vec![0.0; want.len()];
            network.forward(&x, t.iter().map(|&t| t as f32), &c, &mut out, &mut scratch).unwrap();
            let worst = out.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            let size = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(size > 0.05 && worst < 2e-5 * size.max(1.0), "{config:?}: {worst} of {size}");
            outs.push(out);
        }
        assert!(outs[1] == outs[0] && outs[2] == outs[0], "rows do not depend on the scratch");
        // No condition is one of zeros.
        let mut scratch = vec![f32::NAN; network.scratch_len(2)];
        let (mut none, mut zeros) = (outs[0].clone(), outs[1].clone());
        let told = || t.iter().map(|&t| t as f32);
        network.forward(&x, told(), &[], &mut none, &mut scratch).unwrap();
        network.forward(&x, told(), &vec![0.0; c.len()], &mut zeros, &mut scratch).unwrap();
        assert_eq!(none, zeros);
        assert_eq!(none != outs[0], config.condition > 0);
        let short = network.scratch_len(1) - 1;
        assert!(network.forward(&x, told(), &c, &mut none, &mut scratch[..short]).is_err());
    }
}

#[test]
fn int8_takes_in_convolutions_and_stays_close() {
    for config in configs() {
        let rows = 64;
        let mut wide = Network::<f64>::new(&config, rows, 3).unwrap();
        shake(&mut wide);
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let mut model = Network::<f32>::new(&config, rows, 3).unwrap();
        model.parameters_mut().copy_from_slice(&narrow(wide.parameters()));
        let [x, t, c] = inputs(&config, rows).map(|x| narrow(&x));
        let mut calibration = Calibration::default();
        calibration.add(&mut model, &x, &t, &c).unwrap();
        let int8 = Int8::new(&model, &calibration).unwrap();
        let bytes = model.to_int8_safetensors(&int8, &[]).unwrap();
        let artifact = Artifact::parse(&bytes).unwrap();
        for parameter in model.layout() {
            let patch: usize = parameter.shape[1..].iter().product();
            let want = if parameter.shape.len() > 1 && patch >= 16 { Dtype::I8 } else { Dtype::F32 };
            let name = &parameter.name;
            assert_eq!(artifact.tensor(name).unwrap().dtype(), want, "{name} {:?}", parameter.shape);
        }
        let want = model.forward(&x, &t, &c).unwrap().to_vec();
        let run = |bytes: &[u8]| {
            let artifact = Artifact::parse(bytes).unwrap();
            let mut steps = vec![Step::default(); config.architecture.steps(config.condition)];
            let (shape, condition) = (&config.shape, config.condition);
            let network =
                nn::Network::new(&artifact, &config.architecture, shape, condition, &mut steps).unwrap();
            let outs = [1, 5].map(|together| {
                let mut scratch = vec![f32::NAN; network.scratch_len(together)];
                let mut out = vec![0.0; x.len()];
                network.forward(&x, t.iter().copied(), &c, &mut out, &mut scratch).unwrap();
                out
            });
            assert_eq!(outs[0], outs[1], "rows do not depend on the scratch");
            let [out, _] = outs;
            let square = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>();
            (square(&mut out.iter().zip(&want).map(|(a, b)| a - b)) / square(&mut want.iter().copied()))
                .sqrt()
        };
        let error = run(&bytes);
        // Widths of 4 and 8 average little of the rounding: 0.017 at most.
        assert!(error < 0.03, "{config:?}: {error}");
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for config in configs() {
        let rows = 2;
        let mut model = Network::<f64>::new(&config, rows, 3).unwrap();
        shake(&mut model);
        let [x, t, c] = inputs(&config, rows);
        let up = values(x.len(), 7);
        model.zero_gradients();
        model.forward(&x, &t, &c).unwrap();
        let mut dx = vec![9.0; x.len()];
        model.backward_input(&up, &mut dx).unwrap();
        let gradient = model.gradients().to_vec();
        // The same again adds up.
        model.backward(&up).unwrap();
        for (twice, once) in model.gradients().iter().zip(&gradient) {
            assert!((twice - 2.0 * once).abs() <= 1e-12 * (1.0 + once.abs()), "{config:?}: {twice} {once}");
        }
        let check = |name: &str, got: f64, mut at: Box<dyn FnMut(f64) -> f64 + '_>| {
            let step = 1e-5;
            let want = (at(step) - at(-step)) / (2.0 * step);
            assert!((got - want).abs() <= 1e-7 * (1.0 + want.abs()), "{config:?} {name}: {got} where {want}");
        };
        for parameter in model.layout().to_vec() {
            // Some of each tensor's numbers.
            for i in parameter.range.clone().step_by(parameter.range.len().div_ceil(7)) {
                let run = |h: f64| {
                    let mut model = model.clone();
                    model.parameters_mut()[i] += h;
                    weighted(model.forward(&x, &t, &c).unwrap(), &up)
                };
                check(&parameter.name, gradient[i], Box::new(run));
            }
        }
        for i in (0..x.len()).step_by(3) {
            let run = |h: f64| {
                let mut x = x.clone();
                x[i] += h;
                weighted(model.clone().forward(&x, &t, &c).unwrap(), &up)
            };
            check("x", dx[i], Box::new(run));
        }
    }
}

/// A network large enough for several shards gives the same bits on any number of threads, and each row's own.
#[test]
fn threads_change_nothing() {
    let kind =
        NetworkKind::Unet1d { widths: vec![64, 128], embedding: 64, kernel: 5, groups: 8, scale: true };
    let config =
        NetworkConfig { shape: vec![16, 2], condition: 0, architecture: kind.architecture().unwrap() };
    let rows = 370;
    let [x, t, _] = inputs(&config, rows);
    let (x, t): (Vec<f32>, Vec<f32>) =
        (x.iter().map(|&x| x as f32).collect(), t.iter().map(|&t| t as f32).collect());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = Network::<f32>::new(&config, 400, 3).unwrap();
            let out = model.forward(&x, &t, &[]).unwrap().to_vec();
            let mut dx = vec![0.0; x.len()];
            model.backward_input(&out, &mut dx).unwrap();
            (model.shards.len(), out, dx, model.gradients().to_vec())
        })
    };
    let one = run(1);
    assert!(one.0 > 1, "{} shards", one.0);
    assert!(run(2) == one && run(5) == one);
    let mut alone = Network::<f32>::new(&config, 1, 3).unwrap();
    for r in [0, 140, 369] {
        let out = alone.forward(&x[r * 32..][..32], &t[r..r + 1], &[]).unwrap();
        let worst = out.iter().zip(&one.1[r * 32..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "row {r}: {worst}");
    }
}

/// Loads and runs whatever the bytes still are. Nothing may panic.
fn load_and_run(bytes: &[u8]) {
    let Ok(artifact) = Artifact::parse(bytes) else { return };
    let Ok(card) = nn::ModelCard::from_lookup(|key| artifact.metadata(key)) else { return };
    let _ = Network::<f32>::from_safetensors(bytes, 1);
    let mut steps = vec![Step::default(); card.architecture.steps(card.condition)];
    let Ok(network) = nn::Network::from_artifact(&artifact, &card, &mut steps) else { return };
    let mut scratch = vec![0.0; network.scratch_len(1).min(1 << 20)];
    let mut out = vec![0.0; network.dim().min(1 << 10)];
    let x = out.clone();
    let _ = network.forward(&x, core::iter::once(3.0), &[], &mut out, &mut scratch);
}

/// A small network's file with a card.
fn with_card(config: &NetworkConfig) -> Vec<u8> {
    let dim: usize = config.shape.iter().product();
    let ones = vec!["1"; dim].join(",");
    let shape = config.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let numbers = nn::Numbers::new;
    let card = nn::ModelCard {
        architecture: config.architecture,
        condition: config.condition,
        schedule: picardy::Betas::linear(1000, 1e-4, 2e-2).into(),
        prediction: picardy::Prediction::Epsilon,
        shape: numbers(&shape).unwrap(),
        loss: "standard",
        seed: 0,
        data_mean: numbers(&ones).unwrap(),
        data_scale: numbers(&ones).unwrap(),
        data_variance: 1.0,
        weights: nn::WeightFormat::F32,
    };
    let mut entries = Vec::new();
    card.entries(|key, value| entries.push((key.to_owned(), value.to_string())));
    Network::<f32>::new(config, 1, 0).unwrap().to_safetensors(&entries, Precision::F32).unwrap()
}

#[test]
fn a_file_with_a_card_is_read_back() {
    for config in configs() {
        let bytes = with_card(&config);
        let huge = String::from_utf8_lossy(&bytes).replace(r#"blocks":"2"#, r#"blocks":"9999999999999"#);
        load_and_run(huge.as_bytes());
        let read = Network::<f32>::from_safetensors(&bytes, 1).unwrap();
        assert_eq!(read.config(), &config);
        assert_eq!(read.parameters(), Network::<f32>::new(&config, 1, 0).unwrap().parameters());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_files_are_refused_or_run(
        which in 0usize..6,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789,-.{}\"x".to_vec())), 1..5),
    ) {
        let mut bytes = with_card(&configs()[which]);
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (place, byte) in flips {
            bytes[8 + place.index(header - 8)] = byte;
        }
        load_and_run(&bytes);
    }
}

#[test]
fn sizes_that_no_network_has_are_errors_that_name_them() {
    let said = |shape: &[usize], kind: &str| {
        let kind: NetworkKind = serde_json::from_str(kind).unwrap();
        let shape = shape.to_vec();
        let architecture = kind.architecture().map_err(|error| error.to_string())?;
        let config = NetworkConfig { shape, condition: 0, architecture };
        Network::<f32>::new(config, 4, 0).map(|_| ()).map_err(|error| error.to_string())
    };
    for (shape, kind, part) in [
        (&[16, 2][..], r#"{"kind": "unet1d", "widths": [32, 60]}"#, "`groups` is 8"),
        (&[15, 2], r#"{"kind": "unet1d", "widths": [32, 64]}"#, "`places` is 15"),
        (&[16], r#"{"kind": "unet1d", "widths": [32, 64]}"#, "[16]"),
        (&[16, 2], r#"{"kind": "unet1d", "widths": []}"#, "0 levels"),
        (&[16, 2], r#"{"kind": "unet1d", "kernel": 4}"#, "`kernel` is 4"),
        (&[16, 2], r#"{"kind": "unet1d", "embedding": 7}"#, "`embedding` is 7"),
        (&[16, 2], r#"{"kind": "unet1d", "widths": [18446744073709551608]}"#, "18446744073709551608"),
        (&[8, 8, 1], r#"{"kind": "unet2d", "heads": 3}"#, "`heads` is 3"),
        (&[8, 8, 1], r#"{"kind": "unet2d", "blocks": 0}"#, "`blocks` is 0"),
        (&[8, 8, 1], r#"{"kind": "unet2d", "blocks": 1000000000}"#, "1000000000"),
        (&[8, 7, 1], r#"{"kind": "unet2d"}"#, "`side` is 7"),
        (&[8, 8, 0], r#"{"kind": "unet2d"}"#, "[8, 8, 0]"),
    ] {
        let error = said(shape, kind).expect_err(kind);
        assert!(error.contains(part), "{kind}: {error}");
    }
    said(&[16, 2], r#"{"kind": "unet1d"}"#).unwrap();
    said(&[8, 8, 1], r#"{"kind": "unet2d"}"#).unwrap();
}

#[test]
fn no_network_holds_more_than_it_says() {
    for config in configs() {
        for rows in [1, 7, 40] {
            let mut model = Network::<f64>::new(&config, rows, 1).unwrap();
            let [x, t, c] = inputs(&config, rows);
            let dy = vec![1.0; model.forward(&x, &t, &c).unwrap().len()];
            model.backward(&dy).unwrap();
            let tapes: usize = model.shards.iter().map(|s| s.tape.held() + s.gradients.len()).sum();
            let held = tapes + model.parameters.len() + model.gradients.len() + model.out.len();
            let said = Network::<f64>::bytes(&config, rows).unwrap();
            assert!(8 * held as u128 <= said, "{config:?}, {rows} rows: {} of {said}", 8 * held);
        }
    }
}
