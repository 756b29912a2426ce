//! Which data a run is trained on.

use super::condition::{read_labels, read_observations};
use super::digits::{digit_labels, digits_scaled};
use super::file::read_raw;
use super::{Conditions, DataError, Dataset, ItemError, Scaling, Source, Stored, images};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What coordinates are divided by, where it may be left to the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingChoice {
    /// Overall for images, per column otherwise.
    #[default]
    Auto,
    /// [`Scaling::PerColumn`].
    PerColumn,
    /// [`Scaling::Overall`].
    Overall,
}

impl ScalingChoice {
    fn of(self, images: bool) -> Scaling {
        match self {
            Self::Auto if images => Scaling::Overall,
            Self::Auto | Self::PerColumn => Scaling::PerColumn,
            Self::Overall => Scaling::Overall,
        }
    }
}

impl From<Scaling> for ScalingChoice {
    fn from(scaling: Scaling) -> Self {
        match scaling {
            Scaling::PerColumn => Self::PerColumn,
            Scaling::Overall => Self::Overall,
        }
    }
}

/// The section `[data]` of a configuration.
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::DataConfig;
/// let config = DataConfig { source: "digits".into(), labels: "own".into(), ..DataConfig::default() };
/// let digits = config.load(0)?;
/// assert_eq!((digits.shape(), digits.conditions().width()), (&[8, 8, 1][..], 10));
/// # Ok::<(), picardy_trainer::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// A built-in set, `digits`, a `.csv`, `.tsv` or `.npy` file, or a folder of `.png` files.
    pub source: String,
    /// The points drawn from a built-in distribution.
    pub points: usize,
    /// What centred coordinates are divided by.
    pub scaling: ScalingChoice,
    /// An item's extents, such as [8, 8, 1]; empty: the file's own.
    pub shape: Vec<usize>,
    /// Labels: a file of one a row, `own`, or empty.
    pub labels: String,
    /// The column of the data's own file that is the label, from 1; 0: none.
    pub label_column: usize,
    /// How many classes there are; 0: the largest label and one.
    pub classes: usize,
    /// Observations: a file of one vector a row, or empty.
    pub observations: String,
    /// The part of the items that is not trained on but evaluated with, in [0, 1).
    pub held_out: f64,
    /// What the items are kept as in memory.
    pub stored: Stored,
    /// Whether images are mirrored left to right, each with probability 1/2 each time it is drawn.
    pub flip: bool,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "dino".into(),
            points: 8000,
            scaling: ScalingChoice::Auto,
            shape: Vec::new(),
            labels: String::new(),
            label_column: 0,
            classes: 0,
            observations: String::new(),
            held_out: 0.0,
            stored: Stored::F32,
            flip: false,
        }
    }
}

impl DataConfig {
    /// Where the data come from.
    ///
    /// # Errors
    /// As [`Source`]'s `from_str`.
    pub fn source(&self) -> Result<Source, DataError> {
        self.source.parse()
    }

    /// All items with their shape and conditions; built-in distributions are drawn with `seed`.
    ///
    /// # Errors
    /// [`DataError`]: see [`read_file`](super::read_file), and [`ItemError`] for shapes, images and conditions.
    pub fn load(&self, seed: u64) -> Result<Dataset, DataError> {
        let set = |first: bool, second: bool, names: [&'static str; 2]| match first && second {
            true => Err(ItemError::Both { first: names[0], second: names[1] }),
            false => Ok(()),
        };
        set(!self.labels.is_empty(), self.label_column > 0, ["labels", "label-column"])?;
        set(!self.labels.is_empty(), !self.observations.is_empty(), ["labels", "observations"])?;
        set(self.label_column > 0, !self.observations.is_empty(), ["label-column", "observations"])?;
        let source = self.source()?;
        let mut column = Conditions::None;
        let mut data = match &source {
            Source::Builtin(builtin) => builtin.sample_scaled(self.points, seed, self.scaling.of(false))?,
            Source::Digits => digits_scaled(self.scaling.of(true))?,
            Source::File(path) if path.is_dir() => {
                images::read(path)?.standardised(path, self.scaling.of(true))?
            }
            Source::File(path) => {
                let mut raw = read_raw(path)?;
                if self.label_column > 0 {
                    column = self.take_column(path, &mut raw.points, raw.shape.iter().product())?;
                    raw.shape = vec![raw.dim() - 1];
                }
                raw.standardised(path, self.scaling.of(false))?
            }
        };
        if self.label_column > 0 && column == Conditions::None {
            let (column, name, columns) = (self.label_column, data.name().to_owned(), 0);
            return Err(ItemError::Column { name, column, columns }.into());
        }
        if !self.shape.is_empty() {
            let (name, shape, dim) = (data.name().to_owned(), self.shape.clone(), data.dim());
            let product = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
            if product != Some(dim) {
                return Err(ItemError::Shape { name, shape, dim }.into());
            }
            data = data.shaped(shape);
        }
        if self.flip && data.shape().len() != 3 {
            let (name, shape) = (data.name().to_owned(), data.shape().to_vec());
            return Err(ItemError::Flip { name, shape }.into());
        }
        let (conditions, name) = match (&self.labels[..], &self.observations[..]) {
            ("", "") => (column, ""),
            ("own", _) if source == Source::Digits => {
                let labels: Vec<f64> = digit_labels()?.into_iter().map(f64::from).collect();
                (Conditions::labels("digits", &labels, self.classes)?, "digits")
            }
            ("own", _) => return Err(ItemError::NoLabels { name: data.name().to_owned() }.into()),
            ("", file) => (read_observations(Path::new(file))?, file),
            (file, _) => (read_labels(Path::new(file), self.classes)?, file),
        };
        if let Some(found) = conditions.items().filter(|&found| found != data.len()) {
            let (name, data, items) = (name.to_owned(), data.name().to_owned(), data.len());
            return Err(ItemError::Count { name, found, data, items }.into());
        }
        Ok(data.with_conditions(conditions).stored(self.stored))
    }

    /// Takes the column of labels out of rows of `columns`.
    fn take_column(
        &self,
        path: &Path,
        points: &mut Vec<f64>,
        columns: usize,
    ) -> Result<Conditions, DataError> {
        let (name, column) = (path.display().to_string(), self.label_column);
        if column > columns || columns < 2 {
            return Err(ItemError::Column { name, column, columns }.into());
        }
        let labels: Vec<f64> = points.iter().skip(column - 1).step_by(columns).copied().collect();
        let mut index = 0;
        points.retain(|_| {
            index += 1;
            (index - 1) % columns != column - 1
        });
        Conditions::labels(&name, &labels, self.classes)
    }
}
