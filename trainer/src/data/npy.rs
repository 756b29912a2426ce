//! NumPy arrays: `.npy`.
//!
//! The `npyz` crate reads the format. It trusts the header, though: it allocates what the header's length field
//! says and multiplies the dimensions unchecked. So the header is checked here before `npyz` sees it, and the
//! array's size against the file's before anything is allocated for it.

use std::io::Read;
use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar};

use super::file::Raw;
use super::{DataError, Place};

/// The longest header read, which is also NumPy's own limit (`max_header_size`).
const MAX_HEADER: usize = 10_000;
/// The deepest nesting of brackets read: a plain array's header has two, a record type's some four.
const MAX_DEPTH: usize = 8;

/// An array of numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Its extents; their product is the number of values.
    pub shape: Vec<usize>,
    /// Its elements, the last axis fastest.
    pub values: Vec<f64>,
}

/// Reads items from a file of `file_len` bytes: the first axis counts them, the others are their shape.
pub(super) fn read(path: &Path, file: impl Read, file_len: u64) -> Result<Raw, DataError> {
    let Array { shape, values } = read_npy(path, file, file_len)?;
    let item = match &shape[..] {
        [_] => vec![1],
        [_, item @ ..] => item.to_vec(),
        [] => return Err(DataError::NpyRank { path: path.into(), shape: Vec::new() }),
    };
    let dim = item.iter().product::<usize>().max(1);
    if let Some(index) = values.iter().position(|p| !p.is_finite()) {
        let place = Place::Array { row: index / dim, column: index % dim };
        return Err(DataError::NotFinite { path: path.into(), place, value: values[index].to_string() });
    }
    Ok(Raw { shape: item, points: values })
}

/// Reads an array of f32, f64 or an integer type, in C or Fortran order, of any rank, from `file_len` bytes of a `.npy` file.
/// `path` is what errors call it.
///
/// # Errors
///
/// A [`DataError`]: a header that is none or lies about its size, another type of elements, an array that is longer
/// than the file. Nothing is allocated for what the file does not hold.
///
/// # Examples
///
/// ```
/// let bytes = b"\x93NUMPY\x01\x00\x3b\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }\x07\x09";
/// let array = picardy_trainer::data::read_npy("two".as_ref(), &bytes[..], bytes.len() as u64)?;
/// assert_eq!((array.shape, array.values), (vec![1, 2], vec![7.0, 9.0]));
/// # Ok::<(), picardy_trainer::data::DataError>(())
/// ```
pub fn read_npy(path: &Path, mut file: impl Read, file_len: u64) -> Result<Array, DataError> {
    let header = read_header(path, &mut file)?;
    let npy = NpyFile::new(header.as_slice()).map_err(|e| bad_header(path, e.to_string()))?;
    let shape = npy.shape().to_vec();
    let other_type = || DataError::NpyType { path: path.into(), dtype: npy.dtype().descr() };
    let DType::Plain(element) = npy.dtype() else { return Err(other_type()) };
    let found = file_len.saturating_sub(header.len() as u64);
    let count = shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
    let needed = count.and_then(|n| n.checked_mul(element.size_field()));
    let needed = needed.ok_or_else(|| bad_header(path, format!("shape {shape:?} overflows")))?;
    if needed > found {
        return Err(DataError::NpyTruncated { path: path.into(), shape, needed, found });
    }
    let array = NpyFile::with_header(npy.header().clone(), std::io::BufReader::new(file));
    let stored = match (element.type_char(), element.size_field()) {
        (TypeChar::Float, 4) => values::<f32>(path, array, f64::from),
        (TypeChar::Float, 8) => values::<f64>(path, array, |v| v),
        (TypeChar::Int, 1) => values::<i8>(path, array, f64::from),
        (TypeChar::Int, 2) => values::<i16>(path, array, f64::from),
        (TypeChar::Int, 4) => values::<i32>(path, array, f64::from),
        (TypeChar::Int, 8) => values::<i64>(path, array, |v| v as f64),
        (TypeChar::Uint, 1) => values::<u8>(path, array, f64::from),
        (TypeChar::Uint, 2) => values::<u16>(path, array, f64::from),
        (TypeChar::Uint, 4) => values::<u32>(path, array, f64::from),
        (TypeChar::Uint, 8) => values::<u64>(path, array, |v| v as f64),
        _ => Err(other_type()),
    }?;
    if stored.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    // The array fits the file and has no zero, so its dimensions fit a usize.
    let shape: Vec<usize> = shape.iter().map(|&extent| extent as usize).collect();
    let values = match npy.order() {
        Order::C => stored,
        Order::Fortran => row_major(&stored, &shape),
    };
    Ok(Array { shape, values })
}

/// Elements stored with the first axis fastest, in the order with the last axis fastest.
fn row_major(stored: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut values = Vec::with_capacity(stored.len());
    for index in 0..stored.len() {
        let (mut rest, mut stride, mut place) = (index, stored.len(), 0);
        for extent in shape.iter().rev() {
            stride /= extent;
            place += rest % extent * stride;
            rest /= extent;
        }
        values.push(stored[place]);
    }
    values
}

/// All elements in stored order. The array is known to fit the file.
fn values<T: npyz::Deserialize>(
    path: &Path,
    array: NpyFile<impl Read>,
    to_f64: fn(T) -> f64,
) -> Result<Vec<f64>, DataError> {
    let dtype = array.dtype();
    let elements =
        array.data::<T>().map_err(|_| DataError::NpyType { path: path.into(), dtype: dtype.descr() })?;
    elements
        .map(|element| element.map(to_f64).map_err(|source| DataError::Io { path: path.into(), source }))
        .collect()
}

/// The file's bytes up to its data, checked so that parsing them can neither overflow nor nest without end.
fn read_header(path: &Path, file: &mut impl Read) -> Result<Vec<u8>, DataError> {
    let bad = |reason: &str| bad_header(path, reason.to_owned());
    let mut header = take(path, file, 8)?;
    if header.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    if header.len() < 8 || !header.starts_with(b"\x93NUMPY") {
        return Err(bad("it does not begin with NumPy's magic bytes"));
    }
    // Version 1 gives the header's length in two bytes, later ones in four.
    let size = take(path, file, if header[6] == 1 { 2 } else { 4 })?;
    let text_len = size.iter().rev().fold(0usize, |len, &byte| len << 8 | usize::from(byte));
    if text_len > MAX_HEADER {
        return Err(bad(&format!("its header claims {text_len} bytes, more than NumPy's own {MAX_HEADER}")));
    }
    let text = take(path, file, text_len)?;
    if text.len() < text_len {
        return Err(bad(&format!("its header claims {text_len} bytes, {} are there", text.len())));
    }
    check_text(&text).map_err(|reason| bad(&reason))?;
    header.extend(size);
    header.extend(text);
    Ok(header)
}

/// Up to `len` bytes, fewer where the file ends.
fn take(path: &Path, file: &mut impl Read, len: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let mut part = file.take(len as u64);
    part.read_to_end(&mut bytes).map_err(|source| DataError::Io { path: path.into(), source })?;
    Ok(bytes)
}

/// Refuses header text on which the parser could overflow: deep nesting, or numbers whose product exceeds u64.
fn check_text(text: &[u8]) -> Result<(), String> {
    if let Some(byte) = text.iter().find(|b| !(b' '..=b'~').contains(b) && **b != b'\n') {
        return Err(format!("its header holds the byte {byte:#04x}, which is not printable ASCII"));
    }
    let (mut depth, mut product) = (0usize, 1u64);
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("its header nests deeper than {MAX_DEPTH} brackets"));
        }
    }
    // Every number in the text is a dimension or an element's size, so their product is the array's size in bytes.
    // Zeros are left out: the strides of an empty array multiply the others all the same.
    for digits in text.split(|b| !b.is_ascii_digit()).filter(|digits| !digits.is_empty()) {
        let digits = String::from_utf8_lossy(digits);
        let factor = digits.parse::<u64>().ok().map(|n| n.max(1));
        product = factor
            .and_then(|n| product.checked_mul(n))
            .ok_or_else(|| format!("its array's size overflows at the number {digits}"))?;
    }
    Ok(())
}

fn bad_header(path: &Path, reason: String) -> DataError {
    DataError::NpyHeader { path: path.into(), reason }
}
