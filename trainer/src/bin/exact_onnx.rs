//! Writes the exact denoiser of a data set as an ONNX file:
//! `cargo run --release -p picardy-trainer --bin exact_onnx -- digits target/exact-digits.onnx`.

use anyhow::Context;
use clap::Parser;
use picardy_trainer::data::{digits, dino_points};
use picardy_trainer::exact::exact_onnx;
use picardy_trainer::train::{Schedule, write_whole};
use std::path::PathBuf;

/// Writes the exact epsilon-predicting denoiser of a data set's points plus isotropic noise as an ONNX file, on DDPM's
/// linear betas.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// The data set.
    data: Data,
    /// The file to write.
    out: PathBuf,
    /// The noise's standard deviation, in standardised coordinates; 0 for the dino and 0.1 for the digits without.
    #[arg(long)]
    std: Option<f64>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Data {
    Dino,
    Digits,
}

fn main() -> anyhow::Result<()> {
    let Args { data, out, std } = Args::parse();
    let (points, usual) = match data {
        Data::Dino => (dino_points(), 0.0),
        Data::Digits => (digits()?, 0.1),
    };
    let bytes = exact_onnx(&points, std.unwrap_or(usual), Schedule::default().betas()?)?;
    let named = || out.display().to_string();
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(named)?;
    }
    write_whole(&out, &bytes).with_context(named)?;
    println!("wrote {}", out.display());
    Ok(())
}
