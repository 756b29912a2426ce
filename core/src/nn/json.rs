//! The little of JSON that a safetensors header is made of, read in place.
//!
//! A header is an object of objects of strings, integers and arrays of integers, so there is no recursion and no
//! nesting to bound. Strings with escapes are refused, because they could not be borrowed from the bytes.

use super::ArtifactError;

/// A position in a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The error "this is not what a header has here".
    pub(crate) fn unexpected(&self) -> ArtifactError {
        ArtifactError::Syntax { offset: self.at }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space, without taking it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte`, which must come next.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), ArtifactError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Result<&'a str, ArtifactError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => return Err(ArtifactError::Escape { offset: self.at }),
                Some(0x20..) => self.at += 1,
                _ => return Err(self.unexpected()),
            }
        }
        let value = self.text.get(start..self.at).ok_or(self.unexpected())?;
        self.at += 1;
        Ok(value)
    }

    /// An unsigned integer without sign, fraction, exponent or leading zeros.
    pub(crate) fn unsigned(&mut self) -> Result<usize, ArtifactError> {
        self.skip_space();
        let start = self.at;
        let mut value = 0usize;
        while let Some(digit @ b'0'..=b'9') = self.text.as_bytes().get(self.at) {
            let grown = value.checked_mul(10).and_then(|v| v.checked_add(usize::from(digit - b'0')));
            value = grown.ok_or(ArtifactError::Overflow { offset: start })?;
            self.at += 1;
        }
        let leading_zero = self.at > start + 1 && self.text.as_bytes().get(start) == Some(&b'0');
        if self.at == start || leading_zero { Err(self.unexpected()) } else { Ok(value) }
    }

    /// Calls `value` for each element of an array; it must take that element.
    pub(crate) fn array(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<(), ArtifactError>,
    ) -> Result<(), ArtifactError> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            value(self)?;
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    /// Calls `value` with each key of an object; it must take that key's value.
    pub(crate) fn object(
        &mut self,
        mut value: impl FnMut(&mut Self, &'a str) -> Result<(), ArtifactError>,
    ) -> Result<(), ArtifactError> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            value(self, key)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), ArtifactError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected()) }
    }
}
