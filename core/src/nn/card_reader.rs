//! A card's values as they are looked up, each error naming its key.

use core::fmt::Display;
use core::str::FromStr;

use super::{CardError, Numbers};
use crate::Name;

/// A lookup, and what its values may be.
pub(super) struct Reader<F>(pub(super) F);

impl<'a, F: Fn(&str) -> Option<&'a str>> Reader<F> {
    pub(super) fn optional(&self, key: &str) -> Option<&'a str> {
        (self.0)(key)
    }

    pub(super) fn text(&self, key: &'static str) -> Result<&'a str, CardError> {
        self.optional(key).ok_or(CardError::Missing { key })
    }

    pub(super) fn number<N: FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<N, CardError> {
        let text = self.text(key)?;
        text.trim().parse().map_err(|_| invalid(key, text, expected))
    }

    /// A number that a rule takes.
    pub(super) fn within(
        &self,
        key: &'static str,
        expected: &'static str,
        rule: impl Fn(f64) -> bool,
    ) -> Result<f64, CardError> {
        let value: f64 = self.number(key, expected)?;
        if rule(value) { Ok(value) } else { Err(invalid(key, value, expected)) }
    }

    pub(super) fn positive(&self, key: &'static str) -> Result<f64, CardError> {
        self.within(key, "a positive number", |value| value > 0.0 && value.is_finite())
    }

    pub(super) fn count(&self, key: &'static str) -> Result<usize, CardError> {
        let expected = "a positive integer";
        match self.number(key, expected)? {
            0 => Err(invalid(key, 0, expected)),
            n => Ok(n),
        }
    }

    /// Absent is false.
    pub(super) fn flag(&self, key: &'static str) -> Result<bool, CardError> {
        match self.optional(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid(key, other, "true or false")),
        }
    }

    pub(super) fn list(&self, key: &'static str) -> Result<Numbers<'a>, CardError> {
        let text = self.text(key)?;
        Numbers::new(text).ok_or_else(|| invalid(key, text, "a list of numbers and commas"))
    }
}

pub(super) fn invalid(key: &'static str, got: impl Display, expected: &'static str) -> CardError {
    CardError::Invalid { key, got: Name::new(format_args!("{got}")), expected }
}
