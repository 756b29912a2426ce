//! Loads the ONNX Runtime library into the process, once.
//!
//! A process holds one ONNX Runtime: the library and its environment are global to it, and the
//! first load decides which one. [`Runtime::load`] gives that one to every later caller, and an
//! error to a caller who names another.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
};

use crate::{
    dylib,
    install::{InstallError, install},
    locate::{LocateError, Located, MEND, Origin, locate, locate_for},
    places,
    provider::Provider,
};

/// Why the library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It was not found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// It was not found, and could not be installed.
    #[error("ONNX Runtime was not found and could not be installed: {0}")]
    Install(#[from] InstallError),
    /// The file is not a library that can be loaded, or too old a version of it.
    #[error("cannot use the ONNX Runtime library `{}` (named by {origin}): {said}. {}", path.display(), mend(*.origin))]
    Unusable {
        /// The library's file.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
        /// What is wrong with it.
        said: String,
    },
    /// The process has loaded another one.
    #[error(
        "this process has already loaded the ONNX Runtime library `{}` and cannot load `{}` too: name the wanted one first",
        loaded.display(), asked.display()
    )]
    Loaded {
        /// The one that is loaded.
        loaded: PathBuf,
        /// The one that was asked for.
        asked: PathBuf,
    },
}

/// The remedy fits the place: an install is searched before Python and the system, but not before
/// a path that somebody named.
fn mend(origin: Origin) -> String {
    match origin {
        Origin::Explicit | Origin::Environment => {
            format!("Name another library, or none to use the one of: {MEND}")
        }
        Origin::Installed => format!("Delete its directory and run: {MEND}"),
        Origin::Python | Origin::System => format!("To install one that works: {MEND}"),
    }
}

/// The loaded ONNX Runtime of this process.
#[derive(Debug)]
pub struct Runtime {
    located: Located,
    version: String,
    environment: ort::environment::Environment,
}

/// The one runtime of the process. It is never dropped: ONNX Runtime's own threads and statics
/// outlive any order of destruction that could be chosen here.
static RUNTIME: Mutex<Option<&'static Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads the library that [`locate`] finds, or gives the one that is loaded.
    ///
    /// # Errors
    /// [`RuntimeError::Locate`] where there is none, [`RuntimeError::Unusable`] where it does not
    /// load or is older than ONNX Runtime 1.24, [`RuntimeError::Loaded`] where `explicit` names
    /// another one than is loaded.
    pub fn load(explicit: Option<&Path>) -> Result<&'static Self, RuntimeError> {
        Self::load_for(Provider::Cpu, explicit)
    }

    /// As [`load`](Self::load), with a library for `provider` where none is loaded yet: see
    /// [`locate_for`].
    ///
    /// # Errors
    /// As [`load`](Self::load). That the library has the provider is seen when a model is loaded.
    pub fn load_for(provider: Provider, explicit: Option<&Path>) -> Result<&'static Self, RuntimeError> {
        // A panic while the lock was held leaves `None` behind, which is what a retry needs.
        let mut slot = RUNTIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(runtime) = *slot {
            return match explicit {
                Some(_) => runtime.if_same(locate(explicit)?),
                None => Ok(runtime),
            };
        }
        let runtime = Self::load_located(locate_for(provider, explicit)?)?;
        Ok(slot.insert(Box::leak(Box::new(runtime))))
    }

    /// The library's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.located.path
    }

    /// Who named the place it was found in.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.located.origin
    }

    /// The library's version, such as `1.32.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The library's environment, for ort's own calls.
    #[must_use]
    pub fn environment(&self) -> &ort::environment::Environment {
        &self.environment
    }

    fn if_same(&'static self, asked: Located) -> Result<&'static Self, RuntimeError> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if real(&asked.path) == real(&self.located.path) {
            Ok(self)
        } else {
            Err(RuntimeError::Loaded { loaded: self.located.path.clone(), asked: asked.path })
        }
    }

    fn load_located(located: Located) -> Result<Self, RuntimeError> {
        let unusable = |said: String| RuntimeError::Unusable {
            path: located.path.clone(),
            origin: located.origin,
            said,
        };
        if std::fs::metadata(&located.path).is_ok_and(|about| about.len() == 0) {
            return Err(unusable("the file is empty".to_owned()));
        }
        match dylib::looks_whole(&located.path) {
            Ok(true) => {}
            Ok(false) => return Err(unusable("the file was cut short".to_owned())),
            Err(error) => return Err(unusable(error.to_string())),
        }
        // ort asserts where a library answers with null pointers, so a stranger's library that
        // exports the right symbol would end the program without this.
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let builder = ort::init_from(&located.path).map_err(|error| explain(&error))?;
            builder.with_name("picardy").with_telemetry(false).build().map_err(|error| error.to_string())
        }));
        let environment = match loaded {
            Ok(Ok(environment)) => environment,
            Ok(Err(said)) => return Err(unusable(said)),
            Err(_) => {
                return Err(unusable("it does not offer ONNX Runtime's interface".to_owned()));
            }
        };
        // What ONNX Runtime logs as an error it returns as one too, and that is where it is told from.
        if std::env::var_os("ORT_LOG").is_none() {
            environment.set_log_level(ort::logging::LogLevel::Fatal);
        }
        let version = dylib::stated_version(&located.path)
            .or_else(|| ort::util::probe(&located.path).map(|minor| format!("1.{minor}")))
            .unwrap_or_else(|| "unknown".to_owned());
        Ok(Self { located, version, environment })
    }
}

/// ort's load errors repeat the path; the cause alone reads better after ours.
fn explain(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            format!("the system's loader refuses it: {error}")
        }
        ort::LoadDynamicError::MissingApi { .. } => {
            "it is no ONNX Runtime library (it lacks OrtGetApiBase)".to_owned()
        }
        ort::LoadDynamicError::InvalidVersionString => "it does not state a version".to_owned(),
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("it is version {version_str}, and 1.{} or newer is needed", ort::MINOR_VERSION)
        }
    }
}

/// Gives the project's own install, and makes it where it is missing: in the user's cache
/// directory, or in cargo's target directory where the cache cannot be written.
///
/// # Errors
/// [`InstallError`] as [`install`] gives it.
pub fn ensure_installed() -> Result<Located, InstallError> {
    let installed = match (install(None), places::target_root()) {
        (Err(InstallError::NoPlace | InstallError::Write { .. }), Some(root)) => install(Some(&root)),
        (result, _) => result,
    }?;
    Ok(Located { path: installed.library, origin: Origin::Installed })
}

/// Loads ONNX Runtime, and installs it first where it is missing: what a test needs on a machine
/// that has only Python and pip.
///
/// A library of Python's or the system's that cannot be used is passed over for an install. One
/// that ORT_DYLIB_PATH names is not.
///
/// # Errors
/// [`RuntimeError`]: the install failed, or what was found cannot be used.
pub fn ensure_runtime() -> Result<&'static Runtime, RuntimeError> {
    match Runtime::load(None) {
        Err(
            RuntimeError::Locate(LocateError::NotFound { .. })
            | RuntimeError::Unusable { origin: Origin::Python | Origin::System, .. },
        ) => {
            ensure_installed()?;
            Runtime::load(None)
        }
        result => result,
    }
}
