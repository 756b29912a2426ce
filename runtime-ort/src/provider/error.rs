//! Why a provider that was asked for is not used.

use std::path::PathBuf;

use super::Provider;
use crate::places;

/// A provider that was asked for and cannot be used. Nothing else is used in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider {provider} cannot be used: {cause}")]
pub struct ProviderError {
    /// What was asked for.
    pub provider: Provider,
    /// Why not, and the mend.
    pub cause: Cause,
}

/// Why a provider cannot be used. The message ends with the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The loaded ONNX Runtime was built without it.
    #[error(
        "the loaded ONNX Runtime library `{}` has no {lacks} in it. To install one that has: {}{}",
        library.display(), places::mend("cuda"), if_installed(*.installed)
    )]
    NotInThisBuild {
        /// The loaded library.
        library: PathBuf,
        /// ONNX Runtime's name of what it lacks.
        lacks: &'static str,
        /// Whether there is an install that has it, which was not the one loaded.
        installed: bool,
    },
    /// A file that comes with ONNX Runtime is not there, or not whole.
    #[error("`{}` {said}. To install it anew, delete its directory and run: {}", path.display(), places::mend("cuda"))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// Libraries it needs are not on this machine, or cannot be loaded.
    #[error("these libraries are missing or do not load: {}. {mend}", missing.join(", "))]
    Libraries {
        /// Their names, with the loader's words where the file is there.
        missing: Vec<String>,
        /// Where they come from.
        mend: String,
    },
    /// There is no driver.
    #[error(
        "there is no NVIDIA driver that works: {said}. Install the current driver of the graphics card; in a container, start it with the GPU (docker: --gpus all)"
    )]
    NoDriver {
        /// What the loader or the driver said.
        said: String,
    },
    /// There is no such device.
    #[error("{asked} is not among the {found} devices of the driver: give an index below {found}")]
    DeviceIndex {
        /// The index asked for.
        asked: u32,
        /// The number of devices.
        found: u32,
    },
    /// The driver finds no device.
    #[error(
        "the NVIDIA driver finds no device{}. In a container, start it with the GPU (docker: --gpus all); see nvidia-smi",
        hidden(.visible)
    )]
    NoDevice {
        /// What CUDA_VISIBLE_DEVICES holds.
        visible: Option<String>,
    },
    /// The plugin is not installed.
    #[error(
        "its plugin was not found. Looked in: {}. To install it: {}",
        searched.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", "), places::mend("webgpu")
    )]
    PluginMissing {
        /// The places looked in.
        searched: Vec<PathBuf>,
    },
    /// The plugin's file cannot be used.
    #[error("its plugin `{}` cannot be used: {said}. {mend}", path.display())]
    Plugin {
        /// The plugin's file.
        path: PathBuf,
        /// What is wrong.
        said: String,
        /// What to do about it.
        mend: String,
    },
    /// The plugin found no device.
    #[error(
        "its plugin found no adapter{}. It needs the Vulkan loader and a driver (Debian: apt-get install libvulkan1 mesa-vulkan-drivers); \
         a software adapter is taken only where ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 is set",
        if said.is_empty() { String::new() } else { format!(" ({said})") }
    )]
    NoAdapter {
        /// What ONNX Runtime said, empty where it listed no device.
        said: String,
    },
    /// `auto` found an adapter that is a program on the processor.
    #[error(
        "its adapter is a software one, slower than the processor itself. To use it all the same: --provider webgpu"
    )]
    SoftwareAdapter,
    /// Versions that do not fit together.
    #[error("{what} {found} does not go with ONNX Runtime {runtime}: {wants} is needed. {mend}")]
    Versions {
        /// What is of another version.
        what: &'static str,
        /// Its version.
        found: String,
        /// ONNX Runtime's version.
        runtime: String,
        /// What fits.
        wants: String,
        /// What to do about it.
        mend: String,
    },
    /// ONNX Runtime refused it.
    #[error("ONNX Runtime refuses it: {said}{}", sentence(.mend))]
    Refused {
        /// What ONNX Runtime said.
        said: String,
        /// What to do about it, where that is known.
        mend: String,
    },
    /// It takes no node of the model.
    #[error(
        "it takes none of the model's {nodes} nodes, all of which would run on the processor. Give --provider cpu, or export the model with operators that it has"
    )]
    TakesNothing {
        /// The nodes of the model.
        nodes: usize,
    },
}

impl Cause {
    pub(crate) fn of(self, provider: Provider) -> ProviderError {
        ProviderError { provider, cause: self }
    }
}

/// ONNX Runtime's message without the places in its source, which come first and end with a code.
pub(crate) fn plain(message: &str) -> String {
    let message = message.trim();
    let end = message.rfind("[ONNXRuntimeError]").map(|at| &message[at..]);
    // `[ONNXRuntimeError] : 11 : EP_FAIL : what it is`
    let said = end.and_then(|end| end.splitn(4, " : ").nth(3)).unwrap_or(message);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the system's loader said; libloading's own words leave it out.
pub(crate) fn loader_said(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

fn if_installed(installed: bool) -> &'static str {
    if installed {
        " (it is installed, but another library was loaded: leave ORT_DYLIB_PATH and --library out, and ask for the provider before any model is loaded)"
    } else {
        ""
    }
}

fn hidden(visible: &Option<String>) -> String {
    visible.as_ref().map(|value| format!(" (CUDA_VISIBLE_DEVICES is `{value}`)")).unwrap_or_default()
}

fn sentence(mend: &str) -> String {
    if mend.is_empty() { String::new() } else { format!(". {mend}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_in_a_source_are_left_out() {
        let long =
            "/a/b.cc:393 virtual f(const X&) [ONNXRuntimeError] : 11 : EP_FAIL : no adapter: none : at all\n";
        assert_eq!(plain(long), "no adapter: none : at all");
        for kept in ["", "as it is", "[ONNXRuntimeError] : 1"] {
            assert_eq!(plain(kept), kept);
        }
    }
}
