//! Names in errors, without a heap.

use core::fmt::{self, Write};

/// A name in an error's message, by value: cut off after 32 bytes.
///
/// ```
/// let error = "hueh".parse::<picardy::AnySolver>().unwrap_err();
/// assert_eq!(error.name.as_str(), "hueh");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; 32],
    len: u8,
}

impl Name {
    /// The name that the arguments format to, cut off at 32 bytes (all of this crate's own are shorter).
    pub(crate) fn new(arguments: fmt::Arguments<'_>) -> Self {
        let mut name = Self { bytes: [0; 32], len: 0 };
        // A name that does not fit is cut off, and then not found.
        let _ = name.write_fmt(arguments);
        name
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or("")
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let free = self.bytes.len().saturating_sub(start);
        let fits = (0..=free.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        for (slot, byte) in self.bytes.iter_mut().skip(start).zip(text.bytes().take(fits)) {
            *slot = byte;
        }
        self.len = (start + fits) as u8;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
