//! Where the project's own install lies.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The version of the PyPI package `onnxruntime` that is installed and tested with.
pub const PINNED_VERSION: &str = "1.32.0";

/// The directory, inside one of the roots below, that an install of [`PINNED_VERSION`] makes.
pub(crate) fn install_name() -> String {
    format!("onnxruntime-{PINNED_VERSION}")
}

/// The version of the PyPI package `onnxruntime-gpu`: the newest that there is, which is older than
/// [`PINNED_VERSION`].
pub const PINNED_GPU: &str = "1.31.1";

/// The version of the PyPI package `onnxruntime-ep-webgpu`.
pub const PINNED_WEBGPU: &str = "0.4.0";

/// The command that installs what a provider needs.
pub(crate) fn mend(gpu: &str) -> String {
    format!("{} --gpu {gpu}", crate::locate::MEND)
}

/// The directory, inside one of the roots, of an install of [`PINNED_GPU`].
pub(crate) fn gpu_name() -> String {
    format!("onnxruntime-gpu-{PINNED_GPU}")
}

/// The directory, inside one of the roots, of an install of [`PINNED_WEBGPU`].
pub(crate) fn webgpu_name() -> String {
    format!("onnxruntime-ep-webgpu-{PINNED_WEBGPU}")
}

/// Every directory an install of ONNX Runtime with CUDA may lie in.
pub(crate) fn gpu_dirs() -> Vec<PathBuf> {
    inside_roots(&gpu_name())
}

/// Every directory an install of the WebGPU plugin may lie in.
pub(crate) fn webgpu_dirs() -> Vec<PathBuf> {
    inside_roots(&webgpu_name())
}

/// Where TensorRT keeps engines and timings made with one version of ONNX Runtime.
pub(crate) fn tensorrt_cache(version: &str) -> Option<PathBuf> {
    cache_root().map(|root| root.join(format!("tensorrt-{version}")))
}

/// The user's cache directory for Picardy: `$XDG_CACHE_HOME/picardy`, or `~/.cache/picardy`, or the
/// system's own such place. `None` where the environment names no home.
#[must_use]
pub fn cache_root() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        // The XDG rule: a relative path there is to be ignored.
        absolute("XDG_CACHE_HOME").or_else(|| {
            let inside = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
            absolute("HOME").map(|home| home.join(inside))
        })
    };
    base.map(|base| base.join("picardy"))
}

/// `picardy` in the cargo target directory that this program was built into or is told of.
///
/// Found from the running program's own path, and not from a path compiled in: a program that was
/// copied elsewhere must not look into a directory of the machine that built it.
#[must_use]
pub fn target_root() -> Option<PathBuf> {
    let built_into = env::current_exe()
        .ok()
        .and_then(|exe| exe.ancestors().find(|dir| is_cargo_target(dir)).map(Path::to_path_buf));
    let told = || env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    built_into.or_else(told).map(|dir| dir.join("picardy"))
}

/// Cargo marks its target directories with both files.
fn is_cargo_target(dir: &Path) -> bool {
    dir.join("CACHEDIR.TAG").is_file() && dir.join(".rustc_info.json").is_file()
}

/// Every directory an install of the pinned version may lie in.
pub(crate) fn install_dirs() -> Vec<PathBuf> {
    inside_roots(&install_name())
}

fn inside_roots(name: &str) -> Vec<PathBuf> {
    [cache_root(), target_root()].into_iter().flatten().map(|root| root.join(name)).collect()
}
