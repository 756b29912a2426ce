//! The command `picardy-ort`: installs ONNX Runtime, describes models, samples them.

mod cli;

use std::{io::Write, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(said) => {
            // A reader that has gone (`| head`) is no failure of ours.
            let _ = std::io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Most errors' messages contain their sources' already; anyhow's own form would repeat them.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
