//! `train`, `resume`, and the export at the end of both.

use super::settings::TrainArgs;
use crate::export;
use crate::import::Policy;
use crate::model::Precision;
use crate::small::shrink;
use crate::train::{Report, Run, Trainer};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use picardy::nn::WeightFormat;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) fn train(args: &TrainArgs) -> anyhow::Result<()> {
    go_on(Run::begin(args.config()?, &args.out, args.overwrite)?)
}

pub(super) fn resume(folder: &Path, every: Option<u64>, device: Option<&str>) -> anyhow::Result<()> {
    let mut run = Run::resume_on(folder, device)?;
    if let Some(every) = every {
        run.checkpoint_every(every);
    }
    go_on(run)
}

/// Writes a folder's two files, or one file where `out` ends in `.safetensors`.
pub(super) fn export(trainer: &Trainer, out: &Path, weights: WeightFormat) -> anyhow::Result<()> {
    let (model, card) = (trainer.averaged()?, trainer.card());
    let small = shrink(&model, trainer.data(), trainer.config().noise_schedule()?, &card, weights)?;
    let paths = if out.extension().is_some_and(|extension| extension == "safetensors") {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        create(folder.unwrap_or(Path::new(".")))?;
        export::write_files(&[(out.to_owned(), small.bytes)])?;
        vec![out.to_owned()]
    } else {
        create(out)?;
        export::write_bytes(out, "model", small.bytes, &model, &card)?.to_vec()
    };
    for path in paths {
        println!("wrote {}", path.display());
    }
    if let Some(change) = small.change {
        println!("{weights}: {change}");
    }
    Ok(())
}

/// Takes a policy over.
pub(super) fn import(folder: &Path, out: &Path) -> anyhow::Result<()> {
    let Policy { network, config, metadata } = Policy::read(folder)?;
    create(out)?;
    let bytes = network.to_safetensors(&metadata, Precision::F32)?;
    let scheduler = serde_json::to_vec_pretty(&config.scheduler())?;
    let files = [
        (out.join("policy.safetensors"), bytes),
        (out.join("policy.onnx"), export::onnx(&network, &metadata)?),
        (out.join("scheduler_config.json"), scheduler),
    ];
    export::write_files(&files)?;
    for (path, _) in files {
        println!("wrote {}", path.display());
    }
    println!(
        "plans of {} actions of {} numbers, told {} numbers of observation",
        config.horizon,
        network.dim() / config.horizon.max(1),
        network.condition()
    );
    Ok(())
}

fn create(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))
}

/// Trains to the end, or to Ctrl-C.
fn go_on(mut run: Run) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        // The second one does not wait for the checkpoint.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    let bar = progress_bar(run.trainer().config().run.steps, run.trainer().steps());
    let outcome = run.go_on(&stop, |report| match report {
        Report::Step(step) => bar.set_position(step.step),
        Report::Logged(step) => {
            let terms = step.terms.iter().filter(|(_, value)| *value != 0.0);
            bar.set_message(terms.map(|(_, value)| format!("{value:.4}")).collect::<Vec<_>>().join(" + "));
        }
        Report::Evaluated(evaluation) => {
            let mut said = format!("step {}:", evaluation.step);
            if let Some(terms) = evaluation.held_out {
                let best = if evaluation.best { ", the lowest so far" } else { "" };
                said += &format!(" held-out loss {:.5}{best}", terms.total());
            }
            if let Some(mmd) = evaluation.mmd {
                said += &format!(" mmd {mmd:.5}");
            }
            bar.suspend(|| println!("{said}"));
        }
    });
    bar.abandon();
    outcome?;
    let (trainer, folder) = (run.trainer(), &run.files().folder);
    if trainer.is_out_of_patience()
        && let Some((step, loss)) = trainer.best()
    {
        println!(
            "stopped early at step {}: the weights of step {step} are kept, held-out loss {loss:.5}",
            trainer.steps()
        );
    }
    if trainer.is_finished() {
        export(trainer, folder, WeightFormat::F32)
    } else {
        let step = trainer.steps();
        println!("stopped; `picardy-train resume {}` goes on from step {step}", folder.display());
        Ok(())
    }
}

/// A bar with steps, rate, time left and the loss (set as its message).
#[must_use]
fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} steps  {per_sec}  {eta} left  loss {msg}";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_position(done)
}
