//! The flags of `sample` that say what a model's inputs are, and what it is conditioned on.

use std::path::Path;

use anyhow::{anyhow, bail};
use picardy_ort::{Array, Model, OrtDenoiser, OrtError, Signature};

use super::info::line;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Inputs and outputs")]
pub(super) struct SignatureArgs {
    /// The name of the input that is x [default: as the metadata, or else usual names, or else by its shape].
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// The name of the input that is the timestep [default: as the metadata, or else usual names, or else the one after x that could be one].
    #[arg(long, value_name = "NAME")]
    time: Option<String>,
    /// The output that is the answer, by name or number from 0 [default: the first].
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// The shape of one item, such as 4,8,8, where the graph leaves it open.
    #[arg(long, value_delimiter = ',', alias = "item-shape")]
    shape: Option<Vec<usize>>,
    /// What the input NAME gets: a .npy file or numbers such as 207 or 1,0.5. One row's is for all rows; with an axis more in
    /// front, each item gets its own. Once for each input besides x and the timestep.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assigned)]
    condition: Vec<(String, String)>,
    /// What the input NAME gets in the rows of guidance that are without their condition [default: zeros, for an input of
    /// floats].
    #[arg(long, value_name = "NAME=VALUE", value_parser = assigned, requires = "guidance")]
    uncond: Vec<(String, String)>,
    /// The weight of classifier-free guidance: out = uncond + W (cond - uncond), in one call [default: 1, which is none].
    #[arg(long, value_name = "W", requires = "condition")]
    pub(super) guidance: Option<f64>,
    /// How much of the conditional output's contrast guidance keeps, 0 to 1 [default: 0].
    #[arg(long, value_name = "R", requires = "guidance")]
    pub(super) guidance_rescale: Option<f64>,
}

fn assigned(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("give NAME=FILE.npy or NAME=NUMBERS, such as class_labels=207".to_owned()),
    }
}

impl SignatureArgs {
    /// The denoiser that `model` is, with everything bound that it takes.
    pub(super) fn denoiser(&self, model: Model) -> anyhow::Result<OrtDenoiser> {
        let signature = Signature {
            input: self.input.clone(),
            time: self.time.clone(),
            output: self.output.clone(),
            item: self.shape.clone(),
        };
        let mut denoiser = OrtDenoiser::with_signature(model, &signature)?;
        for (flag, named) in [("--condition", &self.condition), ("--uncond", &self.uncond)] {
            for (i, (name, _)) in named.iter().enumerate() {
                if named[..i].iter().any(|(other, _)| other == name) {
                    bail!("{flag} names `{name}` twice: name it once");
                }
            }
        }
        for (name, value) in &self.condition {
            let scalar = denoiser.conditions().any(|port| port.name == *name && port.shape.is_empty());
            let null = self.uncond.iter().find(|(null, _)| null == name);
            let null = null.map(|(_, value)| array(value, scalar)).transpose()?;
            denoiser.bind(name, array(value, scalar)?, null)?;
        }
        if let Some((name, _)) =
            self.uncond.iter().find(|(name, _)| self.condition.iter().all(|(n, _)| n != name))
        {
            bail!(
                "--uncond names `{name}`, and no --condition does: name its condition too, or leave it out"
            );
        }
        if let Some(port) = denoiser.unbound().next() {
            return Err(OrtError::Unbound { name: port.to_string() }.into());
        }
        Ok(denoiser)
    }
}

/// Which input and output is what, for `info`.
pub(super) fn parts(said: &mut String, denoiser: &OrtDenoiser) {
    let [x, t, out] = denoiser.ports();
    let variance = if denoiser.learned_variance() { " (the first half of its channels)" } else { "" };
    line(
        said,
        "parts",
        &format_args!("x is `{}`, t is `{}`, the answer is `{}`{variance}", x.name, t.name, out.name),
    );
    if let Some(rows) = denoiser.fixed_batch() {
        line(said, "batch", &format_args!("{rows} rows a run, filled up or split"));
    }
    for port in denoiser.conditions() {
        line(said, "condition", &format_args!("{port}: sample it with --condition {}=VALUE", port.name));
    }
}

/// A flag's value: numbers, or a file of them. One number has the shape [] for an input of that shape.
fn array(value: &str, scalar: bool) -> anyhow::Result<Array> {
    let parts: Vec<&str> = value.split(',').map(str::trim).collect();
    let shape = if scalar && parts.len() == 1 { vec![] } else { vec![parts.len()] };
    let integers: Option<Vec<i64>> = parts.iter().map(|part| part.parse().ok()).collect();
    let floats: Option<Vec<f32>> = parts.iter().map(|part| part.parse().ok()).collect();
    let path = Path::new(value);
    // A file called `1` is a file's name with its folder: ./1.
    Ok(match (integers, floats) {
        (Some(integers), _) => Array::integers(&shape, integers)?,
        (None, Some(floats)) => Array::floats(&shape, floats)?,
        (None, None) if path.extension().is_some_and(|extension| extension == "npy") || path.exists() => {
            Array::read_npy(path)?
        }
        (None, None) => {
            return Err(anyhow!("`{value}` is neither numbers nor a .npy file: give 207, 1,0.5 or text.npy"));
        }
    })
}
