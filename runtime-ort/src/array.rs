//! Arrays that a model is conditioned on: what the caller has, before it is the model's type.

use std::{fs, io, path::Path};

use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};

/// The longest header of a `.npy` file that is read, which is NumPy's own limit too.
const MAX_HEADER: usize = 10_000;
/// The deepest nesting of brackets in it: a plain array's has two.
const MAX_DEPTH: usize = 8;

/// An array of any rank, row-major: of floats (an embedding, an image, an observation) or of whole
/// numbers (a class's label, a text's tokens, a mask).
///
/// ```
/// use picardy_ort::Array;
/// let label = Array::integers(&[1], vec![207])?;
/// let embedding = Array::floats(&[77, 768], vec![0.0; 77 * 768])?;
/// assert_eq!((label.shape(), embedding.shape()), (&[1][..], &[77, 768][..]));
/// assert!(Array::floats(&[2, 2], vec![0.0; 3]).is_err());
/// # Ok::<(), picardy_ort::ArrayError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    pub(crate) numbers: Numbers,
}

/// The elements of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// Why there is no array.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The values are not as many as the shape says.
    #[error("{got} numbers are no array of shape {shape:?}: give as many as the product of its extents")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// The values given.
        got: usize,
    },
    /// The file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no array of numbers.
    #[error(
        "`{path}` is no .npy array that can be read: {what}. Write it with numpy.save, as floats, integers or truth values"
    )]
    NotAnArray {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Array {
    /// Floats of this shape.
    ///
    /// # Errors
    /// [`ArrayError::Length`].
    pub fn floats(shape: &[usize], values: Vec<f32>) -> Result<Self, ArrayError> {
        Self::new(shape, values.len(), Numbers::Floats(values))
    }

    /// Whole numbers of this shape.
    ///
    /// # Errors
    /// [`ArrayError::Length`].
    pub fn integers(shape: &[usize], values: Vec<i64>) -> Result<Self, ArrayError> {
        Self::new(shape, values.len(), Numbers::Integers(values))
    }

    fn new(shape: &[usize], got: usize, numbers: Numbers) -> Result<Self, ArrayError> {
        let count = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        if count != Some(got) {
            return Err(ArrayError::Length { shape: shape.to_vec(), got });
        }
        Ok(Self { shape: shape.to_vec(), numbers })
    }

    /// Reads a `.npy` file of floats (f64 is rounded to f32), integers or truth values, in C order.
    ///
    /// # Errors
    /// [`ArrayError::Read`] and [`ArrayError::NotAnArray`]. Nothing is allocated for what a header says and the
    /// file does not hold.
    pub fn read_npy(path: &Path) -> Result<Self, ArrayError> {
        let name = || path.display().to_string();
        let bytes = fs::read(path).map_err(|source| ArrayError::Read { path: name(), source })?;
        Self::parse_npy(&bytes).map_err(|what| ArrayError::NotAnArray { path: name(), what })
    }

    fn parse_npy(bytes: &[u8]) -> Result<Self, String> {
        check_header(bytes)?;
        let npy = NpyFile::new(bytes).map_err(|error| error.to_string())?;
        let DType::Plain(element) = npy.dtype() else {
            return Err(format!("its elements are {}", npy.dtype().descr()));
        };
        if npy.order() == Order::Fortran && npy.shape().len() > 1 {
            return Err("it is in Fortran order; save numpy.ascontiguousarray of it".to_owned());
        }
        let shape: Option<Vec<usize>> =
            npy.shape().iter().map(|&extent| usize::try_from(extent).ok()).collect();
        let bytes_needed = shape.as_ref().and_then(|shape| {
            let count = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
            count?.checked_mul(usize::try_from(element.size_field()).ok()?)
        });
        let (Some(shape), Some(0..)) = (shape, bytes_needed.filter(|&needed| needed <= bytes.len())) else {
            return Err(format!("its shape is {:?}, and it has {} bytes", npy.shape(), bytes.len()));
        };
        let numbers = match (element.type_char(), element.size_field()) {
            (TypeChar::Float, 2) => Numbers::Floats(values(npy, half::f16::to_f32)?),
            (TypeChar::Float, 4) => Numbers::Floats(values(npy, |v: f32| v)?),
            (TypeChar::Float, 8) => Numbers::Floats(values(npy, |v: f64| v as f32)?),
            (TypeChar::Int, 1) => Numbers::Integers(values(npy, |v: i8| v.into())?),
            (TypeChar::Int, 2) => Numbers::Integers(values(npy, |v: i16| v.into())?),
            (TypeChar::Int, 4) => Numbers::Integers(values(npy, |v: i32| v.into())?),
            (TypeChar::Int, 8) => Numbers::Integers(values(npy, |v: i64| v)?),
            (TypeChar::Uint, 1) => Numbers::Integers(values(npy, |v: u8| v.into())?),
            (TypeChar::Uint, 2) => Numbers::Integers(values(npy, |v: u16| v.into())?),
            (TypeChar::Uint, 4) => Numbers::Integers(values(npy, |v: u32| v.into())?),
            (TypeChar::Bool, _) => Numbers::Integers(values(npy, |v: bool| v.into())?),
            _ => return Err(format!("its elements are {}", npy.dtype().descr())),
        };
        Ok(Self { shape, numbers })
    }

    /// Its extents, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
}

/// `npyz` allocates what the header's length field says, follows its brackets by recursion and multiplies its
/// extents unchecked, so all three are looked at before.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let Some(b"\x93NUMPY") = bytes.get(..6) else {
        return Err("it does not begin as one".to_owned());
    };
    let (start, length) = match (bytes.get(6), bytes.get(8..12)) {
        (Some(1), Some(&[a, b, ..])) => (10, usize::from(u16::from_le_bytes([a, b]))),
        (Some(2 | 3), Some(&[a, b, c, d])) => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return Err("its version is none that is known".to_owned()),
    };
    if length > MAX_HEADER {
        return Err(format!("its header says that it is {length} bytes long"));
    }
    let header = bytes.get(start..start + length).ok_or("it ends within its header")?;
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > MAX_DEPTH {
        return Err("its header is nested too deeply".to_owned());
    }
    let header = String::from_utf8_lossy(header);
    let shape = header.split_once("shape").and_then(|(_, rest)| rest.split_once('('));
    let shape = shape.and_then(|(_, rest)| rest.split_once(')')).map_or("?", |(shape, _)| shape);
    let extents = shape.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    let mut count = Some(1u64);
    for extent in extents {
        count = count.zip(extent.parse::<u64>().ok()).and_then(|(count, extent)| count.checked_mul(extent));
    }
    // An element has a byte at least.
    match count {
        Some(count) if count <= bytes.len() as u64 => Ok(()),
        _ => Err(format!("its shape is ({shape}), and it has {} bytes", bytes.len())),
    }
}

fn values<T: Deserialize, U>(npy: NpyFile<&[u8]>, convert: impl Fn(T) -> U) -> Result<Vec<U>, String> {
    let data = npy.data::<T>().map_err(|error| error.to_string())?;
    data.map(|value| value.map(&convert)).collect::<io::Result<_>>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_of_each_type_are_read() {
        let read =
            |descr, data: &[u8]| Array::parse_npy(&npy(descr, "False", "(1, 2)", data)).unwrap().numbers;
        assert_eq!(read("<f4", &[0, 0, 128, 63, 0, 0, 0, 64]), Numbers::Floats(vec![1.0, 2.0]));
        assert_eq!(read("<f2", &[0, 60, 0, 64]), Numbers::Floats(vec![1.0, 2.0]));
        assert_eq!(read("<i2", &[1, 0, 255, 255]), Numbers::Integers(vec![1, -1]));
        assert_eq!(read("|u1", &[1, 255]), Numbers::Integers(vec![1, 255]));
        assert_eq!(read("|b1", &[1, 0]), Numbers::Integers(vec![1, 0]));
        let scalar = Array::parse_npy(&npy("|u1", "False", "()", &[9])).unwrap();
        assert_eq!(scalar, Array::integers(&[], vec![9]).unwrap());
    }

    #[test]
    fn files_that_lie_are_refused() {
        let cases = [
            (npy("<f4", "False", "(1000000000, 1000000000)", &[0; 8]), "shape"),
            (npy("<f4", "False", "(18446744073709551615, 18446744073709551615)", &[0; 8]), "shape"),
            (npy("<f4", "False", "(100,)", &[0; 8]), "shape"),
            (npy("<c8", "False", "(1,)", &[0; 8]), "c8"),
            (npy("|S4", "False", "(2,)", &[0; 8]), "S4"),
            (npy("<f4", "True", "(1, 2)", &[0; 8]), "Fortran"),
            (npy("<f4", "False", &"(".repeat(5000), &[]), "nested"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "4294967295 bytes"),
            (b"\x93NUMPY\x01\x00\xff\x00".to_vec(), ""),
            (b"\x93NUMPY\x09\x00\xff\x00aa".to_vec(), "version"),
            (b"hello".to_vec(), "begin"),
            (Vec::new(), "begin"),
        ];
        for (bytes, part) in cases {
            let error = Array::parse_npy(&bytes).unwrap_err();
            assert!(error.contains(part), "{error}: {part}");
        }
    }
}
