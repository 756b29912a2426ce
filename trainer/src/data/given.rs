//! Data that a program holds in memory.

use super::file::Raw;
use super::{Conditions, DataError, Dataset, ItemError, Place, Scaling};
use std::path::Path;

impl Dataset {
    /// Items from memory, standardised by their own mean and variance: `points` `[n, shape]`, row-major. `name` is what errors
    /// call them.
    ///
    /// # Errors
    ///
    /// [`ItemError::Shape`] for no whole items, [`DataError::NotFinite`], and as [`read_file`](super::read_file): fewer than two items, columns
    /// that do not vary, numbers that single precision does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::data::{Conditions, Dataset, Scaling};
    /// // Three trajectories of two places in the plane, each with what was observed before it.
    /// let points = [0.0, 0.0, 1.0, 0.5, 0.1, 0.0, 1.2, 0.4, 0.0, 0.2, 0.9, 0.7];
    /// let observed = Conditions::Observations { dim: 1, values: vec![0.3, -0.2, 0.1] };
    /// let data = Dataset::from_points("mine", &points, &[2, 2], Scaling::Overall)?.told(observed)?;
    /// assert_eq!((data.len(), data.shape(), data.conditions().width()), (3, &[2, 2][..], 2));
    /// # Ok::<(), picardy_trainer::data::DataError>(())
    /// ```
    pub fn from_points(
        name: &str,
        points: &[f64],
        shape: &[usize],
        scaling: Scaling,
    ) -> Result<Self, DataError> {
        items(name, points, shape)?;
        Raw { shape: shape.to_vec(), points: points.to_vec() }.standardised(Path::new(name), scaling)
    }

    /// Items from memory in coordinates of one's own: `x = (p - mean) / scale`, one number for all. Where guards work on the network's
    /// estimates ([`Limits`](picardy::guard::Limits), obstacles), this keeps a place's coordinates those of the next.
    ///
    /// # Errors
    ///
    /// As [`from_points`](Self::from_points), but nothing need vary; [`ItemError::Affine`] for a scale that is not positive, or a mean or
    /// a scale with which an item is beyond single precision.
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::data::Dataset;
    /// let data = Dataset::from_scaled("mine", &[1.0, 3.0, 5.0, 7.0], &[2], 3.0, 2.0)?;
    /// assert_eq!(data.data()[..], [-1.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), picardy_trainer::data::DataError>(())
    /// ```
    pub fn from_scaled(
        name: &str,
        points: &[f64],
        shape: &[usize],
        mean: f64,
        scale: f64,
    ) -> Result<Self, DataError> {
        let dim = items(name, points, shape)?;
        let affine = || ItemError::Affine { name: name.to_owned(), mean, scale }.into();
        if !(scale > 0.0 && scale.is_finite() && mean.is_finite()) {
            return Err(affine());
        }
        if points.len() < 2 * dim {
            return Err(DataError::TooFewRows { path: name.into(), rows: points.len() / dim });
        }
        if points.iter().any(|p| !(((p - mean) / scale) as f32).is_finite()) {
            return Err(affine());
        }
        let data = Self::standardised(name.to_owned(), points, vec![mean; dim], vec![scale; dim]);
        Ok(data.shaped(shape.to_vec()))
    }

    /// The same items with what a network is told of each.
    ///
    /// # Errors
    ///
    /// [`ItemError::Count`] for another number of them, [`ItemError::Label`], [`ItemError::Observation`] for one that is not
    /// finite.
    pub fn told(self, conditions: Conditions) -> Result<Self, DataError> {
        let (name, items) = (self.name().to_owned(), self.len());
        let count = |found| ItemError::Count {
            name: format!("{name}'s conditions"),
            found,
            data: name.clone(),
            items,
        };
        match &conditions {
            Conditions::None => {}
            Conditions::Labels { classes, labels } => {
                let values: Vec<f64> = labels.iter().map(|label| f64::from(*label)).collect();
                Conditions::labels(&name, &values, *classes)?;
                if labels.len() != items {
                    return Err(count(labels.len()).into());
                }
            }
            Conditions::Observations { dim, values } => {
                if *dim == 0 || values.len() != items.saturating_mul(*dim) {
                    return Err(count(values.len().checked_div(*dim).unwrap_or(0)).into());
                }
                if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                    let (row, column, value) = (index / dim + 1, index % dim + 1, values[index].into());
                    return Err(ItemError::Observation { name, row, column, value }.into());
                }
            }
        }
        Ok(self.with_conditions(conditions))
    }
}

/// Numbers of an item; refuses what is no whole items or not finite.
fn items(name: &str, points: &[f64], shape: &[usize]) -> Result<usize, DataError> {
    let dim = shape.iter().try_fold(1usize, |dim, &extent| dim.checked_mul(extent)).unwrap_or(0);
    if dim == 0 || !points.len().is_multiple_of(dim) {
        return Err(
            ItemError::Shape { name: name.to_owned(), shape: shape.to_vec(), dim: points.len() }.into()
        );
    }
    if let Some(index) = points.iter().position(|p| !p.is_finite()) {
        let place = Place::Array { row: index / dim, column: index % dim };
        return Err(DataError::NotFinite { path: name.into(), place, value: points[index].to_string() });
    }
    Ok(dim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_items_keep_their_shape_and_their_units() {
        let points = [1.0, 3.0, 5.0, 7.0, 2.0, 4.0, 6.0, 8.0];
        let data = Dataset::from_scaled("mine", &points, &[2, 2], 3.0, 2.0).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[2, 2][..]));
        assert_eq!(data.row(1).unwrap()[..], [-0.5, 0.5, 1.5, 2.5]);
        assert_eq!(data.restore(&data.data()), points);
    }

    #[test]
    fn what_is_given_is_checked() {
        let error = |points: &[f64], shape: &[usize], mean, scale| {
            Dataset::from_scaled("mine", points, shape, mean, scale).unwrap_err().to_string()
        };
        assert!(error(&[1.0, 2.0, 3.0], &[2], 0.0, 1.0).contains("[2]"));
        assert!(error(&[1.0; 4], &[2, 0], 0.0, 1.0).contains("[2, 0]"));
        assert!(error(&[], &[2, 0], 0.0, 1.0).contains("[2, 0]"));
        assert!(error(&[1.0; 4], &[usize::MAX, 2], 0.0, 1.0).contains(&usize::MAX.to_string()));
        let nan = error(&[1.0, 1.0, f64::NAN, 1.0], &[2], 0.0, 1.0);
        assert!(nan.contains("NaN") && nan.contains("[1, 0]"), "{nan}");
        assert!(error(&[1.0; 4], &[4], 0.0, 1.0).contains("at least 2"));
        for (mean, scale) in [
            (0.0, 0.0),
            (0.0, -1.0),
            (0.0, f64::NAN),
            (0.0, f64::INFINITY),
            (f64::INFINITY, 1.0),
            (0.0, 1e-300),
        ] {
            assert!(error(&[1.0; 4], &[2], mean, scale).contains(&format!("{scale:e}")), "{mean} {scale}");
        }
        let error = |points: &[f64], shape: &[usize]| {
            Dataset::from_points("mine", points, shape, Scaling::PerColumn).unwrap_err().to_string()
        };
        assert!(error(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2]).contains("[2]"));
        assert!(error(&[], &[0]).contains("[0]"));
        assert!(error(&[1.0, f64::INFINITY, 2.0, 3.0], &[2]).contains("[0, 1]"));
        assert!(error(&[1.0; 4], &[2]).contains("mine"));
        let data = Dataset::from_scaled("mine", &[1.0; 4], &[2], 0.0, 1.0).unwrap();
        let told = |conditions| data.clone().told(conditions).unwrap_err().to_string();
        assert!(told(Conditions::Observations { dim: 0, values: vec![] }).contains("0 conditions"));
        assert!(told(Conditions::Observations { dim: 3, values: vec![0.0; 9] }).contains("3 conditions"));
        let seen = told(Conditions::Observations { dim: 2, values: vec![0.0, 0.0, f32::NAN, 0.0] });
        assert!(seen.contains("row 2") && seen.contains("column 1"), "{seen}");
        assert!(told(Conditions::Labels { classes: 2, labels: vec![0, 2] }).contains("label 2"));
        assert!(told(Conditions::Labels { classes: 2, labels: vec![0] }).contains("1 conditions"));
    }
}
