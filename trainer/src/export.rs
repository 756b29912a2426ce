//! A trained network as its two files, safetensors and ONNX, with the same metadata.

use crate::data::Dataset;
use crate::model::{Network, Precision, SaveError};
use crate::onnx::{OnnxError, export_network};
use crate::train::stage;
use picardy::nn::{Architecture, ModelCard, Numbers, WeightFormat};
use picardy::{NoiseSchedule, Prediction};
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

/// What a card says of a model beside its data.
pub(crate) struct About<'a> {
    pub(crate) architecture: Architecture,
    pub(crate) condition: usize,
    /// One item's shape, outermost axis first.
    pub(crate) shape: &'a [usize],
    pub(crate) prediction: Prediction,
    /// Checked.
    pub(crate) schedule: NoiseSchedule,
    pub(crate) loss: &'a str,
    pub(crate) seed: u64,
    /// What the model adds to the variance of the points.
    pub(crate) added_variance: f64,
}

/// The metadata of a model of `data`.
pub(crate) fn metadata(data: &Dataset, about: &About<'_>) -> Vec<(String, String)> {
    let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let shape = about.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let (mean, scale) = (list(data.mean()), list(data.scale()));
    let mut entries = Vec::new();
    // Numbers that were just written as numbers are lists of numbers.
    if let (Some(shape), Some(data_mean), Some(data_scale)) =
        (Numbers::new(&shape), Numbers::new(&mean), Numbers::new(&scale))
    {
        let card = ModelCard {
            architecture: about.architecture,
            condition: about.condition,
            schedule: about.schedule,
            prediction: about.prediction,
            shape,
            loss: about.loss,
            seed: about.seed,
            data_mean,
            data_scale,
            weights: WeightFormat::F32,
            data_variance: data.mean_square() + about.added_variance,
        };
        card.entries(|key, value| entries.push((key.to_owned(), value.to_string())));
    }
    entries
}

/// The network's ONNX file.
///
/// # Errors
/// Parameters that are not finite.
pub fn onnx(model: &Network<f32>, metadata: &[(String, String)]) -> Result<Vec<u8>, OnnxError> {
    export_network(model, metadata)
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
    model: &Network<f32>,
    metadata: &[(String, String)],
    precision: Precision,
) -> Result<[PathBuf; 2], ExportError> {
    write_bytes(folder, stem, model.to_safetensors(metadata, precision)?, model, metadata)
}

/// [`write()`] with the safetensors file's bytes already made, such as those of [`small`](crate::small).
///
/// # Errors
/// As there.
pub fn write_bytes(
    folder: &Path,
    stem: &str,
    safetensors: Vec<u8>,
    model: &Network<f32>,
    metadata: &[(String, String)],
) -> Result<[PathBuf; 2], ExportError> {
    let files = [
        (folder.join(format!("{stem}.safetensors")), safetensors),
        (folder.join(format!("{stem}.onnx")), onnx(model, metadata)?),
    ];
    write_files(&files)?;
    Ok(files.map(|(path, _)| path))
}

/// Writes files, all of them in full under temporary names before any takes its own.
///
/// # Errors
/// The file system's.
pub fn write_files(files: &[(PathBuf, Vec<u8>)]) -> Result<(), ExportError> {
    let failed = |path: &Path, error| ExportError::File { path: path.to_owned(), error };
    let mut staged = Vec::new();
    for (path, bytes) in files {
        staged.push((path, stage(path, bytes).map_err(|error| failed(path, error))?));
    }
    for (path, file) in staged {
        file.persist(path).map_err(|error| failed(path, error.error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MlpConfig;

    #[test]
    fn a_failure_leaves_the_old_pair() {
        let folder = tempfile::tempdir().unwrap();
        let model = |seed| Network::<f32>::new(MlpConfig { dim: 1, width: 2, blocks: 1 }, 1, seed).unwrap();
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
