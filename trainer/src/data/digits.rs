//! Handwritten digits: images of 8 by 8 pixels.

use std::path::Path;

use super::{DataError, Dataset, Scaling, npy};

/// The file, pixels of 0 to 16.
static FILE: &[u8] = include_bytes!("../../data/digits.npy");

/// The labels, 0 to 9.
static LABELS: &[u8] = include_bytes!("../../data/digits-labels.npy");

/// The 1797 handwritten digits of scikit-learn's `load_digits`, `[1797, 64]`: images of 8 by 8 pixels, each pixel's
/// mean subtracted, all divided by the overall standard deviation ([`Scaling::Overall`]).
///
/// It is `trainer/data/digits.npy`, which `picardy-train train --data trainer/data/digits.npy --scaling overall` trains
/// on. The data set is E. Alpaydin's and C. Kaynak's (UCI, CC BY 4.0).
///
/// # Errors
///
/// None but those of a build whose file is another.
///
/// # Examples
///
/// ```
/// let digits = picardy_trainer::data::digits()?;
/// assert_eq!((digits.len(), digits.dim()), (1797, 64));
/// let variance = digits.data().iter().map(|x| f64::from(x * x)).sum::<f64>() / digits.data().len() as f64;
/// assert!((variance - 1.0).abs() < 1e-6);
/// # Ok::<(), picardy_trainer::data::DataError>(())
/// ```
pub fn digits() -> Result<Dataset, DataError> {
    digits_scaled(Scaling::Overall)
}

/// As [`digits`], scaled so; items are [8, 8, 1].
pub(super) fn digits_scaled(scaling: Scaling) -> Result<Dataset, DataError> {
    let name = Path::new("digits");
    Ok(npy::read(name, FILE, FILE.len() as u64)?.standardised(name, scaling)?.shaped(vec![8, 8, 1]))
}

/// The digits' labels, 0 to 9, in the order of the images.
///
/// # Errors
///
/// As [`digits`].
///
/// # Examples
///
/// ```
/// let labels = picardy_trainer::data::digit_labels()?;
/// assert_eq!((labels.len(), &labels[..12]), (1797, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1][..]));
/// # Ok::<(), picardy_trainer::data::DataError>(())
/// ```
pub fn digit_labels() -> Result<Vec<u32>, DataError> {
    let array = npy::read_npy(Path::new("digits' labels"), LABELS, LABELS.len() as u64)?;
    // Whole numbers of 0 to 9.
    Ok(array.values.iter().map(|&label| label as u32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_scikit_learns() {
        let digits = digits().unwrap();
        // numpy: (x - x.mean(0)).std() of the pixels 0 to 16.
        assert!(digits.scale().iter().all(|scale| (scale - 4.332_794_164_426_796).abs() < 1e-12));
        // The corner is paper in every image.
        assert_eq!((digits.mean()[0], digits.row(5).unwrap()[0]), (0.0, 0.0));
        // The first image is a zero; its second row of pixels begins so.
        let pixels = digits.restore(&digits.row(0).unwrap());
        let row: Vec<i64> = pixels[8..16].iter().map(|p| p.round() as i64).collect();
        assert_eq!(row, [0, 0, 13, 15, 10, 15, 5, 0]);
    }
}
