//! A folder of PNG images.

use super::file::{Raw, unreadable};
use super::{DataError, ItemError};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The most numbers of an image: 64 MB as f32.
const MAX_NUMBERS: usize = 1 << 24;

/// The images of a folder in the order of their names, as [height, width, channels] of 0 to 255: gray, gray and alpha, red, green
/// and blue, or those and alpha. Sixteen bits are cut to eight.
pub(super) fn read(folder: &Path) -> Result<Raw, DataError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
        let path = entry.map_err(|source| unreadable(folder, source))?.path();
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        if extension.as_deref() == Some("png") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut points = Vec::new();
    let mut size: Option<[usize; 3]> = None;
    for path in &paths {
        let (own, pixels) = image(path)?;
        let first_size = *size.get_or_insert(own);
        if own != first_size {
            let (first, other) = (paths[0].clone(), path.clone());
            return Err(ItemError::Sizes { first, first_size, other, other_size: own }.into());
        }
        points.extend(pixels.into_iter().map(f64::from));
    }
    match size {
        Some(size) if paths.len() > 1 => Ok(Raw { shape: size.to_vec(), points }),
        _ => Err(ItemError::Images { path: folder.to_owned(), images: paths.len() }.into()),
    }
}

/// An image's height, width and channels, and its numbers.
fn image(path: &Path) -> Result<([usize; 3], Vec<u8>), DataError> {
    let bad = |reason: String| DataError::from(ItemError::Image { path: path.to_owned(), reason });
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| bad(error.to_string()))?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let channels = reader.output_color_type().0.samples();
    // The header's sizes are checked before anything is allocated for them.
    let numbers = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
    let numbers = numbers
        .filter(|&n| n <= MAX_NUMBERS)
        .ok_or_else(|| bad(format!("{width} x {height} pixels, more than {MAX_NUMBERS} numbers")))?;
    let mut pixels = vec![0; numbers];
    reader.next_frame(&mut pixels).map_err(|error| bad(error.to_string()))?;
    Ok(([height, width, channels], pixels))
}
