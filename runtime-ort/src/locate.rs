//! Where the ONNX Runtime library is.
//!
//! The places, in this order:
//!
//! 1. the path the caller gives;
//! 2. the environment variable `ORT_DYLIB_PATH`;
//! 3. the project's own install, see [`install`](mod@crate::install);
//! 4. the site-packages of the `python3` (or `python`) on the PATH;
//! 5. the system's library directories.
//!
//! A path that was named, by 1 or 2, is used or is an error: to pass over it in silence would run
//! another library than the one that was asked for.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    bundle::Bundle,
    dylib, places,
    provider::{Provider, nvidia_driver, provider_file},
};

/// The command that puts the library where [`locate`] finds it.
pub const MEND: &str = "cargo run --release -p picardy-ort -- install";

/// Who named the place the library was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller's own path.
    Explicit,
    /// The environment variable `ORT_DYLIB_PATH`.
    Environment,
    /// `picardy-ort install`.
    Installed,
    /// A Python installation's site-packages.
    Python,
    /// The system's library directories.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "the path given",
            Self::Environment => "ORT_DYLIB_PATH",
            Self::Installed => "picardy-ort install",
            Self::Python => "Python's site-packages",
            Self::System => "the system",
        })
    }
}

/// A library that was found, not yet loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The library's file.
    pub path: PathBuf,
    /// Who named the place.
    pub origin: Origin,
}

/// The places [`locate`] looked in, in the order of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched(Vec<(Origin, PathBuf)>);

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  ORT_DYLIB_PATH: not set")?;
        for (origin, dir) in &self.0 {
            write!(f, "\n  {origin}: {}", dir.display())?;
        }
        if !self.0.iter().any(|(origin, _)| *origin == Origin::Python) {
            write!(f, "\n  {}: no python3 on the PATH", Origin::Python)?;
        }
        Ok(())
    }
}

/// Why no library was found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// A named path is not there.
    #[error(
        "no ONNX Runtime library at `{}`, named by {origin}: correct the path, or leave it out to have the library searched for",
        path.display()
    )]
    Missing {
        /// The path that was named.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
    },
    /// It is in none of the places looked in.
    #[error(
        "ONNX Runtime ({}) was not found. Looked in:{searched}\nTo install it: {MEND}",
        dylib::PLAIN_NAME
    )]
    NotFound {
        /// The places looked in.
        searched: Searched,
    },
}

/// Finds the ONNX Runtime library; see the [module](self) for the order of the search.
///
/// `explicit` may be the library's file or the directory it lies in.
///
/// # Errors
/// [`LocateError::Missing`] where `explicit` or `ORT_DYLIB_PATH` names something that is not there,
/// [`LocateError::NotFound`] where nobody named a path and no place has it.
pub fn locate(explicit: Option<&Path>) -> Result<Located, LocateError> {
    if let Some(path) = explicit {
        return named(path, Origin::Explicit);
    }
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return named(Path::new(&path), Origin::Environment);
    }
    let mut searched = Vec::new();
    // Python is asked last but one because asking starts a process.
    for origin in [Origin::Installed, Origin::Python, Origin::System] {
        let dirs = match origin {
            Origin::Installed => places::install_dirs(Bundle::Cpu),
            Origin::Python => python_dirs(),
            _ => system_dirs(),
        };
        for dir in dirs {
            if let Some(path) = dylib::newest_in(&dir) {
                return Ok(Located { path, origin });
            }
            searched.push((origin, dir));
        }
    }
    Err(LocateError::NotFound { searched: Searched(searched) })
}

/// As [`locate`], for a provider: of the libraries that nobody named, one that was built with CUDA
/// comes before others where `provider` is NVIDIA's, or is [`Provider::Auto`] and there is a driver.
///
/// # Errors
/// As [`locate`]. A library without CUDA is no error here.
pub fn locate_for(provider: Provider, explicit: Option<&Path>) -> Result<Located, LocateError> {
    let wanted = match provider {
        Provider::Cuda { .. } | Provider::TensorRt { .. } => true,
        Provider::Auto => nvidia_driver(),
        _ => false,
    };
    let named = explicit.is_some() || env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if wanted && !named {
        let installed = || places::install_dirs(Bundle::Cuda);
        let with_cuda = |dir: &PathBuf| dir.join(provider_file("cuda")).is_file();
        let places = [
            (Origin::Installed, installed as fn() -> Vec<PathBuf>),
            (Origin::Python, python_dirs),
            (Origin::System, system_dirs),
        ];
        for (origin, dirs) in places {
            if let Some(path) = dirs().into_iter().filter(with_cuda).find_map(|dir| dylib::newest_in(&dir)) {
                return Ok(Located { path, origin });
            }
        }
    }
    locate(explicit)
}

fn named(path: &Path, origin: Origin) -> Result<Located, LocateError> {
    let found =
        if path.is_dir() { dylib::newest_in(path) } else { path.is_file().then(|| path.to_path_buf()) };
    // The loader takes a path without a directory for a name to search: make it a path.
    let found = found.map(|path| std::path::absolute(&path).unwrap_or(path));
    match found {
        Some(path) => Ok(Located { path, origin }),
        None => Err(LocateError::Missing { path: path.to_path_buf(), origin }),
    }
}

/// `onnxruntime/capi` in each directory of Python's module path.
///
/// Relative entries are left out: the empty one is the working directory, and a library lying there
/// must not be loaded for that.
fn python_dirs() -> Vec<PathBuf> {
    const ASK: &str = "import sys, site\n\
        user = site.getusersitepackages() if site.ENABLE_USER_SITE else ''\n\
        print('\\n'.join(dict.fromkeys([*sys.path, *site.getsitepackages(), user])))";
    for python in ["python3", "python"] {
        let Ok(answer) =
            Command::new(python).args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output()
        else {
            continue;
        };
        if !answer.status.success() {
            continue;
        }
        return String::from_utf8_lossy(&answer.stdout)
            .lines()
            .map(Path::new)
            .filter(|dir| dir.is_absolute() && dir.is_dir())
            .map(|dir| dir.join("onnxruntime").join("capi"))
            .collect();
    }
    Vec::new()
}

/// The directories the system's loader would search, and the usual ones for libraries built by hand.
fn system_dirs() -> Vec<PathBuf> {
    let search_path = if cfg!(windows) {
        "PATH"
    } else if cfg!(target_os = "macos") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let mut dirs: Vec<PathBuf> =
        env::var_os(search_path).map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    if cfg!(unix) {
        let triple = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
        dirs.extend(
            [
                "/usr/local/lib",
                "/opt/homebrew/lib",
                triple.as_str(),
                "/usr/lib64",
                "/usr/lib",
                "/opt/onnxruntime/lib",
            ]
            .map(PathBuf::from),
        );
    }
    dirs.retain(|dir| dir.is_absolute() && dir.is_dir());
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_path_that_is_missing_is_an_error() {
        let error = locate(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("/nowhere/libonnxruntime.so"), "{message}");
        assert!(message.contains("the path given"), "{message}");
    }

    #[test]
    fn a_directory_without_the_library_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = locate(Some(dir.path())).unwrap_err();
        assert!(matches!(error, LocateError::Missing { .. }), "{error}");
    }

    #[test]
    fn not_found_names_every_place_and_the_mend() {
        let error = LocateError::NotFound {
            searched: Searched(vec![
                (Origin::Installed, PathBuf::from("/home/a/.cache/picardy")),
                (Origin::System, PathBuf::from("/usr/lib")),
            ]),
        };
        let message = error.to_string();
        for part in ["ORT_DYLIB_PATH", "/home/a/.cache/picardy", "/usr/lib", "no python3", MEND] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}
