//! Networks that were trained elsewhere, taken over with all their numbers.

mod policy;
mod policy_config;
mod policy_weights;

pub use policy::Policy;
pub use policy_config::PolicyConfig;

use crate::model::{NetworkError, SaveError};
use std::path::PathBuf;

/// Why a network cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the mend.
        reason: String,
    },
    /// A setting of the checkpoint that this crate has nothing for.
    #[error("{}: `{key}` is {value}: {mend}", path.display())]
    Setting {
        /// The configuration.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is possible.
        mend: &'static str,
    },
    /// Tensors that do not fit, all of them.
    #[error("{}: {}", path.display(), wrong.join("; "))]
    Tensors {
        /// The weights' file.
        path: PathBuf,
        /// What is wrong with each.
        wrong: Vec<String>,
    },
    /// The network's sizes.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The network's file.
    #[error(transparent)]
    Save(#[from] SaveError),
}
