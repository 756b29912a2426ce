//! `picardy-ort info`.

use std::{fmt::Write, path::PathBuf};

use picardy_ort::{Model, Options, OrtDenoiser, Runtime};

#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    /// The ONNX file.
    model: PathBuf,
}

pub(super) fn run(args: &InfoArgs) -> anyhow::Result<String> {
    let runtime = Runtime::load(None)?;
    let model = Model::load(&args.model, Options::default())?;
    let mut said = String::new();
    line(&mut said, "model", &args.model.display());
    for port in model.inputs() {
        line(&mut said, "input", port);
    }
    for port in model.outputs() {
        line(&mut said, "output", port);
    }
    for (key, value) in model.metadata() {
        line(&mut said, "metadata", &format_args!("{key} = {}", printable(value)));
    }
    if model.metadata().is_empty() {
        line(&mut said, "metadata", &"none");
    }
    line(&mut said, "provider", &model.options().provider);
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

pub(super) fn line(said: &mut String, what: &str, value: &dyn std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(said, "{what:<10}{value}");
}

/// A value on one line, without the control characters by which a file could steer the terminal, and
/// not longer than a screen's width or two.
fn printable(value: &str) -> String {
    const LONGEST: usize = 200;
    let mut short: String =
        value.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if value.chars().count() > LONGEST {
        short.push_str("...");
    }
    short
}
