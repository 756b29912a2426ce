//! A run's files, and why it cannot begin or go on.

use super::{CheckpointError, ConfigError, TrainError, WeightsError};
use crate::evaluate::EvaluateError;
use crate::model::SaveError;
use std::path::PathBuf;

/// Why a run cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder holds a run.
    #[error("{} holds a run already; `picardy-train resume {}` goes on with it, --overwrite starts anew", folder.display(), folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("{} is being trained in by another process; wait for its end, or name another folder with --out", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the run cannot be written or read; the last checkpoint is whole.
    #[error("{}: {error}; make room for it, then `picardy-train resume {}` goes on", path.display(), folder.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The run's folder.
        folder: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A picture cannot be drawn.
    #[error(
        "the picture of step {step} cannot be drawn: {reason}; set `run.evaluate-every` to 0 to go on without"
    )]
    Picture {
        /// The step.
        step: u64,
        /// Why.
        reason: String,
    },
    /// The configuration cannot be written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The settings, or a step.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The weights to begin with.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network cannot be written, since a weight is none.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The samples of an evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A step or a file failed, and then the checkpoint too.
    #[error("{first}; and the last checkpoint is not saved: {unsaved}")]
    Unsaved {
        /// The first reason.
        first: Box<RunError>,
        /// The second one.
        unsaved: Box<RunError>,
    },
}

/// Where a run's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The run's folder.
    pub folder: PathBuf,
}

impl Files {
    /// All of the run's state.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// A JSON object a line.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log.jsonl")
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// The step that stopped a run, its loss and all of its items.
    pub fn failed(&self) -> PathBuf {
        self.folder.join("failed.json")
    }

    /// An evaluation's picture.
    pub fn picture(&self, step: u64) -> PathBuf {
        self.folder.join(format!("samples-{step:08}.png"))
    }

    pub(super) fn error(&self, path: PathBuf, error: std::io::Error) -> RunError {
        RunError::File { path, folder: self.folder.clone(), error }
    }
}
