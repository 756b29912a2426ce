//! Evaluation during training: held-out loss, pictures, TensorBoard, early stop.

use super::*;
use picardy_trainer::train::read_events;

const JUDGED: [&str; 12] = [
    "--set",
    "data.held-out=0.25",
    "--set",
    "run.evaluate-every=100",
    "--set",
    "run.samples=64",
    "--set",
    "run.sample-steps=5",
    "--set",
    "run.tensorboard=true",
    "--set",
    "run.log-every=50",
];

#[test]
fn evaluations_are_logged_drawn_and_in_tensorboards_files() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let printed = done(&[&["train", "--out", text(&run)], &TINY[..], &JUDGED[..]].concat());
    assert!(printed.contains("step 100: held-out loss") && printed.contains("mmd"), "{printed}");
    let lines = log(&run);
    let judged: Vec<_> = lines.iter().filter(|line| !line["held-out"].is_null()).collect();
    let steps: Vec<_> = judged.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!((steps, lines.len()), (vec![100, 200, 300], 9));
    assert!(judged.iter().all(|line| line["held-out"]["denoising"].as_f64().unwrap() > 0.0));
    let png = read(&run, "samples-00000300.png");
    assert!(png.starts_with(b"\x89PNG"));

    let events = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().path());
    let events: Vec<_> = events.filter(|path| text(path).contains("tfevents")).collect();
    let records = read_events(&events[0]).unwrap();
    let of = |tag: &str| -> Vec<_> { records.iter().filter(|record| record.tag == tag).collect() };
    for (line, record) in judged.iter().zip(of("mmd")) {
        assert_eq!(line["mmd"].as_f64().unwrap() as f32, record.value.unwrap());
    }
    let logged: Vec<_> = lines.iter().filter(|line| !line["norm"].is_null()).collect();
    assert_eq!((logged.len(), of("denoising").len(), of("held-out").len()), (6, 6, 3));
    for (line, record) in logged.iter().zip(of("denoising")) {
        assert_eq!(line["denoising"].as_f64().unwrap() as f32, record.value.unwrap());
    }
    assert_eq!(of("samples").last().unwrap().picture, png);
}

#[test]
fn evaluations_do_not_change_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    for (run, every) in [(&with, "run.evaluate-every=100"), (&without, "run.evaluate-every=0")] {
        let more = [&JUDGED[..], &["--set", every]].concat();
        done(&[&["train", "--out", text(run)], &TINY[..], &more[..]].concat());
    }
    assert!(read(&with, "model.safetensors") == read(&without, "model.safetensors"));
}

#[test]
fn patience_stops_a_run_early() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // Weights that never move: no evaluation is better than the first.
    let more = ["--rate", "1e-300", "--set", "run.patience=2", "--set", "run.evaluate-every=20"];
    let printed = done(&[&["train", "--out", text(&run)], &TINY[..], &JUDGED[..], &more[..]].concat());
    assert!(printed.contains("stopped early at step 60: the weights of step 20 are kept"), "{printed}");
    // It is at its end, and stays there.
    let model = read(&run, "model.safetensors");
    assert!(done(&["resume", text(&run)]).contains("stopped early at step 60"));
    assert!(read(&run, "model.safetensors") == model);
}

#[test]
fn images_are_drawn_in_a_grid() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let more = ["--data", "digits", "--loss", "standard", "--width", "16", "--steps", "4"];
    let evaluated =
        ["--set", "run.evaluate-every=4", "--set", "run.samples=9", "--set", "run.sample-steps=3"];
    done(&[&["train", "--out", text(&run)], &more[..], &evaluated[..]].concat());
    assert!(read(&run, "samples-00000004.png").starts_with(b"\x89PNG"));
}
