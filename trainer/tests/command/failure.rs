//! A full disk, and a loss that is none.

use super::*;

/// Where no file may grow over 64 KiB, as on a full disk: a log of that size does not take the line of step 100.
#[cfg(unix)]
#[test]
fn a_log_that_cannot_be_written_leaves_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (run, whole) = (folder.path().join("run"), folder.path().join("whole"));
    let output = picardy_train(&[&["train", "--out", whole.to_str().unwrap()], &TINY[..]].concat());
    assert!(output.status.success(), "{}", said(&output));
    std::fs::create_dir(&run).unwrap();
    let padding = "x".repeat(65536 - r#"{"step":0,"pad":""}"#.len() - 1);
    std::fs::write(run.join("log.jsonl"), format!("{{\"step\":0,\"pad\":\"{padding}\"}}\n")).unwrap();
    let output = limited(&[&["train", "--out", text(&run)], &TINY[..]].concat());
    let complaint = said(&output);
    assert!(!output.status.success() && !complaint.contains("panicked"), "{complaint}");
    assert!(complaint.contains("log.jsonl") && complaint.contains("resume"), "{complaint}");
    let output = picardy_train(&["resume", run.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let log = String::from_utf8(read(&run, "log.jsonl")).unwrap();
    let second: serde_json::Value = serde_json::from_str(log.lines().nth(1).unwrap()).unwrap();
    assert_eq!((log.lines().count(), second["step"].as_u64()), (3, Some(200)));
    let other = String::from_utf8(read(&whole, "log.jsonl")).unwrap();
    assert_eq!(log.lines().last(), other.lines().last(), "step 300 is as if nothing had happened");
    assert!(read(&run, "model.safetensors") == read(&whole, "model.safetensors"));
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (run, whole) = (folder.path().join("run"), folder.path().join("whole"));
    let wide = ["--width", "64"];
    done(&[&["train", "--out", text(&whole)], &TINY[..], &wide[..]].concat());
    // A checkpoint is some 400 KiB; half way there is no more room than for 64 KiB a file.
    let mut child = command()
        .args([&["train", "--out", text(&run), "--checkpoint-every", "10"], &TINY[..], &wide[..]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !run.join("checkpoint.safetensors").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let good = read(&run, "checkpoint.safetensors");
    assert!(good.len() > 100_000, "{}", good.len());
    let output = limited(&["resume", text(&run)]);
    let complaint = said(&output);
    assert!(!output.status.success() && !complaint.contains("panicked"), "{complaint}");
    assert!(complaint.contains("checkpoint.safetensors") && complaint.contains("too large"), "{complaint}");
    assert!(read(&run, "checkpoint.safetensors") == good, "the last good one stays");
    let unfinished = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().starts_with(".picardy-")
    };
    assert!(!std::fs::read_dir(&run).unwrap().any(unfinished));
    done(&["resume", text(&run)]);
    assert!(read(&run, "model.safetensors") == read(&whole, "model.safetensors"));
}

#[test]
fn a_loss_that_is_none_names_its_items_and_keeps_the_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let bad = ["--rate", "1e20", "--set", "optimiser.schedule=constant"];
    let said = refused(&[&["train", "--out", text(&run)], &TINY[..], &bad[..]].concat());
    assert!(
        said.contains("the loss is") && said.contains("items") && said.contains("lower the learning rate"),
        "{said}"
    );
    let failed: serde_json::Value = serde_json::from_slice(&read(&run, "failed.json")).unwrap();
    let step = failed["step"].as_u64().unwrap();
    assert!(said.contains(&format!("step {step}: ")), "{said}");
    let items = failed["items"].as_array().unwrap();
    assert_eq!(items.len(), 18, "16 of the denoising loss, 2 of the contrastive one");
    assert!(items.iter().all(|item| item.as_u64().unwrap() < 100));
    assert!(said.contains(&format!("18 items {}, {}", items[0], items[1])), "{said}");
    // The state before that step is kept: it fails there again, and its weights are numbers.
    assert!(refused(&["resume", text(&run)]).contains(&format!("step {step}: ")));
    let output = picardy_train(&["export", text(&run)]);
    assert!(output.status.success(), "{}", super::said(&output));

    // Weights that are no numbers are never saved: what is, is the state before.
    let run = folder.path().join("diverged");
    let said = refused(&[&["train", "--out", text(&run)], &TINY[..], &["--rate", "1e39"]].concat());
    assert!(said.contains("step 1: a step of rate") && said.contains("not finite"), "{said}");
    let export = done(&["export", text(&run)]);
    assert!(export.contains("model.onnx"), "{export}");
}

/// Runs it where no file may grow over 64 KiB.
#[cfg(unix)]
fn limited(args: &[&str]) -> Output {
    let shell = "ulimit -f 128 && trap '' XFSZ && exec \"$@\"";
    let shell = ["-c", shell, "sh", env!("CARGO_BIN_EXE_picardy-train")];
    Command::new("sh").args(shell).args(args).stdin(Stdio::null()).output().unwrap()
}

/// The line that the disk does not take is that of a step that is evaluated: what the evaluation found is kept.
#[cfg(unix)]
#[test]
fn a_log_that_cannot_be_written_loses_no_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let (run, whole) = (folder.path().join("run"), folder.path().join("whole"));
    // Weights that never move: the first evaluation is the best, and later ones are worse.
    let more = ["--rate", "1e-300", "--set", "data.held-out=0.2", "--set", "run.evaluate-every=100"];
    let more = [&TINY[..], &more[..], &["--set", "run.patience=9", "--set", "run.samples=8"]].concat();
    done(&[&["train", "--out", text(&whole)], &more[..]].concat());
    std::fs::create_dir(&run).unwrap();
    let padding = "x".repeat(65536 - r#"{"step":0,"pad":""}"#.len() - 1);
    std::fs::write(run.join("log.jsonl"), format!("{{\"step\":0,\"pad\":\"{padding}\"}}\n")).unwrap();
    let output = limited(&[&["train", "--out", text(&run)], &more[..]].concat());
    assert!(!output.status.success() && said(&output).contains("log.jsonl"), "{}", said(&output));
    done(&["resume", text(&run)]);
    assert!(read(&run, "checkpoint.safetensors") == read(&whole, "checkpoint.safetensors"));
}

#[test]
fn an_overwritten_run_leaves_no_file_and_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let evaluated =
        ["--set", "run.evaluate-every=100", "--set", "run.samples=8", "--set", "run.tensorboard=true"];
    done(&[&["train", "--out", text(&run)], &TINY[..], &evaluated[..]].concat());
    std::fs::write(run.join("failed.json"), "{}").unwrap();
    let theirs = [
        "samples-mine.png",
        "notes.txt",
        "events.out.tfevents.1.host",
        "samples-1.png",
        "model.safetensors.bak",
    ];
    for name in theirs {
        std::fs::write(run.join(name), "mine").unwrap();
    }
    // Its settings are refused: the old run stays as it was.
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&run)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let before = names();
    refused(&[&["train", "--overwrite", "--out", text(&run)], &TINY[..], &["--steps", "0"]].concat());
    assert_eq!(names(), before);
    assert!(before.iter().any(|name| name == "samples-00000300.png"));
    done(&[&["train", "--overwrite", "--out", text(&run)], &TINY[..], &["--steps", "2"]].concat());
    let own =
        [".lock", "checkpoint.safetensors", "config.toml", "log.jsonl", "model.onnx", "model.safetensors"];
    let mut expected: Vec<_> = own.into_iter().chain(theirs).collect();
    expected.sort_unstable();
    assert_eq!(names(), expected);
}
