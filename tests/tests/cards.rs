//! Cards as they lie in files: those of version 1, and one of each process of version 2.

use picardy::nn::{Artifact, ModelCard, Network, Step, key};
use picardy::{Betas, FlowShift, NoiseSchedule, Prediction};
use std::path::Path;

/// The card of a file of the repository, whose entries must be the file's own, and whose network must be there.
fn card_of(path: &str, skip: usize, check: impl FnOnce(&ModelCard<'_>, &str)) {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap();
    let bytes = bytes[skip..].to_vec();
    let artifact = Artifact::parse(&bytes).unwrap();
    let card = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
    card.entries(|key, value| {
        let there = artifact.metadata(key).unwrap_or_else(|| panic!("{path}: {key} is not there"));
        let (wrote, value) = (value.to_string(), there.to_owned());
        let same = match (wrote.parse::<f64>(), value.parse::<f64>()) {
            (Ok(a), Ok(b)) => a == b,
            _ => wrote == value,
        };
        assert!(same, "{path}: {key} is {value} and {wrote} is written");
    });
    let mut steps = vec![Step::default(); card.architecture.steps(card.condition)];
    Network::from_artifact(&artifact, &card, &mut steps).unwrap();
    check(&card, artifact.metadata(key::VERSION).unwrap());
}

#[test]
fn files_of_version_1_are_read() {
    let dino = "examples/firmware/data/dino.safetensors";
    card_of(dino, 0, |card, version| {
        assert_eq!(version, "1");
        assert_eq!(card.schedule, NoiseSchedule::Vp(Betas::linear(1000, 1e-4, 2e-2)));
        assert_eq!(card.prediction, Prediction::Epsilon);
    });
    for seed in ["small", "half", "int8"] {
        // A fuzzer's first byte is no part of the file.
        card_of(&format!("tests/fuzz/seeds/artifact/{seed}"), 1, |card, version| {
            assert_eq!((version, card.schedule.process()), ("1", "vp"));
        });
    }
}

#[test]
fn files_of_version_2_are_read() {
    let betas = Betas::linear(100, 1e-4, 2e-2);
    let edm = Prediction::Edm { sigma_data: 0.5 };
    for (seed, schedule, prediction) in [
        ("edm", NoiseSchedule::Vp(betas), edm),
        ("flow", NoiseSchedule::Flow(FlowShift { train_steps: 100, shift: 3.0 }), Prediction::Flow),
        ("pinned", NoiseSchedule::Pinned { betas, variance: 0.4 }, Prediction::Sample),
        ("sigmas", NoiseSchedule::Ve { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 }, edm),
    ] {
        card_of(&format!("tests/fuzz/seeds/artifact/{seed}"), 1, |card, version| {
            assert_eq!((version, card.schedule, card.prediction), ("2", schedule, prediction), "{seed}");
        });
    }
}
