//! `cargo run --release --bin navigate`: a point robot with limits of velocity and acceleration among moving obstacles.
//!
//! A planner shows how it is done, a temporal U-Net learns it with three losses, and the robot plans with it in a closed loop at 10 Hz:
//! warm starts, held and blended actions, limits and obstacles as guards, an alarm by the noise classifier. Leaves models,
//! pictures, a film and a report in target/navigate.
//!
//! | what | where |
//! |---|---|
//! | the robot, what it sees, and one cycle from there to a plan | the package `picardy-robot`, which firmware runs too |
//! | courses | `world` |
//! | who shows how it is done, and what is learnt of it | `planner`, `demonstrations` |
//! | the three losses | `training`, `physics` |
//! | the cycle with a network from a file | `pilot` |
//! | when to plan before it is time | `alarm` |
//! | the closed loop, and what each feature is worth in it | `episode`, `experiments`, `report` |

mod alarm;
mod demonstrations;
mod episode;
mod experiments;
mod physics;
mod pilot;
mod planner;
mod report;
mod training;
mod world;

use anyhow::Context;
use clap::Parser;
use demonstrations::demonstrations;
use episode::Outcome;
use experiments::{DEMONSTRATED, Runs, course};
use picardy_examples::pictures::{CONTRASTIVE, Course, STANDARD, Tick, courses, film};
use picardy_robot::{DT, Features, RADIUS};
use picardy_trainer::model::Precision;
use picardy_trainer::train::write_whole;
use report::Row;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use training::{Loss, Trained, Training, train};
use world::Map;

/// Demonstrates, trains, and drives a robot through moving obstacles.
#[derive(Parser)]
struct Args {
    /// Optimiser steps of each network.
    #[arg(long, default_value_t = 8000)]
    steps: u64,
    /// Courses that the planner demonstrates.
    #[arg(long, default_value_t = 4000)]
    worlds: u64,
    /// Courses that the robot is tested on, the same for each row of the tables.
    #[arg(long, default_value_t = 300)]
    episodes: u64,
    /// Seed of everything.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Channels of the U-Net's levels.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 64])]
    widths: Vec<usize>,
    /// Weight of the limits in the physics-informed loss.
    #[arg(long, default_value_t = 3e-3)]
    weight: f64,
    /// Write the weights in half precision, as firmware has them.
    #[arg(long)]
    half: bool,
    /// The losses; the last one's network is tried feature by feature.
    #[arg(long, value_delimiter = ',', default_values_t = Loss::ALL)]
    losses: Vec<Loss>,
    /// Take the networks that are in `--out` already.
    #[arg(long)]
    trained: bool,
    /// Where models, pictures and the report go.
    #[arg(long, default_value = "target/navigate")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    drive(&Args::parse())
}

fn drive(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.episodes > 0, "`--episodes` is 0: give 1 or more");
    anyhow::ensure!(args.seed < 1 << 19, "`--seed` is {}: give one below {}", args.seed, 1 << 19);
    let most = 1u64 << 32;
    anyhow::ensure!(
        args.worlds < most && args.episodes < most,
        "`--worlds` and `--episodes` are below {most}"
    );
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let begin = Instant::now();
    let networks = networks(args)?;

    let runs = Runs { episodes: args.episodes, seed: args.seed };
    println!("3. {} runs of each kind on the known map, a plan every 0.4 s\n{}", args.episodes, Row::head());
    let by_network = runs.networks(&networks)?;
    let main = networks.last().context("`--losses` names none: give standard, contrastive or physics")?;
    println!("4. Feature by feature\n{}", Row::head());
    let features = runs.features(main)?;
    println!("5. A map that was never seen, whose obstacles turn without warning\n{}", Row::head());
    let (alarms, calibration) = runs.alarms(main)?;

    pictures(args, &runs, main)?;
    let training =
        networks.iter().map(|n| json!({ "loss": n.loss.name(), "seconds": n.seconds })).collect::<Vec<_>>();
    // Of networks that were there already, nobody here knows how they were trained.
    let settings = json!({
        "steps": args.steps, "worlds": args.worlds, "widths": args.widths, "weight": args.weight, "networks": training,
    });
    let report = json!({
        "episodes": args.episodes, "seed": args.seed, "training": if args.trained { Value::Null } else { settings },
        "networks": by_network, "features": features, "alarms": alarms, "alarm": calibration,
        "seconds": begin.elapsed().as_secs_f64(),
    });
    write_whole(&args.out.join("report.json"), serde_json::to_string_pretty(&report)?.as_bytes())?;
    println!("{:.0} s; see {}", begin.elapsed().as_secs_f64(), args.out.display());
    Ok(())
}

/// The three networks, trained or read.
fn networks(args: &Args) -> anyhow::Result<Vec<Trained>> {
    if args.trained {
        let read = |loss: Loss| {
            let path = args.out.join(format!("{}.safetensors", loss.name()));
            let bytes = std::fs::read(&path)
                .with_context(|| format!("{}: run without `--trained` first", path.display()))?;
            Ok(Trained { loss, bytes, seconds: 0.0 })
        };
        return args.losses.iter().copied().map(read).collect();
    }
    println!("1. {} courses, demonstrated by a planner", args.worlds);
    let begin = Instant::now();
    let (data, found) = demonstrations(args.worlds, course(args.seed, DEMONSTRATED))?;
    println!(
        "   {} chunks from the {:.0} % with a way, {:.0} s",
        data.len(),
        100.0 * found,
        begin.elapsed().as_secs_f64()
    );
    println!("2. Training: {} steps with {} losses", args.steps, args.losses.len());
    let settings = Training {
        steps: args.steps,
        batch: 128,
        widths: args.widths.clone(),
        seed: args.seed,
        weight: args.weight,
        precision: if args.half { Precision::F16 } else { Precision::F32 },
    };
    args.losses.iter().map(|loss| train(*loss, &settings, &data, &args.out)).collect()
}

fn pictures(args: &Args, runs: &Runs, network: &Trained) -> anyhow::Result<()> {
    let course = |outcome: &Outcome, title: &str, colour| Course {
        title: title.to_owned(),
        ticks: outcome.frames.iter().map(tick).collect(),
        goal: outcome.goal,
        radius: RADIUS,
        colour,
    };
    let mut shown = Vec::new();
    for index in 0..args.episodes.min(3) {
        for (name, features, colour) in
            [("no guards", Features::NONE, CONTRASTIVE), ("all guards", Features::ALL, STANDARD)]
        {
            let outcome = runs.shown(network, Map::Known, features, index)?;
            let end = if outcome.reached {
                "reached"
            } else if outcome.collided {
                "collided"
            } else {
                "late"
            };
            shown.push(course(&outcome, &format!("course {index}, {name}: {end}"), colour));
        }
    }
    courses(&args.out.join("courses.png"), &shown, 2)?;
    let outcome = runs.shown(network, Map::Unseen, Features { warm: Some(5), ..Features::ALL }, 0)?;
    film(&args.out.join("navigate.svg"), &course(&outcome, "navigate", STANDARD), DT)
}

fn tick(frame: &episode::Frame) -> Tick {
    Tick {
        robot: frame.robot,
        discs: frame.obstacles.iter().map(|o| (o.at, o.radius)).collect(),
        plan: frame.plan.clone(),
        fresh: frame.fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One course may end before there is enough to calibrate an alarm on: all else is reported.
    #[test]
    fn a_run_without_an_alarm_is_reported() {
        let place = tempfile::tempdir().unwrap();
        let calibrated = [3, 6, 9].map(|seed| {
            let args = Args {
                steps: 20,
                worlds: 8,
                episodes: 1,
                seed,
                widths: vec![8, 16],
                weight: 1e-3,
                half: false,
                losses: vec![Loss::Standard],
                trained: false,
                out: place.path().to_owned(),
            };
            drive(&args).unwrap();
            let report: serde_json::Value =
                serde_json::from_slice(&std::fs::read(place.path().join("report.json")).unwrap()).unwrap();
            let rows = report["alarms"].as_array().unwrap().len();
            assert_eq!(rows, if report["alarm"].is_null() { 0 } else { 5 });
            rows > 0
        });
        assert!(calibrated.contains(&false), "all of them found enough: take other seeds");
    }

    /// The whole road in small: whatever the network is worth, limits hold where they are guarded.
    #[test]
    fn a_small_run_keeps_its_limits() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().to_owned();
        let args = Args {
            steps: 60,
            worlds: 12,
            episodes: 4,
            seed: 3,
            widths: vec![8, 16],
            weight: 1e-3,
            half: true,
            losses: Loss::ALL.to_vec(),
            trained: false,
            out: out.clone(),
        };
        drive(&args).unwrap();
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
        let rows = report["features"].as_array().unwrap();
        assert_eq!((rows.len(), report["networks"].as_array().unwrap().len()), (11, 6));
        let alarms = report["alarms"].as_array().unwrap();
        assert_eq!(alarms.len(), 5);
        assert!(report["alarm"]["threshold_nats"].as_f64().unwrap().is_finite());
        for row in alarms {
            let asked = row["alarm_evaluations"].as_f64().unwrap() > 0.0;
            assert_eq!(asked, row["name"].as_str().unwrap().contains("classifier"), "{row}");
        }
        for row in rows {
            let name = row["name"].as_str().unwrap();
            let beyond = row["moves_beyond_limits"].as_f64().unwrap();
            let guarded = name.contains("limits") || name.contains("both") || name.contains("all");
            assert_eq!(guarded, beyond < 0.01, "{row}");
            let evaluations = row["evaluations"].as_f64().unwrap();
            match name {
                "all, deadline 0" => assert_eq!(evaluations, 1.0),
                // Some were warm; those of a robot that stands still are not.
                "all, warm, 5 steps" => assert!((5.0..10.0).contains(&evaluations), "{row}"),
                _ => {}
            }
        }
        for file in ["courses.png", "navigate.svg", "physics.onnx", "physics.safetensors"] {
            assert!(out.join(file).exists(), "{file}");
        }
        // The same networks again, and the same runs.
        drive(&Args { trained: true, ..args }).unwrap();
        let again: serde_json::Value =
            serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
        for (row, again) in rows.iter().zip(again["features"].as_array().unwrap()) {
            assert_eq!(
                (&row["reached"], &row["jerk_at_joins"]),
                (&again["reached"], &again["jerk_at_joins"])
            );
        }
    }
}
