//! The command `picardy-ort`, and models for it.

use std::{
    path::Path,
    process::{Command, Output},
};

use picardy_ort::ensure_runtime;

use super::PlainMlp;

/// Runs the command in a directory.
pub(crate) fn picardy_ort(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picardy-ort")).args(args).current_dir(dir).output().unwrap()
}

/// What the command printed; it must have succeeded.
pub(crate) fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of a failure.
pub(crate) fn complaint(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

pub(crate) fn numbers(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}

/// The metadata of a model trained on data of mean 10 and -10, scale 2 and 3.
pub(crate) fn card() -> Vec<(String, String)> {
    [
        ("picardy.version", "1"),
        ("picardy.model", "residual-mlp"),
        ("picardy.process", "vp"),
        ("picardy.schedule", "linear"),
        ("picardy.train_steps", "100"),
        ("picardy.beta_start", "0.001"),
        ("picardy.beta_end", "0.1"),
        ("picardy.prediction", "epsilon"),
        ("picardy.conditioning", "timestep"),
        ("picardy.shape", "2"),
        ("picardy.width", "8"),
        ("picardy.blocks", "1"),
        ("picardy.loss", "standard"),
        ("picardy.seed", "1"),
        ("picardy.data_mean", "10,-10"),
        ("picardy.data_scale", "2,3"),
        ("picardy.data_variance", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// A directory with a model that has metadata and one that has none.
pub(crate) fn models() -> tempfile::TempDir {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let network = PlainMlp::new(2, 8, 1);
    std::fs::write(dir.path().join("card.onnx"), network.onnx(&card())).unwrap();
    std::fs::write(dir.path().join("plain.onnx"), network.onnx(&[])).unwrap();
    std::fs::write(dir.path().join("text.onnx"), "hello").unwrap();
    dir
}
