//! Tables of text: `.csv` and `.tsv`.

use std::io::Read;
use std::path::Path;

use super::file::Raw;
use super::{DataError, Place};

/// Characters of a bad cell that an error shows.
const SHOWN: usize = 40;
/// What begins a line that is no data: NumPy's `savetxt` writes its header so.
const COMMENT: u8 = b'#';

/// What separates the cells of a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delimiter {
    Comma,
    Tab,
}

impl Delimiter {
    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Tab => b'\t',
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Tab => "tab",
        }
    }
}

/// Reads a table of numbers, one point a line.
pub(super) fn read(path: &Path, mut file: impl Read, delimiter: Delimiter) -> Result<Raw, DataError> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|source| DataError::Io { path: path.into(), source })?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.byte())
        .has_headers(false)
        // Ragged rows are reported here, with the line's number and both lengths.
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(COMMENT))
        .from_reader(text.as_slice());
    let mut record = csv::ByteRecord::new();
    let (mut points, mut dim, mut first) = (Vec::new(), None, true);
    while reader.read_byte_record(&mut record).map_err(|error| failed(path, error))? {
        if record.len() == 1 && record[0].is_empty() {
            // A line of spaces is as blank as an empty one, which the parser skips by itself.
            continue;
        }
        let line = || line_of(&text, record.position().map_or(0, csv::Position::byte));
        let is_header = first && record.iter().all(|cell| number(cell).is_none());
        first = false;
        let expected = *dim.get_or_insert(record.len());
        if record.len() != expected {
            let (path, found, delimiter) = (path.into(), record.len(), delimiter.name());
            return Err(DataError::Ragged { path, line: line(), found, expected, delimiter });
        }
        if is_header {
            continue;
        }
        for (index, cell) in record.iter().enumerate() {
            let place = || Place::Text { line: line(), column: index + 1 };
            match number(cell) {
                Some(value) if value.is_finite() => points.push(value),
                Some(_) => {
                    return Err(DataError::NotFinite {
                        path: path.into(),
                        place: place(),
                        value: shown(cell),
                    });
                }
                None => {
                    let (path, value, delimiter) = (path.into(), shown(cell), delimiter.name());
                    return Err(DataError::NotANumber { path, place: place(), value, delimiter });
                }
            }
        }
    }
    match dim {
        None => Err(DataError::Empty { path: path.into() }),
        // Only a header was there.
        Some(_) if points.is_empty() => Err(DataError::TooFewRows { path: path.into(), rows: 0 }),
        Some(dim) => Ok(Raw { shape: vec![dim], points }),
    }
}

/// The line, from 1, of the record that the parser found at or after byte `start`.
///
/// The parser's own count is where it began to look: before the blank lines and comments that it skipped, and
/// before the second half of a CR LF.
fn line_of(text: &[u8], start: u64) -> u64 {
    let start = usize::try_from(start).map_or(text.len(), |start| start.min(text.len()));
    let (before, after) = text.split_at(start);
    let skipped = |line: &&[u8]| matches!(**line, [] | [b'\r'] | [COMMENT, ..]);
    let newlines = before.iter().filter(|&&byte| byte == b'\n').count();
    1 + (newlines + after.split(|&byte| byte == b'\n').take_while(skipped).count()) as u64
}

/// The cell's number; a NaN and an infinity are numbers here, so that they are reported as what they are.
fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// The cell as an error shows it: one short line.
fn shown(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell);
    let mut short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

fn failed(path: &Path, error: csv::Error) -> DataError {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DataError::Io { path: path.into(), source },
        kind => DataError::Table { path: path.into(), reason: format!("{kind:?}") },
    }
}
