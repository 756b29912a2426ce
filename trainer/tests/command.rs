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
    for name in ["model.safetensors", "model.onnx", "checkpoint.safetensors"] {
        assert!(read(&whole, name) == read(&parts, name), "{name} differs");
    }
    let steps = |folder: &Path| {
        let log = String::from_utf8(read(folder, "log.jsonl")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(&parts), steps(&whole));
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
    let output = picardy_train(&["export", run.to_str().unwrap(), "--out", half.to_str().unwrap(), "--half"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(read(&half, "model.safetensors").len() < read(&run, "model.safetensors").len() * 2 / 3);
    assert!(read(&half, "model.onnx") == read(&run, "model.onnx"));

    let again = train(&run, &["--steps", "50"]);
    assert!(!again.status.success() && said(&again).contains("resume"), "{}", said(&again));
    assert!(train(&run, &["--steps", "50", "--overwrite"]).status.success());
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
    let cases: [(&[&str], &str); 15] = [
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
        assert!(!out.exists(), "{args:?} left {}", out.display());
    }
    for args in
        [&["resume", "nowhere"][..], &["eval", "nowhere.safetensors"], &["eval", &nan, "--data", "dino"]]
    {
        let output = picardy_train(args);
        assert!(!output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
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
