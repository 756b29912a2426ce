//! The command `picardy-train`, as a user calls it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn picardy_train(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picardy-train"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

const SMALL: [&str; 12] = [
    "--data",
    "two-moons",
    "--points",
    "500",
    "--width",
    "32",
    "--batch",
    "32",
    "--contrastive-items",
    "4",
    "--contrastive-draws",
    "4",
];

fn train(out: &Path, more: &[&str]) -> Output {
    picardy_train(&[&["train", "--out", out.to_str().expect("a plain path")], &SMALL[..], more].concat())
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn an_interrupted_run_ends_as_an_uninterrupted_one_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let output = train(&whole, &["--steps", "3000"]);
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
    let steps = |folder: &Path| {
        let log = String::from_utf8(read(folder, "log.jsonl")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(&whole), (1..=30).map(|i| i * 100).collect::<Vec<_>>());
}

#[test]
fn eval_and_export_work_on_a_run_and_on_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert!(train(&run, &["--steps", "50"]).status.success());
    let few = ["--samples", "200", "--items", "20", "--draws", "8", "--steps", "10", "--solver", "ddim"];
    let by_run = picardy_train(&[&["eval", run.to_str().unwrap()], &few[..]].concat());
    let model = run.join("model.safetensors");
    let by_file =
        picardy_train(&[&["eval", model.to_str().unwrap(), "--data", "two-moons"], &few[..]].concat());
    for output in [&by_run, &by_file] {
        assert!(output.status.success(), "{}", said(output));
        assert!(said(output).contains("mmd 0.") && said(output).contains("nats"), "{}", said(output));
    }
    assert_eq!(said(&by_run), said(&by_file));

    let half = folder.path().join("half");
    let output = picardy_train(&[
        "export",
        run.to_str().unwrap(),
        "--out",
        half.to_str().unwrap(),
        "--weights",
        "f16",
    ]);
    assert!(output.status.success() && said(&output).contains("f16: relative error"), "{}", said(&output));
    assert!(read(&half, "model.safetensors").len() < read(&run, "model.safetensors").len() * 2 / 3);
    assert!(read(&half, "model.onnx") == read(&run, "model.onnx"));

    // One file, which is evaluated as any other.
    let int8 = folder.path().join("new/int8.safetensors");
    let file = int8.to_str().unwrap();
    let output = picardy_train(&["export", run.to_str().unwrap(), "--weights", "int8", "--out", file]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("int8: relative error") && said(&output).contains("distance of samples"));
    assert!(std::fs::read(&int8).unwrap().len() < read(&half, "model.safetensors").len() * 3 / 4);
    assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    let output = picardy_train(&[&["eval", file, "--data", "two-moons"], &few[..]].concat());
    assert!(output.status.success() && said(&output).contains("mmd 0."), "{}", said(&output));
    let output = picardy_train(&["export", run.to_str().unwrap(), "--weights", "int4"]);
    assert!(!output.status.success() && said(&output).contains("f32, f16 or int8"), "{}", said(&output));

    let again = train(&run, &["--steps", "50"]);
    assert!(!again.status.success() && said(&again).contains("resume"), "{}", said(&again));
    assert!(train(&run, &["--steps", "50", "--overwrite"]).status.success());
}

#[test]
fn the_digits_are_trained_on_with_an_overall_scale_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.npy"));
    let begin = |more: &[&str]| {
        let out = run.to_str().unwrap();
        let common =
            ["train", "--data", data, "--loss", "standard", "--width", "16", "--steps", "20", "--out", out];
        picardy_train(&[&common[..], more].concat())
    };
    let output = begin(&[]);
    assert!(!output.status.success() && said(&output).contains("column 1 is 0"), "{}", said(&output));
    let output = begin(&["--scaling", "overall"]);
    assert!(output.status.success(), "{}", said(&output));
    let model = read(&run, "model.onnx");
    // The checkpoint knows the scaling: without it, the data would be refused.
    let output = picardy_train(&["resume", run.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(read(&run, "model.onnx") == model);
    let few = ["--samples", "100", "--steps", "5", "--solver", "ddim"];
    for more in [&[][..], &["--data", data]] {
        let model = if more.is_empty() { run.clone() } else { run.join("model.safetensors") };
        let output = picardy_train(&[&["eval", model.to_str().unwrap()], more, &few[..]].concat());
        // Some pixels are constant: there are distances of the samples, and no density.
        assert!(
            said(&output).contains("mmd 0.") && said(&output).contains("covariance"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn wrong_input_is_one_clear_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let nan = file("nan.csv", "1,2\n3,nan\n5,6\n");
    let empty = file("empty.csv", "");
    let ragged = file("ragged.tsv", "1\t2\n3\n4\t5\n");
    let constant = file("constant.csv", "1,2\n1,3\n1,4\n");
    let words = file("words.csv", "a,b\n1,two\n2,3\n");
    let npy = file("bad.npy", "not an array");
    let out = folder.path().join("out");
    let few = file("few.csv", "1,2\n3,5\n");
    let same = file("same.csv", "1,2\n2,4\n3,6\n4,8\n");
    let far = file("far.csv", "1e300,2\n2e300,4\n3e300,5\n");
    let cases: [(&[&str], &str); 28] = [
        (
            &["--data", &few],
            "few.csv: the covariance of 2 rows of 2 columns is singular: give at least 3 rows",
        ),
        (&["--data", &same], "same.csv: the covariance has the eigenvalue"),
        (&["--data", &far], "far.csv: column 1"),
        (&["--width", "18446744073709551614"], "`width` is 18446744073709551614"),
        (&["--width", "65536", "--batch", "16777216"], "GB of memory"),
        (
            &["--contrastive-items", "99999999999", "--contrastive-draws", "99999999999"],
            "99999999999 x 99999999999",
        ),
        (&["--batch", "99999999999999"], "`batch` is 99999999999999"),
        (&["--blocks", "18446744073709551615"], "`blocks` is 18446744073709551615"),
        (&["--points", "18446744073709551615"], "cannot draw 18446744073709551615 points"),
        (&["--steps", "18446744073709551615"], "`steps` is 18446744073709551615"),
        (&["--train-steps", "18446744073709551615"], "`train_steps` is 18446744073709551615"),
        (&["--train-steps", "0"], "`train_steps` is 0"),
        (&["--beta-start=-1"], "beta -1 at timestep 0"),
        (&["--data", &nan], "nan"),
        (&["--data", &empty], "empty"),
        (&["--data", &ragged], "ragged.tsv"),
        (&["--data", &constant], "constant"),
        (&["--data", &words], "two"),
        (&["--data", &npy], "bad.npy"),
        (&["--data", "absent.csv"], "absent.csv"),
        (&["--data", "dyno"], "swiss-roll"),
        (&["--steps", "0"], "steps"),
        (&["--rate", "nan"], "rate"),
        (&["--ema", "1.5"], "1.5"),
        (&["--schedule", "quadratic"], "sigmoid"),
        (&["--beta-end", "1.5"], "1.5"),
        (&["--width", "0"], "width"),
        (&["--contrastive-draws", "0"], "draws"),
    ];
    for (args, named) in cases {
        let output = picardy_train(&[&["train", "--out", out.to_str().unwrap()], args].concat());
        let said = said(&output);
        assert!(!output.status.success(), "{args:?} was taken");
        assert!(said.contains(named), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(said.matches("lies outside").count() <= 1 && !said.contains('{'), "{args:?}: {said}");
        assert!(!out.exists(), "{args:?} left {}", out.display());
    }
    for (args, named) in [
        (
            &["resume", "nowhere"][..],
            "there is no checkpoint nowhere/checkpoint.safetensors: name the folder",
        ),
        (&["export", "nowhere"], "there is no checkpoint"),
        (&["eval", "nowhere.safetensors"], "nowhere.safetensors"),
        (&["eval", &nan, "--data", "dino"], "nan.csv"),
        (&["eval", "nowhere", "--items", "1"], "--items 1: a mean and its error take at least 2"),
    ] {
        let output = picardy_train(args);
        assert!(!output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
        assert!(said(&output).contains(named), "{args:?}: {}", said(&output));
    }
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
    let cases: [(&str, u64, &str); 14] = [
        ("/config/width", 1 << 62, "4611686018427387904"),
        ("/config/width", 16384, "tensor `parameters`"),
        ("/config/blocks", 8, "tensor `parameters`"),
        ("/config/batch", 1 << 60, "1152921504606846976"),
        ("/config/steps", u64::MAX, "18446744073709551615"),
        ("/config/steps", 10, "20 of 10 steps"),
        ("/config/contrastive/items", 1 << 63, "9223372036854775808"),
        ("/config/contrastive/draws", 1 << 63, "9223372036854775808"),
        ("/config/schedule/train_steps", 1 << 60, "1152921504606846976"),
        ("/step", 1 << 63, "9223372036854775808"),
        ("/adam_steps", u64::MAX, "`adam_steps` is 18446744073709551615"),
        ("/ema_steps", 0, "`ema_steps` is 0"),
        ("/points", 1 << 60, "1152921504606846976"),
        ("/log/count", 21, "21 steps of 20"),
    ];
    for (pointer, value, named) in cases {
        let bytes = changed(&good, |header| *header.pointer_mut(pointer).unwrap() = value.into());
        std::fs::write(&path, bytes).unwrap();
        for command in ["resume", "export"] {
            let output = picardy_train(&[command, run.to_str().unwrap()]);
            let said = said(&output);
            assert!(!output.status.success() && !said.contains("panicked"), "{pointer} {value}: {said}");
            assert!(said.contains(named), "{pointer} {value}: {said}");
        }
        assert!(read(&run, "model.safetensors") == model, "{pointer} {value} was exported");
    }
    // An older checkpoint, without the log's state, is taken up.
    let older = changed(&good, |header| drop(header.as_object_mut().unwrap().remove("log")));
    std::fs::write(&path, older).unwrap();
    let output = picardy_train(&["resume", run.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}

#[cfg(unix)]
const TINY: [&str; 12] = [
    "--data",
    "two-moons",
    "--width",
    "4",
    "--steps",
    "300",
    "--contrastive-items",
    "2",
    "--contrastive-draws",
    "2",
    "--points",
    "100",
];

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
    let limited = "ulimit -f 128 && trap '' XFSZ && exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_picardy-train"), "train", "--out"])
        .arg(&run)
        .args(TINY)
        .stdin(Stdio::null())
        .output()
        .unwrap();
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

#[test]
fn eval_says_when_it_compares_with_the_training_points() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, shift: f64| {
        let rows = (0..60).map(|i| format!("{},{}\n", f64::from(i) * 0.7 + shift, f64::from(i * i % 17)));
        let path = folder.path().join(name);
        std::fs::write(&path, rows.collect::<String>()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (own, other) = (table("own.csv", 0.0), table("other.csv", 0.3));
    let run = folder.path().join("run");
    let small = ["--steps", "10", "--width", "8", "--batch", "8", "--data", &own];
    let output = picardy_train(&[&["train", "--out", run.to_str().unwrap()], &small[..]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let model = run.join("model.safetensors");
    let eval = |model: &Path, data: &[&str]| {
        let few = ["--samples", "50", "--items", "5", "--draws", "4", "--steps", "5"];
        picardy_train(&[&["eval", model.to_str().unwrap()], &few[..], data].concat())
    };
    let note = "the file's own points, which it was trained on";
    for (output, noted) in [
        (eval(&run, &[]), true),
        (eval(&model, &["--data", &own]), true),
        (eval(&model, &["--data", &other]), false),
        (eval(&run, &["--data", &other]), false),
    ] {
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(said(&output).contains(note), noted, "{}", said(&output));
    }
    for (flag, value) in
        [("--samples", "18446744073709551615"), ("--samples", "0"), ("--steps", "18446744073709551615")]
    {
        let output = picardy_train(&["eval", model.to_str().unwrap(), "--data", &own, flag, value]);
        let complaint = said(&output);
        assert!(!output.status.success() && !complaint.contains("panicked"), "{complaint}");
        assert!(complaint.contains(value), "{complaint}");
    }
    // A damaged model is named.
    let damaged = folder.path().join("damaged.safetensors");
    let good = std::fs::read(&model).unwrap();
    let renamed = replaced(&good, b"picardy.seed", b"picardy.sead");
    for bytes in [&good[..good.len() / 2], &good[..3], b"", &renamed] {
        std::fs::write(&damaged, bytes).unwrap();
        let complaint = said(&eval(&damaged, &["--data", &own]));
        assert!(complaint.contains("damaged.safetensors"), "{complaint}");
        assert!(!complaint.contains("name the prediction"), "{complaint}");
    }
}

/// `bytes` with one word put for another of its length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
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
