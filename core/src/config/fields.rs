//! The values of a configuration, by key and type.

use super::{ConfigError, json};
use crate::Betas;
use alloc::string::{String, ToString};
use serde_json::{Map, Value};

/// The object of a configuration. `null` is absent.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        match serde_json::from_str(&json::with_strings_for_infinities(text)) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(other) => {
                Err(ConfigError::Json(short(&other) + " is no object; give { \"_class_name\": ... }"))
            }
            Err(error) => Err(ConfigError::Json(error.to_string())),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The error for what stands at a key.
    pub(super) fn refuse(&self, key: &'static str, allowed: &'static str) -> ConfigError {
        match self.get(key) {
            Some(value) => ConfigError::Value { key, value: short(value), allowed },
            None => ConfigError::Missing { key, allowed },
        }
    }

    pub(super) fn text<'a>(&'a self, key: &'static str, default: &'a str) -> Result<&'a str, ConfigError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => {
                let text = value.as_str().filter(|text| json::not_finite(text).is_none());
                text.ok_or_else(|| self.refuse(key, "give a string"))
            }
        }
    }

    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.refuse(key, "give true or false")),
        }
    }

    pub(super) fn number(&self, key: &'static str, default: f64) -> Result<f64, ConfigError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .filter(|x| x.is_finite())
                .ok_or_else(|| self.refuse(key, "give a finite number")),
        }
    }

    /// A number, or infinity: an upper bound.
    pub(super) fn bound(&self, key: &'static str, default: f64) -> Result<f64, ConfigError> {
        if self.is_word(key, "Infinity") {
            return Ok(f64::INFINITY);
        }
        self.number(key, default)
            .map_err(|_| self.refuse(key, "give a positive number, or Infinity for none"))
    }

    /// Whether `NaN`, `Infinity` or `-Infinity` stands at a key.
    pub(super) fn is_word(&self, key: &str, word: &str) -> bool {
        self.get(key).and_then(Value::as_str).and_then(json::not_finite) == Some(word)
    }

    pub(super) fn count(&self, key: &'static str, default: usize) -> Result<usize, ConfigError> {
        self.whole(key, default, 1, Betas::MOST_STEPS)
            .map_err(|_| self.refuse(key, "give a whole number from 1 to 1000000"))
    }

    pub(super) fn whole(
        &self,
        key: &'static str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Result<usize, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
        let allowed = "give a whole number, of timesteps one that the schedule has";
        number.filter(|n| (least..=most).contains(n)).ok_or_else(|| self.refuse(key, allowed))
    }

    /// An error where a switch is on that this crate does not have.
    pub(super) fn must_be_false(&self, key: &'static str, mend: &'static str) -> Result<(), ConfigError> {
        if self.flag(key, false)? { Err(self.refuse(key, mend)) } else { Ok(()) }
    }

    /// An error where anything is set at a key.
    pub(super) fn must_be_absent(&self, key: &'static str, mend: &'static str) -> Result<(), ConfigError> {
        if self.is_set(key) { Err(self.refuse(key, mend)) } else { Ok(()) }
    }

    /// An error where a list at a key has anything in it.
    pub(super) fn must_be_empty(&self, key: &'static str, mend: &'static str) -> Result<(), ConfigError> {
        match self.get(key) {
            Some(Value::Array(list)) if list.is_empty() => Ok(()),
            None => Ok(()),
            Some(_) => Err(self.refuse(key, mend)),
        }
    }

    /// An error where the text at a key is none of those.
    pub(super) fn must_be_one_of(
        &self,
        key: &'static str,
        names: &[&str],
        mend: &'static str,
    ) -> Result<(), ConfigError> {
        let Some(first) = names.first() else { return Ok(()) };
        if names.contains(&self.text(key, first)?) { Ok(()) } else { Err(self.refuse(key, mend)) }
    }
}

/// A value's JSON for a message: not more than 60 characters of it.
fn short(value: &Value) -> String {
    let word = value.as_str().and_then(json::not_finite);
    let text = word.map_or_else(|| value.to_string(), ToString::to_string);
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push_str("...");
    }
    cut
}
