//! What an install fetches: the packages, and the versions that fit together.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{dylib, provider};

/// The version of the PyPI package `onnxruntime` that is installed and tested with.
pub const PINNED_VERSION: &str = "1.32.0";

/// The version of the PyPI package `onnxruntime-gpu`: its newest, which is behind [`PINNED_VERSION`].
pub const PINNED_GPU: &str = "1.31.1";

/// The version of the PyPI package `onnxruntime-ep-webgpu`.
pub const PINNED_WEBGPU: &str = "0.4.0";

/// The oldest ONNX Runtime that [`PINNED_WEBGPU`] registers with.
pub(crate) const WEBGPU_WANTS: [u32; 3] = [1, 24, 4];

/// Packages that are installed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// ONNX Runtime for the processor.
    Cpu,
    /// ONNX Runtime with CUDA and TensorRT, and the CUDA and cuDNN libraries that it names.
    Cuda,
    /// The WebGPU plugin, for the ONNX Runtime of [`Cpu`](Self::Cpu) or another.
    WebGpu,
}

/// A PyPI package of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl fmt::Display for Package {
    /// As pip takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

const fn package(name: &'static str, version: &'static str) -> Package {
    Package { name, version }
}

const CPU: &[Package] = &[package("onnxruntime", PINNED_VERSION)];

/// onnxruntime-gpu's extras `cuda` and `cudnn`, with what these need, at the versions that they
/// resolved to when they were tried. Without onnxruntime-gpu's needs for Python.
const CUDA: &[Package] = &[
    package("onnxruntime-gpu", PINNED_GPU),
    package("nvidia-cuda-runtime", "13.5.37"),
    package("nvidia-cuda-nvrtc", "13.5.37"),
    package("nvidia-nvjitlink", "13.5.37"),
    package("nvidia-cublas", "13.10.0.20"),
    package("nvidia-cufft", "12.5.0.14"),
    package("nvidia-curand", "10.4.5.25"),
    package("nvidia-cudnn-cu13", "9.28.1.4"),
];

const WEBGPU: &[Package] = &[package("onnxruntime-ep-webgpu", PINNED_WEBGPU)];

impl Bundle {
    /// The packages, the first of which names the directory.
    #[must_use]
    pub const fn packages(self) -> &'static [Package] {
        match self {
            Self::Cpu => CPU,
            Self::Cuda => CUDA,
            Self::WebGpu => WEBGPU,
        }
    }

    /// About how much is fetched, in megabytes.
    #[must_use]
    pub const fn megabytes(self) -> u32 {
        match self {
            Self::Cpu => 20,
            Self::Cuda => 1600,
            Self::WebGpu => 6,
        }
    }

    /// The directory, inside a cache directory, that an install makes.
    #[must_use]
    pub fn directory(self) -> String {
        match self.packages() {
            [first, ..] => format!("{}-{}", first.name, first.version),
            [] => String::new(),
        }
    }

    /// The library that is loaded, where `place` holds a whole install.
    pub(crate) fn complete(self, place: &Path) -> Option<PathBuf> {
        let whole = |path: &PathBuf| dylib::looks_whole(path).unwrap_or(false);
        match self {
            Self::Cpu => dylib::newest_in(place).filter(whole),
            Self::WebGpu => Some(place.join(provider::WEBGPU_FILE)).filter(whole),
            Self::Cuda => {
                let beside = provider::cuda_files().into_iter().all(|name| whole(&place.join(name)));
                dylib::newest_in(place).filter(whole).filter(|_| beside)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn an_install_is_whole_or_not_there() {
        let own = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path();
        let mut names = provider::cuda_files();
        names.push(format!("libonnxruntime.so.{PINNED_GPU}"));
        for name in &names {
            assert_eq!(Bundle::Cuda.complete(place), None, "before {name}");
            // Any library that is whole.
            std::os::unix::fs::symlink(&own, place.join(name)).unwrap();
        }
        assert!(Bundle::Cuda.complete(place).is_some());
        for name in &names {
            let (file, aside) = (place.join(name), place.join("aside"));
            std::fs::rename(&file, &aside).unwrap();
            std::fs::write(&file, b"cut").unwrap();
            assert_eq!(Bundle::Cuda.complete(place), None, "{name} cut short");
            std::fs::rename(&aside, &file).unwrap();
        }
        assert!(Bundle::Cuda.complete(place).is_some());
        assert_eq!(Bundle::WebGpu.complete(place), None);
    }

    #[test]
    fn versions_of_what_goes_together() {
        for bundle in [Bundle::Cpu, Bundle::Cuda, Bundle::WebGpu] {
            let [first, ..] = bundle.packages() else { panic!("{bundle:?}") };
            assert_eq!(bundle.directory(), format!("{}-{}", first.name, first.version));
            assert!(bundle.packages().iter().all(|package| package.to_string().contains("==")));
        }
    }
}
