//! What can go wrong with a model and its runs.

use std::{io, path::PathBuf};

use crate::{denoiser::TimeType, provider::ProviderError, runtime::RuntimeError};

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
        "not a denoiser: {what}. A denoiser takes x (f32 [n, d...]) and t ([n]: {}), in this order, and gives one f32 [n, d...]",
        TimeType::NAMES
    )]
    NotADenoiser {
        /// What is amiss, with its value.
        what: String,
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
    /// Something failed on the device between two runs of the model.
    #[error(
        "the rows on the device are lost: {said}. Start the run again, with fewer items or a narrower window if memory was short"
    )]
    Device {
        /// What failed.
        said: String,
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
        const WORDS: [&str; 7] = [
            // WebGPU: a buffer over the adapter's limit, or over 4 GB; and a buffer that is not to be had.
            "exceeds the max buffer size limit",
            "narrowing_error",
            "exceeds the max storage buffer binding size",
            // CUDA, its arena, the processor's arena, C++.
            "out of memory",
            "Failed to allocate memory",
            "Available memory of",
            "bad_alloc",
        ];
        match self {
            Self::Run(error) => WORDS.iter().any(|words| error.message().contains(words)),
            _ => false,
        }
    }
}
