//! A user's file: what it is and who reads it.

use std::fs::{self, File};
use std::path::Path;

use super::standard::standardise;
use super::{DataError, Dataset, Scaling, npy, table};

/// What a file holds, as it stands there.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    /// An item's extents.
    pub(super) shape: Vec<usize>,
    /// The items, row-major, all finite.
    pub(super) points: Vec<f64>,
}

impl Raw {
    /// Numbers of an item.
    pub(super) fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    /// The data set that `path` calls.
    pub(super) fn standardised(&self, path: &Path, scaling: Scaling) -> Result<Dataset, DataError> {
        let data = standardise(path, &self.points, self.dim(), scaling)?;
        Ok(data.shaped(self.shape.clone()))
    }
}

/// Reads a data set from a `.csv`, `.tsv` or `.npy` file and standardises it by its own mean and variance.
///
/// A text file holds one point a line and may begin with a header line, that is, a first line with no number in
/// it; blank lines and lines that begin with `#` are skipped. An array is `[rows, columns]` of f32, f64 or an
/// integer type, in C or Fortran order; an array of one dimension is one column, and the axes after the first are an
/// item's shape.
///
/// # Errors
///
/// A [`DataError`] that names the file and, where one is at fault, the cell and its value: NaN or infinity, no
/// rows or one, rows of different lengths, cells that are no numbers, constant columns, an array of another rank
/// or type, a truncated or hostile file, a path that is missing, a directory, or of another extension.
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::read_file;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("points.csv");
/// std::fs::write(&path, "x,y\n0,10\n2,30\n")?;
/// let data = read_file(&path)?;
/// assert_eq!(data.data()[..], [-1.0, -1.0, 1.0, 1.0]);
/// assert_eq!((data.mean(), data.scale()), (&[1.0, 20.0][..], &[1.0, 10.0][..]));
///
/// std::fs::write(&path, "0,10\nnan,30\n")?;
/// assert!(read_file(&path).unwrap_err().to_string().contains("line 2, column 1 is nan"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_file(path: impl AsRef<Path>) -> Result<Dataset, DataError> {
    read_file_scaled(path, Scaling::PerColumn)
}

/// As [`read_file`], its columns divided by what `scaling` says. An overall scale takes constant columns too.
///
/// # Errors
///
/// As there.
///
/// # Examples
///
/// ```
/// use picardy_trainer::data::{Scaling, read_file_scaled};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pixels.csv");
/// std::fs::write(&path, "0,4,1\n2,4,7\n")?;
/// let data = read_file_scaled(&path, Scaling::Overall)?;
/// assert_eq!(data.scale(), [(10f64 / 3.0).sqrt(); 3]); // the variances are 1, 0 and 9
/// assert_eq!(data.row(0).unwrap()[1], 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_file_scaled(path: impl AsRef<Path>, scaling: Scaling) -> Result<Dataset, DataError> {
    let path = path.as_ref();
    read_raw(path)?.standardised(path, scaling)
}

/// The numbers in a `.csv`, `.tsv` or `.npy` file.
pub(super) fn read_raw(path: &Path) -> Result<Raw, DataError> {
    let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if !metadata.is_file() {
        // A device or a pipe may never end.
        let kind = if metadata.is_dir() { "a directory" } else { "a device or a pipe" };
        return Err(DataError::NotAFile { path: path.into(), kind });
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let open = || File::open(path).map_err(|source| unreadable(path, source));
    match extension.as_str() {
        "csv" => table::read(path, open()?, table::Delimiter::Comma),
        "tsv" => table::read(path, open()?, table::Delimiter::Tab),
        "npy" => npy::read(path, open()?, metadata.len()),
        _ => Err(DataError::UnknownExtension { path: path.into(), extension }),
    }
}

/// The error for a file that the system would not give.
pub(super) fn unreadable(path: &Path, source: std::io::Error) -> DataError {
    if source.kind() == std::io::ErrorKind::NotFound {
        let cwd = std::env::current_dir().map_or_else(|_| "unknown".to_owned(), |d| d.display().to_string());
        return DataError::NotFound { path: path.into(), cwd };
    }
    DataError::Io { path: path.into(), source }
}
