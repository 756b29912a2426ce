//! What a network is told of an item: its class, or what was observed with it.

use super::file::read_raw;
use super::{DataError, ItemError};
use std::path::Path;

/// The most classes: a label is told as one number of so many.
pub const MAX_CLASSES: usize = 65_536;

/// What a network is told of each item of a data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Conditions {
    /// Nothing.
    #[default]
    None,
    /// A class each.
    Labels {
        /// How many classes there are.
        classes: usize,
        /// The classes, below that.
        labels: Vec<u32>,
    },
    /// A vector each, as it is given.
    Observations {
        /// Its numbers.
        dim: usize,
        /// The vectors `[n, dim]`.
        values: Vec<f32>,
    },
}

impl Conditions {
    /// Labels, checked; with `classes` 0 there are as many as the largest label and one. `name` is what an error calls them.
    ///
    /// # Errors
    /// [`ItemError::Label`] for one that is no whole number or out of range, [`ItemError::Classes`].
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::data::Conditions;
    /// let labels = Conditions::labels("mine", &[2.0, 0.0], 3)?;
    /// let mut told = [9.0; 3];
    /// labels.write(0, &mut told);
    /// assert_eq!(told, [0.0, 0.0, 1.0]);
    /// let error = Conditions::labels("mine", &[2.0, 3.0], 3).unwrap_err().to_string();
    /// assert!(error.starts_with("mine: item 1 has the label 3, and there are 3 classes"));
    /// # Ok::<(), picardy_trainer::data::DataError>(())
    /// ```
    pub fn labels(name: &str, values: &[f64], classes: usize) -> Result<Self, DataError> {
        let limit = MAX_CLASSES;
        if classes > limit {
            return Err(ItemError::Classes { classes, limit }.into());
        }
        let most = if classes == 0 { limit } else { classes };
        let mut labels = Vec::with_capacity(values.len());
        for (item, &label) in values.iter().enumerate() {
            if !(label >= 0.0 && label < most as f64 && label.fract() == 0.0) {
                return Err(ItemError::Label { name: name.to_owned(), item, label, classes: most }.into());
            }
            labels.push(label as u32);
        }
        let found = labels.iter().max().map_or(0, |&label| label as usize + 1);
        Ok(Self::Labels { classes: if classes == 0 { found } else { classes }, labels })
    }

    /// How many items they are for; `None` where there are none for any.
    pub fn items(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Labels { labels, .. } => Some(labels.len()),
            Self::Observations { dim, values } => Some(values.len() / (*dim).max(1)),
        }
    }

    /// Numbers that a network is told: 0, the classes, or an observation's and one.
    pub fn width(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Labels { classes, .. } => *classes,
            Self::Observations { dim, .. } => dim + 1,
        }
    }

    /// What a network is told of item `index`, `[width]`: its class's number 1 and the others 0, or its observation with a 1
    /// behind it. Past the end, zeros, which is no condition.
    pub fn write(&self, index: usize, out: &mut [f32]) {
        out.fill(0.0);
        match self {
            Self::None => {}
            Self::Labels { labels, .. } => {
                if let Some(slot) = labels.get(index).and_then(|&label| out.get_mut(label as usize)) {
                    *slot = 1.0;
                }
            }
            Self::Observations { dim, values } => {
                if let (Some(row), [slots @ .., one]) = (values.chunks(*dim).nth(index), out) {
                    slots.iter_mut().zip(row).for_each(|(slot, v)| *slot = *v);
                    *one = 1.0;
                }
            }
        }
    }

    /// Those of the items `chosen`.
    pub(super) fn rows(&self, chosen: &[usize]) -> Self {
        match self {
            Self::None => Self::None,
            Self::Labels { classes, labels } => {
                Self::Labels { classes: *classes, labels: chosen.iter().map(|&i| labels[i]).collect() }
            }
            Self::Observations { dim, values } => Self::Observations {
                dim: *dim,
                values: chosen.iter().flat_map(|&i| &values[i * dim..(i + 1) * dim]).copied().collect(),
            },
        }
    }

    /// All numbers, for a hash.
    pub(crate) fn bits(&self) -> Vec<u64> {
        match self {
            Self::None => Vec::new(),
            Self::Labels { labels, .. } => labels.iter().map(|&label| label.into()).collect(),
            Self::Observations { values, .. } => values.iter().map(|v| v.to_bits().into()).collect(),
        }
    }
}

/// A file of one label a row.
pub(super) fn read_labels(path: &Path, classes: usize) -> Result<Conditions, DataError> {
    let raw = read_raw(path)?;
    let (name, columns) = (path.display().to_string(), raw.dim());
    if columns != 1 {
        let (found, items) = (columns, 1);
        let data = "a row (a label is one number)".to_owned();
        return Err(ItemError::Count { name, found, data, items }.into());
    }
    Conditions::labels(&name, &raw.points, classes)
}

/// A file of one observation a row.
pub(super) fn read_observations(path: &Path) -> Result<Conditions, DataError> {
    let raw = read_raw(path)?;
    let dim = raw.dim();
    let mut values = Vec::with_capacity(raw.points.len());
    for (index, &value) in raw.points.iter().enumerate() {
        let single = value as f32;
        if !single.is_finite() {
            let (name, row, column) = (path.display().to_string(), index / dim + 1, index % dim + 1);
            return Err(ItemError::Observation { name, row, column, value }.into());
        }
        values.push(single);
    }
    Ok(Conditions::Observations { dim, values })
}
