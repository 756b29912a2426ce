//! A run's files, and why it cannot begin or go on.

use super::events::events_time;
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
    /// A file of the run that is overwritten cannot be removed.
    #[error("{}: {error}; it is of the run that is overwritten and cannot be removed: remove it, or name another folder with --out", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
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

/// Whether a file's name is that of an evaluation's picture.
fn is_picture(name: &str) -> bool {
    let number = name.strip_prefix("samples-").and_then(|rest| rest.strip_suffix(".png"));
    number.is_some_and(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit()))
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

    /// Removes what a run and its export write, the checkpoint first, and no other file: a process that is killed on the way leaves
    /// no run that could be taken for whole.
    pub(super) fn remove(&self) -> Result<(), RunError> {
        let own = [self.checkpoint(), self.log(), self.config(), self.failed()];
        let exported = ["model.safetensors", "model.onnx"].map(|name| self.folder.join(name));
        let listed = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let numbered = listed.filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| is_picture(name) || events_time(name).is_some())
        });
        for path in own.into_iter().chain(exported).chain(numbered.map(|entry| entry.path())) {
            // A folder of that name is none of ours.
            if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
                std::fs::remove_file(&path).map_err(|error| RunError::Remove { path, error })?;
            }
        }
        Ok(())
    }

    pub(super) fn error(&self, path: PathBuf, error: std::io::Error) -> RunError {
        RunError::File { path, folder: self.folder.clone(), error }
    }
}
