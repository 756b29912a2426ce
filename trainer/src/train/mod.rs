//! Training: the settings, the loop one step at a time, checkpoints and the log.
//!
//! Everything that a step draws comes from the generator at (seed, step), so a run that was stopped and resumed from a
//! [checkpoint](Checkpoint) gives the same bits as one that was not.

mod checkpoint;
mod config;
mod log;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointError, Origin};
pub use config::{ContrastiveSettings, LossKind, Schedule, TrainConfig};
pub use log::Log;
pub use trainer::{Step, TrainError, Trainer};

use std::io::Write;
use std::path::Path;

/// Writes a whole file or none: into a temporary one beside it, which then takes the name.
///
/// # Errors
/// The file system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are the user's alone by default; results are as readable as the umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".picardy-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
