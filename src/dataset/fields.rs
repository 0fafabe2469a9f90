//! Typed access to the fields of one row, with errors that say where and what was expected.

use std::path::Path;

use serde_json::{Map, Value};

use crate::dataset::{DatasetError, Place};

/// One row on its way in.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) place: Place,
    pub(super) map: &'a Map<String, Value>,
}

/// What a JSON value is, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Fields<'_> {
    /// An error about `field`.
    pub(super) fn wrong(&self, field: &'static str, problem: impl Into<String>) -> DatasetError {
        DatasetError::Field {
            path: self.path.to_owned(),
            place: self.place,
            field,
            problem: problem.into(),
        }
    }

    /// The value of `field`; null counts as absent.
    fn value(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// A string, if there is one.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<&str>, DatasetError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, format!("is {}, expected a string", kind(other)))),
        }
    }

    /// A string that is not blank, if there is one; a blank one counts as absent.
    pub(super) fn word(&self, field: &'static str) -> Result<Option<&str>, DatasetError> {
        Ok(self.text(field)?.filter(|text| !text.trim().is_empty()))
    }

    /// A string that must be there and not blank.
    pub(super) fn required(&self, field: &'static str) -> Result<&str, DatasetError> {
        let text = self.text(field)?.ok_or_else(|| {
            self.wrong(field, if self.map.contains_key(field) { "is null" } else { "is missing" })
        })?;
        if text.trim().is_empty() {
            return Err(self.wrong(field, "is blank"));
        }
        Ok(text)
    }

    /// A list of strings, or a string that holds such a list as JSON.
    pub(super) fn list(&self, field: &'static str) -> Result<Option<Vec<String>>, DatasetError> {
        let parsed;
        let items = match self.value(field) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(Value::String(text)) => {
                parsed = serde_json::from_str::<Value>(text).map_err(|error| {
                    self.wrong(field, format!("is a string but not a list in JSON: {error}"))
                })?;
                parsed.as_array().ok_or_else(|| {
                    let what = kind(&parsed);
                    self.wrong(field, format!("is a string that holds {what}, expected a list"))
                })?
            }
            Some(other) => {
                let problem = format!("is {}, expected a list or a list in a string", kind(other));
                return Err(self.wrong(field, problem));
            }
        };
        let strings = items.iter().enumerate().map(|(index, item)| match item {
            Value::String(text) => Ok(text.clone()),
            other => {
                let problem = format!("holds {} at index {index}, expected strings", kind(other));
                Err(self.wrong(field, problem))
            }
        });
        strings.collect::<Result<_, _>>().map(Some)
    }
}
