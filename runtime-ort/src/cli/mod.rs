//! The command line. Each subcommand gives what is to be printed.

mod info;
mod method;
mod names;
mod process;
mod sample;
mod signature;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use picardy_ort::{Runtime, install};

/// Runs exported diffusion models through ONNX Runtime.
#[derive(Debug, Parser)]
#[command(name = "picardy-ort", version, about)]
pub(crate) struct Cli {
    /// The ONNX Runtime library, or the directory it lies in, in place of the one that is searched for.
    #[arg(long, global = true, value_name = "PATH")]
    library: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetches ONNX Runtime with pip, into the user's cache directory. Needs no root.
    Install {
        /// Another directory to install to. It is found when ORT_DYLIB_PATH or --library names it.
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// Shows a model's inputs, outputs and metadata, and what it would run on.
    Info(info::InfoArgs),
    /// Samples a model to a .npy file and a picture.
    Sample(Box<sample::SampleArgs>),
}

pub(crate) fn run(cli: Cli) -> anyhow::Result<String> {
    match cli.command {
        Command::Install { into } => {
            let installed = install(into.as_deref())?;
            let verb = if installed.fetched { "installed" } else { "already installed" };
            let mut said = format!("{verb}: {}\n", installed.library.display());
            if into.is_some() {
                said += &format!("to use it: export ORT_DYLIB_PATH={}\n", installed.library.display());
            }
            Ok(said)
        }
        Command::Info(args) => {
            Runtime::load(cli.library.as_deref())?;
            info::run(&args)
        }
        Command::Sample(args) => {
            Runtime::load(cli.library.as_deref())?;
            sample::run(&args)
        }
    }
}
