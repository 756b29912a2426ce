//! The WebGPU provider: a plugin, a library of its own that is registered with ONNX Runtime.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{device::Device, memory::DeviceType};

use super::{Cause, Provider, loader_said, plain};
use crate::{
    bundle::{self, Bundle},
    dylib, places,
    runtime::Runtime,
};

/// The environment variable that names the plugin's file.
pub const WEBGPU_PLUGIN: &str = "PICARDY_WEBGPU_PLUGIN";

/// What the plugin is called on this system.
pub(crate) const WEBGPU_FILE: &str = if cfg!(windows) {
    "onnxruntime_providers_webgpu.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime_providers_webgpu.dylib"
} else {
    "libonnxruntime_providers_webgpu.so"
};

/// Whether the plugin is registered, or why it is not. A process registers it once: a second
/// registration under one name is an error, and a failed one leaves ONNX Runtime unfit for another.
static REGISTERED: Mutex<Option<Result<(), Cause>>> = Mutex::new(None);

/// The plugin's device, registered where it was not yet.
pub(crate) fn webgpu_device(runtime: &Runtime) -> Result<Device<'_>, Cause> {
    register(runtime)?;
    let name = Provider::WebGpu.ort_name();
    let devices = runtime.environment().devices().filter(|device| device.ep().ok() == name);
    // With software adapters let in, there may be two.
    devices
        .max_by_key(|device| device.hardware_device().ty() == DeviceType::GPU)
        .ok_or(Cause::NoAdapter { said: String::new() })
}

fn register(runtime: &Runtime) -> Result<(), Cause> {
    // A panic while the lock was held leaves `None` behind, and a retry finds that out.
    let mut slot = REGISTERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(Ok(())) = *slot {
        return Ok(());
    }
    // What went wrong before ONNX Runtime saw the file can be mended while the program runs.
    if let Some(Err(cause)) = &*slot {
        return Err(cause.clone());
    }
    fits(runtime)?;
    let path = find()?;
    check(&path)?;
    let outcome = runtime.environment().register_ep_library("webgpu", &path).map_err(|error| {
        let mend = format!("To install the version that fits: {}", places::mend("webgpu"));
        Cause::Plugin { path, said: plain(error.message()), mend }
    });
    slot.insert(outcome).clone()
}

/// Whether the loaded ONNX Runtime is new enough.
fn fits(runtime: &Runtime) -> Result<(), Cause> {
    let have: Vec<u32> = runtime.version().split('.').filter_map(|part| part.parse().ok()).collect();
    // A version of two numbers is one that the file did not state whole.
    if have.len() < bundle::WEBGPU_WANTS.len() || have[..] >= bundle::WEBGPU_WANTS[..] {
        return Ok(());
    }
    Err(Cause::Versions {
        what: "the WebGPU plugin",
        found: bundle::PINNED_WEBGPU.to_owned(),
        runtime: runtime.version().to_owned(),
        wants: bundle::WEBGPU_WANTS.map(|part| part.to_string()).join(".") + " or newer",
        mend: format!("To install one: {}", crate::locate::MEND),
    })
}

/// The plugin's file: the one the environment names, or the installed one.
fn find() -> Result<PathBuf, Cause> {
    if let Some(path) = env::var_os(WEBGPU_PLUGIN).filter(|path| !path.is_empty()) {
        // A path without a directory would be a name for the loader to search.
        let path = std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(path));
        if path.is_file() {
            return Ok(path);
        }
        let mend = format!("It is named by {WEBGPU_PLUGIN}: correct the path, or unset it");
        return Err(Cause::Plugin { path, said: "there is no such file".to_owned(), mend });
    }
    let dirs = places::install_dirs(Bundle::WebGpu);
    dirs.iter()
        .map(|dir| dir.join(WEBGPU_FILE))
        .find(|path| path.is_file())
        .ok_or(Cause::PluginMissing { searched: dirs })
}

/// Looks at the file before ONNX Runtime does: the process does not outlive the registration of a
/// library that is no plugin.
#[allow(unsafe_code)]
fn check(path: &Path) -> Result<(), Cause> {
    let cause = |said: String| {
        let mend = match env::var_os(WEBGPU_PLUGIN) {
            Some(_) => format!("It is named by {WEBGPU_PLUGIN}: correct the path, or unset it"),
            None => format!("To install it anew, delete its directory and run: {}", places::mend("webgpu")),
        };
        Cause::Plugin { path: path.to_path_buf(), said, mend }
    };
    if !dylib::looks_whole(path).map_err(|error| cause(error.to_string()))? {
        return Err(cause("the file was cut short".to_owned()));
    }
    // SAFETY: loading runs the library's initialisers. It is the file that the user names or has
    // installed to be loaded into this process, and ONNX Runtime loads it next.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| cause(loader_said(&error)))?;
    // SAFETY: the symbol's address is looked up, and nothing is called or read through it.
    let factory = unsafe { library.get::<*const ()>(b"CreateEpFactories") };
    match factory {
        Ok(_) => Ok(()),
        Err(_) => Err(cause("it is no plugin of ONNX Runtime (it lacks CreateEpFactories)".to_owned())),
    }
}
