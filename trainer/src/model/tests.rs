//! The network under training against the one that is run from its file, and its file against damage.

use picardy::nn::{Artifact, ResidualMlp};
use proptest::prelude::*;

use super::{MlpConfig, Network, NetworkError, Precision};
use crate::op::testing::values;

fn model() -> Network<f32> {
    let mut model = Network::new(MlpConfig { dim: 3, width: 20, blocks: 2 }, 64, 11).unwrap();
    // Layer norms away from their start, so that they count.
    let shift = values(model.parameters().len(), 5);
    model.parameters_mut().iter_mut().zip(shift).for_each(|(p, s)| *p += 0.1 * s as f32);
    model
}

fn inputs(rows: usize) -> (Vec<f32>, Vec<f32>) {
    let x = values(3 * rows, 1).iter().map(|&v| v as f32).collect();
    (x, (0..rows).map(|r| (r * 37 % 1000) as f32).collect())
}

#[test]
fn the_file_computes_what_was_trained() {
    let mut model = model();
    let bytes = model.to_safetensors(&[], Precision::F32).unwrap();
    let network = ResidualMlp::from_artifact(&Artifact::parse(&bytes).unwrap()).unwrap();
    let (x, t) = inputs(50);
    let want = model.forward(&x, &t, &[]).unwrap().to_vec();
    for rows in [1, 5, 48, 99] {
        let mut scratch = vec![0.0; network.scratch_len(rows)];
        let mut out = vec![0.0; want.len()];
        network.forward(&x, t.iter().copied(), &mut out, &mut scratch).unwrap();
        // Not only close: the same functions in the same order.
        assert_eq!(out, want, "scratch for {rows} rows");
    }
}

#[test]
fn half_precision_is_close_and_reads_back() {
    let mut model = model();
    let bytes = model.to_safetensors(&[], Precision::F16).unwrap();
    let network = ResidualMlp::from_artifact(&Artifact::parse(&bytes).unwrap()).unwrap();
    let (x, t) = inputs(5);
    let mut scratch = vec![0.0; network.scratch_len(5)];
    let mut out = vec![0.0; 15];
    network.forward(&x, t.iter().copied(), &mut out, &mut scratch).unwrap();
    let want = model.forward(&x, &t, &[]).unwrap();
    let worst = out.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 5e-3, "{worst}");
    let mut read = Network::<f32>::from_safetensors(&bytes, 64).unwrap();
    assert_eq!(read.forward(&x, &t, &[]).unwrap(), out);
}

#[test]
fn equal_networks_give_equal_bytes_with_their_metadata() {
    let pairs: Vec<_> = (0..20).map(|i| (format!("key.{i}"), format!("value {i}"))).collect();
    let first = model().to_safetensors(&pairs, Precision::F32).unwrap();
    for _ in 0..5 {
        assert_eq!(model().to_safetensors(&pairs, Precision::F32).unwrap(), first);
    }
    let artifact = Artifact::parse(&first).unwrap();
    for (key, value) in &pairs {
        assert_eq!(artifact.metadata(key), Some(value.as_str()));
    }
    safetensors::SafeTensors::deserialize(&first).unwrap();
}

#[test]
fn what_cannot_be_stored_is_named() {
    let mut model = model();
    model.parameters_mut()[0] = 1e6;
    assert!(model.to_safetensors(&[], Precision::F32).is_ok());
    let error = model.to_safetensors(&[], Precision::F16).unwrap_err().to_string();
    assert!(error.contains("input.weight") && error.contains("1000000"), "{error}");
    model.parameters_mut()[0] = f32::NAN;
    assert!(model.to_safetensors(&[], Precision::F32).is_err());
}

#[test]
fn impossible_sizes_are_errors() {
    for (dim, width, blocks) in [(0, 8, 1), (2, 7, 1), (2, 0, 1), (2, 8, 0), (2, 8, 99)] {
        let config = MlpConfig { dim, width, blocks };
        assert!(Network::<f32>::new(config, 1, 0).is_err(), "{config:?}");
    }
    let mut model = model();
    assert!(matches!(model.forward(&[0.0; 195], &[0.0; 65], &[]), Err(NetworkError::Batch { .. })));
    assert!(matches!(model.forward(&[0.0; 5], &[0.0; 2], &[]), Err(NetworkError::Shape(_))));
    assert!(matches!(model.backward(&[0.0; 5]), Err(NetworkError::Shape(_))));
}

#[test]
fn a_scratch_or_times_too_short_are_errors() {
    let bytes = model().to_safetensors(&[], Precision::F32).unwrap();
    let network = ResidualMlp::from_artifact(&Artifact::parse(&bytes).unwrap()).unwrap();
    let (x, t) = inputs(2);
    let mut out = [0.0; 6];
    let mut scratch = vec![0.0; network.scratch_len(1)];
    let short = scratch.len() - 1;
    assert!(network.forward(&x, t.iter().copied(), &mut out, &mut scratch).is_ok());
    assert!(network.forward(&x, t.iter().copied(), &mut out, &mut scratch[..short]).is_err());
    assert!(network.forward(&x, t[..1].iter().copied(), &mut out, &mut scratch).is_err());
    assert!(network.forward(&x, t.iter().copied(), &mut out[..5], &mut scratch).is_err());
    assert!(network.forward(&x[..5], t.iter().copied(), &mut out[..5], &mut scratch).is_err());
}

/// Loads and runs whatever the bytes still are. Nothing may panic.
fn load_and_run(bytes: &[u8]) {
    let Ok(artifact) = Artifact::parse(bytes) else { return };
    let Ok(network) = ResidualMlp::from_artifact(&artifact) else { return };
    let _ = network.card(&artifact);
    let mut scratch = vec![0.0; network.scratch_len(1).min(1 << 20)];
    let mut out = vec![0.0; network.dim().min(1 << 10)];
    let x = out.clone();
    let _ = network.forward(&x, core::iter::once(3.0), &mut out, &mut scratch);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files_are_refused_or_run(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..6),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let config = MlpConfig { dim: 1, width: 4, blocks: 1 };
        let model = Network::<f32>::new(config, 1, 0).unwrap();
        let mut bytes = model.to_safetensors(&[("a".into(), "b".into())], Precision::F32).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (place, byte, anywhere) in flips {
            // Mostly in the header, where the rules are.
            let n = if anywhere { bytes.len() } else { header };
            bytes[place.index(n)] = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        load_and_run(&bytes);
    }

    #[test]
    fn headers_of_json_scraps_are_refused_or_run(
        scraps in proptest::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"F32\"", "\"F16\"", "0", "4",
            "8", "99999999999999999999", "\"__metadata__\"", "\"a\"", "\"input.weight\"", "-1", "1e3", "null", "\\",
        ]), 0..40),
        data in 0usize..16,
    ) {
        let header = scraps.concat();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        load_and_run(&bytes);
    }
}
