//! Layers of settings, each value with the place it came from.
//!
//! The compiled-in `default.toml` names every setting and its type; later layers may only change
//! values. An unknown key is an error: in an experiment, a silently ignored knob is a wrong result.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where a value came from; later variants override earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `default.toml` of the binary.
    BuiltIn,
    /// A file given with `--config`.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// `--set`.
    Set,
    /// A flag of its own.
    Flag(String),
    /// `run.json` of an existing run.
    Run(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) | Self::Run(path) => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "${name}"),
            Self::Set => f.write_str("--set"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the settings file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{path} is not valid TOML")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// No such setting.
    #[error("{origin}: unknown setting {key}{}", did_you_mean(.nearest.as_deref()))]
    UnknownKey {
        /// Who named it.
        origin: Origin,
        /// The name.
        key: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A value of the wrong type, or out of range.
    #[error("{origin}: {key}: {detail}")]
    Invalid {
        /// Who gave it.
        origin: Origin,
        /// The setting.
        key: String,
        /// What is wrong, and what was expected.
        detail: String,
    },
    /// `--set` without an equals sign.
    #[error("--set {text}: expected a.b=value")]
    NotAnAssignment {
        /// What was given.
        text: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Settings by dotted key with their origins.
#[derive(Debug, Clone)]
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    /// The lowest layer.
    ///
    /// # Panics
    /// When the compiled-in text is no TOML, which a test excludes.
    #[must_use]
    pub fn built_in(text: &str) -> Self {
        let table: Table = text.parse().expect("default.toml is valid TOML");
        let mut values = BTreeMap::new();
        flatten("", &table, &mut |key, value| {
            values.insert(key, (value.clone(), Origin::BuiltIn));
        });
        Self { values }
    }

    /// Lays a TOML file over what is there. Settings that it does not name keep their values.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let table: Table = text.parse().map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let mut found = Vec::new();
        flatten("", &table, &mut |key, value| found.push((key, value.clone())));
        for (key, value) in found {
            self.assign(&key, value, Origin::File(path.to_owned()))?;
        }
        Ok(())
    }

    /// `a.b=value`, as `--set` takes it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let (key, text) = assignment
            .split_once('=')
            .ok_or_else(|| ConfigError::NotAnAssignment { text: assignment.to_owned() })?;
        self.assign_text(key.trim(), text.trim(), Origin::Set)
    }

    /// Gives a setting a value written as text, read as the setting's type.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn assign_text(
        &mut self,
        key: &str,
        text: &str,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let invalid = |origin: Origin, expected: &str| ConfigError::Invalid {
            origin,
            key: key.to_owned(),
            detail: format!("expected {expected}, found {text:?}"),
        };
        let value = match self.values.get(key).map(|(value, _)| value) {
            None => return Err(self.unknown(key, origin)),
            Some(Value::String(_)) => Value::String(text.to_owned()),
            Some(Value::Integer(_)) => match text.replace('_', "").parse() {
                Ok(number) => Value::Integer(number),
                Err(_) => return Err(invalid(origin, "a whole number")),
            },
            Some(Value::Float(_)) => match text.parse() {
                Ok(number) => Value::Float(number),
                Err(_) => return Err(invalid(origin, "a number")),
            },
            Some(Value::Boolean(_)) => match text {
                "true" | "1" => Value::Boolean(true),
                "false" | "0" => Value::Boolean(false),
                _ => return Err(invalid(origin, "true or false")),
            },
            Some(Value::Array(_)) => Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Value::String(item.to_owned()))
                    .collect(),
            ),
            Some(other) => match format!("value = {text}").parse::<Table>() {
                Ok(table) if table["value"].same_type(other) => table["value"].clone(),
                _ => return Err(invalid(origin, other.type_str())),
            },
        };
        self.assign(key, value, origin)
    }

    /// Gives a setting a value.
    ///
    /// # Errors
    /// [`ConfigError`] when there is no such setting or it has another type.
    pub fn assign(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let Some((old, _)) = self.values.get(key) else { return Err(self.unknown(key, origin)) };
        let value = match (old, value) {
            (Value::Float(_), Value::Integer(number)) => Value::Float(number as f64),
            (_, value) => value,
        };
        if !value.same_type(old) {
            return Err(ConfigError::Invalid {
                origin,
                key: key.to_owned(),
                detail: format!("expected {}, found {}", old.type_str(), value.type_str()),
            });
        }
        self.values.insert(key.to_owned(), (value, origin));
        Ok(())
    }

    fn unknown(&self, key: &str, origin: Origin) -> ConfigError {
        let nearest = self
            .values
            .keys()
            .map(|known| {
                let tail = known.rsplit('.').next().unwrap_or(known);
                // A bare name is compared with the settings' own names as well.
                let score = strsim::jaro_winkler(known, key);
                let bare = if key.contains('.') { 0.0 } else { strsim::jaro_winkler(tail, key) };
                (score.max(bare), known)
            })
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(score, _)| *score > 0.75)
            .map(|(_, known)| known.clone());
        ConfigError::UnknownKey { origin, key: key.to_owned(), nearest }
    }

    /// Who gave a setting its value.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }

    /// A setting's value.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }

    /// All settings: dotted key, value, origin.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.values.iter().map(|(key, (value, origin))| (key.as_str(), value, origin))
    }

    /// The settings as one nested table.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut root = Table::new();
        for (key, (value, _)) in &self.values {
            insert(&mut root, key, value);
        }
        root
    }
}

fn insert(table: &mut Table, key: &str, value: &Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value.clone());
        }
        Some((first, rest)) => {
            let entry = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

fn flatten(prefix: &str, table: &Table, visit: &mut dyn FnMut(String, &Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, visit),
            value => visit(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "[repair]\nsamples = 10\ntemperature = 1.0\npython = \"\"\nall = false\n";

    #[test]
    fn later_layers_win_and_remember_where_they_came_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, "[repair]\nsamples = 20\ntemperature = 0\n").unwrap();
        let mut layers = Layers::built_in(DEFAULT);
        layers.file(&path).unwrap();
        layers.set("repair.samples=30").unwrap();
        assert_eq!(layers.value("repair.samples").unwrap().as_integer(), Some(30));
        assert_eq!(layers.origin("repair.samples"), Some(&Origin::Set));
        assert_eq!(layers.origin("repair.temperature"), Some(&Origin::File(path)));
        assert_eq!(layers.value("repair.temperature").unwrap().as_float(), Some(0.0));
        assert_eq!(layers.origin("repair.all"), Some(&Origin::BuiltIn));
        assert_eq!(layers.table()["repair"]["samples"].as_integer(), Some(30));
    }

    #[test]
    fn mistakes_name_the_layer_the_key_and_the_way_out() {
        let mut layers = Layers::built_in(DEFAULT);
        let mut say = |text: &str| layers.set(text).unwrap_err().to_string();
        insta::assert_snapshot!(say("repair.sample=3"), @"--set: unknown setting repair.sample; did you mean repair.samples?");
        insta::assert_snapshot!(say("samples=3"), @"--set: unknown setting samples; did you mean repair.samples?");
        insta::assert_snapshot!(say("repair.samples=many"), @r#"--set: repair.samples: expected a whole number, found "many""#);
        insta::assert_snapshot!(say("repair.samples"), @"--set repair.samples: expected a.b=value");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, "[repair]\nsamples = \"x\"\n").unwrap();
        let message = layers.file(&path).unwrap_err().to_string();
        assert!(
            message.ends_with("a.toml: repair.samples: expected integer, found string"),
            "{message}"
        );
    }
}
