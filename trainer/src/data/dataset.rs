//! The data set: standardised rows and the affine map back.

use super::DataError;
use crate::rng::Rng;

/// The stream of [`Dataset::split`]'s shuffle, apart from those that draw points.
const SPLIT_STREAM: u64 = 0x5350_4C49_5400_0000;

/// n points of d coordinates, standardised: x = (p - mean) / scale.
///
/// `data` is row-major `[n, d]`; `mean` and `scale` hold one number a coordinate. Every value is finite and
/// every scale is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    dim: usize,
    data: Vec<f32>,
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Dataset {
    /// Standardises `points`, row-major `[n, mean.len()]`. The caller has checked that the scales are positive.
    pub(crate) fn standardised(name: String, points: &[f64], mean: Vec<f64>, scale: Vec<f64>) -> Self {
        let dim = mean.len();
        let data =
            points.iter().enumerate().map(|(i, p)| ((p - mean[i % dim]) / scale[i % dim]) as f32).collect();
        Self { name, dim, data, mean, scale }
    }

    /// What the set is called: a built-in name, or the file's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The standardised points, row-major `[len, dim]`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Coordinates of a point, d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Points, n.
    pub fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there are no points. No constructor makes such a set.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Point `index`, `[dim]`, or `None` past the end.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.data.chunks_exact(self.dim).nth(index)
    }

    /// The points one by one, each `[dim]`.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.dim)
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
    /// let points = dino.restore(dino.data());
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
        let part = |chosen: &[usize]| {
            let data =
                chosen.iter().flat_map(|&i| &self.data[i * self.dim..(i + 1) * self.dim]).copied().collect();
            Self {
                data,
                name: self.name.clone(),
                dim: self.dim,
                mean: self.mean.clone(),
                scale: self.scale.clone(),
            }
        };
        Ok((part(&order[held..]), part(&order[..held])))
    }
}
