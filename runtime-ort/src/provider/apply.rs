//! Sets a session up for a provider.

use std::fs;

use ort::{ep, memory::DeviceType, session::builder::SessionBuilder};

use super::{Cause, Provider, cuda, plain, webgpu_device};
use crate::{places, runtime::Runtime, source::Source};

/// Whether a provider could be used, as far as that is known before a model is there.
pub(crate) fn check(provider: Provider, runtime: &Runtime) -> Result<(), Cause> {
    match provider {
        Provider::Cpu | Provider::Auto => Ok(()),
        Provider::Cuda { device } => cuda::check(runtime, device),
        Provider::TensorRt { device, .. } => cuda::check_tensorrt(runtime, device),
        Provider::WebGpu => webgpu_device(runtime).map(drop),
    }
}

/// As [`check`], for a provider that was not asked for by name: a software adapter does not count.
pub(crate) fn check_auto(provider: Provider, runtime: &Runtime) -> Result<(), Cause> {
    check(provider, runtime)?;
    if provider == Provider::WebGpu && webgpu_device(runtime)?.hardware_device().ty() != DeviceType::GPU {
        return Err(Cause::SoftwareAdapter);
    }
    Ok(())
}

/// Registers `provider`, which [`check`] has passed; `captures` where its runs may be captured and repeated as one.
pub(crate) fn apply(
    builder: SessionBuilder,
    provider: Provider,
    runtime: &Runtime,
    source: Source<'_>,
    captures: bool,
) -> Result<SessionBuilder, Cause> {
    let refused = |error: ort::Error<SessionBuilder>| Cause::Refused {
        said: plain(error.message()),
        mend: match provider {
            Provider::Cuda { .. } | Provider::TensorRt { .. } => {
                format!("To install versions that fit together: {}", places::mend("cuda"))
            }
            _ => String::new(),
        },
    };
    match provider {
        Provider::Cpu | Provider::Auto => Ok(builder),
        Provider::Cuda { device } => {
            let cuda = cuda_options(device).with_cuda_graph(captures).build().error_on_failure();
            builder.with_execution_providers([cuda]).map_err(refused)
        }
        Provider::TensorRt { device, fp16 } => {
            let mut tensorrt = ep::TensorRT::default()
                // The index was read as 16 bits.
                .with_device_id(device as i32)
                .with_fp16(fp16);
            // Without a place for them the engines are built at each load: slow, and no error.
            if let Some(cache) = tensorrt_cache(runtime, source) {
                tensorrt = tensorrt
                    .with_engine_cache(true)
                    .with_engine_cache_path(&cache)
                    .with_timing_cache(true)
                    .with_timing_cache_path(&cache);
            }
            let tensorrt = tensorrt.build().error_on_failure();
            let cuda = cuda_options(device).build().error_on_failure();
            builder.with_execution_providers([tensorrt, cuda]).map_err(refused)
        }
        Provider::WebGpu => {
            let device = webgpu_device(runtime)?;
            let captured = [(WEBGPU_CAPTURE.to_owned(), "1".to_owned())];
            builder.with_devices([device], captures.then_some(&captured[..])).map_err(refused)
        }
    }
}

/// Why ONNX Runtime refused to load a model with `provider`, which takes it without.
pub(crate) fn refusal(provider: Provider, said: &str) -> Cause {
    let said = plain(said);
    match provider {
        Provider::WebGpu if said.contains("Failed to get a WebGPU adapter") => Cause::NoAdapter { said },
        _ => Cause::Refused { said, mend: String::new() },
    }
}

/// The WebGPU plugin's option for captured runs, with the plugin's name as ort asks.
const WEBGPU_CAPTURE: &str = "WebGpuExecutionProvider.enableGraphCapture";

/// The directory of a model's engines. Each model has its own: TensorRT's provider tells engines apart
/// by a graph's names and shapes, and would run a trained network with the weights it had before.
fn tensorrt_cache(runtime: &Runtime, source: Source<'_>) -> Option<String> {
    let model = source.fingerprint().ok()?;
    let cache = places::tensorrt_cache(runtime.version())?.join(format!("{model:016x}"));
    fs::create_dir_all(&cache).ok()?;
    cache.to_str().map(str::to_owned)
}

/// CUDA in f32 as the processor computes it: TF32 would keep 10 bits of the products' factors.
fn cuda_options(device: u32) -> ep::CUDA {
    ep::CUDA::default().with_device_id(device as i32).with_tf32(false)
}
