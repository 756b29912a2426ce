//! A safetensors file read in place.
//!
//! The file is 8 bytes of little-endian header length, the header (JSON), and the data that its offsets point into
//! (<https://github.com/huggingface/safetensors>). The bytes may come from anywhere: everything is checked when they
//! are parsed, nothing is allocated, and a file that passes can be read without further surprises.

use half::f16;
use half::slice::HalfBitsSliceExt;

use super::ArtifactError;
use super::json::Reader;

/// The longest header that is read, in bytes. It bounds the work that a hostile file can cause.
pub const MAX_HEADER: usize = 128 * 1024;
/// The most tensors of a file.
pub const MAX_TENSORS: usize = 256;
/// The most axes of a tensor.
pub const MAX_RANK: usize = 4;

/// The name under which the header keeps the metadata.
const METADATA: &str = "__metadata__";

#[cfg(target_endian = "big")]
compile_error!(
    "picardy's `nn` reads little-endian weights in place: build without the feature on this target"
);

/// Bytes at an address that weights can be read from in place.
///
/// # Examples
///
/// ```
/// use picardy::nn::Aligned;
/// // In firmware: `&Aligned(*include_bytes!("model.safetensors"))`.
/// static MODEL: &Aligned<[u8]> = &Aligned(*b"...");
/// assert_eq!(MODEL.0.as_ptr() as usize % 16, 0);
/// ```
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// A tensor's element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// 8-bit whole numbers, -128 to 127.
    I8,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }
}

/// A tensor in an artifact's bytes.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    dtype: Dtype,
    shape: [usize; MAX_RANK],
    rank: usize,
    bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        self.shape.get(..self.rank).unwrap_or(&self.shape)
    }

    /// The elements, in place.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::WrongDtype`] where they are not F32, [`ArtifactError::Misaligned`] where the artifact's bytes
    /// do not lie on a multiple of 4.
    pub fn f32(&self) -> Result<&'a [f32], ArtifactError> {
        if self.dtype != Dtype::F32 {
            return Err(ArtifactError::WrongDtype);
        }
        bytemuck::try_cast_slice(self.bytes).map_err(|_| ArtifactError::Misaligned { alignment: 4 })
    }

    /// The elements, in place.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::WrongDtype`] where they are not F16, [`ArtifactError::Misaligned`] where the artifact's bytes
    /// do not lie on a multiple of 2.
    pub fn f16(&self) -> Result<&'a [f16], ArtifactError> {
        if self.dtype != Dtype::F16 {
            return Err(ArtifactError::WrongDtype);
        }
        let bits: &'a [u16] =
            bytemuck::try_cast_slice(self.bytes).map_err(|_| ArtifactError::Misaligned { alignment: 2 })?;
        Ok(bits.reinterpret_cast())
    }

    /// The elements, in place.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::WrongDtype`] where they are not I8.
    pub fn i8(&self) -> Result<&'a [i8], ArtifactError> {
        if self.dtype != Dtype::I8 {
            return Err(ArtifactError::WrongDtype);
        }
        Ok(bytemuck::cast_slice(self.bytes))
    }
}

/// A parsed safetensors file: its checked header and its data.
#[derive(Debug, Clone, Copy)]
pub struct Artifact<'a> {
    header: &'a str,
    data: &'a [u8],
    tensors: usize,
}

impl<'a> Artifact<'a> {
    /// Checks the whole header against the bytes.
    ///
    /// # Errors
    ///
    /// An [`ArtifactError`] that says what is wrong; the bytes are never trusted further than they were checked.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        let truncated = |needed: u64| ArtifactError::Truncated { needed, got: bytes.len() };
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or(truncated(8))?;
        let length = u64::from_le_bytes(*length);
        let header = usize::try_from(length).unwrap_or(usize::MAX);
        if header > MAX_HEADER {
            return Err(ArtifactError::HeaderTooLong { length });
        }
        let (header, data) = rest.split_at_checked(header).ok_or(truncated(length + 8))?;
        let header =
            core::str::from_utf8(header).map_err(|e| ArtifactError::NotUtf8 { offset: e.valid_up_to() })?;
        let mut artifact = Self { header, data, tensors: 0 };
        artifact.check()?;
        Ok(artifact)
    }

    /// The metadata's value under `key`.
    pub fn metadata(&self, key: &str) -> Option<&'a str> {
        let mut found = None;
        self.each(|entry| {
            if let Entry::Metadata { key: name, value } = entry {
                if name == key {
                    found = Some(value);
                }
            }
            Ok(())
        })
        .ok()?;
        found
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors
    }

    /// Whether there is no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.tensors == 0
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Missing`] where there is none.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'a>, ArtifactError> {
        let mut found = Err(ArtifactError::Missing);
        self.each(|entry| {
            if let Entry::TensorView { name: other, layout } = entry {
                if other == name {
                    let bytes = self.data.get(layout.begin..layout.end).ok_or(ArtifactError::Missing)?;
                    found =
                        Ok(TensorView { dtype: layout.dtype, shape: layout.shape, rank: layout.rank, bytes });
                }
            }
            Ok(())
        })?;
        found
    }

    /// Calls `visit` with every tensor's name, in the header's order.
    pub fn names(&self, mut visit: impl FnMut(&'a str)) {
        // The header was checked when it was parsed, so this cannot fail.
        let _ = self.each(|entry| {
            if let Entry::TensorView { name, .. } = entry {
                visit(name);
            }
            Ok(())
        });
    }

    /// Every rule that takes the whole header: each entry is compared with the ones before it.
    fn check(&mut self) -> Result<(), ArtifactError> {
        let (mut tensors, mut keys, mut metadata_objects, mut used) = (0usize, 0usize, 0usize, 0usize);
        self.each(|entry| {
            match entry {
                Entry::MetadataObject => {
                    metadata_objects += 1;
                    if metadata_objects > 1 {
                        return Err(ArtifactError::Duplicate { entry: tensors });
                    }
                }
                Entry::Metadata { key, .. } => {
                    if keys >= MAX_TENSORS {
                        return Err(ArtifactError::TooManyTensors);
                    }
                    self.check_key(key, keys)?;
                    keys += 1;
                }
                Entry::TensorView { name, layout } => {
                    if tensors >= MAX_TENSORS {
                        return Err(ArtifactError::TooManyTensors);
                    }
                    self.check_tensor(name, &layout, tensors)?;
                    used = used.saturating_add(layout.end - layout.begin);
                    tensors += 1;
                }
            }
            Ok(())
        })?;
        // No two overlap, so the sum of their sizes is what they cover.
        if used != self.data.len() {
            return Err(ArtifactError::Unused { bytes: self.data.len().saturating_sub(used) });
        }
        self.tensors = tensors;
        Ok(())
    }

    /// `key` is metadata entry number `index`: no earlier one may have its name.
    fn check_key(&self, key: &str, index: usize) -> Result<(), ArtifactError> {
        let mut seen = 0;
        self.each_until(|entry| {
            if let Entry::Metadata { key: other, .. } = entry {
                if seen == index {
                    return Ok(false);
                }
                if other == key {
                    return Err(ArtifactError::Duplicate { entry: index });
                }
                seen += 1;
            }
            Ok(true)
        })
    }

    /// `name` is tensor number `index`: its bytes must be there, and no earlier one may have its name or bytes.
    fn check_tensor(&self, name: &str, layout: &Layout, index: usize) -> Result<(), ArtifactError> {
        let Layout { begin, end, .. } = *layout;
        if begin > end || end > self.data.len() || layout.size() != Some(end - begin) {
            return Err(ArtifactError::Offsets { entry: index, begin, end, data: self.data.len() });
        }
        let mut seen = 0;
        self.each_until(|entry| {
            if let Entry::TensorView { name: other, layout: at } = entry {
                if seen == index {
                    return Ok(false);
                }
                if other == name {
                    return Err(ArtifactError::Duplicate { entry: index });
                }
                if at.begin < end && begin < at.end {
                    return Err(ArtifactError::Overlap { entry: index });
                }
                seen += 1;
            }
            Ok(true)
        })
    }

    fn each(
        &self,
        mut visit: impl FnMut(Entry<'a>) -> Result<(), ArtifactError>,
    ) -> Result<(), ArtifactError> {
        self.each_until(|entry| visit(entry).map(|()| true))
    }

    /// Walks the header until `visit` says false.
    fn each_until(
        &self,
        mut visit: impl FnMut(Entry<'a>) -> Result<bool, ArtifactError>,
    ) -> Result<(), ArtifactError> {
        /// Ends the walk: never seen by a caller.
        const STOP: ArtifactError = ArtifactError::Missing;
        let mut stopped = false;
        let mut go = |entry| match visit(entry)? {
            true => Ok(()),
            false => {
                stopped = true;
                Err(STOP)
            }
        };
        let mut index = 0;
        let mut reader = Reader::new(self.header);
        let walked = reader
            .object(|reader, name| {
                if name == METADATA {
                    go(Entry::MetadataObject)?;
                    return reader.object(|reader, key| go(Entry::Metadata { key, value: reader.string()? }));
                }
                let layout = Layout::read(reader, index)?;
                index += 1;
                go(Entry::TensorView { name, layout })
            })
            .and_then(|()| reader.end());
        if stopped { Ok(()) } else { walked }
    }
}

/// One thing that the header says.
enum Entry<'a> {
    MetadataObject,
    Metadata { key: &'a str, value: &'a str },
    TensorView { name: &'a str, layout: Layout },
}

/// What a tensor's entry says, unchecked but for its form.
#[derive(Clone, Copy)]
struct Layout {
    dtype: Dtype,
    shape: [usize; MAX_RANK],
    rank: usize,
    begin: usize,
    end: usize,
}

impl Layout {
    /// Bytes of the shape, `None` on overflow.
    fn size(&self) -> Option<usize> {
        self.shape.iter().take(self.rank).try_fold(self.dtype.size(), |size, &axis| size.checked_mul(axis))
    }

    /// Reads `{"dtype":..,"shape":[..],"data_offsets":[begin,end]}`, in any order, of tensor number `entry`.
    fn read(reader: &mut Reader<'_>, entry: usize) -> Result<Self, ArtifactError> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        reader.object(|reader, key| {
            let twice = match key {
                "dtype" => dtype.replace(read_dtype(reader, entry)?).is_some(),
                "shape" => shape.replace(read_list::<MAX_RANK>(reader, entry)?).is_some(),
                "data_offsets" => {
                    let (values, count) = read_list::<2>(reader, entry)?;
                    if count != 2 {
                        return Err(ArtifactError::Incomplete { entry });
                    }
                    offsets.replace(values).is_some()
                }
                _ => return Err(reader.unexpected()),
            };
            if twice { Err(ArtifactError::Incomplete { entry }) } else { Ok(()) }
        })?;
        match (dtype, shape, offsets) {
            (Some(dtype), Some((shape, rank)), Some([begin, end])) => {
                Ok(Self { dtype, shape, rank, begin, end })
            }
            _ => Err(ArtifactError::Incomplete { entry }),
        }
    }
}

fn read_dtype(reader: &mut Reader<'_>, entry: usize) -> Result<Dtype, ArtifactError> {
    match reader.string()? {
        "F32" => Ok(Dtype::F32),
        "F16" => Ok(Dtype::F16),
        "I8" => Ok(Dtype::I8),
        _ => Err(ArtifactError::Dtype { entry }),
    }
}

/// Up to `N` integers and how many there were.
fn read_list<const N: usize>(
    reader: &mut Reader<'_>,
    entry: usize,
) -> Result<([usize; N], usize), ArtifactError> {
    let mut values = [0; N];
    let mut count = 0;
    reader.array(|reader| {
        *values.get_mut(count).ok_or(ArtifactError::Rank { entry })? = reader.unsigned()?;
        count += 1;
        Ok(())
    })?;
    Ok((values, count))
}
