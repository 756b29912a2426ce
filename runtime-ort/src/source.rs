//! Where a model's bytes are.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::Path,
};

use ort::session::{Session, builder::SessionBuilder};

/// A model before it is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}

impl Source<'_> {
    /// What to call it in messages.
    pub(crate) fn name(self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes(bytes) => format!("the model of {} bytes", bytes.len()),
        }
    }

    pub(crate) fn commit(self, builder: &mut SessionBuilder) -> ort::Result<Session> {
        match self {
            Self::File(path) => builder.commit_from_file(path),
            Self::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
    }

    /// A number that another model does not have: of the bytes, and of the sizes and times of the
    /// data files that they name.
    ///
    /// # Errors
    /// The system's: the file cannot be read.
    pub(crate) fn fingerprint(self) -> io::Result<u64> {
        let (bytes, dir) = match self {
            Self::File(path) => (&fs::read(path)?[..], path.parent()),
            Self::Bytes(bytes) => (bytes, None),
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        // The key under which ONNX names a file of weights.
        if let Some(dir) = dir.filter(|_| holds(bytes, b"location")) {
            let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
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
