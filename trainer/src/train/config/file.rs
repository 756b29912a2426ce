//! A configuration as a TOML file.

use super::{TrainConfig, kind, kinds};
use crate::data::DataConfig;
use crate::model::NetworkKind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Why a configuration cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The text is no TOML.
    #[error("this is no TOML: {0}")]
    Toml(String),
    /// A key that is none.
    #[error("there is no key `{key}`; did you mean `{nearest}`? (`picardy-train config` prints all keys)")]
    Unknown {
        /// The key.
        key: String,
        /// The one whose spelling is nearest.
        nearest: String,
    },
    /// A value of another type, or a name that is none.
    #[error("`{key}` is {value}; it must be {expected}")]
    Value {
        /// The key.
        key: String,
        /// Its value as TOML writes it.
        value: String,
        /// What is right.
        expected: String,
    },
    /// What `--set` was given has no `=`.
    #[error("`{0}` sets nothing: write section.key=value, such as optimiser.rate=0.0003")]
    Assignment(String),
    /// A number that TOML cannot write.
    #[error("the configuration cannot be written: {0}")]
    Write(String),
}

/// All of a run's settings: what a configuration file holds.
///
/// A file has the sections `[data]`, `[network]`, `[noise]`, `[loss]`, `[optimiser]` and `[run]`; what it does not name is the
/// default, which `picardy-train config` prints with a comment each.
///
/// # Examples
///
/// ```
/// use picardy_trainer::train::Config;
/// let mut config = Config::parse("[optimiser]\nrate = 3e-4\n[data]\nsource = 'digits'\n")?;
/// config.assign("run.steps=100")?;
/// assert_eq!((config.train.optimiser.rate, config.train.run.steps), (3e-4, 100));
///
/// let error = Config::parse("[optimizer]\nrate = 3e-4\n").unwrap_err().to_string();
/// assert!(error.contains("`optimizer.rate`; did you mean `optimiser.rate`?"));
/// let error = Config::parse("[optimiser]\nrate = 'fast'\n").unwrap_err().to_string();
/// assert!(error.contains("`optimiser.rate` is \"fast\"; it must be a number"));
/// # Ok::<(), picardy_trainer::train::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The section `[data]`.
    pub data: DataConfig,
    /// The other sections.
    pub train: TrainConfig,
}

/// The file's own order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    data: DataConfig,
    network: NetworkKind,
    noise: super::Schedule,
    loss: crate::loss::LossConfig,
    optimiser: super::OptimiserConfig,
    run: super::RunConfig,
}

/// The key that says which network the others of its section belong to.
const KIND: &str = "network.kind";

impl Config {
    /// The configuration in a file.
    ///
    /// # Errors
    /// [`ConfigError`]: a file that cannot be read, is no TOML, or holds keys or values that are none.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |error| ConfigError::File { path: path.to_owned(), error };
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?)
    }

    /// The configuration in a file's text.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let table: Table =
            text.parse().map_err(|error: toml::de::Error| ConfigError::Toml(error.to_string()))?;
        let mut config = Self::default();
        // Which keys there are depends on the kind.
        if let Some(kind) = table.get("network").and_then(|section| section.get("kind")) {
            config.set(KIND, kind.clone())?;
        }
        config.merge("", table)?;
        Ok(config)
    }

    /// Takes `section.key=value`; a value that is no TOML is a string.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`], [`ConfigError::Unknown`], [`ConfigError::Value`].
    pub fn assign(&mut self, text: &str) -> Result<(), ConfigError> {
        let (key, value) = text.split_once('=').ok_or_else(|| ConfigError::Assignment(text.to_owned()))?;
        let parsed = format!("x = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("x"));
        let is_text = matches!(get(&self.table()?, key.trim()), Some(Value::String(_)));
        let value = match parsed {
            // A number in place of a name is the name.
            Some(value) if !is_text || value.is_str() || value.is_table() => value,
            _ => Value::String(value.trim().to_owned()),
        };
        self.set(key.trim(), value)
    }

    /// Sets one key, such as `optimiser.rate`.
    ///
    /// # Errors
    /// [`ConfigError::Unknown`], [`ConfigError::Value`].
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), ConfigError> {
        let mut table = self.table()?;
        if key == KIND {
            let kinds = kinds();
            let found = kinds.iter().find(|network| value.as_str() == Some(kind(network)));
            let Some(network) = found else {
                let expected: Vec<_> = kinds.iter().map(kind).collect();
                return Err(wrong(key, &value, expected.join(" or ")));
            };
            if kind(network) != kind(&self.train.network) {
                self.train.network = network.clone();
            }
            return Ok(());
        }
        let place = place(&mut table, key).ok_or_else(|| unknown(key))?;
        let value = match (&*place, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (_, value) => value,
        };
        let expected = match &*place {
            Value::Integer(_) if !value.is_integer() => "a whole number",
            Value::Float(_) if !value.is_float() => "a number",
            Value::Boolean(_) if !value.is_bool() => "true or false",
            Value::Array(_) if !value.is_array() => "a list, such as [8, 8, 1]",
            // A value of several parts may become a name, where it is one by default.
            Value::Table(_) if !(value.is_table() || value.is_str() && is_name(key)) => "a section of keys",
            Value::String(_) if !(value.is_str() || value.is_table()) => "a string",
            _ => "",
        };
        if !expected.is_empty() {
            return Err(wrong(key, &value, expected.to_owned()));
        }
        *place = value.clone();
        let sections: Sections =
            table.try_into().map_err(|error: toml::de::Error| wrong(key, &value, cause(&error)))?;
        let Sections { data, network, noise, loss, optimiser, run } = sections;
        *self = Self { data, train: TrainConfig { network, noise, loss, optimiser, run } };
        Ok(())
    }

    /// Sets every key of a table that lies under `prefix`.
    fn merge(&mut self, prefix: &str, table: Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            let is_section = |value: &Value| matches!(value, Value::Table(_));
            let known = get(&self.table()?, &key).as_ref().map(is_section);
            match value {
                // A table where there is none is a value of several parts, or a section that is misspelt.
                Value::Table(inner) if known != Some(false) => {
                    if inner.is_empty() && known.is_none() {
                        return Err(unknown(&key));
                    }
                    self.merge(&key, inner)?;
                }
                value => self.set(&key, value)?,
            }
        }
        Ok(())
    }

    pub(super) fn table(&self) -> Result<Table, ConfigError> {
        let Self { data, train } = self.clone();
        let TrainConfig { network, noise, loss, optimiser, run } = train;
        Table::try_from(Sections { data, network, noise, loss, optimiser, run })
            .map_err(|error| ConfigError::Write(error.to_string()))
    }
}

/// Whether a key's value is a name by default: what is a table there now is the same name's value with parts.
fn is_name(key: &str) -> bool {
    Config::default().table().is_ok_and(|table| matches!(get(&table, key), Some(Value::String(_))))
}

/// What lies under a dotted key.
fn get(table: &Table, key: &str) -> Option<Value> {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = table.get(section)?;
    if rest.is_empty() { Some(value.clone()) } else { get(value.as_table()?, rest) }
}

/// The value under a dotted key, to change it.
fn place<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = table.get_mut(section)?;
    if rest.is_empty() { Some(value) } else { place(value.as_table_mut()?, rest) }
}

fn wrong(key: &str, value: &Value, expected: String) -> ConfigError {
    let value: String = value.to_string().chars().take(80).collect();
    ConfigError::Value { key: key.to_owned(), value, expected }
}

/// What serde says is right, without what it says is wrong.
fn cause(error: &toml::de::Error) -> String {
    let message = error.message();
    let said = message.split_once("expected ").map_or(message, |(_, expected)| expected);
    said.trim().to_owned()
}

/// The error for a key that is none, with the nearest one.
fn unknown(key: &str) -> ConfigError {
    let written = key.to_lowercase().replace('_', "-");
    let own = written.rsplit('.').next().unwrap_or(&written);
    let distance = |known: &String| {
        let name = known.rsplit('.').next().unwrap_or(known);
        let whole = strsim::damerau_levenshtein(&written, known);
        if own.split('-').any(|word| word == name) {
            return whole.min(2);
        }
        // The right name in the wrong section.
        whole.min(strsim::damerau_levenshtein(own, name) + 1)
    };
    let mut known = keys();
    if !key.contains('.') {
        known.extend(["data", "network", "noise", "loss", "optimiser", "run"].map(str::to_owned));
    }
    let nearest = known
        .into_iter()
        .min_by_key(|known| (distance(known), known.matches('.').count()))
        .unwrap_or_default();
    ConfigError::Unknown { key: key.to_owned(), nearest }
}

/// Every key of every kind of network.
pub(super) fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    for network in kinds() {
        let config = Config { train: TrainConfig { network, ..TrainConfig::default() }, ..Config::default() };
        // The defaults can be written.
        flatten("", &config.table().unwrap_or_default(), &mut keys);
    }
    keys.sort();
    keys.dedup();
    keys
}

fn flatten(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, keys),
            _ => keys.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Draws;

    fn said(text: &str) -> String {
        Config::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        for (text, key, nearest) in [
            ("[optimiser]\nrat = 1.0", "optimiser.rat", "optimiser.rate"),
            ("[optimizer]\nwarmup = 3", "optimizer.warmup", "optimiser.warmup"),
            ("[run]\nrate = 1.0", "run.rate", "optimiser.rate"),
            ("[run]\nbatch_size = 3", "run.batch_size", "run.batch"),
            ("[network]\nwidht = 3", "network.widht", "network.width"),
            ("steps = 3", "steps", "run.steps"),
            ("[rnu]\n", "rnu", "`run`?"),
            ("[loss.contrastive]\nitem = 3", "loss.contrastive.item", "loss.contrastive.items"),
            ("[data]\nsource.name = 'x'", "data.source", "data.source"),
        ] {
            let said = said(text);
            assert!(said.contains(key) && said.contains(nearest), "{text}: {said}");
        }
        let mut config = Config::default();
        let error = config.assign("run.step=3").unwrap_err().to_string();
        assert!(error.contains("did you mean `run.steps`?"), "{error}");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_is_right() {
        for (text, parts) in [
            ("[run]\nsteps = 'many'", ["`run.steps` is \"many\"", "a whole number"]),
            ("[run]\nsteps = -1", ["`run.steps` is -1", "u64"]),
            ("[run]\nprefetch = 1", ["`run.prefetch` is 1", "true or false"]),
            ("[optimiser]\nrate = true", ["`optimiser.rate` is true", "a number"]),
            ("[optimiser]\nschedule = 'cosin'", ["`optimiser.schedule` is \"cosin\"", "`one-cycle`"]),
            ("[data]\nshape = 8", ["`data.shape` is 8", "a list"]),
            ("[network]\nkind = 'unet'", ["`network.kind` is \"unet\"", "residual-mlp"]),
            ("[data]\nsource = 3", ["`data.source` is 3", "a string"]),
            ("run = 3", ["`run` is 3", "a section of keys"]),
        ] {
            let said = said(text);
            assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
        }
        assert!(said("[run\n").contains("no TOML"));
        assert!(said("[run]\nsteps = 99999999999999999999").contains("no TOML"));
    }

    #[test]
    fn assignments_are_toml_or_strings() {
        let mut config = Config::default();
        for text in [
            "optimiser.rate=1",
            "data.shape=[8, 8, 1]",
            "data.source=1",
            "optimiser.ema = \"power\"",
            "loss.contrastive.zeta = {uniform = {low = 6.0, high = 15.0}}",
            "run.from=a=b",
        ] {
            config.assign(text).unwrap();
        }
        assert_eq!((config.train.optimiser.rate, &config.data.shape[..]), (1.0, &[8, 8, 1][..]));
        assert_eq!((&config.data.source[..], &config.train.run.from[..]), ("1", "a=b"));
        assert_eq!(config.train.optimiser.ema, super::super::EmaKind::Power);
        // A value of parts gives way to another one and to a name; a section to nothing.
        let zeta = |config: &Config| config.train.loss.contrastive.zeta;
        config.assign("loss.contrastive.zeta = {logistic = {loc = 1.0, scale = 2.0, clip = 3.0}}").unwrap();
        assert_eq!(zeta(&config), Draws::Logistic { loc: 1.0, scale: 2.0, clip: 3.0 });
        config.assign("loss.contrastive.zeta=images").unwrap();
        config.assign("loss.contrastive.zeta={uniform = {low = 6.0, high = 15.0}}").unwrap();
        let said = config.assign("loss.contrastive.zeta=fast").unwrap_err().to_string();
        assert!(said.contains("`loss.contrastive.zeta` is \"fast\"") && said.contains("`images`"), "{said}");
        assert_eq!(zeta(&config), Draws::Uniform { low: 6.0, high: 15.0 });
        config.assign("loss.contrastive.zeta=auto").unwrap();
        assert_eq!(zeta(&config), Draws::Auto);
        for section in ["loss.contrastive=auto", "run=auto", "loss.contrastive.zeta=3"] {
            let said = config.assign(section).unwrap_err().to_string();
            assert!(said.contains("section of keys") || section.ends_with('3'), "{said}");
        }
        assert!(config.assign("run.steps").unwrap_err().to_string().contains("`run.steps` sets nothing"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = Config::parse(&text);
            let _ = Config::default().assign(&text);
        }

        #[test]
        fn no_key_and_value_panic(key in "[a-z.-]{0,20}", value in "-?[0-9]{0,25}|\\[.*|\\{.*|'.*") {
            let _ = Config::parse(&format!("[run]\n{key} = {value}\n"));
            let _ = Config::default().assign(&format!("{key}={value}"));
        }
    }
}
