//! A user's own points: train, watch, export.
//!
//! `cargo run --release --bin train_own_data -- POINTS.csv` (the same from the command line: `picardy-train train
//! --data POINTS.csv`).

use picardy_trainer::data::read_file;
use picardy_trainer::export;
use picardy_trainer::model::Precision;
use picardy_trainer::train::{TrainConfig, Trainer};
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let Some(path) = std::env::args().nth(1) else {
        anyhow::bail!("name a .csv, .tsv or .npy file of points, one a row");
    };
    let data = read_file(path)?;
    println!("{} points of {} coordinates", data.len(), data.dim());
    let mut config = TrainConfig::default();
    config.run.steps = 5000;
    let mut trainer = Trainer::new(config, data)?;
    while !trainer.is_finished() {
        let step = trainer.step()?;
        if step.step % 500 == 0 {
            println!(
                "step {:5}: eps loss {:.4}, contrastive {:.4}",
                step.step,
                step.terms.get("denoising"),
                step.terms.get("contrastive")
            );
        }
    }
    let out = Path::new("target/own");
    std::fs::create_dir_all(out)?;
    for file in export::write(out, "model", &trainer.averaged()?, &trainer.card(), Precision::F32)? {
        println!("wrote {}", file.display());
    }
    Ok(())
}
