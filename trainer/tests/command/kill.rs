//! A process that is killed at any moment.

use super::*;
use std::time::{Duration, Instant};

const KILLS: usize = 50;
const STEPS: u64 = 6000;
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
    let begin = Instant::now();
    done(&train(&whole).split('\n').collect::<Vec<_>>());
    // From the start of the process (it loads, opens its files) to a sixth of the run, on whatever machine this is.
    let mut longest = (begin.elapsed() / 6).max(Duration::from_millis(40));

    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let (mut kills, mut under_way, mut ended) = (0, 0, 0);
    let mut step = 0;
    while kills < KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = longest.mul_f64((random >> 33) as f64 / (1u64 << 31) as f64);
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
        match status.code() {
            None => kills += 1,
            // It ended before the signal came: it must have ended well, and another run is killed next, sooner, since
            // the machine may have become quicker.
            Some(0) => {
                same(&whole, &killed);
                std::fs::remove_dir_all(&killed).unwrap();
                (step, ended) = (0, ended + 1);
                longest = longest.mul_f64(0.7);
                assert!(ended < KILLS, "{ended} runs ended before {kills} kills");
                continue;
            }
            Some(_) => panic!("kill {kills}: it failed by itself: {status}"),
        }
        if killed.join("checkpoint.safetensors").exists() {
            let next = checkpointed(&killed);
            assert!(next >= step, "a checkpoint went back from step {step} to {next}");
            under_way += usize::from(next > step && next < STEPS);
            step = next;
        }
    }
    assert!(under_way >= 10, "only {under_way} of {KILLS} kills came between two checkpoints of a run");

    let exists = killed.join("checkpoint.safetensors").exists();
    let end = if exists { format!("resume\n{}", text(&killed)) } else { train(&killed) };
    done(&end.split('\n').collect::<Vec<_>>());
    same(&whole, &killed);
}

/// Two runs left the same files: nothing unfinished stays either.
fn same(one: &Path, other: &Path) {
    for name in ["model.safetensors", "model.onnx", "checkpoint.safetensors", "log.jsonl", "config.toml"] {
        assert!(read(one, name) == read(other, name), "{name} differs");
    }
    let names = |folder: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(one), names(other));
}

/// Weights that never move, so that patience runs out at the fourth evaluation, wherever the run was killed before.
#[test]
fn killed_on_its_way_to_an_early_stop_a_run_stops_at_the_same_step() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let early = ["--rate", "1e-300", "--set", "run.patience=3", "--set", "run.evaluate-every=150"];
    let train = |out: &Path| [&["train", "--out", text(out)], &RUN[..], &early[..]].concat().join("\n");
    let begin = Instant::now();
    let printed = done(&train(&whole).split('\n').collect::<Vec<_>>());
    assert!(printed.contains("stopped early at step 600: the weights of step 150"), "{printed}");
    let (mut kills, mut under_way) = (0, 0);
    let mut longest = begin.elapsed();
    // Parts of the whole run's time, process and all; less where a run ends first.
    for part in [0.3, 0.8, 0.5, 0.2, 0.6, 0.4, 0.7].into_iter().cycle().take(40) {
        let exists = killed.join("checkpoint.safetensors").exists();
        let arguments = if exists { format!("resume\n{}", text(&killed)) } else { train(&killed) };
        let mut child = command()
            .args(arguments.split('\n'))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(longest.mul_f64(part));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        match status.code() {
            None => kills += 1,
            Some(0) => {
                same(&whole, &killed);
                std::fs::remove_dir_all(&killed).unwrap();
                longest = longest.mul_f64(0.8);
                continue;
            }
            Some(_) => panic!("kill {kills}: it failed by itself: {status}"),
        }
        if killed.join("checkpoint.safetensors").exists() {
            let step = checkpointed(&killed);
            assert!(step <= 600, "a checkpoint of step {step}");
            under_way += usize::from((1..600).contains(&step));
        }
        if kills >= 7 && under_way >= 2 {
            break;
        }
    }
    assert!(under_way >= 2, "only {under_way} of {kills} kills came between two checkpoints of a run");
    let exists = killed.join("checkpoint.safetensors").exists();
    let end = if exists { format!("resume\n{}", text(&killed)) } else { train(&killed) };
    assert!(done(&end.split('\n').collect::<Vec<_>>()).contains("stopped early at step 600"));
    same(&whole, &killed);
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
