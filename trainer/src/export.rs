//! A trained network as its two files, safetensors and ONNX, with the same metadata.

use crate::model::{Mlp, Precision, SaveError};
use crate::onnx::{OnnxError, export_mlp};
use crate::train::stage;
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

/// Writes `STEM.safetensors` and `STEM.onnx` into a folder.
///
/// Both are written in full under temporary names before either takes its own, so that a network which cannot be
/// exported or a disk that is full leaves an earlier pair as it was.
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
    let failed = |path: &Path, error| ExportError::File { path: path.to_owned(), error };
    let mut staged = Vec::new();
    for (path, bytes) in &files {
        staged.push((path, stage(path, bytes).map_err(|error| failed(path, error))?));
    }
    for (path, file) in staged {
        file.persist(path).map_err(|error| failed(path, error.error))?;
    }
    Ok(files.map(|(path, _)| path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MlpConfig;

    #[test]
    fn a_failure_leaves_the_old_pair() {
        let folder = tempfile::tempdir().unwrap();
        let model = |seed| Mlp::<f32>::new(MlpConfig { dim: 1, width: 2, blocks: 1 }, 1, seed).unwrap();
        let export = |seed| write(folder.path(), "model", &model(seed), &[], Precision::F32);
        let [safetensors, onnx] = export(1).unwrap();
        let old = std::fs::read(&safetensors).unwrap();
        // The second file cannot be written: the first stays the old one.
        std::fs::remove_file(&onnx).unwrap();
        std::fs::create_dir(&onnx).unwrap();
        let error = export(2).unwrap_err().to_string();
        assert!(error.contains("model.onnx") && error.contains("directory"), "{error}");
        assert!(std::fs::read(&safetensors).unwrap() == old);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
        std::fs::remove_dir(&onnx).unwrap();
        export(2).unwrap();
        assert!(std::fs::read(&safetensors).unwrap() != old);
    }
}
