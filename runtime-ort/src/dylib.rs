//! What the ONNX Runtime library is called on this system, and whether a file can be one.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// The library's plain name on this system, for messages.
pub(crate) const PLAIN_NAME: &str = if cfg!(windows) {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// The version in a file name that is the library's (`libonnxruntime.so.1.32.0`,
/// `libonnxruntime.1.32.0.dylib`): empty where it carries none, `None` where the name is another's
/// (`libonnxruntime_providers_shared.so`).
fn version_in_name(name: &OsStr) -> Option<Vec<u32>> {
    let name = name.to_str()?;
    let rest = if cfg!(windows) {
        return (name.eq_ignore_ascii_case(PLAIN_NAME)).then(Vec::new);
    } else if cfg!(target_os = "macos") {
        name.strip_prefix("libonnxruntime")?.strip_suffix(".dylib")?
    } else {
        name.strip_prefix(PLAIN_NAME)?
    };
    if rest.is_empty() {
        return Some(Vec::new());
    }
    rest.strip_prefix('.')?.split('.').map(|part| part.parse().ok()).collect()
}

/// The version that a library's file name states, such as `1.32.0`.
pub(crate) fn stated_version(path: &Path) -> Option<String> {
    // The link `libonnxruntime.so` names no version; what it points to does.
    let file = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let parts = version_in_name(file.file_name()?)?;
    let parts: Vec<String> = parts.iter().map(u32::to_string).collect();
    (!parts.is_empty()).then(|| parts.join("."))
}

/// The newest ONNX Runtime library lying in `dir`.
pub(crate) fn newest_in(dir: &Path) -> Option<PathBuf> {
    std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((version_in_name(&entry.file_name())?, entry.path())))
        .filter(|(_, path)| path.is_file())
        .max()
        .map(|(_, path)| path)
}

/// Whether the file at `path` is whole: an ELF file that ends before its section headers do was cut
/// short, and the loader would die of SIGBUS on it instead of returning an error.
///
/// Formats other than ELF are left to the system's loader.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn looks_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut head = [0u8; 64];
    if length < head.len() as u64 {
        return Ok(false);
    }
    file.read_exact(&mut head)?;
    // 64-bit little-endian ELF: offset of the section headers at 40, their size and number at 58, 60.
    if head[..6] != [0x7f, b'E', b'L', b'F', 2, 1] {
        return Ok(true);
    }
    let offset =
        u64::from_le_bytes([head[40], head[41], head[42], head[43], head[44], head[45], head[46], head[47]]);
    let size = u64::from(u16::from_le_bytes([head[58], head[59]]));
    let number = u64::from(u16::from_le_bytes([head[60], head[61]]));
    Ok(offset.checked_add(size * number).is_some_and(|end| end <= length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn names_of_the_library_and_of_its_neighbours() {
        let version = |name: &str| version_in_name(OsStr::new(name));
        assert_eq!(version("libonnxruntime.so"), Some(vec![]));
        assert_eq!(version("libonnxruntime.so.1.32.0"), Some(vec![1, 32, 0]));
        assert_eq!(version("libonnxruntime.so.1"), Some(vec![1]));
        assert_eq!(version("libonnxruntime_providers_shared.so"), None);
        assert_eq!(version("libonnxruntime.so.bak"), None);
        assert_eq!(version("onnxruntime"), None);
    }

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn the_newest_is_taken_by_number_not_by_letter() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        let newest = newest_in(dir.path()).unwrap();
        assert_eq!(newest.file_name().unwrap(), "libonnxruntime.so.1.32.0");
        assert_eq!(stated_version(&newest).as_deref(), Some("1.32.0"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_cut_short_is_seen() {
        let own = std::env::current_exe().unwrap();
        assert!(looks_whole(&own).unwrap());
        let bytes = std::fs::read(&own).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for length in [0, 10, 64, bytes.len() / 2] {
            let cut = dir.path().join("cut");
            std::fs::write(&cut, &bytes[..length]).unwrap();
            assert!(!looks_whole(&cut).unwrap(), "{length} bytes");
        }
    }
}
