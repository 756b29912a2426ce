//! What can go wrong with a model and its runs.

use std::{io, path::PathBuf};

use crate::{provider::ProviderError, runtime::RuntimeError, signature::TIME_TYPES};

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrtError {
    /// There is no ONNX Runtime to run it with.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The provider that was asked for cannot be used.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The file cannot be read.
    #[error("cannot read the model `{}`: {source}", path.display())]
    Read {
        /// The model's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not an ONNX model, or one that ONNX Runtime cannot run.
    #[error("`{model}` is not an ONNX model that can be run: {said}")]
    NotAModel {
        /// The file, or the number of bytes.
        model: String,
        /// What ONNX Runtime said.
        said: String,
    },
    /// The model does not have the form of a denoiser.
    #[error(
        "not a denoiser: {what}. A denoiser takes x (f32, f16, bf16 or f64 [n, d...]) and t ([], [n] or [n, 1]: {TIME_TYPES}), and gives [n, d...] or, with a learned variance, twice the channels"
    )]
    NotADenoiser {
        /// What is amiss, with its value.
        what: String,
    },
    /// An input that conditions the model cannot be what was given for it.
    #[error("the input `{name}`: {what}")]
    Condition {
        /// The input.
        name: String,
        /// What is amiss, with its value and the mend.
        what: String,
    },
    /// The model takes more than x and t, and nobody said what.
    #[error(
        "the model takes `{name}` too: bind a value for it (OrtDenoiser::bind, or --condition NAME=FILE.npy)"
    )]
    Unbound {
        /// The input.
        name: String,
    },
    /// Guidance asks for rows without their condition, and there are no zeros of a kind.
    #[error(
        "rows without their condition need a null for `{name}`, of which 0 is a value like others: bind one (OrtDenoiser::bind, or --uncond NAME=VALUE)"
    )]
    NoNull {
        /// The input.
        name: String,
    },
    /// The device's memory does not hold even this many rows.
    #[error(
        "out of memory with {rows} rows: free memory on the device, or run the model on another. ONNX Runtime said: {said}"
    )]
    OutOfMemory {
        /// The rows of the smallest run that was tried.
        rows: usize,
        /// What ONNX Runtime said.
        said: String,
    },
    /// The block given has another size than the call says.
    #[error("{what} holds {got} numbers where {rows} rows of {dim} need {}", rows.saturating_mul(*dim))]
    Length {
        /// Which argument.
        what: &'static str,
        /// The numbers it holds.
        got: usize,
        /// The rows.
        rows: usize,
        /// The numbers in a row.
        dim: usize,
    },
    /// The model takes whole timesteps and was given another number.
    #[error(
        "the model takes integer timesteps and row {row} has t = {value}: choose a grid on the trained timesteps"
    )]
    FractionalTime {
        /// The row.
        row: usize,
        /// Its time.
        value: f64,
    },
    /// The model gave another shape than it was asked for.
    #[error("the model gave an output of shape {got:?} for {rows} rows of {dim} numbers")]
    OutputShape {
        /// The output's shape.
        got: Vec<i64>,
        /// The rows given.
        rows: usize,
        /// The numbers in a row.
        dim: usize,
    },
    /// A copy between places of different lengths.
    #[error("cannot copy {from} numbers to a place of {to}: give places of one length")]
    Copy {
        /// The numbers that were to be copied.
        from: usize,
        /// The numbers that the place holds.
        to: usize,
    },
    /// The rows are of items of another shape than the model's.
    #[error(
        "the rows hold items of shape {rows:?} and the model takes {model:?}: make the rows for the model's shape"
    )]
    Shape {
        /// The rows' items.
        rows: Vec<usize>,
        /// The model's.
        model: Vec<usize>,
    },
    /// The rows are on another provider's device than the model.
    #[error("the rows are on {rows} and the model runs on {model}: make the rows for the model's provider")]
    Apart {
        /// The rows' provider.
        rows: crate::Provider,
        /// The model's.
        model: crate::Provider,
    },
    /// Something failed on the device between two runs of the model.
    #[error(
        "the rows on the device are lost: {said}. Start the run again, with fewer items or a narrower window if memory was short"
    )]
    Device {
        /// What failed.
        said: String,
    },
    /// A part of the work on rows would run elsewhere, and copy them there and back in each run.
    #[error(
        "rows cannot stay on {provider}: it has no kernel for the node {node}. Sample with rows in host memory, or export the model with f32 inputs and outputs"
    )]
    NotOnDevice {
        /// The rows' provider.
        provider: crate::Provider,
        /// The node, and what would run it.
        node: String,
    },
    /// ONNX Runtime failed in a run.
    #[error("ONNX Runtime failed: {0}")]
    Run(#[from] ort::Error),
}

impl OrtError {
    /// Whether ONNX Runtime had not the memory for what it was asked: fewer rows at a time may pass.
    ///
    /// It has no code for that, and its providers say it each in their words.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory { .. } => true,
            Self::Run(error) => crate::split::out_of_memory(error.message()),
            Self::Device { said } => crate::split::out_of_memory(said),
            _ => false,
        }
    }
}

/// What ONNX Runtime says of a model that it cannot load, behind what that means and how it is mended.
pub(crate) fn explained(said: &str) -> String {
    const MEANINGS: [(&[&str], &str); 4] = [
        (
            &["External data path does not exist"],
            "a data file that it names is missing: put it beside the model, under the name it was exported with",
        ),
        (
            &["External initializer", "can not be read in full"],
            "a data file is shorter than the model says: copy it again, whole",
        ),
        (
            &["escapes model directory", "Absolute path not allowed"],
            "it names data outside of its own directory, which is refused: export it with its data beside it",
        ),
        (
            &["No Op registered", "is not a registered function/op", "No opset import for domain"],
            "it has an operator that this ONNX Runtime does not know: export it for a lower opset and without operators of others, or install a newer ONNX Runtime",
        ),
    ];
    let said = said.trim();
    let meaning = MEANINGS.iter().find(|(words, _)| words.iter().any(|words| said.contains(words)));
    meaning.map_or_else(|| said.to_owned(), |(_, meaning)| format!("{meaning}. ONNX Runtime said: {said}"))
}
