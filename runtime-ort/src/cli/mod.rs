//! The command line. Each subcommand gives what is to be printed.

mod info;
mod install;
mod method;
mod names;
mod process;
mod sample;
mod signature;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    Install(install::InstallArgs),
    /// Shows a model's inputs, outputs and metadata, and what each node runs on.
    Info(info::InfoArgs),
    /// Samples a model to a .npy file and a picture.
    Sample(Box<sample::SampleArgs>),
}

pub(crate) fn run(cli: Cli) -> anyhow::Result<String> {
    match cli.command {
        Command::Install(args) => install::run(&args),
        Command::Info(args) => info::run(&args, cli.library.as_deref()),
        Command::Sample(args) => sample::run(&args, cli.library.as_deref()),
    }
}
