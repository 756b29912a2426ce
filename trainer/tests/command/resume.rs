//! `resume`: where a run was stopped, and what is no checkpoint.

use super::*;
use std::time::{Duration, Instant};

#[test]
fn an_interrupted_run_ends_as_an_uninterrupted_one_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let output = train(&whole, &["--steps", "3000", "--checkpoint-every", "1000000"]);
    assert!(output.status.success(), "{}", said(&output));

    let mut child = Command::new(env!("CARGO_BIN_EXE_picardy-train"))
        .args(["train", "--out", parts.to_str().unwrap(), "--steps", "3000", "--checkpoint-every", "1000000"])
        .args(SMALL)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Some way in, as the log shows, Ctrl-C.
    let start = Instant::now();
    while std::fs::read_to_string(parts.join("log.jsonl")).map_or(0, |log| log.lines().count()) < 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "no log was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success() && child.wait().unwrap().success());
    assert!(parts.join("checkpoint.safetensors").exists(), "Ctrl-C leaves a checkpoint");
    assert!(!parts.join("model.safetensors").exists(), "the run was stopped before its end");

    let output = picardy_train(&["resume", parts.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    for name in ["model.safetensors", "model.onnx", "checkpoint.safetensors", "log.jsonl"] {
        assert!(read(&whole, name) == read(&parts, name), "{name} differs");
    }
    let steps: Vec<_> = log(&whole).iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=30).map(|i| i * 100).collect::<Vec<_>>());
}

/// A checkpoint's bytes with its header changed.
fn changed(good: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let length = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&good[8..length]).unwrap();
    let own = &mut header["__metadata__"]["picardy.checkpoint"];
    let mut inner = serde_json::from_str(own.as_str().unwrap()).unwrap();
    change(&mut inner);
    *own = inner.to_string().into();
    let mut header = header.to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &good[length..]].concat()
}

#[test]
fn a_hostile_checkpoint_is_refused_with_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert!(train(&run, &["--steps", "20"]).status.success());
    let (path, good) = (run.join("checkpoint.safetensors"), read(&run, "checkpoint.safetensors"));
    let model = read(&run, "model.safetensors");
    let settings = [
        ("width = 32", "width = 4611686018427387904", "4611686018427387904"),
        ("width = 32", "width = 16384", "tensor `parameters`"),
        ("blocks = 2", "blocks = 8", "tensor `parameters`"),
        ("batch = 32", "batch = 1152921504606846976", "1152921504606846976"),
        ("steps = 20\n", "steps = -1\n", "`run.steps` is -1"),
        ("steps = 20\n", "steps = 10\n", "20 of 10 steps"),
        ("items = 4", "items = 1152921504606846976", "1152921504606846976"),
        ("draws = 4", "draws = 1152921504606846976", "1152921504606846976"),
        ("train-steps = 1000", "train-steps = 1152921504606846976", "1152921504606846976"),
        ("points = 500", "points = 1152921504606846976", "1152921504606846976"),
        ("points = 500", "points = 501", "has changed"),
        ("patience = 0", "patiense = 0", "did you mean `run.patience`"),
    ];
    let settings = settings.map(|(old, new, named)| {
        let bytes = changed(&good, |header| {
            let config = header["config"].as_str().unwrap();
            assert!(config.contains(old), "{old}");
            header["config"] = config.replace(old, new).into();
        });
        (bytes, new.to_owned(), named)
    });
    let cases: [(&str, u64, &str); 6] = [
        ("/step", 1 << 63, "9223372036854775808"),
        ("/adam_steps", u64::MAX, "`adam_steps` is 18446744073709551615"),
        ("/ema_steps", 0, "`ema_steps` is 0"),
        ("/log/count", 21, "21 steps of 20"),
        ("/worse", 21, "`worse` is 21"),
        ("/data_hash", 1, "has changed"),
    ];
    let cases = cases.map(|(pointer, value, named)| {
        let bytes = changed(&good, |header| *header.pointer_mut(pointer).unwrap() = value.into());
        (bytes, format!("{pointer} {value}"), named)
    });
    for (bytes, changed, named) in settings.into_iter().chain(cases) {
        std::fs::write(&path, bytes).unwrap();
        for command in ["resume", "export"] {
            let output = picardy_train(&[command, run.to_str().unwrap()]);
            let said = said(&output);
            assert!(!output.status.success() && !said.contains("panicked"), "{changed}: {said}");
            assert!(said.contains(named), "{changed}: {said}");
        }
        assert!(read(&run, "model.safetensors") == model, "{changed} was exported");
    }
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert!(train(&run, &["--steps", "20"]).status.success());
    let path = run.join("checkpoint.safetensors");
    let good = read(&run, "checkpoint.safetensors");
    for length in [0, 7, 100, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        let output = picardy_train(&["resume", run.to_str().unwrap()]);
        assert!(!output.status.success() && said(&output).contains("checkpoint"), "{}", said(&output));
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
    }
}
