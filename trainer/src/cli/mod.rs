//! The command line of `picardy-train`.

mod eval;
mod settings;
mod training;

use crate::train::{Config, Files, Trainer};
use clap::{Parser, Subcommand};
use picardy::nn::WeightFormat;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trains small denoisers and exports them as safetensors and ONNX.
#[derive(Debug, Parser)]
#[command(name = "picardy-train", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trains a network; Ctrl-C leaves a checkpoint that `resume` takes up.
    #[command(args_override_self = true)]
    Train(Box<settings::TrainArgs>),
    /// Goes on with a run; its end is the same, bit for bit, as if it had not been stopped.
    Resume {
        /// The run's folder.
        run: PathBuf,
        /// Steps between checkpoints, from here on; the run's own without.
        #[arg(long)]
        checkpoint_every: Option<u64>,
        /// Where the network is trained from here on: native, cpu, cuda, cuda:N or webgpu; the run's own without. On another
        /// one the end is the same up to rounding alone.
        #[arg(long)]
        device: Option<String>,
    },
    /// Prints every key of a configuration with its default, as a TOML file that `train --config` takes.
    Config,
    /// Writes model.safetensors and model.onnx from a run's last checkpoint.
    Export {
        /// The run's folder.
        run: PathBuf,
        /// The folder to write to, or one .safetensors file; the run's own folder without.
        #[arg(long)]
        out: Option<PathBuf>,
        /// What the safetensors file's matrices and convolutions are stored as: f32, f16 or int8. int8 is calibrated on the run's
        /// data with their conditions, and what smaller ones change is measured. (The ONNX file is f32.)
        #[arg(long, default_value_t)]
        weights: WeightFormat,
    },
    /// Takes over a diffusion policy's U-Net: writes policy.safetensors, policy.onnx and scheduler_config.json.
    Import {
        /// A folder with config.json and model.safetensors, as LeRobot saves a policy.
        folder: PathBuf,
        /// The folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints the MMD of the samples to the data and the negative log-likelihood of the data.
    Eval(eval::EvalArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => training::train(&args),
        Command::Resume { run, checkpoint_every, device } => {
            training::resume(&run, checkpoint_every, device.as_deref())
        }
        Command::Export { run, out, weights } => {
            let checkpoint = Trainer::resume_on(&Files { folder: run.clone() }.checkpoint(), Some("native"))?;
            training::export(&checkpoint.trainer, out.as_deref().unwrap_or(&run), weights)
        }
        Command::Import { folder, out } => training::import(&folder, &out),
        Command::Config => {
            print!("{}", Config::default().to_text()?);
            Ok(())
        }
        Command::Eval(args) => eval::eval(&args),
    }
}
