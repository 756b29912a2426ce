//! The data set: standardised rows and the affine map back.

use super::storage::Values;
use super::{Conditions, DataError, Stored};
use crate::rng::Rng;
use std::borrow::Cow;

/// The stream of [`Dataset::split`]'s shuffle, apart from those that draw points.
const SPLIT_STREAM: u64 = 0x5350_4C49_5400_0000;

/// n items of d coordinates, standardised: x = (p - mean) / scale.
///
/// `data` is row-major `[n, d]`; `mean` and `scale` hold one number a coordinate. Every value is finite and
/// every scale is positive. An item has a shape, whose extents multiply to d (`[d]` where nothing else is said), and may have a
/// condition that a network is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    dim: usize,
    shape: Vec<usize>,
    values: Values,
    conditions: Conditions,
    /// Where the items were before a split.
    places: Option<Vec<usize>>,
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Dataset {
    /// Standardises `points`, row-major `[n, mean.len()]`. The caller has checked that the scales are positive.
    pub(crate) fn standardised(name: String, points: &[f64], mean: Vec<f64>, scale: Vec<f64>) -> Self {
        let dim = mean.len();
        let data =
            points.iter().enumerate().map(|(i, p)| ((p - mean[i % dim]) / scale[i % dim]) as f32).collect();
        let (values, conditions) = (Values::F32(data), Conditions::None);
        Self { name, dim, shape: vec![dim], values, conditions, places: None, mean, scale }
    }

    /// The same items, of a shape whose extents multiply to d.
    pub(crate) fn shaped(self, shape: Vec<usize>) -> Self {
        Self { shape, ..self }
    }

    /// The same items with their conditions, one each.
    pub(crate) fn with_conditions(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// The same items, rounded to what `stored` holds (numbers beyond half precision's range become its largest).
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::data::{Builtin, Stored};
    /// let dino = Builtin::Dino.sample(10, 1)?;
    /// let half = dino.clone().stored(Stored::F16);
    /// for (x, rounded) in dino.data().iter().zip(half.data().iter()) {
    ///     assert!((x - rounded).abs() <= x.abs() / 2048.0);
    /// }
    /// # Ok::<(), picardy_trainer::data::DataError>(())
    /// ```
    #[must_use]
    pub fn stored(self, stored: Stored) -> Self {
        let values = if stored == Stored::F32 { self.values } else { self.values.stored(stored) };
        Self { values, ..self }
    }

    /// What the set is called: a built-in name, or the file's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The standardised items, row-major `[len, dim]`; a copy where they are not kept as f32.
    pub fn data(&self) -> Cow<'_, [f32]> {
        self.values.all()
    }

    /// An item's extents, which multiply to d.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What a network is told of each item.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Item `index`, which is below [`len`](Self::len), into `out` `[dim]`.
    ///
    /// # Panics
    ///
    /// Where there is no such item.
    pub fn copy_item(&self, index: usize, out: &mut [f32]) {
        self.values.copy(index * self.dim, out);
    }

    /// Where item `index` was in the whole set before it was [split](Self::split).
    pub fn original(&self, index: usize) -> usize {
        self.places.as_ref().and_then(|places| places.get(index)).copied().unwrap_or(index)
    }

    /// The mean of the standardised numbers' squares.
    pub fn mean_square(&self) -> f64 {
        let mut row = vec![0.0; self.dim];
        let mut sum = 0.0;
        for index in 0..self.len() {
            self.copy_item(index, &mut row);
            for x in &row {
                sum += f64::from(*x).powi(2);
            }
        }
        sum / self.values.len() as f64
    }

    /// Coordinates of a point, d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Points, n.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there are no points. No constructor makes such a set.
    pub fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// Point `index`, `[dim]`, or `None` past the end.
    pub fn row(&self, index: usize) -> Option<Cow<'_, [f32]>> {
        if index >= self.len() {
            return None;
        }
        let range = index * self.dim..(index + 1) * self.dim;
        if let Values::F32(values) = &self.values {
            return values.get(range).map(Cow::Borrowed);
        }
        let mut row = vec![0.0; self.dim];
        self.copy_item(index, &mut row);
        Some(Cow::Owned(row))
    }

    /// The points one by one, each `[dim]`.
    pub fn rows(&self) -> impl Iterator<Item = Cow<'_, [f32]>> {
        (0..self.len()).filter_map(|index| self.row(index))
    }

    /// What was subtracted from each coordinate, `[dim]`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What each coordinate was divided by, `[dim]`.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Maps standardised rows back: p = mean + scale x, row-major `[m, dim]` in and out.
    ///
    /// A last row that is cut short is mapped as far as it goes.
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::data::Builtin;
    ///
    /// let dino = Builtin::Dino.sample(100, 1)?;
    /// let points = dino.restore(&dino.data());
    /// assert!(points.iter().all(|p| (0.0..105.0).contains(p))); // the datasaurus' own coordinates
    /// # Ok::<(), picardy_trainer::data::DataError>(())
    /// ```
    pub fn restore(&self, rows: &[f32]) -> Vec<f64> {
        let affine =
            |(i, &x): (usize, &f32)| self.mean[i % self.dim] + self.scale[i % self.dim] * f64::from(x);
        rows.iter().enumerate().map(affine).collect()
    }

    /// Splits off a held-out part, `round(fraction n)` rows chosen by `seed`: (rest, held out).
    ///
    /// Both parts keep the whole set's mean and scale, so that they share their coordinates.
    ///
    /// # Errors
    ///
    /// [`DataError::Split`] where a part would have fewer than two rows or `fraction` is not a number.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let rows = self.len();
        // A float cast saturates and sends NaN to 0, so every fraction lands in range or is refused here.
        let held = (fraction * rows as f64).round() as usize;
        if held < 2 || held.saturating_add(2) > rows {
            return Err(DataError::Split { fraction, rows });
        }
        let mut order: Vec<usize> = (0..rows).collect();
        Rng::new(seed, SPLIT_STREAM).shuffle(&mut order);
        let part = |chosen: &[usize]| Self {
            values: self.values.rows(chosen, self.dim),
            conditions: self.conditions.rows(chosen),
            places: Some(chosen.iter().map(|&i| self.original(i)).collect()),
            name: self.name.clone(),
            shape: self.shape.clone(),
            dim: self.dim,
            mean: self.mean.clone(),
            scale: self.scale.clone(),
        };
        Ok((part(&order[held..]), part(&order[..held])))
    }
}
