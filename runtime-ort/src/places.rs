//! Where the project's own install lies.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::bundle::Bundle;

/// The command that installs what a provider needs.
pub(crate) fn mend(gpu: &str) -> String {
    format!("{} --gpu {gpu}", crate::locate::MEND)
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

/// Every directory an install of `bundle` may lie in.
pub(crate) fn install_dirs(bundle: Bundle) -> Vec<PathBuf> {
    let roots = [cache_root(), target_root()].into_iter().flatten();
    roots.map(|root| root.join(bundle.directory())).collect()
}
