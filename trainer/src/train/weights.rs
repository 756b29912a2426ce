//! Weights to begin with: a safetensors file of ours, or of PyTorch with a map of names.

use crate::model::Parameter;
use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a file's weights cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The card that the file carries is of another task than the run.
    #[error(
        "{}: {}; or set `run.ignore-card` where it is meant", path.display(), wrong.join("; ")
    )]
    Card {
        /// The file.
        path: PathBuf,
        /// What differs: the setting, both values, and what matches them.
        wrong: Vec<String>,
    },
    /// Tensors that do not fit, all of them.
    #[error("{}: {}", path.display(), wrong.join("; "))]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with each.
        wrong: Vec<String>,
    },
}

/// Which tensor of a file is which of a network's parameters.
///
/// ```toml
/// ignore = ["betas"]                 # tensors of the file that are not looked at
///
/// [tensors]
/// "input.weight" = "mlp.0.weight"    # our name = the file's
/// "output.weight" = { name = "head.weight", axes = [1, 0] }
/// ```
///
/// With axes, our axis i is the file's axis `axes[i]`, as in NumPy's `transpose`. What the map does not name has our name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameMap {
    /// The file's tensors that are not looked at.
    pub ignore: Vec<String>,
    /// The file's names by ours.
    pub tensors: BTreeMap<String, Theirs>,
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Theirs {
    /// As it is.
    Name(String),
    /// With its axes in another order.
    Permuted(Permuted),
}

/// A tensor whose axes are in another order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permuted {
    /// The file's name.
    pub name: String,
    /// Which of the file's axes each of ours is.
    pub axes: Vec<usize>,
}

impl Theirs {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Permuted(permuted) => &permuted.name,
        }
    }
}

impl NameMap {
    /// The map in a TOML file.
    ///
    /// # Errors
    /// A file that cannot be read or is no map.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let failed = |error| WeightsError::File { path: path.to_owned(), error };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        toml::from_str(&text).map_err(|error: toml::de::Error| WeightsError::Format {
            path: path.to_owned(),
            reason: format!(
                "{}; a map has a section [tensors] of lines \"our name\" = \"their name\", and may have ignore = [..]",
                error.message()
            ),
        })
    }
}

/// A file's weights in the order of `layout`, as f32; each of the file's tensors has a place there or is ignored by the map.
/// Tensors may be f64, f32, f16 or bf16.
///
/// # Errors
/// [`WeightsError::Tensors`], which names every tensor that is missing, left over, of another shape or type or not finite.
pub fn read_weights(path: &Path, map: &NameMap, layout: &[Parameter]) -> Result<Vec<f32>, WeightsError> {
    let failed = |error| WeightsError::File { path: path.to_owned(), error };
    let bytes = std::fs::read(path).map_err(failed)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| WeightsError::Format {
        path: path.to_owned(),
        reason: format!("it is no safetensors file ({error}); convert it with safetensors.torch.save_file"),
    })?;
    let mut wrong = Vec::new();
    let mut used: Vec<&str> = map.ignore.iter().map(String::as_str).collect();
    let mut weights = vec![0.0; layout.last().map_or(0, |parameter| parameter.range.end)];
    for name in map.tensors.keys().filter(|name| !layout.iter().any(|own| own.name == **name)) {
        wrong.push(format!("the map names `{name}`, which the network does not have"));
    }
    for Parameter { name, shape, range } in layout {
        let theirs = map.tensors.get(name);
        let their_name = theirs.map_or(name.as_str(), Theirs::name);
        used.push(their_name);
        let shown =
            if their_name == name { format!("`{name}`") } else { format!("`{their_name}` for `{name}`") };
        let Ok(tensor) = file.tensor(their_name) else {
            wrong.push(format!("{shown} is missing"));
            continue;
        };
        let axes = match theirs {
            Some(Theirs::Permuted(Permuted { axes, .. })) => axes.clone(),
            _ => (0..tensor.shape().len()).collect(),
        };
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..tensor.shape().len()) {
            let rank = tensor.shape().len();
            wrong.push(format!("{shown} has {rank} axes, and {axes:?} is no order of theirs"));
            continue;
        }
        let permuted: Vec<usize> = axes.iter().map(|&axis| tensor.shape()[axis]).collect();
        if permuted != *shape {
            wrong.push(format!("{shown} has the shape {permuted:?}, and {shape:?} belongs there"));
            continue;
        }
        let Some(values) = numbers(&tensor) else {
            let dtype = tensor.dtype();
            wrong.push(format!("{shown} is of type {dtype:?}; store it as F32, F16, BF16 or F64"));
            continue;
        };
        let slots = &mut weights[range.clone()];
        permute(&values, tensor.shape(), &axes, slots);
        if let Some(value) = slots.iter().find(|value| !value.is_finite()) {
            wrong.push(format!("{shown} holds {value}"));
        }
    }
    let mut left: Vec<&str> = file.names().into_iter().filter(|name| !used.contains(name)).collect();
    left.sort_unstable();
    wrong.extend(
        left.into_iter().map(|name| format!("`{name}` is left over; map it or put it under `ignore`")),
    );
    if wrong.is_empty() { Ok(weights) } else { Err(WeightsError::Tensors { path: path.to_owned(), wrong }) }
}

/// A tensor's numbers; `None` where they are no floats.
pub(crate) fn numbers(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = tensor.data();
    Some(match tensor.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        _ => return None,
    })
}

/// Writes `values` of `shape` with the axes in the order `axes`, which is one of all of them.
fn permute(values: &[f32], shape: &[usize], axes: &[usize], out: &mut [f32]) {
    for (index, slot) in out.iter_mut().enumerate() {
        // From the last of our axes: where it lies along each of theirs.
        let (mut rest, mut at) = (index, vec![0; shape.len()]);
        for &axis in axes.iter().rev() {
            at[axis] = rest % shape[axis].max(1);
            rest /= shape[axis].max(1);
        }
        let place = at.iter().zip(shape).fold(0, |place, (at, extent)| place * extent + at);
        *slot = values.get(place).copied().unwrap_or(f32::NAN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Vec<Parameter> {
        vec![
            Parameter { name: "a.weight".into(), shape: vec![2, 3], range: 0..6 },
            Parameter { name: "a.bias".into(), shape: vec![2], range: 6..8 },
        ]
    }

    fn file(folder: &Path, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> PathBuf {
        let path = folder.join("theirs.safetensors");
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
        });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn a_map_renames_and_permutes() {
        let folder = tempfile::tempdir().unwrap();
        let half: Vec<u8> =
            [f16::from_f32(0.5), f16::from_f32(-2.0)].iter().flat_map(|v| v.to_le_bytes()).collect();
        let path = file(
            folder.path(),
            &[
                ("net.0.weight", Dtype::F32, &[3, 2], floats(&[1., 2., 3., 4., 5., 6.])),
                ("net.0.bias", Dtype::F16, &[2], half),
                ("betas", Dtype::F32, &[1], floats(&[9.0])),
            ],
        );
        let map = folder.path().join("map.toml");
        std::fs::write(
            &map,
            "ignore = ['betas']\n[tensors]\n'a.weight' = {name = 'net.0.weight', axes = [1, 0]}\n'a.bias' = 'net.0.bias'\n",
        )
        .unwrap();
        let weights = read_weights(&path, &NameMap::read(&map).unwrap(), &layout()).unwrap();
        assert_eq!(weights, [1., 3., 5., 2., 4., 6., 0.5, -2.0]);
        std::fs::write(&map, "[tensor]\n'a' = 'b'\n").unwrap();
        let said = NameMap::read(&map).unwrap_err().to_string();
        assert!(said.contains("map.toml") && said.contains("tensor") && said.contains("[tensors]"), "{said}");
    }

    #[test]
    fn axes_of_a_kernel_are_put_in_order() {
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let mut out = vec![0.0; 24];
        permute(&values, &[2, 3, 4], &[2, 0, 1], &mut out);
        for (a, b, c) in (0..4).flat_map(|a| (0..2).flat_map(move |b| (0..3).map(move |c| (a, b, c)))) {
            assert_eq!(out[(a * 2 + b) * 3 + c], values[(b * 3 + c) * 4 + a]);
        }
    }

    #[test]
    fn every_tensor_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(
            folder.path(),
            &[
                ("a.weight", Dtype::F32, &[3, 2], floats(&[0.0; 6])),
                ("old.bias", Dtype::F32, &[2], floats(&[0.0; 2])),
                ("count", Dtype::I64, &[1], vec![0; 8]),
            ],
        );
        let said = |map: &NameMap| read_weights(&path, map, &layout()).unwrap_err().to_string();
        let plain = said(&NameMap::default());
        for part in [
            "`a.weight` has the shape [3, 2], and [2, 3] belongs there",
            "`a.bias` is missing",
            "`old.bias` is left over",
            "`count` is left over",
        ] {
            assert!(plain.contains(part), "{plain}");
        }
        let mut map = NameMap::default();
        let axes =
            |axes: &[usize]| Theirs::Permuted(Permuted { name: "a.weight".into(), axes: axes.to_vec() });
        map.tensors.insert("a.weight".into(), axes(&[0, 0]));
        map.tensors.insert("a.bias".into(), Theirs::Name("count".into()));
        map.tensors.insert("b".into(), Theirs::Name("x".into()));
        let mapped = said(&map);
        for part in ["[0, 0] is no order", "the map names `b`", "`count` for `a.bias` has the shape [1]"] {
            assert!(mapped.contains(part), "{mapped}");
        }
        map.tensors.insert("a.weight".into(), axes(&[1, 0]));
        assert!(!said(&map).contains("a.weight"));
        let nan = file(
            folder.path(),
            &[
                ("a.weight", Dtype::F32, &[2, 3], floats(&[f32::NAN; 6])),
                ("a.bias", Dtype::I64, &[2], vec![0; 16]),
            ],
        );
        let said = read_weights(&nan, &NameMap::default(), &layout()).unwrap_err().to_string();
        assert!(said.contains("`a.weight` holds NaN") && said.contains("`a.bias` is of type I64"), "{said}");
        std::fs::write(&path, "none").unwrap();
        let said = read_weights(&path, &NameMap::default(), &layout()).unwrap_err().to_string();
        assert!(said.contains("no safetensors file"), "{said}");
    }
}
