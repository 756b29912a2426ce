//! Handwritten digits: images of 8 by 8 pixels.

use std::path::Path;

use super::{DataError, Dataset, Scaling, npy};

/// The file, pixels of 0 to 16.
static FILE: &[u8] = include_bytes!("../../data/digits.npy");

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
    npy::read(Path::new("digits"), FILE, FILE.len() as u64, Scaling::Overall)
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
        let pixels = digits.restore(digits.row(0).unwrap());
        let row: Vec<i64> = pixels[8..16].iter().map(|p| p.round() as i64).collect();
        assert_eq!(row, [0, 0, 13, 15, 10, 15, 5, 0]);
    }
}
