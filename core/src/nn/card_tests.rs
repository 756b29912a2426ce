//! What a card keeps, and what it refuses.

use super::card_fields::key;
use super::{Architecture, CardError, ModelCard, WeightFormat};
use crate::{Betas, Name};

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
    assert!(!read(("", None)).unwrap().schedule.zero_snr);
    let lookup = |flag: &'static str| {
        ModelCard::from_lookup(move |key| match key {
            key::ZERO_SNR => Some(flag),
            _ => GOOD.iter().find(|(k, _)| *k == key).map(|(_, value)| *value),
        })
    };
    let card = lookup("true").unwrap();
    assert_eq!(card.schedule, Betas::linear(1000, 1e-4, 2e-2).zero_snr());
    let mut written = 0;
    card.entries(|key, value| {
        written += usize::from(key == key::ZERO_SNR && Name::new(value).as_str() == "true");
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
        (key::VERSION, "2"),
        (key::PROCESS, "ve"),
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
