//! core's names as flags' values: listed in the help, and in the error for another.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use picardy::{AnySolver, Prediction};

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
