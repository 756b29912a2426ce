//! `cargo run --release --bin quickstart`: trains on the dino with the standard and with the contrastive loss, exports,
//! samples in sequence and in parallel over time, and leaves models, pictures and a report in target/quickstart.

mod error_map;
mod report;
mod sampling;
mod training;

use anyhow::Context;
use clap::Parser;
use picardy::{Ddim, Ddpm};
use picardy_examples::pictures::{self, CONTRASTIVE, DATA, Panel, STANDARD};
use picardy_trainer::data::Builtin;
use picardy_trainer::train::LossKind;
use picardy_trainer::{evaluate, metrics};
use report::Report;
use std::path::PathBuf;

/// Trains, exports and samples: the whole road, in under three minutes.
#[derive(Parser)]
struct Args {
    /// Optimiser steps of each network.
    #[arg(long, default_value_t = 20_000)]
    steps: u64,
    /// Seed of everything.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Samples for the MMD.
    #[arg(long, default_value_t = 4096)]
    samples: usize,
    /// Where models, pictures and the report go.
    #[arg(long, default_value = "target/quickstart")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let started = std::time::Instant::now();
    let mut report = Report::default();

    println!("1. Training on the dino: {} steps with either loss, seed {}", args.steps, args.seed);
    let networks = training::both(Builtin::Dino, training::dino(args.steps, args.seed), &args.out)?;

    println!("2. Distance of {} samples to fresh data (MMD, lower is better)", args.samples);
    let fresh = Builtin::Dino.sample(args.samples, args.seed.wrapping_add(1_000_003))?;
    let mut drawn = Vec::new();
    for network in &networks {
        let name = network.loss.name();
        let ddpm =
            evaluate::sample(&network.bytes, network.betas, &Ddpm::default(), 1000, args.samples, args.seed)?;
        let ddim =
            evaluate::sample(&network.bytes, network.betas, &Ddim::default(), 20, args.samples, args.seed)?;
        for (solver, samples) in [("ddpm1000", ddpm), ("ddim20", ddim)] {
            let mmd = metrics::GaussianKernel::default().mmd(&samples, &fresh.data(), 2)?;
            println!("   {name:<12} {solver:<9} {:.5} +- {:.5}", mmd.value, mmd.standard_error);
            report.set(&format!("mmd.{name}.{solver}"), mmd.value);
            report.set(&format!("mmd_error.{name}.{solver}"), mmd.standard_error);
            let title = format!("{name}, {solver}\nMMD {:.4}", mmd.value);
            drawn.push((
                title,
                if network.loss == LossKind::Standard { STANDARD } else { CONTRASTIVE },
                samples,
            ));
        }
    }
    let points = fresh.data();
    let mut panels = vec![Panel { title: "data".into(), points: &points, colour: DATA }];
    panels.extend(drawn.iter().map(|(title, colour, points)| Panel {
        title: title.clone(),
        points,
        colour: *colour,
    }));
    pictures::samples(&args.out.join("samples.png"), &panels)?;

    println!(
        "3. Sampling, batch {}: in sequence, and in parallel over time: ParaDiGMS, three slopes, Picardy's default",
        sampling::BATCH
    );
    sampling::table(&networks, args.seed, &args.out, &mut report)?;
    let contrastive =
        networks.iter().find(|n| n.loss == LossKind::Contrastive).context("both losses were trained")?;
    pictures::trajectory(&args.out.join("trajectory.png"), &sampling::trajectory(contrastive, args.seed)?)?;

    println!("4. Where the networks err: the 1-D two-mode Gaussian, whose score is known");
    error_map::draw(args.seed, &args.out, &mut report)?;

    report.set("seconds.total", started.elapsed().as_secs_f64());
    report.write(&args.out.join("report.json"))?;
    println!("{:.0} s; see {}", started.elapsed().as_secs_f64(), args.out.display());
    Ok(())
}
