//! A process that is killed at any moment.

use super::*;
use std::time::{Duration, Instant};

const KILLS: usize = 50;
/// A tiny network, checkpoints every few steps, evaluations, accumulated batches, prefetching, two threads.
const RUN: [&str; 32] = [
    "--data",
    "two-moons",
    "--points",
    "200",
    "--width",
    "4",
    "--blocks",
    "1",
    "--batch",
    "8",
    "--contrastive-items",
    "2",
    "--contrastive-draws",
    "2",
    "--steps",
    "6000",
    "--checkpoint-every",
    "7",
    "--threads",
    "2",
    "--set",
    "optimiser.accumulate=2",
    "--set",
    "optimiser.ema=half-life",
    "--set",
    "data.held-out=0.2",
    "--set",
    "run.evaluate-every=500",
    "--set",
    "run.samples=16",
    "--set",
    "run.patience=1000",
];

#[test]
fn killed_fifty_times_a_run_ends_as_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let train = |out: &Path| [&["train", "--out", text(out)], &RUN[..]].concat().join("\n");
    done(&train(&whole).split('\n').collect::<Vec<_>>());

    // Delays of a few milliseconds (the process starts, loads, opens its files) to many (steps and checkpoints).
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut steps = Vec::new();
    let begin = Instant::now();
    for kill in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = Duration::from_micros(2_000 + (random >> 33) % 60_000);
        let exists = killed.join("checkpoint.safetensors").exists();
        let arguments = if exists { format!("resume\n{}", text(&killed)) } else { train(&killed) };
        let mut child = command()
            .args(arguments.split('\n'))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(delay);
        // SIGKILL on Unix: nothing of the process runs after it.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.code().is_none_or(|code| code == 0), "kill {kill}: it failed by itself: {status}");
        if exists {
            steps.push(checkpointed(&killed));
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
    assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]), "a checkpoint went back: {steps:?}");
    let last = *steps.last().unwrap();
    assert!(last > 0 && last < 6000, "the run was killed on its way: {steps:?}");

    done(&["resume", text(&killed)]);
    for name in ["model.safetensors", "model.onnx", "checkpoint.safetensors", "log.jsonl", "config.toml"] {
        assert!(read(&whole, name) == read(&killed, name), "{name} differs");
    }
    let names = |folder: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&whole), names(&killed), "nothing unfinished stays");
}

/// Weights that never move, so that patience runs out at the fourth evaluation, wherever the run was killed before.
#[test]
fn killed_on_its_way_to_an_early_stop_a_run_stops_at_the_same_step() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let early = ["--rate", "1e-300", "--set", "run.patience=3", "--set", "run.evaluate-every=150"];
    let train = |out: &Path| [&["train", "--out", text(out)], &RUN[..], &early[..]].concat().join("\n");
    let printed = done(&train(&whole).split('\n').collect::<Vec<_>>());
    assert!(printed.contains("stopped early at step 600: the weights of step 150"), "{printed}");
    let mut steps = Vec::new();
    for delay in [10, 40, 25, 60, 15, 90, 35] {
        let exists = killed.join("checkpoint.safetensors").exists();
        let arguments = if exists { format!("resume\n{}", text(&killed)) } else { train(&killed) };
        let mut child = command()
            .args(arguments.split('\n'))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        if killed.join("checkpoint.safetensors").exists() {
            steps.push(checkpointed(&killed));
        }
    }
    assert!(steps.iter().all(|&step| step <= 600), "{steps:?}");
    let end = if killed.join("checkpoint.safetensors").exists() {
        format!("resume\n{}", text(&killed))
    } else {
        train(&killed)
    };
    assert!(done(&end.split('\n').collect::<Vec<_>>()).contains("stopped early at step 600"));
    for name in ["model.safetensors", "checkpoint.safetensors", "log.jsonl"] {
        assert!(read(&whole, name) == read(&killed, name), "{name} differs");
    }
}

/// The step of a run's checkpoint, which must be whole.
fn checkpointed(run: &Path) -> u64 {
    let bytes = read(run, "checkpoint.safetensors");
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let own = header["__metadata__"]["picardy.checkpoint"].as_str().unwrap();
    serde_json::from_str::<serde_json::Value>(own).unwrap()["step"].as_u64().unwrap()
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let long = ["--steps", "1000000", "--width", "4", "--checkpoint-every", "1000000"];
    let mut child = command()
        .args(["train", "--out", text(&run)])
        .args(long)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !run.join("log.jsonl").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it did not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = refused(&["resume", text(&run)]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("another process"), "{said}");
}
