//! What a card keeps, and what it refuses.

use super::card_fields::key;
use super::{Architecture, CardError, ModelCard, WeightFormat};
use crate::{Betas, FlowShift, Name, NoiseSchedule, Prediction};

const GOOD: [(&str, &str); 17] = [
    (key::VERSION, "1"),
    (key::MODEL, "residual-mlp"),
    (key::PROCESS, "vp"),
    (key::SCHEDULE, "linear"),
    (key::TRAIN_STEPS, "1000"),
    (key::BETA_START, "0.0001"),
    (key::BETA_END, "0.02"),
    (key::PREDICTION, "epsilon"),
    (key::CONDITIONING, "timestep"),
    (key::SHAPE, "2"),
    (key::WIDTH, "128"),
    (key::BLOCKS, "2"),
    (key::LOSS, "contrastive"),
    (key::SEED, "7"),
    (key::DATA_MEAN, "0.5,-1.25"),
    (key::DATA_SCALE, "2,3"),
    (key::DATA_VARIANCE, "1"),
];

fn read(change: (&str, Option<&'static str>)) -> Result<ModelCard<'static>, CardError> {
    ModelCard::from_lookup(|key| {
        if key == change.0 {
            return change.1;
        }
        GOOD.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
    })
}

#[test]
fn what_is_written_is_what_was_read() {
    let card = read(("", None)).unwrap();
    let mut seen = 0;
    card.entries(|key, value| {
        let text = Name::new(value);
        assert_eq!(text.as_str(), GOOD.iter().find(|(k, _)| *k == key).unwrap().1);
        seen += 1;
    });
    assert_eq!(seen, GOOD.len());
    assert_eq!(card.dim(), 2);
    assert!(card.data_mean.iter().eq([0.5, -1.25]));
}

/// A card that says nothing of zero SNR has none; one that says so keeps it.
#[test]
fn zero_snr_is_carried() {
    assert!(!read(("", None)).unwrap().schedule.betas().unwrap().zero_snr);
    let lookup = |flag: &'static str| {
        ModelCard::from_lookup(move |key| match key {
            key::ZERO_SNR => Some(flag),
            _ => GOOD.iter().find(|(k, _)| *k == key).map(|(_, value)| *value),
        })
    };
    let card = lookup("true").unwrap();
    assert_eq!(card.schedule, Betas::linear(1000, 1e-4, 2e-2).zero_snr().into());
    let mut written = 0;
    card.entries(|key, value| {
        written += usize::from(key == key::ZERO_SNR && Name::new(value).as_str() == "true");
        assert_ne!(key, key::LAST_ALPHA_BAR, "absent for 0");
    });
    assert_eq!(written, 1);
    assert_eq!(lookup("false"), read(("", None)));
    assert!(matches!(lookup("yes"), Err(CardError::Invalid { key: key::ZERO_SNR, .. })));
}

/// A U-Net's sizes are its own keys.
#[test]
fn u_nets_are_carried() {
    let lookup = |key: &str| match key {
        key::MODEL => Some("unet1d"),
        key::SHAPE => Some("16,2"),
        key::DATA_MEAN | key::DATA_SCALE => {
            Some("1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1")
        }
        key::WIDTHS => Some("32,64"),
        key::EMBEDDING => Some("64"),
        key::KERNEL => Some("5"),
        key::GROUPS => Some("8"),
        key::FILM_SCALE => Some("true"),
        key::CONDITION => Some("10"),
        key::WIDTH | key::BLOCKS => None,
        _ => GOOD.iter().find(|(k, _)| *k == key).map(|(_, value)| *value),
    };
    let card = ModelCard::from_lookup(lookup).unwrap();
    let Architecture::Unet1d(unet) = card.architecture else { panic!("{card:?}") };
    assert_eq!(
        (unet.widths.as_slice(), unet.kernel, unet.scale, card.condition),
        (&[32, 64][..], 5, true, 10)
    );
    card.entries(|key, value| {
        assert_eq!(Some(Name::new(value).as_str()), lookup(key).map(|v| &v[..v.len().min(32)]))
    });
    for (bad, value) in
        [(key::WIDTHS, "32,0"), (key::WIDTHS, "1,2,3,4,5,6,7"), (key::SHAPE, "32"), (key::FILM_SCALE, "1")]
    {
        let other = |key: &str| if key == bad { Some(value) } else { lookup(key) };
        assert!(ModelCard::from_lookup(other).is_err(), "{bad} = {value}");
    }
}

/// A card that says nothing of its weights has f32; others keep what they say, and an unknown format is named.
#[test]
fn the_weights_format_is_carried() {
    assert_eq!(read(("", None)).unwrap().weights, WeightFormat::F32);
    let lookup = |format: &'static str| {
        ModelCard::from_lookup(move |key| match key {
            key::WEIGHTS => Some(format),
            _ => GOOD.iter().find(|(k, _)| *k == key).map(|(_, value)| *value),
        })
    };
    let card = lookup("int8").unwrap();
    assert_eq!(card.weights, WeightFormat::Int8);
    let mut written = 0;
    card.entries(|key, value| {
        written += usize::from(key == key::WEIGHTS && Name::new(value).as_str() == "int8");
    });
    assert_eq!(written, 1);
    let error = lookup("int4").unwrap_err();
    assert!(matches!(error, CardError::Invalid { key: key::WEIGHTS, got, .. } if got.as_str() == "int4"));
}

#[test]
fn every_missing_or_wrong_value_names_its_key() {
    for (key, _) in GOOD {
        assert_eq!(read((key, None)), Err(CardError::Missing { key }));
    }
    for (key, bad) in [
        (key::VERSION, "0"),
        (key::VERSION, "3"),
        (key::VERSION, "1.0"),
        (key::PROCESS, "ve"),
        (key::PROCESS, "flow"),
        (key::CONDITIONING, "sigma"),
        (key::PREDICTION, "edm"),
        (key::TRAIN_STEPS, "1000001"),
        (key::SCHEDULE, "linaer"),
        (key::TRAIN_STEPS, "0"),
        (key::BETA_START, "-1"),
        (key::BETA_END, "nan"),
        (key::PREDICTION, "eps"),
        (key::SHAPE, "0"),
        (key::SHAPE, "18446744073709551615,3"),
        (key::WIDTH, "-4"),
        (key::SEED, ""),
        (key::MODEL, "unet3d"),
        (key::CONDITION, "0"),
        (key::DATA_MEAN, "0"),
        (key::DATA_MEAN, "0,inf"),
        (key::DATA_SCALE, "1,0"),
        (key::DATA_VARIANCE, "0"),
    ] {
        assert!(read((key, Some(bad))).is_err(), "{key} = {bad}");
    }
}

/// The entries of a card of version 2: the first version's common ones, and `task`.
fn second<'a>(task: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
    let common = |key: &str| {
        let own = [key::MODEL, key::SHAPE, key::WIDTH, key::BLOCKS, key::LOSS, key::SEED];
        let data = [key::DATA_MEAN, key::DATA_SCALE, key::DATA_VARIANCE];
        let there = own.contains(&key) || data.contains(&key);
        GOOD.iter().find(|(k, _)| there && *k == key).map(|(_, value)| *value)
    };
    move |key: &str| match key {
        key::VERSION => Some("2"),
        _ => task.iter().find(|(k, _)| *k == key).map(|(_, value)| *value).or_else(|| common(key)),
    }
}

const FLOW: &[(&str, &str)] = &[
    (key::PROCESS, "flow"),
    (key::TRAIN_STEPS, "1000"),
    (key::SHIFT, "3"),
    (key::CONDITIONING, "timestep"),
    (key::PREDICTION, "flow"),
];
const VE: &[(&str, &str)] = &[
    (key::PROCESS, "ve"),
    (key::SIGMA_MIN, "0.002"),
    (key::SIGMA_MAX, "80"),
    (key::RHO, "7"),
    (key::CONDITIONING, "sigma"),
    (key::PREDICTION, "edm"),
    (key::SIGMA_DATA, "0.5"),
];
const PINNED: &[(&str, &str)] = &[
    (key::PROCESS, "pinned"),
    (key::SCHEDULE, "cosine"),
    (key::TRAIN_STEPS, "100"),
    (key::BETA_START, "0"),
    (key::BETA_END, "0"),
    (key::VARIANCE, "0.4"),
    (key::CONDITIONING, "timestep"),
    (key::PREDICTION, "sample"),
];
const EDM: &[(&str, &str)] = &[
    (key::PROCESS, "vp"),
    (key::SCHEDULE, "linear"),
    (key::TRAIN_STEPS, "1000"),
    (key::BETA_START, "0.0001"),
    (key::BETA_END, "0.02"),
    (key::ZERO_SNR, "true"),
    (key::LAST_ALPHA_BAR, "0.000001"),
    (key::CONDITIONING, "timestep"),
    (key::PREDICTION, "edm"),
    (key::SIGMA_DATA, "1"),
];

#[test]
fn every_process_is_carried() {
    let tasks = [
        (FLOW, NoiseSchedule::Flow(FlowShift { train_steps: 1000, shift: 3.0 }), Prediction::Flow),
        (
            VE,
            NoiseSchedule::Ve { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 },
            Prediction::Edm { sigma_data: 0.5 },
        ),
        (PINNED, NoiseSchedule::Pinned { betas: Betas::cosine(100), variance: 0.4 }, Prediction::Sample),
        (
            EDM,
            Betas::linear(1000, 1e-4, 2e-2).zero_snr().ending_at(1e-6).into(),
            Prediction::Edm { sigma_data: 1.0 },
        ),
    ];
    for (task, schedule, prediction) in tasks {
        let card = ModelCard::from_lookup(second(task)).unwrap();
        assert_eq!((card.schedule, card.prediction), (schedule, prediction));
        let mut seen = 0;
        card.entries(|key, value| {
            assert_eq!(Some(Name::new(value).as_str()), second(task)(key), "{key}");
            seen += usize::from(task.iter().any(|(k, _)| *k == key));
        });
        assert_eq!(seen, task.len(), "{task:?}");
    }
}

/// What version 1 can say is written in it; the second version's word for the same is read too.
#[test]
fn the_oldest_version_is_written() {
    let written = |card: &ModelCard<'_>| {
        let mut found = None;
        card.entries(|key, value| {
            if key == key::VERSION {
                found = Some(Name::new(value));
            }
        });
        found.map(|name| name.as_str().parse::<u32>())
    };
    let first = read(("", None)).unwrap();
    assert_eq!(written(&first), Some(Ok(1)));
    let as_second = read((key::VERSION, Some("2"))).unwrap();
    assert_eq!(as_second, first);
    for task in [FLOW, VE, PINNED, EDM] {
        assert_eq!(written(&ModelCard::from_lookup(second(task)).unwrap()), Some(Ok(2)));
    }
    // A prediction that version 1 knows, and an end of the schedule that it does not.
    let ending = |key: &str| if key == key::PREDICTION { Some("epsilon") } else { second(EDM)(key) };
    let ending = ModelCard::from_lookup(ending).unwrap();
    assert_eq!((ending.prediction, written(&ending)), (Prediction::Epsilon, Some(Ok(2))));
}

/// A card of version 1 with the second's keys: what version 1 does not know is refused where it matters, and else passed over.
#[test]
fn the_first_version_does_not_know_the_second() {
    let first = |task: &'static [(&str, &'static str)]| {
        ModelCard::from_lookup(
            move |key: &str| if key == key::VERSION { Some("1") } else { second(task)(key) },
        )
    };
    for (task, wrong, value) in [
        (FLOW, key::PROCESS, "flow"),
        (VE, key::PROCESS, "ve"),
        (PINNED, key::PROCESS, "pinned"),
        (EDM, key::PREDICTION, "edm"),
    ] {
        let error = first(task).unwrap_err();
        let CardError::Invalid { key, got, expected } = error else { panic!("{wrong}: {error}") };
        assert_eq!((key, got.as_str()), (wrong, value));
        assert!(expected.contains("version 1"), "{error}");
    }
    let ended = |key: &str| match key {
        key::ZERO_SNR => Some("true"),
        key::LAST_ALPHA_BAR => Some("0.000001"),
        _ => GOOD.iter().find(|(k, _)| *k == key).map(|(_, value)| *value),
    };
    let ended = ModelCard::from_lookup(ended).unwrap();
    assert_eq!(ended.schedule, Betas::linear(1000, 1e-4, 2e-2).zero_snr().into());
}

#[test]
fn numbers_may_have_room_around_them() {
    let card = read((key::TRAIN_STEPS, Some(" 1000 "))).unwrap();
    assert_eq!(card, read(("", None)).unwrap());
}

#[test]
fn wrong_values_of_the_second_version_name_key_value_and_mend() {
    let other = |task: &'static [(&str, &'static str)], bad: (&'static str, Option<&'static str>)| {
        let lookup = move |key: &str| if key == bad.0 { bad.1 } else { second(task)(key) };
        ModelCard::from_lookup(lookup)
    };
    for task in [FLOW, VE, PINNED, EDM] {
        for &(key, _) in task.iter().filter(|(key, _)| ![key::ZERO_SNR, key::LAST_ALPHA_BAR].contains(key)) {
            assert_eq!(other(task, (key, None)), Err(CardError::Missing { key }), "{key}");
        }
    }
    // The key that is named, where it is another than the one that was changed.
    for (task, key, value, expected) in [
        (FLOW, key::SHIFT, "0", "positive"),
        (FLOW, key::SHIFT, "nan", "positive"),
        (FLOW, key::SHIFT, "three", "positive"),
        (FLOW, key::TRAIN_STEPS, "1000001", "at most 1000000"),
        (FLOW, key::CONDITIONING, "sigma", "timestep"),
        (FLOW, key::PROCESS, "rectified", "vp, flow, ve, pinned"),
        (FLOW, key::PREDICTION, "velocity", "edm"),
        (VE, key::SIGMA_MAX, "0.001", "above picardy.sigma_min"),
        (VE, key::SIGMA_MAX, "inf", "positive"),
        (VE, key::SIGMA_MIN, "-1", "positive"),
        (VE, key::RHO, "0", "positive"),
        (VE, key::CONDITIONING, "timestep", "sigma"),
        (VE, key::SIGMA_DATA, "NaN", "positive"),
        (PINNED, key::VARIANCE, "-0.4", "positive"),
        (PINNED, key::SCHEDULE, "karras", "cosine"),
        (PINNED, key::ZERO_SNR, "true", "false"),
        (EDM, key::TRAIN_STEPS, "1000001", "at most 1000000"),
        (EDM, key::SIGMA_DATA, "0", "positive"),
        (EDM, key::LAST_ALPHA_BAR, "1", "[0, 1)"),
        (EDM, key::BETA_END, "nan", "[0, 1)"),
    ] {
        let error = other(task, (key, Some(value))).unwrap_err();
        let CardError::Invalid { key: named, got, expected: mend } = error else { panic!("{key}: {error}") };
        assert_eq!(named, key, "{error}");
        assert!(got.as_str().eq_ignore_ascii_case(value) && mend.contains(expected), "{error}");
    }
}
