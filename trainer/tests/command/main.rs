//! The command `picardy-train`, as a user calls it.

mod config;
mod data;
mod device;
mod eval;
mod evaluation;
mod failure;
mod input;
mod kill;
mod networks;
mod resume;
mod weights;

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picardy-train"));
    command.stdin(Stdio::null());
    command
}

fn picardy_train(args: &[&str]) -> Output {
    command().args(args).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs it to its end, and gives what it said.
fn done(args: &[&str]) -> String {
    let output = picardy_train(args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

/// Runs it to its error, and gives that.
fn refused(args: &[&str]) -> String {
    let output = picardy_train(args);
    let said = said(&output);
    assert!(!output.status.success(), "{args:?} was taken: {said}");
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
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

const TINY: [&str; 14] = [
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
    "--batch",
    "16",
];

fn train(out: &Path, more: &[&str]) -> Output {
    picardy_train(&[&["train", "--out", text(out)], &SMALL[..], more].concat())
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The log's lines.
fn log(folder: &Path) -> Vec<serde_json::Value> {
    let log = String::from_utf8(read(folder, "log.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
