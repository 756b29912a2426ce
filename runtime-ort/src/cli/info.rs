//! `picardy-ort info`.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use picardy_ort::{Model, Options, OrtDenoiser, Provider, Runtime, placement};

#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    /// The ONNX file.
    model: PathBuf,
    /// What evaluates the model's nodes: cpu, cuda, tensorrt, tensorrt-fp16, webgpu or auto, with a
    /// device's index as in cuda:1.
    #[arg(long, default_value_t)]
    provider: Provider,
    /// Shows each node and what it runs on, and not the first twenty alone.
    #[arg(long)]
    nodes: bool,
}

/// So many nodes are shown without `--nodes`.
const SHOWN: usize = 20;

pub(super) fn run(args: &InfoArgs, library: Option<&Path>) -> anyhow::Result<String> {
    let runtime = Runtime::load_for(args.provider, library)?;
    let options = Options { provider: args.provider, ..Options::default() };
    let model = Model::load(&args.model, options)?;
    let mut said = String::new();
    line(&mut said, "model", &args.model.display());
    for port in model.inputs() {
        line(&mut said, "input", &printable(&port.to_string(), 200));
    }
    for port in model.outputs() {
        line(&mut said, "output", &printable(&port.to_string(), 200));
    }
    for (key, value) in model.metadata() {
        line(&mut said, "metadata", &format_args!("{key} = {}", printable(value, 200)));
    }
    if model.metadata().is_empty() {
        line(&mut said, "metadata", &"none");
    }
    line(&mut said, "provider", &model.provider());
    for error in model.passed_over() {
        line(&mut said, "note", &printable(&error.to_string(), 1000));
    }
    say_placements(&mut said, &model, args.nodes);
    line(
        &mut said,
        "library",
        &format_args!(
            "{} (version {}, from {})",
            runtime.path().display(),
            runtime.version(),
            runtime.origin()
        ),
    );
    match OrtDenoiser::new(model) {
        Ok(denoiser) => {
            let shape = denoiser.item_shape();
            line(&mut said, "denoiser", &format_args!("yes, of items of shape {shape:?}"));
            super::signature::parts(&mut said, &denoiser);
            match denoiser.card() {
                Ok(Some(_)) => {}
                Ok(None) => line(
                    &mut said,
                    "note",
                    &"no picardy metadata: sample it with --prediction and --schedule",
                ),
                Err(error) => line(&mut said, "note", &error),
            }
        }
        Err(error) => line(&mut said, "denoiser", &format_args!("no: {error}")),
    }
    Ok(said)
}

/// What the nodes run on: how many on each provider, and which.
fn say_placements(said: &mut String, model: &Model, all: bool) {
    let placements = model.placements();
    for (provider, count) in placement::counts(placements) {
        line(said, "nodes", &format_args!("{provider} runs {count} of {}", placements.len()));
    }
    // On a GPU, what is left to the processor is what one wants to know: it comes first.
    let own = model.provider().ort_name();
    let (left, own): (Vec<_>, Vec<_>) =
        placements.iter().partition(|placement| Some(placement.provider.as_str()) != own);
    let shown = if all { placements.len() } else { SHOWN };
    for placement in left.into_iter().chain(own).take(shown) {
        line(said, "node", &printable(&placement.to_string(), 200));
    }
    if placements.len() > shown {
        line(said, "note", &format_args!("{} more nodes: --nodes shows them", placements.len() - shown));
    }
}

pub(super) fn line(said: &mut String, what: &str, value: &dyn std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(said, "{what:<10}{value}");
}

/// Whether a character does more to a terminal than to stand there: control characters, and those
/// that turn the direction of the text.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A value on one line, without the control characters by which a file could steer the terminal, and
/// not longer than is told.
fn printable(value: &str, longest: usize) -> String {
    let mut short: String =
        value.chars().take(longest).map(|c| if steers(c) { '\u{fffd}' } else { c }).collect();
    if value.chars().count() > longest {
        short.push_str("...");
    }
    short
}
