//! Where a model's bytes are.

use std::{
    borrow::Cow,
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use ort::session::{Session, builder::SessionBuilder};

/// A model before it is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
    /// Bytes that were made of the file at this path, which may name data files beside it.
    Beside(&'a [u8], &'a Path),
}

/// A model's bytes, or where they are: to load it once more.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File(PathBuf, Stamp),
    Bytes(Arc<[u8]>),
    /// Not to be loaded again.
    Forgotten,
}

/// By which a file is known to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(crate) fn of(about: &fs::Metadata) -> Self {
        Self { len: about.len(), modified: about.modified().ok() }
    }
}

impl Origin {
    /// # Errors
    /// The system's: the file is gone, or another one.
    pub(crate) fn source(&self) -> io::Result<Source<'_>> {
        match self {
            Self::File(path, stamp) if Stamp::of(&fs::metadata(path)?) == *stamp => Ok(Source::File(path)),
            Self::File(..) => Err(io::Error::other("the file has changed since the model was loaded")),
            Self::Bytes(bytes) => Ok(Source::Bytes(bytes)),
            Self::Forgotten => Err(io::Error::other("the model's bytes were not kept")),
        }
    }

    /// The file that it is.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::File(path, _) => path.clone(),
            Self::Bytes(_) | Self::Forgotten => PathBuf::new(),
        }
    }
}

impl<'a> Source<'a> {
    /// All of the bytes.
    ///
    /// # Errors
    /// The system's: the file cannot be read.
    pub(crate) fn bytes(self) -> io::Result<Cow<'a, [u8]>> {
        match self {
            Self::File(path) => fs::read(path).map(Cow::Owned),
            Self::Bytes(bytes) | Self::Beside(bytes, _) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// Where other bytes come from that were made of these.
    pub(crate) fn of(self, made: &'a [u8]) -> Self {
        match self {
            Self::File(path) | Self::Beside(_, path) => Self::Beside(made, path),
            Self::Bytes(_) => Self::Bytes(made),
        }
    }
}

/// ONNX Runtime's setting for the directory of a model's data files.
const DATA_DIR: &str = "session.model_external_initializers_file_folder_path";

impl Source<'_> {
    /// What to call it in messages.
    pub(crate) fn name(self) -> String {
        match self {
            Self::File(path) | Self::Beside(_, path) => path.display().to_string(),
            Self::Bytes(bytes) => format!("the model of {} bytes", bytes.len()),
        }
    }

    pub(crate) fn commit(self, builder: &mut SessionBuilder) -> ort::Result<Session> {
        match self {
            Self::File(path) => builder.commit_from_file(path),
            Self::Bytes(bytes) => builder.commit_from_memory(bytes),
            Self::Beside(bytes, path) => {
                let dir = directory(path).to_string_lossy().into_owned();
                builder.clone().with_config_entry(DATA_DIR, dir)?.commit_from_memory(bytes)
            }
        }
    }

    /// A number that another model does not have: of the bytes, and of the sizes and times of the
    /// data files that they name.
    ///
    /// # Errors
    /// The system's: the file cannot be read.
    pub(crate) fn fingerprint(self) -> io::Result<u64> {
        let (bytes, dir) = match self {
            Self::File(path) => (&fs::read(path)?[..], Some(directory(path))),
            Self::Bytes(bytes) => (bytes, None),
            Self::Beside(bytes, path) => (bytes, Some(directory(path))),
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        // The key under which ONNX names a file of weights.
        if let Some(dir) = dir.filter(|_| holds(bytes, b"location")) {
            let mut files: Vec<_> = dir.read_dir()?.flatten().collect();
            files.sort_by_key(fs::DirEntry::file_name);
            for file in files {
                let name = file.file_name();
                if holds(bytes, name.as_encoded_bytes()) {
                    let about = fs::metadata(file.path())?;
                    hasher.write(name.as_encoded_bytes());
                    hasher.write_u64(about.len());
                    let since = about.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                    hasher.write_u128(since.as_nanos());
                }
            }
        }
        Ok(hasher.finish())
    }
}

/// The directory that a file is in.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_model_has_another_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let (model, data) = (dir.path().join("m.onnx"), dir.path().join("weights.bin"));
        let of = || Source::File(&model).fingerprint().unwrap();
        fs::write(&model, b"..location..weights.bin..").unwrap();
        fs::write(&data, b"123").unwrap();
        let first = of();
        // A file that the model does not name is none of its own.
        fs::write(dir.path().join("samples.npy"), b"").unwrap();
        assert_eq!(of(), first);
        fs::write(&data, b"1234").unwrap();
        let second = of();
        assert_ne!(second, first);
        fs::write(&model, b"..location..weights.bin.!").unwrap();
        assert_ne!(of(), second);
        assert_ne!(Source::Bytes(b"a").fingerprint().unwrap(), Source::Bytes(b"b").fingerprint().unwrap());
    }
}
