//! The papers' experiments, one command each: `cargo run --release -p picardy-trainer --bin reproduce -- dino`.

use clap::Parser;
use picardy_trainer::reproduce::{self, DinoArgs};
use std::path::PathBuf;

#[derive(Parser)]
#[command(version, about = "Reproduces the papers' experiments")]
struct Args {
    #[command(subcommand)]
    experiment: Experiment,
    /// A run of seconds, whose figures say nothing.
    #[arg(long, global = true)]
    quick: bool,
    /// Results go to the folder of the experiment's name in this one; trained networks that experiments share, to `networks`.
    #[arg(long, global = true, default_value = "target/reproduce")]
    out: PathBuf,
}

#[derive(clap::Subcommand)]
enum Experiment {
    /// The 2-D experiment of arXiv 2407.08946: MMD, rounds and time of standard against contrastive training.
    Dino(DinoArgs),
    /// arXiv 2306.04848: the digits' samples of few evaluations, beside DDIM and DPM-Solver++.
    GradientEstimation(Seeds),
    /// arXiv 2407.08946: the digits' samples over S_churn, standard against contrastive training.
    Churn(Seeds),
}

#[derive(clap::Args)]
struct Seeds {
    /// Seeds, from 0; 3 where nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let Args { experiment, quick, out } = Args::parse();
    match experiment {
        Experiment::Dino(args) => reproduce::dino_with(&out.join(args.data.name()), &args, quick),
        Experiment::GradientEstimation(args) => {
            reproduce::gradient_estimation(&out.join("gradient-estimation"), quick, args.seeds)
        }
        Experiment::Churn(args) => reproduce::churn(&out.join("churn"), quick, args.seeds),
    }?;
    Ok(())
}
