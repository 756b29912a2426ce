//! The values of a loss's terms.

use crate::loss::Losses;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// The value of each of the loss's terms, weighted as in the total; in a log, an object by their names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms([f64; Losses::TERMS]);

impl Terms {
    /// Every term by its name, those that are 0 too.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        Losses::default().terms().map(|(name, _)| name).into_iter().zip(self.0)
    }

    /// The term of this name; 0 where there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::{loss::Losses, train::Terms};
    /// let terms = Terms::from(Losses { denoising: 0.5, ..Losses::default() });
    /// assert_eq!((terms.get("denoising"), terms.get("contrastive"), terms.total()), (0.5, 0.0, 0.5));
    /// ```
    pub fn get(&self, name: &str) -> f64 {
        self.iter().find(|(known, _)| *known == name).map_or(0.0, |(_, value)| value)
    }

    /// Their sum.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, value)| *sum += value);
    }

    pub(super) fn divided(self, by: f64) -> Self {
        Self(self.0.map(|value| value / by))
    }
}

impl From<Losses> for Terms {
    fn from(losses: Losses) -> Self {
        Self(losses.terms().map(|(_, value)| value))
    }
}

impl Serialize for Terms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Losses::TERMS))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Terms {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = std::collections::BTreeMap::<String, f64>::deserialize(deserializer)?;
        Ok(Self(Losses::default().terms().map(|(name, _)| values.get(name).copied().unwrap_or(0.0))))
    }
}
