//! Fetches ONNX Runtime, and what the providers of GPUs need: the pinned PyPI wheels of a
//! [`Bundle`], by pip, into the user's cache directory.
//!
//! Only the C libraries and the licences are taken out of the wheels; Python is needed to fetch them and
//! not to run them. Nothing is written outside the cache directory, and root is not needed.
//!
//! An install is complete or it is not there: the files are unpacked beside their place and moved
//! in one rename. Processes that install at the same time wait for the first one's lock and find
//! its work done.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    bundle::{Bundle, Package},
    places,
};

/// The Python whose wheel is fetched, whatever Python is running: the C library in all of them is
/// the same, and the newest wheels are not made for every Python.
const WHEEL_PYTHON: &str = "3.12";

/// Unpacks the libraries and the licences of the wheel `argv[1]` into the directory `argv[2]`.
///
/// Names are taken by their last part alone, so a wheel cannot write outside the directory; a
/// licence gets the wheel's name before its own.
const UNPACK: &str = "\
import os, re, shutil, sys, zipfile
ours = re.compile(r'onnxruntime/capi/(libonnxruntime|onnxruntime[^/]*\\.dll$)|onnxruntime_ep_webgpu/[^/]*\\.(so|dll|dylib)$|nvidia/.*\\.(so(\\.[0-9.]+)?|dll)$')
licence = re.compile(r'(^onnxruntime/|[.]dist-info/(licenses/)?)(LICENSE|License|ThirdPartyNotices)[^/]*$')
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        base = re.split(r'[/\\\\]', name)[-1]
        if ours.match(name):
            pass
        elif licence.search(name):
            base = os.path.basename(sys.argv[1]).split('-')[0] + '-' + base
        else:
            continue
        with wheel.open(name) as source, open(os.path.join(sys.argv[2], base), 'wb') as sink:
            shutil.copyfileobj(source, sink)
";

/// Why an install failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no place to install to.
    #[error(
        "no cache directory: neither XDG_CACHE_HOME nor HOME names one. Name a directory with --into DIR"
    )]
    NoPlace,
    /// The place cannot be written to.
    #[error("cannot {what} `{}`: {source}. Name another directory with --into DIR", path.display())]
    Write {
        /// What was being done.
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No Python was found.
    #[error(
        "neither python3 nor python is on the PATH ({source}); the ONNX Runtime wheel is fetched with its pip. \
         Install Python 3 with pip (Debian: apt-get install python3-pip), or set ORT_DYLIB_PATH to a library you have"
    )]
    NoPython {
        /// What the system said.
        source: io::Error,
    },
    /// Python has no pip.
    #[error(
        "`{python}` has no pip: {said}. Install it (Debian: apt-get install python3-pip; elsewhere: {python} -m ensurepip --user)"
    )]
    NoPip {
        /// The Python that was asked.
        python: String,
        /// What it said.
        said: String,
    },
    /// Pip did not fetch the wheel.
    #[error(
        "pip could not fetch {package}: {said}. Check the network and pip's index settings, \
         or set ORT_DYLIB_PATH to a library you have"
    )]
    Fetch {
        /// The package.
        package: Package,
        /// The end of what pip said.
        said: String,
    },
    /// The wheel is not what it should be.
    #[error("the wheel of {package} cannot be used: {said}. Run the install again")]
    Wheel {
        /// The package.
        package: Package,
        /// What is wrong with it.
        said: String,
    },
}

/// A finished install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The library's file.
    pub library: PathBuf,
    /// Whether this call fetched it; `false` where it was there already.
    pub fetched: bool,
}

/// Installs the pinned ONNX Runtime under `into`, or under the user's cache directory.
///
/// A second call finds the first one's work and fetches nothing. What lies under a directory of the
/// caller's own is found by [`locate`](crate::locate::locate) only when it is named there.
///
/// # Errors
/// [`InstallError`]: no writable place, no Python or pip, or the wheel was not to be had. Nothing
/// is left under the final name then.
pub fn install(into: Option<&Path>) -> Result<Installed, InstallError> {
    install_bundle(Bundle::Cpu, into)
}

/// As [`install`], for what a GPU's provider needs.
///
/// # Errors
/// As [`install`].
pub fn install_bundle(bundle: Bundle, into: Option<&Path>) -> Result<Installed, InstallError> {
    let (root, place) = destination(bundle, into)?;
    if let Some(library) = bundle.complete(&place) {
        return Ok(Installed { library, fetched: false });
    }
    fs::create_dir_all(&root).map_err(write_error("create", &root))?;
    let lock_path = root.join(".install.lock");
    let lock = File::create(&lock_path).map_err(write_error("create", &lock_path))?;
    lock.lock().map_err(write_error("lock", &lock_path))?;
    // Another process may have finished while this one waited for the lock.
    if let Some(library) = bundle.complete(&place) {
        return Ok(Installed { library, fetched: false });
    }
    let temporary = tempfile::Builder::new()
        .prefix(".onnxruntime-")
        .tempdir_in(&root)
        .map_err(write_error("create a directory in", &root))?;
    fetch_into(bundle, temporary.path())?;
    let ready = temporary.path().join("ready");
    let wheel = |said: String| InstallError::Wheel { package: bundle.packages()[0], said };
    if bundle.complete(&ready).is_none() {
        return Err(wheel("not every library that is needed is in it, whole".to_owned()));
    }
    if place.exists() {
        // An incomplete one, from a disk that was full or a file that was deleted: out of the way.
        fs::rename(&place, temporary.path().join("broken")).map_err(write_error("replace", &place))?;
    }
    fs::rename(&ready, &place).map_err(write_error("move the install to", &place))?;
    bundle
        .complete(&place)
        .map(|library| Installed { library, fetched: true })
        .ok_or_else(|| wheel(format!("`{}` vanished after the install", place.display())))
}

/// The directory that an install of `bundle` goes to, and whether it is there.
///
/// # Errors
/// [`InstallError::NoPlace`].
pub fn planned(bundle: Bundle, into: Option<&Path>) -> Result<(PathBuf, bool), InstallError> {
    let (_, place) = destination(bundle, into)?;
    let there = bundle.complete(&place).is_some();
    Ok((place, there))
}

fn destination(bundle: Bundle, into: Option<&Path>) -> Result<(PathBuf, PathBuf), InstallError> {
    let root = match into {
        Some(dir) => dir.to_path_buf(),
        None => places::cache_root().ok_or(InstallError::NoPlace)?,
    };
    let place = root.join(bundle.directory());
    Ok((root, place))
}

fn write_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> InstallError + 'a {
    move |source| InstallError::Write { what, path: path.to_path_buf(), source }
}

/// Fetches the wheels into `dir` and unpacks them into `dir/ready`.
fn fetch_into(bundle: Bundle, dir: &Path) -> Result<(), InstallError> {
    let python = find_python()?;
    let ready = dir.join("ready");
    fs::create_dir(&ready).map_err(write_error("create", &ready))?;
    for &package in bundle.packages() {
        // One at a time, each gone before the next: CUDA's are over a gigabyte together.
        let wheel_dir = dir.join("wheel");
        let fetched = run(Command::new(&python)
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
            .args(["--python-version", WHEEL_PYTHON, "--implementation", "cp"])
            .args(["--disable-pip-version-check", "--no-input", "--quiet"])
            // Another gigabyte of the user's disk.
            .args((bundle == Bundle::Cuda).then_some("--no-cache-dir"))
            .arg("--dest")
            .arg(&wheel_dir)
            .arg(package.to_string()))?;
        if !fetched.status.success() {
            return Err(InstallError::Fetch { package, said: end_of(&fetched.stderr) });
        }
        let wheel = fs::read_dir(&wheel_dir)
            .map_err(write_error("read", &wheel_dir))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "whl"))
            .ok_or_else(|| InstallError::Wheel { package, said: "pip left no .whl file".to_owned() })?;
        let unpacked = run(Command::new(&python).args(["-c", UNPACK]).arg(&wheel).arg(&ready))?;
        if !unpacked.status.success() {
            return Err(InstallError::Wheel { package, said: end_of(&unpacked.stderr) });
        }
        fs::remove_dir_all(&wheel_dir).map_err(write_error("empty", &wheel_dir))?;
    }
    Ok(())
}

/// A Python that has pip.
fn find_python() -> Result<String, InstallError> {
    let mut failure = None;
    for python in ["python3", "python"] {
        let asked = match run(Command::new(python).args(["-m", "pip", "--version"])) {
            Ok(asked) => asked,
            Err(error) => {
                failure.get_or_insert(error);
                continue;
            }
        };
        if asked.status.success() {
            return Ok(python.to_owned());
        }
        // A Python without pip says more than a missing one, and the first one more than the second.
        if matches!(failure, Some(InstallError::NoPip { .. })) {
            continue;
        }
        failure = Some(InstallError::NoPip { python: python.to_owned(), said: end_of(&asked.stderr) });
    }
    Err(failure.unwrap_or(InstallError::NoPlace))
}

fn run(command: &mut Command) -> Result<Output, InstallError> {
    command.stdin(Stdio::null()).output().map_err(|source| InstallError::NoPython { source })
}

/// The last lines of a program's error output: enough to name the cause.
fn end_of(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => "it said nothing".to_owned(),
        n => lines[n.saturating_sub(3)..].join(" | "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_place_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = install(Some(&file.path().join("below"))).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("below") && message.contains("--into"), "{message}");
    }

    #[test]
    fn the_end_of_a_long_complaint_is_kept() {
        assert_eq!(end_of(b"a\nb\n\nc\nd\n"), "b | c | d");
        assert_eq!(end_of(b""), "it said nothing");
    }
}
