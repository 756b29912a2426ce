//! A trained network as its two files, safetensors and ONNX, with the same metadata.

use crate::model::{Mlp, Precision, SaveError};
use crate::onnx::{OnnxError, export_mlp};
use crate::train::write_whole;
use std::path::{Path, PathBuf};

/// Why a network cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The safetensors file.
    #[error(transparent)]
    Safetensors(#[from] SaveError),
    /// The ONNX file.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A file cannot be written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
}

/// The network's ONNX file.
///
/// # Errors
/// Parameters that are not finite.
pub fn onnx(model: &Mlp<f32>, metadata: &[(String, String)]) -> Result<Vec<u8>, OnnxError> {
    let config = model.config();
    export_mlp(config.dim, config.width, config.blocks, |name| model.parameter(name), metadata)
}

/// Writes `STEM.safetensors` and `STEM.onnx` into a folder; each whole, or both not at all where the network cannot be
/// exported.
///
/// # Errors
/// Parameters that a file cannot hold, or the file system's.
pub fn write(
    folder: &Path,
    stem: &str,
    model: &Mlp<f32>,
    metadata: &[(String, String)],
    precision: Precision,
) -> Result<[PathBuf; 2], ExportError> {
    let files = [
        (folder.join(format!("{stem}.safetensors")), model.to_safetensors(metadata, precision)?),
        (folder.join(format!("{stem}.onnx")), onnx(model, metadata)?),
    ];
    for (path, bytes) in &files {
        write_whole(path, bytes).map_err(|error| ExportError::File { path: path.clone(), error })?;
    }
    Ok(files.map(|(path, _)| path))
}
