//! Files that appear whole or not at all.

use std::{
    io::{self, Write},
    path::Path,
};

use npyz::WriterBuilder;
use tempfile::NamedTempFile;

/// Writes `values` of the given shape, row-major, as the .npy file `path`.
///
/// # Errors
/// The system's, and [`io::ErrorKind::InvalidInput`] where the values are not as many as the shape
/// says. Nothing is left under `path` then.
pub fn write_npy(path: &Path, shape: &[usize], values: &[f32]) -> io::Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        let said = format!("{} values are no array of shape {shape:?}", values.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
    }
    let mut temporary = temporary(path, ".samples-", ".npy")?;
    {
        let mut buffer = io::BufWriter::new(temporary.as_file_mut());
        let shape: Vec<u64> = shape.iter().map(|&extent| extent as u64).collect();
        let mut npy =
            npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut buffer).begin_nd()?;
        npy.extend(values.iter().copied())?;
        npy.finish()?;
        buffer.flush()?;
    }
    keep(temporary, path)
}

/// The directory that `path` lies in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// A temporary file beside `path`, which it is to become.
///
/// # Errors
/// The system's: there can be no file.
pub fn temporary(path: &Path, prefix: &str, suffix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // Temporary files are the user's alone by default; results are as readable as the umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(prefix).suffix(suffix).tempfile_in(parent(path))
}

/// Moves a finished temporary file to `path`.
///
/// # Errors
/// The system's: the file cannot be written out or moved there.
pub fn keep(temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    temporary.as_file().sync_all()?;
    temporary.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        write_npy(&path, &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.5]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(npy.shape(), [2, 3]);
        assert_eq!(npy.into_vec::<f32>().unwrap()[5], 5.5);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_npy(&path, &[2, 2], &[0.0]).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As readable as a file that is written plainly.
            let plain = dir.path().join("plain");
            std::fs::write(&plain, "").unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode(&path), mode(&plain));
        }
    }
}
