//! Training: the settings, the loop one step at a time, checkpoints and the log.
//!
//! Everything that a step draws comes from the generator at (seed, step), so a run that was stopped and resumed from a
//! [checkpoint](Checkpoint) gives the same bits as one that was not.

mod batch;
mod card_check;
mod checkpoint;
mod config;
mod engine;
mod error;
mod events;
mod files;
mod judge;
mod log;
mod loss_kind;
pub(crate) mod picture;
mod product;
mod room;
mod run;
mod terms;
mod trainer;
mod weights;

pub use checkpoint::{Checkpoint, CheckpointError, Origin};
pub use config::{
    Config, ConfigError, EmaKind, MAX_ROWS, MAX_STEPS, MAX_TRAIN_STEPS, OptimiserConfig, RunConfig, Schedule,
    TrainConfig,
};
pub use error::{Items, TrainError};
pub use events::{Events, Record, read_events};
pub use files::{Files, RunError};
pub use judge::Judgement;
pub use log::{Log, LogState};
pub use loss_kind::LossKind;
pub use run::{Evaluation, Report, Run};
pub use terms::Terms;
pub use trainer::{Step, Trainer};
pub(crate) use weights::numbers;
pub use weights::{NameMap, WeightsError, read_weights};

use std::io::Write;
use std::path::Path;

/// Writes a whole file or none: into a temporary one beside it, which then takes the name.
///
/// # Errors
/// The file system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    stage(path, bytes)?.persist(path).map_err(|error| error.error)?;
    // The new name is on the disk too.
    #[cfg(unix)]
    std::fs::File::open(folder(path))?.sync_all()?;
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".picardy-";

/// The file under a temporary name beside `path`, whole and on the disk.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    if path.is_dir() {
        let said = "it is a directory, and a file is to be written there: move it away";
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, said));
    }
    let mut builder = tempfile::Builder::new();
    // Temporary files are the user's alone by default; results are as readable as the umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(UNFINISHED).tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}
