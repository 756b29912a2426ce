//! What evaluates a model's nodes, by name.

mod apply;
mod cuda;
mod error;
mod exclusive;
mod plugin;

use std::{fmt, str::FromStr};

pub(crate) use apply::{apply, check, check_auto, refusal};
pub(crate) use cuda::{cuda_files, nvidia_driver, provider_file};
pub use error::{Cause, ProviderError};
pub(crate) use error::{loader_said, plain};
pub use exclusive::{Exclusive, Exclusively, exclusive};
pub use plugin::WEBGPU_PLUGIN;
pub(crate) use plugin::{WEBGPU_FILE, webgpu_device};

/// What evaluates a model's nodes.
///
/// By name: `cpu`, `cuda`, `tensorrt`, `tensorrt-fp16`, `webgpu`, `auto`; the NVIDIA ones with the
/// index of a device, as in `cuda:1`.
///
/// ```
/// use picardy_ort::Provider;
///
/// let second: Provider = "cuda:1".parse()?;
/// assert_eq!(second, Provider::Cuda { device: 1 });
/// assert_eq!(second.to_string(), "cuda:1");
/// # Ok::<(), picardy_ort::provider::UnknownProvider>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// ONNX Runtime's own kernels on the processor.
    #[default]
    Cpu,
    /// NVIDIA's CUDA and cuDNN.
    Cuda {
        /// The device's index.
        device: u32,
    },
    /// NVIDIA's TensorRT, which compiles the model for the device at its first load; CUDA takes the
    /// nodes that TensorRT does not. Engines and timings are kept in the user's cache directory.
    TensorRt {
        /// The device's index.
        device: u32,
        /// Whether layers may run in 16 bits.
        fp16: bool,
    },
    /// WebGPU, on whatever adapter the system offers, by the plugin provider.
    WebGpu,
    /// The first that works: CUDA, WebGPU on a real adapter, the processor. Never TensorRT, whose
    /// first load takes minutes.
    Auto,
}

/// The names, for messages and help.
pub const NAMES: &str = "cpu, cuda, tensorrt, tensorrt-fp16, webgpu or auto, as in `cuda` or `cuda:1`";

/// A text that names no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownProvider {
    /// Nobody's name.
    #[error("no provider `{0}`: give {NAMES}")]
    Name(String),
    /// The part behind the colon is no index.
    #[error("`{0}` has no index of a device behind the colon: give a number, as in cuda:1")]
    Index(String),
    /// Only NVIDIA's devices are told apart by an index.
    #[error("`{0}` names a device, and {1} has none to choose from: give `{1}` alone")]
    NoIndex(String, &'static str),
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        let (name, index) = text.split_once(':').map_or((text, None), |(name, index)| (name, Some(index)));
        let alone = match name {
            "cpu" => Some((Self::Cpu, "cpu")),
            "webgpu" => Some((Self::WebGpu, "webgpu")),
            "auto" => Some((Self::Auto, "auto")),
            "cuda" | "tensorrt" | "tensorrt-fp16" => None,
            _ => return Err(UnknownProvider::Name(text.to_owned())),
        };
        if let Some((provider, name)) = alone {
            return match index {
                None => Ok(provider),
                Some(_) => Err(UnknownProvider::NoIndex(text.to_owned(), name)),
            };
        }
        let device: u16 = match index {
            None => 0,
            // `+1` is a number to Rust's parser.
            Some(index) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
                index.parse().map_err(|_| UnknownProvider::Index(text.to_owned()))?
            }
            Some(_) => return Err(UnknownProvider::Index(text.to_owned())),
        };
        let device = u32::from(device);
        Ok(match name {
            "cuda" => Self::Cuda { device },
            name => Self::TensorRt { device, fp16: name == "tensorrt-fp16" },
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, device) = match *self {
            Self::Cpu => ("cpu", 0),
            Self::Cuda { device } => ("cuda", device),
            Self::TensorRt { device, fp16: false } => ("tensorrt", device),
            Self::TensorRt { device, fp16: true } => ("tensorrt-fp16", device),
            Self::WebGpu => ("webgpu", 0),
            Self::Auto => ("auto", 0),
        };
        match device {
            0 => f.pad(name),
            device => write!(f, "{name}:{device}"),
        }
    }
}

impl Provider {
    /// ONNX Runtime's own name of it, as a node's placement gives it. `None` for
    /// [`Auto`](Self::Auto).
    #[must_use]
    pub const fn ort_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda { .. } => "CUDAExecutionProvider",
            Self::TensorRt { .. } => "TensorrtExecutionProvider",
            Self::WebGpu => "WebGpuExecutionProvider",
            Self::Auto => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for text in [
            "cpu",
            "cuda",
            "cuda:1",
            "tensorrt",
            "tensorrt:3",
            "tensorrt-fp16",
            "tensorrt-fp16:2",
            "webgpu",
            "auto",
        ] {
            assert_eq!(text.parse::<Provider>().unwrap().to_string(), text);
        }
        assert_eq!("cuda:0".parse(), Ok(Provider::Cuda { device: 0 }));
    }

    #[test]
    fn other_names_are_refused_with_a_mend() {
        for (text, part) in [
            ("", "cuda:1"),
            ("CUDA", "no provider `CUDA`"),
            ("cuda:", "cuda:1"),
            ("cuda:-1", "cuda:1"),
            ("cuda:+1", "cuda:1"),
            ("cuda:99999999", "number"),
            ("cpu:0", "give `cpu` alone"),
            ("webgpu:1", "give `webgpu` alone"),
            ("auto:1", "give `auto` alone"),
            ("tensorrt:fp16", "index"),
        ] {
            let message = text.parse::<Provider>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
