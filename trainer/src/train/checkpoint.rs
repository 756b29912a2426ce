//! Everything that a run needs to go on, in one file.

use super::config::check;
use super::engine::{State, provider};
use super::judge::Best;
use super::room::sizes;
use super::{Config, ConfigError, LogState, TrainError, Trainer, write_whole};
use crate::data::{DataConfig, DataError, Dataset};
use crate::loss::ResidualName;
use crate::model::Network;
use crate::physics::Residual;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a checkpoint cannot be written or taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// There is none.
    #[error(
        "there is no checkpoint {}: name the folder of a run, or begin one with `picardy-train train --out FOLDER`",
        path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is no checkpoint, or a damaged one.
    #[error("{} is no picardy checkpoint: {reason}; resume from another", path.display())]
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
        "the data {source_name} has changed since {} was written; bring the old data back, or train anew",
        path.display()
    )]
    OtherData {
        /// The checkpoint.
        path: PathBuf,
        /// The data's name.
        source_name: String,
    },
    /// The run's residual is a program's own, which a file cannot hold.
    #[error(
        "{}: the run's physics has a residual of its program's own (`loss.physics.residual = \"custom\"`), which no file \
         holds: go on in that program, with Run::resume_with_residual or Trainer::resume_with_residual",
        path.display()
    )]
    OwnResidual {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The run's residual is a built-in one, and another was handed over.
    #[error(
        "{}: the run's residual is the built-in `{name}`, and another was handed over: resume it without one, or train anew",
        path.display()
    )]
    NamedResidual {
        /// The checkpoint.
        path: PathBuf,
        /// The residual's name.
        name: String,
    },
    /// The settings in it do not make a run.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The settings cannot be written.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// TOML, which unlike JSON has infinities.
    config: String,
    data_hash: u64,
    step: u64,
    adam_steps: u64,
    ema_steps: u64,
    best: Option<BestHeader>,
    worse: u64,
    log: LogState,
}

/// The best weights' step and loss.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BestHeader {
    step: u64,
    loss: f64,
}

impl Header {
    /// The counters: a step counts one in each.
    fn check(&self, steps: u64) -> Result<(), String> {
        let step = self.step;
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
        if self.worse > step {
            return Err(format!("`worse` is {} after {step} steps", self.worse));
        }
        match &self.best {
            Some(best) if best.step > step => Err(format!("its best step is {} of {step}", best.step)),
            _ => Ok(()),
        }
    }
}

const KEY: &str = "picardy.checkpoint";

/// Where a run's data comes from: enough to load it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The section `[data]`.
    pub data: DataConfig,
    /// The seed that points of a built-in distribution are drawn with, and held-out items are chosen by.
    pub seed: u64,
}

impl Origin {
    /// The items to train on, and those that are held out.
    ///
    /// # Errors
    /// As [`DataConfig::load`] and [`Dataset::split`].
    pub fn load(&self) -> Result<(Dataset, Option<Dataset>), DataError> {
        let data = self.data.load(self.seed)?;
        // 0 is none; whatever is no share is refused by the split.
        if self.data.held_out == 0.0 {
            return Ok((data, None));
        }
        let (rest, held_out) = data.split(self.data.held_out, self.seed)?;
        Ok((rest, Some(held_out)))
    }
}

/// A run and where its data comes from: what a checkpoint file holds.
#[derive(Debug)]
pub struct Checkpoint {
    /// The run.
    pub trainer: Trainer,
    /// Its data.
    pub origin: Origin,
    /// What its log has taken note of since its last line.
    pub log: LogState,
}

impl Checkpoint {
    /// A run at its beginning, its data loaded as the configuration says. `run.from` is not looked at: see
    /// [`Run::begin`](super::Run::begin).
    ///
    /// # Errors
    /// As [`Origin::load`] and [`Trainer::with_held_out`].
    pub fn begin(config: Config) -> Result<Self, CheckpointError> {
        Self::build(config, None)
    }

    /// [`Checkpoint::begin`] with physics of one's own in the loss, whatever `loss.physics.residual` says.
    ///
    /// # Errors
    /// As there, and as [`Trainer::with_residual`].
    pub fn begin_with_residual(
        config: Config,
        residual: Arc<dyn Residual<f32>>,
    ) -> Result<Self, CheckpointError> {
        Self::build(config, Some(residual))
    }

    pub(super) fn build(
        config: Config,
        residual: Option<Arc<dyn Residual<f32>>>,
    ) -> Result<Self, CheckpointError> {
        // Settings are refused before files are read for them.
        check(&config.train)?;
        let origin = Origin { data: config.data, seed: config.train.run.seed };
        let (data, held_out) = origin.load()?;
        let trainer = Trainer::build(config.train, data, held_out, residual)?.flipping(origin.data.flip);
        Ok(Self { trainer, origin, log: LogState::default() })
    }

    /// The run's configuration.
    pub fn config(&self) -> Config {
        Config { data: self.origin.data.clone(), train: self.trainer.config.clone() }
    }

    /// Writes all of the run's state: whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let trainer = &self.trainer;
        let state = trainer.engine.state()?;
        let header = Header {
            config: self.config().to_text()?,
            data_hash: hash(trainer),
            step: trainer.step,
            adam_steps: state.adam_steps,
            ema_steps: state.ema_steps,
            best: trainer.best.as_ref().map(|best| BestHeader { step: best.step, loss: best.loss }),
            worse: trainer.worse,
            log: self.log,
        };
        let format = |reason: String| CheckpointError::Format { path: path.to_owned(), reason };
        let header = serde_json::to_string(&header).map_err(|error| format(error.to_string()))?;
        let best = trainer.best.as_ref().map(|best| ("best", &best.weights[..]));
        let tensors: Vec<(&str, Vec<u8>)> = [
            ("parameters", &*state.parameters),
            ("adam.mean", &*state.mean),
            ("adam.square", &*state.square),
            ("ema", &*state.average),
        ]
        .into_iter()
        .chain(best)
        .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
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
    /// Takes a run up where a checkpoint left it, on the device that it was on.
    ///
    /// # Errors
    /// A file that is no checkpoint, or data that is gone or another. What the file says is checked before anything
    /// is allocated for it. [`CheckpointError::OwnResidual`] for a run of [`Trainer::with_residual`].
    pub fn resume(path: &Path) -> Result<Checkpoint, CheckpointError> {
        Self::take_up(path, None, None)
    }

    /// [`Trainer::resume`] on another device, as [`RunConfig::device`](super::RunConfig::device) names it.
    ///
    /// # Errors
    /// As there.
    pub fn resume_on(path: &Path, device: Option<&str>) -> Result<Checkpoint, CheckpointError> {
        Self::take_up(path, None, device)
    }

    /// [`Trainer::resume`] of a run that was begun with physics of one's own; the residual is the one it was begun with, which is
    /// not checked.
    ///
    /// # Errors
    /// As there, and as [`Trainer::with_residual`]; [`CheckpointError::NamedResidual`] for a run of a built-in residual.
    pub fn resume_with_residual(
        path: &Path,
        residual: Arc<dyn Residual<f32>>,
    ) -> Result<Checkpoint, CheckpointError> {
        Self::take_up(path, Some(residual), None)
    }

    pub(super) fn take_up(
        path: &Path,
        residual: Option<Arc<dyn Residual<f32>>>,
        device: Option<&str>,
    ) -> Result<Checkpoint, CheckpointError> {
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
        let mut config = Config::parse(&header.config).map_err(|error| format(error.to_string()))?;
        if let Some(device) = device {
            provider(device)?;
            config.train.run.device = device.to_owned();
        }
        check(&config.train).map_err(|error| format(error.to_string()))?;
        header.check(config.train.run.steps).map_err(&format)?;
        let (loss, own) = (&config.train.loss, config.train.loss.physics.residual == ResidualName::Custom);
        match &residual {
            None if own && loss.is_informed() => {
                return Err(CheckpointError::OwnResidual { path: path.to_owned() });
            }
            Some(_) if !own => {
                let name = match loss.physics.residual {
                    ResidualName::Custom => "custom",
                    ResidualName::Circle => "circle",
                    ResidualName::Darcy => "darcy",
                };
                return Err(CheckpointError::NamedResidual { path: path.to_owned(), name: name.to_owned() });
            }
            _ => {}
        }
        let source_name = config.data.source.clone();
        let origin = Origin { seed: config.train.run.seed, data: config.data };
        let (data, held_out) = origin.load()?;
        let expected = Network::<f32>::count(&sizes(&config.train, &data)?).map_err(TrainError::from)?;
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
        let best = match header.best {
            None => None,
            Some(BestHeader { step, loss }) => Some(Best { step, loss, weights: read("best")? }),
        };
        let mut trainer = Self::build(config.train, data, held_out, residual)?.flipping(origin.data.flip);
        if hash(&trainer) != header.data_hash {
            return Err(CheckpointError::OtherData { path: path.to_owned(), source_name });
        }
        trainer.engine.restore(&State {
            parameters: parameters.into(),
            mean: mean.into(),
            square: square.into(),
            average: ema.into(),
            adam_steps: header.adam_steps,
            ema_steps: header.ema_steps,
        })?;
        (trainer.step, trainer.best, trainer.worse) = (header.step, best, header.worse);
        Ok(Checkpoint { trainer, origin, log: header.log })
    }
}

/// FNV-1a of the bits of the data, held-out items included, and of their conditions.
fn hash(trainer: &Trainer) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut take = |bits: u64| hash = (hash ^ bits).wrapping_mul(0x0000_0100_0000_01b3);
    for data in [Some(&*trainer.data), trainer.held_out.as_deref()].into_iter().flatten() {
        let mut row = vec![0.0; data.dim()];
        for index in 0..data.len() {
            data.copy_item(index, &mut row);
            row.iter().for_each(|x| take(x.to_bits().into()));
        }
        data.conditions().bits().into_iter().for_each(&mut take);
        data.mean().iter().chain(data.scale()).for_each(|x| take(x.to_bits()));
        data.shape().iter().for_each(|&axis| take(axis as u64));
    }
    hash
}
