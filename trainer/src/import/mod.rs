//! Networks that were trained elsewhere, taken over with all their numbers.

mod policy;
mod policy_config;
mod policy_weights;

pub use policy::Policy;
pub use policy_config::PolicyConfig;

use crate::model::NetworkError;
use crate::train::WeightsError;
use std::path::PathBuf;

/// Why a network cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file that cannot be read, is not what it should be, or holds tensors that do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
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
    /// The network's sizes.
    #[error(transparent)]
    Network(#[from] NetworkError),
}
