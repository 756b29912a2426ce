//! A diffusion policy's tensors under our names and in our layouts.

use crate::train::numbers;
use safetensors::SafeTensors;
use std::collections::BTreeSet;

/// Which published code named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// LeRobot's: `conv1.block.0`, `down_modules.0.2`.
    Lerobot,
    /// Diffusion Policy's own: `blocks.0.block.0`, `down_modules.0.2.conv`.
    Original,
}

/// What a U-Net's tensor is made of.
pub(super) enum Source {
    /// A tensor as it is: affine layers, norms, biases.
    Same(String),
    /// A convolution [outputs, inputs, taps], here [outputs, taps, inputs].
    Conv(String),
    /// Two taps of a transposed convolution [inputs, outputs, 4], here [outputs, 2, inputs].
    Taps(String, [usize; 2]),
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Same(name) | Self::Conv(name) | Self::Taps(name, _) => name,
        }
    }
}

/// The U-Net among a checkpoint's tensors.
pub(super) struct Weights<'a> {
    file: &'a SafeTensors<'a>,
    /// What stands before the U-Net's own names.
    prefix: String,
    naming: Naming,
    used: BTreeSet<String>,
}

/// The one tensor that every such U-Net has under the same name.
const STEP: &str = "diffusion_step_encoder.1.weight";

impl<'a> Weights<'a> {
    /// Finds the U-Net; `None` where there is none.
    pub(super) fn find(file: &'a SafeTensors<'a>) -> Option<Self> {
        // Averaged weights may lie beside the trained ones: the shortest name is the policy's own.
        let names = file.names().into_iter().filter(|name| name.ends_with(STEP));
        let step = names.min_by_key(|name| (name.len(), name.to_owned()))?;
        let prefix = step[..step.len() - STEP.len()].to_owned();
        let lerobot = file.tensor(&format!("{prefix}mid_modules.0.conv1.block.0.weight")).is_ok();
        let naming = if lerobot { Naming::Lerobot } else { Naming::Original };
        Some(Self { file, prefix, naming, used: BTreeSet::new() })
    }

    /// A tensor's shape.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let tensor = self.file.tensor(&format!("{}{name}", self.prefix)).ok()?;
        Some(tensor.shape().to_vec())
    }

    /// Where our tensor `ours` comes from, with so many levels; `None` for a name that the U-Net does not have.
    pub(super) fn source(&self, ours: &str, levels: usize) -> Option<Source> {
        let (module, which) = ours.rsplit_once('.')?;
        let theirs = self.module(module, levels)?;
        let name = format!("{}{theirs}.{which}", self.prefix);
        Some(match (which, module.rsplit('.').next()?) {
            ("weight", "conv" | "halve" | "past" | "last") => Source::Conv(name),
            // Padding 1 and stride 2: even places see taps 3 and 1, odd ones 2 and 0.
            ("weight", "even") => Source::Taps(name, [3, 1]),
            ("weight", "odd") => Source::Taps(name, [2, 0]),
            _ => Source::Same(name),
        })
    }

    /// Their name of a module of ours.
    fn module(&self, ours: &str, levels: usize) -> Option<String> {
        let parts: Vec<&str> = ours.split('.').collect();
        let resized = |stack: String| match self.naming {
            Naming::Lerobot => format!("{stack}.2"),
            Naming::Original => format!("{stack}.2.conv"),
        };
        let stack = |side: &str, i: &str| -> Option<String> {
            let i: usize = i.parse().ok()?;
            match side {
                "down" => Some(format!("down_modules.{i}")),
                // Their way up begins at the lowest level.
                _ => Some(format!("up_modules.{}", levels.checked_sub(2 + i)?)),
            }
        };
        Some(match parts[..] {
            ["embedding", "fc1"] => "diffusion_step_encoder.1".to_owned(),
            ["embedding", "fc2"] => "diffusion_step_encoder.3".to_owned(),
            ["output", "conv"] => "final_conv.0.block.0".to_owned(),
            ["output", "norm"] => "final_conv.0.block.1".to_owned(),
            ["output", "last"] => "final_conv.1".to_owned(),
            ["down", i, "halve"] => resized(stack("down", i)?),
            ["up", i, "double"] | ["up", i, "double", _] => resized(stack("up", i)?),
            ["mid", block, ref rest @ ..] => {
                self.residual(&format!("mid_modules.{}", number(block)?), rest)?
            }
            [side @ ("down" | "up"), i, block, ref rest @ ..] => {
                self.residual(&format!("{}.{}", stack(side, i)?, number(block)?), rest)?
            }
            _ => return None,
        })
    }

    /// Their name of a part of a residual block.
    fn residual(&self, block: &str, ours: &[&str]) -> Option<String> {
        Some(match *ours {
            ["film"] => format!("{block}.cond_encoder.1"),
            ["past"] => format!("{block}.residual_conv"),
            [which @ ("1" | "2"), part] => {
                let at = match part {
                    "conv" => 0,
                    "norm" => 1,
                    _ => return None,
                };
                match self.naming {
                    Naming::Lerobot => format!("{block}.conv{which}.block.{at}"),
                    Naming::Original => format!("{block}.blocks.{}.block.{at}", usize::from(which == "2")),
                }
            }
            _ => return None,
        })
    }

    /// Writes a tensor of ours, of `shape`, from its source.
    pub(super) fn read(&mut self, source: &Source, shape: &[usize], out: &mut [f32]) -> Result<(), String> {
        let name = source.name();
        let tensor = self.file.tensor(name).map_err(|_| format!("`{name}` is missing"))?;
        self.used.insert(name.to_owned());
        let theirs = tensor.shape();
        let wants: Vec<usize> = match (source, shape) {
            (Source::Conv(_), [outputs, taps, inputs]) => vec![*outputs, *inputs, *taps],
            (Source::Conv(_), [outputs, inputs]) => vec![*outputs, *inputs, 1],
            (Source::Taps(..), [outputs, _, inputs]) => vec![*inputs, *outputs, 4],
            _ => shape.to_vec(),
        };
        if theirs != wants {
            return Err(format!("`{name}` has the shape {theirs:?}, and {wants:?} belongs there"));
        }
        let values = numbers(&tensor).ok_or_else(|| {
            format!("`{name}` is of type {:?}; store it as F32, F16, BF16 or F64", tensor.dtype())
        })?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!("`{name}` holds {value}"));
        }
        match source {
            Source::Same(_) => out.copy_from_slice(&values),
            Source::Conv(_) => {
                let (inputs, taps) = (wants[1], wants[2]);
                for (i, slot) in out.iter_mut().enumerate() {
                    let (o, tap, input) = (i / (taps * inputs), i / inputs % taps, i % inputs);
                    *slot = values[(o * inputs + input) * taps + tap];
                }
            }
            Source::Taps(_, taps) => {
                let (inputs, outputs) = (wants[0], wants[1]);
                for (i, slot) in out.iter_mut().enumerate() {
                    let (o, tap, input) = (i / (2 * inputs), taps[i / inputs % 2], i % inputs);
                    *slot = values[(input * outputs + o) * 4 + tap];
                }
            }
        }
        Ok(())
    }

    /// The U-Net's tensors that nothing was made of.
    pub(super) fn left(&self) -> Vec<String> {
        let own = self.file.names().into_iter().filter(|name| name.starts_with(&self.prefix));
        let mut left: Vec<String> =
            own.filter(|name| !self.used.contains(*name)).map(str::to_owned).collect();
        if self.prefix.is_empty() {
            // Beside a U-Net whose names have no prefix anything may lie.
            let stems = [
                "diffusion_step_encoder",
                "local_cond_encoder",
                "down_modules",
                "mid_modules",
                "up_modules",
                "final_conv",
            ];
            left.retain(|name| stems.iter().any(|stem| name.starts_with(stem)));
        }
        left.sort();
        left
    }
}

/// `res1` is their 0.
fn number(block: &str) -> Option<usize> {
    block.strip_prefix("res")?.parse::<usize>().ok()?.checked_sub(1)
}
