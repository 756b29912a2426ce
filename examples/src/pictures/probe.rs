//! What the tests of pictures ask: a folder of their own, and whether a file is a picture.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder that goes with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// An empty folder; `name` is the test's own.
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("picardy-pictures-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// A path in it.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// How many files are in it.
    pub(super) fn files(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Panics if the file is no PNG of `size` pixels, or if it is one colour.
pub(super) fn is_picture(path: &Path, size: (u32, u32)) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n", "no PNG");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), size, "width and height");
    // There is no PNG reader here: a page with nothing on it says what one colour comes to.
    let blank = path.with_extension("blank.png");
    picardy_ort::picture::write_png(&blank, size, |_| Ok(())).unwrap();
    let least = fs::read(&blank).unwrap().len();
    fs::remove_file(&blank).unwrap();
    assert!(bytes.len() > 2 * least, "{} bytes, and a blank page has {least}", bytes.len());
}
