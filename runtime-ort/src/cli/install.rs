//! `picardy-ort install`.

use std::path::PathBuf;

use picardy_ort::{Bundle, install, install_bundle};

#[derive(Debug, clap::Args)]
pub(crate) struct InstallArgs {
    /// What a GPU's provider needs. cuda: ONNX Runtime with CUDA and the CUDA libraries, 1.6 GB;
    /// webgpu: the WebGPU plugin, and ONNX Runtime where it is missing.
    #[arg(long, value_enum, value_name = "KIND")]
    gpu: Option<Gpu>,
    /// Shows what would be fetched, and fetches nothing.
    #[arg(long)]
    list: bool,
    /// Another directory to install to. It is found when ORT_DYLIB_PATH or --library names it, and
    /// the plugin when PICARDY_WEBGPU_PLUGIN does.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Gpu {
    Cuda,
    Webgpu,
}

pub(super) fn run(args: &InstallArgs) -> anyhow::Result<String> {
    let bundles: &[Bundle] = match args.gpu {
        None => &[Bundle::Cpu],
        Some(Gpu::Cuda) => &[Bundle::Cuda],
        // The plugin is no ONNX Runtime of its own.
        Some(Gpu::Webgpu) => &[Bundle::Cpu, Bundle::WebGpu],
    };
    let into = args.into.as_deref();
    let mut said = String::new();
    for &bundle in bundles {
        if args.list {
            let (place, there) = install::planned(bundle, into)?;
            let state = if there { "installed" } else { "would be fetched" };
            said += &format!("{} ({state}, about {} MB to fetch)\n", place.display(), bundle.megabytes());
            for package in bundle.packages() {
                said += &format!("  {package}\n");
            }
            continue;
        }
        let installed = install_bundle(bundle, into)?;
        let verb = if installed.fetched { "installed" } else { "already installed" };
        said += &format!("{verb}: {}\n", installed.library.display());
        if into.is_some() {
            let variable = match bundle {
                Bundle::WebGpu => picardy_ort::provider::WEBGPU_PLUGIN,
                Bundle::Cpu | Bundle::Cuda => "ORT_DYLIB_PATH",
            };
            said += &format!("to use it: export {variable}={}\n", installed.library.display());
        }
    }
    Ok(said)
}
