//! core's names as flags' values: listed in the help, and in the error for another.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use picardy::{AnySolver, Prediction, Slope, Start};

/// Every solver.
pub(super) fn solver() -> impl TypedValueParser<Value = AnySolver> {
    PossibleValuesParser::new(AnySolver::list().map(|(name, _)| name))
        .try_map(|name| name.parse::<AnySolver>())
}

/// Every prediction.
pub(super) fn prediction() -> impl TypedValueParser<Value = Prediction> {
    let value = |prediction: Prediction| match prediction {
        Prediction::V => PossibleValue::new(prediction.name()).aliases(["v", "v-prediction"]),
        other => PossibleValue::new(other.name()),
    };
    PossibleValuesParser::new(Prediction::ALL.map(value)).try_map(|name| match name.as_str() {
        "v" | "v-prediction" => Ok(Prediction::V),
        name => name.parse(),
    })
}

/// Every schedule of betas.
pub(super) fn schedule() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new([
        PossibleValue::new("linear"),
        PossibleValue::new("scaled_linear").alias("scaled-linear"),
        PossibleValue::new("cosine").alias("squaredcos_cap_v2"),
        PossibleValue::new("sigmoid"),
    ])
    .map(|name| name.replace('-', "_"))
}

const SLOPES: [(&str, Slope); 8] = [
    ("identity", Slope::Identity),
    ("frozen", Slope::Frozen),
    ("gaussian", Slope::Gaussian),
    ("secant", Slope::Secant),
    ("multisecant1", Slope::Multisecant(1)),
    ("multisecant2", Slope::Multisecant(2)),
    ("multisecant3", Slope::Multisecant(3)),
    ("multisecant4", Slope::Multisecant(4)),
];

/// Every slope of Picard's.
pub(super) fn slope() -> impl TypedValueParser<Value = Slope> {
    PossibleValuesParser::new(SLOPES.map(|(name, _)| name)).map(|given| {
        SLOPES.iter().find(|(name, _)| *name == given).map_or_else(Slope::default, |(_, slope)| *slope)
    })
}

/// A first guess of Picard's.
pub(super) fn start(text: &str) -> Result<Start, String> {
    match (text, text.strip_prefix("coarse:").map(str::parse)) {
        ("constant", _) => Ok(Start::Constant),
        ("gaussian", _) => Ok(Start::Gaussian),
        (_, Some(Ok(evaluations @ 1..))) => Ok(Start::Coarse(evaluations)),
        _ => Err("give constant, gaussian, or coarse:K with K at least 1, such as coarse:10".to_owned()),
    }
}
