//! Everything that a run needs to go on, in one file.

use super::trainer::{check, shape};
use super::{LogState, TrainConfig, TrainError, Trainer, write_whole};
use crate::data::{DataError, Dataset, Scaling, Source};
use crate::model::Network;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why a checkpoint cannot be written or taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// There is none.
    #[error(
        "there is no checkpoint {path}: name the folder of a run, or begin one with `picardy-train train --out FOLDER`"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is no checkpoint, or a damaged one.
    #[error("{path} is no picardy checkpoint: {reason}; resume from another")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data that it was trained on cannot be read again.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The data is another than it was trained on.
    #[error(
        "the data {source_name} has changed since {path} was written; bring the old data back, or train anew"
    )]
    OtherData {
        /// The checkpoint.
        path: PathBuf,
        /// The data's name.
        source_name: String,
    },
    /// The settings in it do not make a run.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// What is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    config: TrainConfig,
    source: String,
    points: usize,
    data_seed: u64,
    /// Checkpoints of before there was a choice are scaled per column.
    #[serde(default)]
    scaling: Scaling,
    data_hash: u64,
    step: u64,
    adam_steps: u64,
    ema_steps: u64,
    /// Checkpoints of before this was kept begin a new line of the log.
    #[serde(default)]
    log: LogState,
}

impl Header {
    /// The counters: a step counts one in each.
    fn check(&self) -> Result<(), String> {
        let (step, steps) = (self.step, self.config.steps);
        if step > steps {
            return Err(format!("it has taken {step} of {steps} steps"));
        }
        for (name, count) in [("adam_steps", self.adam_steps), ("ema_steps", self.ema_steps)] {
            if count != step {
                return Err(format!("`{name}` is {count} after {step} steps"));
            }
        }
        if self.log.count > step {
            return Err(format!("its log counts {} steps of {step}", self.log.count));
        }
        Ok(())
    }
}

const KEY: &str = "picardy.checkpoint";

/// Where a run's data comes from: enough to load it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The set.
    pub source: Source,
    /// The points drawn from a built-in one.
    pub points: usize,
    /// The seed they were drawn with.
    pub seed: u64,
    /// What their coordinates are divided by.
    pub scaling: Scaling,
}

impl Origin {
    /// Loads the data.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn load(&self) -> Result<Dataset, DataError> {
        self.source.load(self.points, self.seed, self.scaling)
    }
}

/// A run and where its data comes from: what a checkpoint file holds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The run.
    pub trainer: Trainer,
    /// Its data.
    pub origin: Origin,
    /// What its log has taken note of since its last line.
    pub log: LogState,
}

impl Checkpoint {
    /// Writes all of the run's state: whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let Self { trainer, origin, log } = self;
        let header = Header {
            config: trainer.config.clone(),
            source: origin.source.to_string(),
            points: origin.points,
            data_seed: origin.seed,
            scaling: origin.scaling,
            data_hash: hash(&trainer.data),
            step: trainer.step,
            adam_steps: trainer.adam.steps(),
            ema_steps: trainer.ema.steps(),
            log: *log,
        };
        let format = |reason: String| CheckpointError::Format { path: path.to_owned(), reason };
        let header = serde_json::to_string(&header).map_err(|error| format(error.to_string()))?;
        let (mean, square) = trainer.adam.state();
        let tensors = [
            ("parameters", trainer.model.parameters()),
            ("adam.mean", mean),
            ("adam.square", square),
            ("ema", trainer.ema.average()),
        ]
        .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()));
        let mut views = Vec::new();
        for (name, bytes) in &tensors {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            views.push((*name, view.map_err(|error| format(error.to_string()))?));
        }
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        let bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|error| format(error.to_string()))?;
        write_whole(path, &bytes).map_err(|error| CheckpointError::File { path: path.to_owned(), error })
    }
}

impl Trainer {
    /// Takes a run up where a checkpoint left it.
    ///
    /// # Errors
    /// A file that is no checkpoint, or data that is gone or another. What the file says is checked before anything
    /// is allocated for it.
    pub fn resume(path: &Path) -> Result<Checkpoint, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                CheckpointError::Missing { path: path.to_owned() }
            }
            _ => CheckpointError::File { path: path.to_owned(), error },
        })?;
        let format = |reason: String| CheckpointError::Format { path: path.to_owned(), reason };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format(error.to_string()))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(KEY))
            .ok_or_else(|| format(format!("it has no `{KEY}` entry")))?;
        let header: Header = serde_json::from_str(header).map_err(|error| format(error.to_string()))?;
        check(&header.config).map_err(|error| format(error.to_string()))?;
        header.check().map_err(&format)?;
        let (source, points, seed) = (header.source.parse()?, header.points, header.data_seed);
        let origin = Origin { source, points, seed, scaling: header.scaling };
        let data = origin.load()?;
        if hash(&data) != header.data_hash {
            return Err(CheckpointError::OtherData { path: path.to_owned(), source_name: header.source });
        }
        let expected = Network::<f32>::count(shape(&header.config, data.dim())).map_err(TrainError::from)?;
        let read = |name: &str| {
            let tensor = file.tensor(name).map_err(|error| format(error.to_string()))?;
            let values: Vec<f32> =
                tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if tensor.dtype() != Dtype::F32 || values.len() != expected {
                return Err(format(format!(
                    "tensor `{name}` has {} numbers, {expected} belong there",
                    values.len()
                )));
            }
            Ok(values)
        };
        let (parameters, ema) = (read("parameters")?, read("ema")?);
        let (mean, square) = (read("adam.mean")?, read("adam.square")?);
        let mut trainer = Self::new(header.config, data)?;
        trainer.model.parameters_mut().copy_from_slice(&parameters);
        trainer.adam.restore(&mean, &square, header.adam_steps);
        trainer.ema.restore(&ema, header.ema_steps);
        trainer.step = header.step;
        Ok(Checkpoint { trainer, origin, log: header.log })
    }
}

/// FNV-1a of the data's bits.
fn hash(data: &Dataset) -> u64 {
    data.data().iter().fold(0xcbf2_9ce4_8422_2325, |hash, x| {
        (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
