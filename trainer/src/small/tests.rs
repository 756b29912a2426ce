//! Small weights are small, close and checked.

use super::change::{LEVELS, outputs, relative};
use super::*;
use crate::data::{Builtin, Conditions};
use crate::loss::{NoiseTable, Standard};
use crate::model::{MlpConfig, NetworkKind};
use crate::optimiser::{Adam, AdamConfig};
use crate::train::{TrainConfig, Trainer};
use picardy::Betas;
use picardy::nn::{Artifact, ResidualMlp};

const BETAS: Betas = Betas::linear(1000, 1e-4, 2e-2);

/// A network that has learnt something: its activations are those of a trained one.
fn trained(data: &Dataset) -> Network<f32> {
    let table = NoiseTable::new(BETAS.alpha_bars().collect()).unwrap();
    let config = MlpConfig { dim: 2, width: 64, blocks: 2 };
    let mut model = Network::<f32>::new(config, 64, 3).unwrap();
    let mut adam = Adam::new(AdamConfig::default(), model.parameters().len());
    let (mut loss, mut rng) = (Standard::new(64, 2), Rng::new(1, 1));
    for _ in 0..1500 {
        let x0: Vec<f32> = (0..64).flat_map(|_| data.row(rng.below(data.len())).unwrap().to_vec()).collect();
        model.zero_gradients();
        loss.step(&mut model, &table, &x0, &mut rng).unwrap();
        let (parameters, gradients) = model.parameters_and_gradients();
        adam.step(2e-3, 1.0, parameters, gradients);
    }
    model
}

#[test]
fn small_weights_are_small_and_close_and_say_so() {
    let data = Builtin::TwoMoons.sample(2000, 7).unwrap();
    let model = trained(&data);
    let full = shrink(&model, &data, BETAS, &[], WeightFormat::F32).unwrap();
    assert!(full.change.is_none());
    // Bounds a few times above what is measured; uncalibrated int8 is beyond them (the next test).
    for (weights, size, output, mean, largest) in
        [(WeightFormat::F16, 0.57, 2e-3, 2e-3, 0.1), (WeightFormat::Int8, 0.36, 8e-3, 8e-3, 1.0)]
    {
        let small = shrink(&model, &data, BETAS, &[], weights).unwrap();
        assert!((small.bytes.len() as f64) < size * full.bytes.len() as f64, "{} bytes", small.bytes.len());
        let change = small.change.unwrap();
        assert_eq!(change.levels.iter().map(|l| l.0).collect::<Vec<_>>(), [0.0, 249.0, 499.0, 749.0, 999.0]);
        assert!(change.levels.iter().all(|&(_, error)| error > 0.0 && error < output), "{weights}: {change}");
        assert!(change.mean_distance > 0.0 && change.mean_distance < mean, "{weights}: {change}");
        assert!(change.largest_distance < largest, "{weights}: {change}");
        let artifact = Artifact::parse(&small.bytes).unwrap();
        assert_eq!(artifact.metadata(key::WEIGHTS), Some(weights.to_string().as_str()));
        assert_eq!(artifact.metadata(key::WEIGHTS_ERROR), Some(change.to_string().as_str()));
        // What is read back to go on with is the same network.
        let mut read = Network::from_safetensors(&small.bytes, 4).unwrap();
        let x = [0.3, -1.0, 2.0, 0.1];
        let want = outputs(&small.bytes, &x, 400.0, &[]).unwrap();
        let got = read.forward(&x, &[400.0; 2], &[]).unwrap();
        assert!(relative(&want, got) < 1e-3, "{want:?} {got:?}");
    }
}

#[test]
fn calibration_halves_the_error_of_int8() {
    let data = Builtin::TwoMoons.sample(2000, 7).unwrap();
    let model = trained(&data);
    let task = Task::new(BETAS.into(), Prediction::Epsilon).unwrap();
    let calibrated = calibrate(&model, &data, &task).unwrap();
    let reference = model.to_safetensors(&[], Precision::F32).unwrap();
    let error = |int8: &Int8| {
        let bytes = model.to_int8_safetensors(int8, &[]).unwrap();
        let change = measure([&reference, &bytes], 0, &data, &task).unwrap();
        change.levels.iter().map(|level| level.1).sum::<f64>() / LEVELS as f64
    };
    let with = error(&Int8::new(&model, &calibrated).unwrap());
    let without = error(&Int8::new(&model, &calibrated.forgotten()).unwrap());
    assert!(with < 0.7 * without, "{with} with, {without} without");
}

/// Calibrated and measured with what the network is told: the same data without it give other weights and figures.
#[test]
fn conditions_are_calibrated_and_measured_with() {
    let dim = 23;
    let mut rng = Rng::new(5, 5);
    // Observations that vary together, in three directions.
    let mixing: Vec<f64> = (0..3 * dim).map(|_| rng.normal()).collect();
    let values = (0..400).flat_map(|_| {
        let z = [rng.normal(), rng.normal(), rng.normal()];
        let mixing = &mixing;
        (0..dim).map(move |i| (0..3).map(|k| (z[k] * mixing[3 * i + k]) as f32).sum::<f32>())
    });
    let told = Conditions::Observations { dim, values: values.collect() };
    let data = Builtin::TwoMoons.sample(400, 7).unwrap();
    let data_told = data.clone().with_conditions(told);
    let network = NetworkKind::ResidualMlp { width: 32, blocks: 1 };
    let config = TrainConfig { network, ..TrainConfig::default() };
    let trainer = Trainer::new(config, data_told.clone()).unwrap();
    let (model, card) = (trainer.averaged().unwrap(), trainer.card());
    let int8 = |data: &Dataset| shrink(&model, data, BETAS, &card, WeightFormat::Int8).unwrap().bytes;
    assert!(int8(&data_told) != int8(&data), "the weights are chosen by what the network is told");
    // Of halves nothing is chosen: what differs is what is measured.
    let change =
        |data: &Dataset| shrink(&model, data, BETAS, &card, WeightFormat::F16).unwrap().change.unwrap();
    assert_ne!(change(&data_told), change(&data));
    let other = Conditions::labels("mine", &[1.0; 400], 3).unwrap();
    let error = shrink(&model, &data.with_conditions(other), BETAS, &card, WeightFormat::Int8);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("24 numbers") && error.contains("have 3"), "{error}");
}

/// Files whose scales are missing, of another length, or no scales: errors that say which.
#[test]
fn hostile_scales_are_refused() {
    let data = Builtin::TwoMoons.sample(200, 7).unwrap();
    let model = Network::<f32>::new(MlpConfig { dim: 2, width: 16, blocks: 1 }, 4, 0).unwrap();
    let good = shrink(&model, &data, BETAS, &[], WeightFormat::Int8).unwrap().bytes;
    let load = |bytes: &[u8]| {
        let artifact = Artifact::parse(bytes).map_err(|e| e.to_string())?;
        ResidualMlp::from_artifact(&artifact).map(|_| ()).map_err(|e| e.to_string())
    };
    load(&good).unwrap();
    let artifact = Artifact::parse(&good).unwrap();
    let scales = artifact.tensor("blocks.0.fc1.scale").unwrap().f32().unwrap();
    let at = scales.as_ptr().addr() - good.as_ptr().addr() + 4 * 3;
    for (value, said) in
        [(0.0f32, "is 0 where"), (-1.5, "is -1.5 where"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")]
    {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let error = load(&bad).unwrap_err();
        assert!(error.contains("element 3") && error.contains("blocks.0.fc1.scale"), "{error}");
        assert!(error.contains(said) && error.contains("export"), "{error}");
    }
    // The header's names and shapes, changed in place to others of the same length.
    let text = |from: &str, to: &str| {
        let place = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bad = good.clone();
        bad[place..place + to.len()].copy_from_slice(to.as_bytes());
        load(&bad).unwrap_err()
    };
    let error = text("blocks.0.fc1.scale", "blocks.0.fc1.scalE");
    assert!(error.contains("blocks.0.fc1.scale") && error.contains("no tensor"), "{error}");
    let error = text("\"dtype\":\"I8\"", "\"dtype\":\"U8\"");
    assert!(error.contains("not F32, F16 or I8"), "{error}");
}

#[test]
fn halves_that_are_not_finite_are_refused() {
    let model = Network::<f32>::new(MlpConfig { dim: 2, width: 16, blocks: 1 }, 4, 0).unwrap();
    let mut bytes = model.to_safetensors(&[], Precision::F16).unwrap();
    let at = {
        let artifact = Artifact::parse(&bytes).unwrap();
        let weight = artifact.tensor("output.weight").unwrap().f16().unwrap();
        weight.as_ptr().addr() - bytes.as_ptr().addr() + 2 * 5
    };
    bytes[at..at + 2].copy_from_slice(&0x7c00u16.to_le_bytes());
    let error = ResidualMlp::from_artifact(&Artifact::parse(&bytes).unwrap()).unwrap_err().to_string();
    assert!(error.contains("element 5 of tensor `output.weight`") && error.contains("f32"), "{error}");
}

#[test]
fn a_card_names_its_weights() {
    let data = Builtin::TwoMoons.sample(200, 7).unwrap();
    let config =
        TrainConfig { network: NetworkKind::ResidualMlp { width: 16, blocks: 1 }, ..TrainConfig::default() };
    let trainer = Trainer::new(config, data.clone()).unwrap();
    for weights in [WeightFormat::F32, WeightFormat::F16, WeightFormat::Int8] {
        let small = shrink(&trainer.averaged().unwrap(), &data, BETAS, &trainer.card(), weights).unwrap();
        let artifact = Artifact::parse(&small.bytes).unwrap();
        let card = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
        assert_eq!(card.weights, weights);
    }
}
