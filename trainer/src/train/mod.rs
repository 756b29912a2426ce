//! Training: the settings, the loop one step at a time, checkpoints and the log.
//!
//! Everything that a step draws comes from the generator at (seed, step), so a run that was stopped and resumed from a
//! [checkpoint](Checkpoint) gives the same bits as one that was not.

mod checkpoint;
mod config;
mod log;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointError, Origin};
pub use config::{
    ContrastiveSettings, LossKind, MAX_ROWS, MAX_STEPS, MAX_TRAIN_STEPS, MAX_WIDTH, Schedule, TrainConfig,
};
pub use log::{Log, LogState};
pub use trainer::{Step, TrainError, Trainer};

use std::io::Write;
use std::path::Path;

/// Writes a whole file or none: into a temporary one beside it, which then takes the name.
///
/// # Errors
/// The file system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    stage(path, bytes)?.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The file under a temporary name beside `path`, whole and on the disk.
pub(crate) fn stage(path: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    if path.is_dir() {
        let said = "it is a directory, and a file is to be written there: move it away";
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, said));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are the user's alone by default; results are as readable as the umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".picardy-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}
