//! NVIDIA's driver and libraries: loaded ahead of the provider, so that no search path need be set,
//! and so that what is missing can be named.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Mutex,
};

use libloading::Library;

use super::{Cause, Provider, loader_said, plain};
use crate::{
    bundle::{Bundle, PINNED_GPU},
    dylib, places,
    runtime::Runtime,
};

/// The libraries that the CUDA provider needs, each after those that it needs itself.
#[cfg(not(windows))]
const CUDA: &[&str] = &[
    "libcudart.so.13",
    "libnvJitLink.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libnvrtc.so.13",
    "libcurand.so.10",
    "libcufft.so.12",
    "libcudnn.so.9",
];
#[cfg(windows)]
const CUDA: &[&str] =
    &["cudart64_13.dll", "cublasLt64_13.dll", "cublas64_13.dll", "cufft64_12.dll", "cudnn64_9.dll"];

/// TensorRT's own, which no install of ours fetches: it is several gigabytes.
#[cfg(not(windows))]
const TENSORRT: &[&str] = &["libnvinfer.so.10", "libnvonnxparser.so.10"];
#[cfg(windows)]
const TENSORRT: &[&str] = &["nvinfer_10.dll", "nvonnxparser_10.dll"];

const DRIVER: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// The provider's file beside ONNX Runtime's library.
pub(crate) fn provider_file(name: &str) -> String {
    if cfg!(windows) {
        format!("onnxruntime_providers_{name}.dll")
    } else {
        format!("libonnxruntime_providers_{name}.so")
    }
}

/// The files of an install with CUDA beside ONNX Runtime's library.
pub(crate) fn cuda_files() -> Vec<String> {
    let providers = ["shared", "cuda", "tensorrt"].map(provider_file);
    providers.into_iter().chain(CUDA.iter().map(|&name| name.to_owned())).collect()
}

/// Whether CUDA can be used on `device`; its libraries are loaded after this.
pub(super) fn check(runtime: &Runtime, device: u32) -> Result<(), Cause> {
    in_this_build(runtime, Provider::Cuda { device })?;
    for name in ["shared", "cuda"] {
        provider_is_whole(runtime, name)?;
    }
    // The driver before the libraries: without a device there is no use in fetching a gigabyte.
    driver(device)?;
    let mend = format!("To install them: {}", places::mend("cuda"));
    match load(runtime, CUDA, mend) {
        // Another version's libraries may be other ones: what it lacks, it says itself.
        Err(_) if runtime.version() != PINNED_GPU => Ok(()),
        loaded => loaded,
    }
}

/// As [`check`], for TensorRT, which runs beside CUDA.
pub(super) fn check_tensorrt(runtime: &Runtime, device: u32) -> Result<(), Cause> {
    in_this_build(runtime, Provider::TensorRt { device, fp16: false })?;
    check(runtime, device)?;
    provider_is_whole(runtime, "tensorrt")?;
    let mend = "They are part of TensorRT 10 for CUDA 13: install NVIDIA's package, or pip's tensorrt-cu13, and put their directory in LD_LIBRARY_PATH";
    load(runtime, TENSORRT, mend.to_owned())
}

/// Whether the loaded library was built with the provider.
fn in_this_build(runtime: &Runtime, provider: Provider) -> Result<(), Cause> {
    use ort::ep::ExecutionProvider;
    let (available, lacks) = match provider {
        Provider::TensorRt { .. } => (ort::ep::TensorRT::is_available(), "TensorrtExecutionProvider"),
        _ => (ort::ep::CUDA::is_available(), "CUDAExecutionProvider"),
    };
    match available {
        Ok(true) => Ok(()),
        Ok(false) => Err(Cause::NotInThisBuild {
            library: runtime.path().to_path_buf(),
            lacks,
            installed: places::install_dirs(Bundle::Cuda)
                .iter()
                .any(|dir| Bundle::Cuda.complete(dir).is_some()),
        }),
        Err(error) => Err(Cause::Refused { said: plain(error.message()), mend: String::new() }),
    }
}

fn provider_is_whole(runtime: &Runtime, name: &str) -> Result<(), Cause> {
    // The file that a link leads to: ONNX Runtime looks beside that one.
    let library = runtime.path().canonicalize().unwrap_or_else(|_| runtime.path().to_path_buf());
    let path = library.with_file_name(provider_file(name));
    match dylib::looks_whole(&path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Cause::File { path, said: "was cut short".to_owned() }),
        Err(error) => Err(Cause::File { said: format!("cannot be read ({error})"), path }),
    }
}

/// Whether there is a driver with a device.
pub(crate) fn nvidia_driver() -> bool {
    driver(0).is_ok()
}

/// Asks the driver for its devices.
#[allow(unsafe_code)]
fn driver(asked: u32) -> Result<(), Cause> {
    // SAFETY: loading runs the initialisers of the system's NVIDIA driver.
    let library =
        unsafe { Library::new(DRIVER) }.map_err(|error| Cause::NoDriver { said: loader_said(&error) })?;
    // SAFETY: the driver's documented signatures: `CUresult cuInit(unsigned)` and
    // `CUresult cuDeviceGetCount(int *)`; the result is an int.
    let functions = unsafe {
        (
            library.get::<unsafe extern "C" fn(u32) -> i32>(b"cuInit"),
            library.get::<unsafe extern "C" fn(*mut i32) -> i32>(b"cuDeviceGetCount"),
        )
    };
    let (Ok(init), Ok(count)) = functions else {
        return Err(Cause::NoDriver { said: format!("`{DRIVER}` lacks cuInit or cuDeviceGetCount") });
    };
    let mut found = 0i32;
    // SAFETY: as above; `found` outlives the call.
    let (begun, counted) = unsafe { (init(0), count(&mut found)) };
    // The driver must stay loaded: it does not take being unloaded after cuInit.
    std::mem::forget(library);
    // 100: no device. Other numbers are the driver's troubles.
    let found = u32::try_from(found).unwrap_or(0);
    match (begun, counted) {
        (0, 0) if asked < found => Ok(()),
        (0, 0) if found > 0 => Err(Cause::DeviceIndex { asked, found }),
        (0, 0) | (100, _) => Err(Cause::NoDevice { visible: env::var("CUDA_VISIBLE_DEVICES").ok() }),
        (0, code) | (code, _) => {
            Err(Cause::NoDriver { said: format!("`{DRIVER}` answers with error {code}") })
        }
    }
}

/// The names that are loaded: once a process, and never unloaded.
static LOADED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// Loads `names` in their order, each from the first place that has it.
fn load(runtime: &Runtime, names: &[&'static str], mend: String) -> Result<(), Cause> {
    let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let dirs = library_dirs(runtime.path());
    let mut missing = Vec::new();
    for &name in names {
        if loaded.contains(&name) {
            continue;
        }
        match open_first(&dirs, name) {
            Ok(()) => loaded.push(name),
            // Not each packaging of CUDA has it apart.
            Err(_) if name.contains("nvJitLink") => {}
            Err(said) => missing.push(said),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Cause::Libraries { missing, mend }) }
}

fn open_first(dirs: &[PathBuf], name: &str) -> Result<(), String> {
    let mut said = None;
    for path in dirs.iter().map(|dir| dir.join(name)).filter(|path| path.is_file()) {
        // A file that was cut short ends the process instead of giving an error.
        let whole = dylib::looks_whole(&path).map_err(|error| error.to_string());
        let opened = match whole {
            Ok(true) => open(path.as_os_str()),
            Ok(false) => Err("the file was cut short".to_owned()),
            Err(error) => Err(error),
        };
        match opened {
            Ok(()) => return Ok(()),
            Err(error) => said = Some(format!("{name} (`{}`: {error})", path.display())),
        }
    }
    // The system's own search.
    open(name.as_ref()).map_err(|_| said.unwrap_or_else(|| name.to_owned()))
}

/// Loads a library for good, its symbols open to those that come after it.
#[allow(unsafe_code)]
fn open(file: &std::ffi::OsStr) -> Result<(), String> {
    #[cfg(unix)]
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
    // SAFETY: loading runs the initialisers of NVIDIA's libraries, which the CUDA provider would
    // load itself next; they may be loaded in any thread.
    #[cfg(unix)]
    let library = unsafe { Library::open(Some(file), RTLD_LAZY | RTLD_GLOBAL) };
    // SAFETY: as above.
    #[cfg(not(unix))]
    let library = unsafe { Library::new(file) };
    std::mem::forget(library.map_err(|error| loader_said(&error))?);
    Ok(())
}

/// Where NVIDIA's libraries may lie beside an ONNX Runtime: its own directory, where our install
/// puts them; pip's `nvidia` packages, where ONNX Runtime lies in a Python's site-packages; and CUDA's
/// own installation.
fn library_dirs(runtime: &Path) -> Vec<PathBuf> {
    let library = runtime.canonicalize().unwrap_or_else(|_| runtime.to_path_buf());
    let mut dirs: Vec<PathBuf> = library.parent().map(Path::to_path_buf).into_iter().collect();
    // site-packages/onnxruntime/capi/libonnxruntime.so
    if let Some(nvidia) = library.ancestors().nth(3).map(|site| site.join("nvidia"))
        && let Ok(packages) = nvidia.read_dir()
    {
        let inside = if cfg!(windows) { "bin" } else { "lib" };
        dirs.extend(packages.flatten().map(|package| package.path().join(inside)));
        dirs.extend(library.ancestors().nth(3).map(|site| site.join("tensorrt_libs")));
    }
    for variable in ["CUDA_PATH", "CUDA_HOME"] {
        if let Some(root) = env::var_os(variable).map(PathBuf::from).filter(|root| root.is_absolute()) {
            dirs.push(root.join(if cfg!(windows) { "bin" } else { "lib64" }));
        }
    }
    if cfg!(unix) {
        dirs.push(PathBuf::from("/usr/local/cuda/lib64"));
    }
    dirs.retain(|dir| dir.is_dir());
    dirs
}
