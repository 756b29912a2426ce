//! Sets a session up for a provider.

use std::fs;

use ort::{ep, memory::DeviceType, session::builder::SessionBuilder};

use super::{Cause, Provider, cuda, webgpu_device};
use crate::{places, runtime::Runtime};

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

/// Registers `provider`, which [`check`] has passed.
pub(crate) fn apply(
    builder: SessionBuilder,
    provider: Provider,
    runtime: &Runtime,
) -> Result<SessionBuilder, Cause> {
    let refused = |error: ort::Error<SessionBuilder>| Cause::Refused {
        said: error.message().trim().to_owned(),
        mend: String::new(),
    };
    match provider {
        Provider::Cpu | Provider::Auto => Ok(builder),
        Provider::Cuda { device } => {
            let cuda = cuda_options(device).build().error_on_failure();
            builder.with_execution_providers([cuda]).map_err(refused)
        }
        Provider::TensorRt { device, fp16 } => {
            let mut tensorrt = ep::TensorRT::default()
                // The index was read as 16 bits.
                .with_device_id(device as i32)
                .with_fp16(fp16);
            // Without a place for them the engines are built at each load: slow, and no error.
            if let Some(cache) = places::tensorrt_cache(runtime.version()) {
                if fs::create_dir_all(&cache).is_ok() {
                    let path = cache.display().to_string();
                    tensorrt = tensorrt
                        .with_engine_cache(true)
                        .with_engine_cache_path(&path)
                        .with_timing_cache(true)
                        .with_timing_cache_path(&path);
                }
            }
            let tensorrt = tensorrt.build().error_on_failure();
            let cuda = cuda_options(device).build().error_on_failure();
            builder.with_execution_providers([tensorrt, cuda]).map_err(refused)
        }
        Provider::WebGpu => {
            let device = webgpu_device(runtime)?;
            builder.with_devices([device], None).map_err(refused)
        }
    }
}

/// CUDA in f32 as the processor computes it: TF32 would keep 10 bits of the products' factors.
fn cuda_options(device: u32) -> ep::CUDA {
    ep::CUDA::default().with_device_id(device as i32).with_tf32(false)
}
