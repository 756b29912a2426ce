//! What can be wrong with a data set.

use std::fmt;
use std::path::PathBuf;

use super::ItemError;

/// Why a data set could not be made or read; every message names the value at fault and the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Images, shapes or conditions.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// The name is neither a built-in data set nor a file's.
    #[error(
        "no data set is named \"{name}\": use one of {known}, or a path that ends in .csv, .tsv or .npy, or a folder of .png files"
    )]
    UnknownName {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A number of points that cannot be drawn.
    #[error("cannot draw {asked} points: ask for 1 to {limit}")]
    PointCount {
        /// The points asked for.
        asked: usize,
        /// The most that one call draws.
        limit: usize,
    },
    /// A held-out share that leaves fewer than two rows on one side.
    #[error(
        "cannot hold out {fraction} of {rows} rows: both parts need at least 2 rows, so choose a fraction \
             between 0 and 1 that leaves them"
    )]
    Split {
        /// The share asked for.
        fraction: f64,
        /// The rows there are.
        rows: usize,
    },
    /// Nothing is at the path.
    #[error("{}: there is no such file: check the path (the working directory is {cwd})", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
        /// Where a relative path is looked up.
        cwd: String,
    },
    /// The path is a directory or a device.
    #[error("{}: this is {kind}, not a file: name one .csv, .tsv or .npy file, or (for `train`) a folder of .png files", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// The file's name does not say how to read it.
    #[error("{}: the extension \"{extension}\" is not known: convert the file to .csv, .tsv or .npy", path.display())]
    UnknownExtension {
        /// The file.
        path: PathBuf,
        /// The extension, empty where there is none.
        extension: String,
    },
    /// The operating system's own error.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file holds no numbers at all.
    #[error("{}: the file is empty: a data set needs at least 2 rows of numbers", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Fewer rows than a variance needs.
    #[error("{}: {rows} row(s) of numbers: a data set needs at least 2", path.display())]
    TooFewRows {
        /// The file.
        path: PathBuf,
        /// The rows found.
        rows: usize,
    },
    /// A row of another length than the first.
    #[error("{}: line {line} has {found} cell(s) where the first row has {expected}: every row needs the same \
             number of cells (split at \"{delimiter}\")", path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// The line in the file, from 1.
        line: u64,
        /// The cells in that line.
        found: usize,
        /// The cells in the first row.
        expected: usize,
        /// What separates cells.
        delimiter: &'static str,
    },
    /// A cell that is not a number.
    #[error("{}: {place} is \"{value}\", not a number: fill the cell or remove the row (cells are split at \
             \"{delimiter}\"; a header line must hold no number)", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// Where the cell is.
        place: Place,
        /// The cell, shortened.
        value: String,
        /// What separates cells.
        delimiter: &'static str,
    },
    /// A NaN or an infinity.
    #[error("{}: {place} is {value}, which is not finite: fill the cell or remove the row", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Where the cell is.
        place: Place,
        /// The cell as it stands in the file.
        value: String,
    },
    /// A column that cannot be scaled to unit variance since it does not vary.
    #[error("{}: column {column} is {value} in every row: a constant column has no variance to scale to 1, so \
             remove it, or divide all columns by the overall standard deviation (`--scaling overall`)", path.display())]
    Constant {
        /// The file.
        path: PathBuf,
        /// The column, from 1.
        column: usize,
        /// Its value in the first row.
        value: f64,
    },
    /// Columns that cannot be scaled to unit variance together since none varies.
    #[error("{}: all rows are equal: there is no variance to scale to 1; give rows that differ", path.display())]
    AllConstant {
        /// The file.
        path: PathBuf,
    },
    /// A column whose range overflows f64.
    #[error("{}: column {column} runs from {min:e} to {max:e}, too wide to be scaled to unit variance: rescale it",
             path.display())]
    TooWide {
        /// The file.
        path: PathBuf,
        /// The column, from 1.
        column: usize,
        /// Its least value.
        min: f64,
        /// Its greatest value.
        max: f64,
    },
    /// A column with values that single precision does not reach: samples, which are f32, could not have them.
    #[error("{}: column {column} runs from {min:e} to {max:e}, and samples are written in single precision, which ends \
             at 3.4e38: rescale it", path.display())]
    BeyondSingle {
        /// The file.
        path: PathBuf,
        /// The column, from 1.
        column: usize,
        /// Its least value.
        min: f64,
        /// Its greatest value.
        max: f64,
    },
    /// A column that varies by less than single precision tells apart: samples, which are f32, would all be equal.
    #[error("{}: column {column} runs from {min:?} to {max:?} with a standard deviation of {deviation:e}, which single \
             precision, which samples are written in, does not tell apart there: subtract its mean or rescale it",
             path.display())]
    BelowSingle {
        /// The file.
        path: PathBuf,
        /// The column, from 1.
        column: usize,
        /// Its least value.
        min: f64,
        /// Its greatest value.
        max: f64,
        /// Its standard deviation.
        deviation: f64,
    },
    /// A CSV file that cannot be parsed, an unreadable byte sequence excepted (that is [`DataError::NotANumber`]).
    #[error("{}: not a table of cells: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        reason: String,
    },
    /// A .npy file whose header is not one.
    #[error("{}: not a readable .npy file: {reason}; write it anew with numpy.save", path.display())]
    NpyHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A .npy array without axes.
    #[error("{}: an array of shape {shape:?}: expected [items, columns], [items, height, width, channels], or one axis \
             for a single column; reshape it", path.display())]
    NpyRank {
        /// The file.
        path: PathBuf,
        /// The shape in its header.
        shape: Vec<u64>,
    },
    /// A .npy array of something other than real numbers.
    #[error("{}: elements of type {dtype}: expected f4, f8 or an integer type; convert with astype(numpy.float32)",
             path.display())]
    NpyType {
        /// The file.
        path: PathBuf,
        /// The type in its header.
        dtype: String,
    },
    /// A .npy file that ends before its array does.
    #[error("{}: the header promises shape {shape:?}, {needed} bytes, but {found} bytes follow it: the file is \
             truncated, write it anew", path.display())]
    NpyTruncated {
        /// The file.
        path: PathBuf,
        /// The shape in its header.
        shape: Vec<u64>,
        /// The bytes such an array takes.
        needed: u64,
        /// The bytes there are.
        found: u64,
    },
}

/// A cell of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a text file: the line, as an editor counts it, and the column; both from 1.
    Text {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
    },
    /// In an array: the row and the column, both from 0, as NumPy counts them.
    Array {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { line, column } => write!(f, "line {line}, column {column}"),
            Self::Array { row, column } => write!(f, "element [{row}, {column}]"),
        }
    }
}
