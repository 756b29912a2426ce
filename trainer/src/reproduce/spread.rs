//! Means and spreads over seeds.

use serde::Serialize;
use serde_json::Value;

/// A mean over seeds, and the standard deviation around it (of one more seed: n - 1); 0 for one seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) spread: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        Self { mean, spread }
    }

    /// Of the number `key` in those rows whose other entries are `wanted`.
    pub(super) fn over(rows: &[Value], wanted: &[(&str, Value)], key: &str) -> Self {
        let chosen = rows.iter().filter(|row| wanted.iter().all(|(name, value)| row[*name] == *value));
        Self::of(&chosen.filter_map(|row| row[key].as_f64()).collect::<Vec<_>>())
    }
}

/// The spread of each of `keys` over the rows that `chosen` picks.
pub(super) fn summary(rows: &[Value], keys: &[&str], chosen: impl Fn(&Value) -> bool) -> Value {
    let rows: Vec<&Value> = rows.iter().filter(|row| chosen(row)).collect();
    let of = |key: &str| Spread::of(&rows.iter().filter_map(|row| row[key].as_f64()).collect::<Vec<_>>());
    keys.iter().map(|key| ((*key).to_owned(), serde_json::json!(of(key)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spreads_are_those_of_the_chosen_rows() {
        let rows =
            [json!({"loss": "a", "x": 1.0}), json!({"loss": "b", "x": 9.0}), json!({"loss": "a", "x": 3.0})];
        let spread = Spread::over(&rows, &[("loss", json!("a"))], "x");
        assert_eq!((spread.mean, spread.spread), (2.0, 2f64.sqrt()));
        assert_eq!(Spread::of(&[4.0]), Spread { mean: 4.0, spread: 0.0 });
        assert_eq!(summary(&rows, &["x"], |row| row["loss"] == "a"), json!({ "x": spread }));
    }
}
