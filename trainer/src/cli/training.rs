//! `train`, `resume`, and the export at the end of both.

use super::settings::TrainArgs;
use crate::export;
use crate::small::shrink;
use crate::train::{Checkpoint, Log, LogState, Origin, Trainer};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use picardy::nn::WeightFormat;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The checkpoint's name in a run's folder.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
const LOG: &str = "log.jsonl";
/// Steps between lines of the log.
const LOG_EVERY: u64 = 100;

pub(super) fn train(args: &TrainArgs) -> anyhow::Result<()> {
    let path = args.out.join(CHECKPOINT);
    anyhow::ensure!(
        args.overwrite || !path.exists(),
        "{} holds a run already; `picardy-train resume {0}` goes on with it, --overwrite starts anew",
        args.out.display()
    );
    let config = args.config();
    let (points, seed, scaling) = (args.points, config.seed, args.scaling);
    let origin = Origin { source: args.data.clone(), points, seed, scaling };
    let trainer = Trainer::new(config, origin.load()?)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("{}", args.out.display()))?;
    go_on(Checkpoint { trainer, origin, log: LogState::default() }, &args.out, args.checkpoint_every)
}

pub(super) fn resume(run: &Path, every: u64) -> anyhow::Result<()> {
    go_on(Trainer::resume(&run.join(CHECKPOINT))?, run, every)
}

/// Writes a folder's two files, or one file where `out` ends in `.safetensors`.
pub(super) fn export(trainer: &Trainer, out: &Path, weights: WeightFormat) -> anyhow::Result<()> {
    let (model, card) = (trainer.averaged(), trainer.card());
    let small = shrink(&model, trainer.data(), trainer.config().schedule.betas()?, &card, weights)?;
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

fn create(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))
}

/// Trains to the end, or to Ctrl-C.
fn go_on(mut checkpoint: Checkpoint, run: &Path, every: u64) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        // The second one does not wait for the checkpoint.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    let path = run.join(CHECKPOINT);
    let trainer = &mut checkpoint.trainer;
    let mut log = Log::open(&run.join(LOG), trainer.steps(), LOG_EVERY, checkpoint.log)
        .with_context(|| format!("{}", run.join(LOG).display()))?;
    let bar = progress_bar(trainer.config().steps, trainer.steps());
    let outcome = loop {
        if checkpoint.trainer.is_finished() || stop.load(Ordering::Relaxed) {
            break Ok(());
        }
        let step = match checkpoint.trainer.step() {
            Ok(step) => step,
            // The state before the step is good, and is kept.
            Err(error) => break Err(error.into()),
        };
        let logged = log.step(&step);
        checkpoint.log = log.state();
        match logged {
            Ok(Some([standard, contrastive])) => bar.set_message(format!("{standard:.4} + {contrastive:.4}")),
            Ok(None) => {}
            // The step itself is good, and is kept.
            Err(error) => {
                let said = format!(
                    "{}: {error}; make room for it, then `picardy-train resume {}` goes on",
                    run.join(LOG).display(),
                    run.display()
                );
                break Err(anyhow::anyhow!(said));
            }
        }
        bar.set_position(step.step);
        if step.step.is_multiple_of(every.max(1)) {
            checkpoint.save(&path)?;
        }
    };
    let saved = checkpoint.save(&path);
    bar.abandon();
    match (outcome, saved) {
        (Ok(()), saved) => saved?,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(unsaved)) => {
            anyhow::bail!("{error:#}; and the last checkpoint is not saved: {unsaved}")
        }
    }
    if checkpoint.trainer.is_finished() {
        export(&checkpoint.trainer, run, WeightFormat::F32)
    } else {
        println!(
            "stopped; `picardy-train resume {}` goes on from step {}",
            run.display(),
            checkpoint.trainer.steps()
        );
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
