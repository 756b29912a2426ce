//! The papers' experiments, one command each: `cargo run --release -p picardy-trainer --bin reproduce -- dino`.

use clap::Parser;
use picardy_trainer::reproduce::{self, DarcySize, DinoArgs};
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
    /// Figure 1 of arXiv 2407.08946: where scores learnt on the line are wrong.
    #[command(name = "gaussian-1d")]
    Gaussian1d(Seeds),
    /// True against estimated log-likelihoods of a mixture, standard against contrastive.
    Densities(Seeds),
    /// arXiv 2306.04848: the digits' samples of few evaluations, beside DDIM and DPM-Solver++.
    GradientEstimation(Seeds),
    /// arXiv 2403.14404, appendix F.1: points on the circle.
    PhysicsToy(Seeds),
    /// arXiv 2403.14404: fields of Darcy flow, with and without the physics in the loss.
    Darcy(DarcyArgs),
    /// arXiv 2305.09605: the pinned process against the variance-preserving one.
    Pinned(Seeds),
    /// arXiv 2407.08946: the digits' samples over S_churn, standard against contrastive training.
    Churn(Seeds),
    /// The noise classifier: finding corrupted digits and observations, standard against contrastive training.
    Classifier(Seeds),
}

#[derive(clap::Args)]
struct Seeds {
    /// Seeds, from 0; the experiment's own number where nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
}

#[derive(clap::Args)]
struct DarcyArgs {
    #[command(flatten)]
    seeds: Seeds,
    /// Cells a side; the paper's are 64.
    #[arg(long)]
    cells: Option<usize>,
    /// Optimiser steps.
    #[arg(long)]
    steps: Option<u64>,
    /// Samples that are judged.
    #[arg(long)]
    samples: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let Args { experiment, quick, out } = Args::parse();
    let folder = |name: &str| out.join(name);
    match experiment {
        Experiment::Dino(args) => reproduce::dino_with(&folder(args.data.name()), &args, quick),
        Experiment::Gaussian1d(Seeds { seeds }) => {
            reproduce::gaussian_1d(&folder("gaussian-1d"), quick, seeds)
        }
        Experiment::Densities(Seeds { seeds }) => reproduce::densities(&folder("densities"), quick, seeds),
        Experiment::GradientEstimation(Seeds { seeds }) => {
            reproduce::gradient_estimation(&folder("gradient-estimation"), quick, seeds)
        }
        Experiment::PhysicsToy(Seeds { seeds }) => {
            reproduce::physics_toy(&folder("physics-toy"), quick, seeds)
        }
        Experiment::Darcy(DarcyArgs { seeds: Seeds { seeds }, cells, steps, samples }) => {
            let usual = DarcySize::new(quick);
            let size = DarcySize {
                cells: cells.unwrap_or(usual.cells),
                steps: steps.unwrap_or(usual.steps),
                seeds: seeds.unwrap_or(usual.seeds),
                samples: samples.unwrap_or(usual.samples),
                ..usual
            };
            reproduce::darcy(&folder("darcy"), &size)
        }
        Experiment::Pinned(Seeds { seeds }) => reproduce::pinned(&folder("pinned"), quick, seeds),
        Experiment::Churn(Seeds { seeds }) => reproduce::churn(&folder("churn"), quick, seeds),
        Experiment::Classifier(Seeds { seeds }) => reproduce::classifier(&folder("classifier"), quick, seeds),
    }?;
    Ok(())
}
