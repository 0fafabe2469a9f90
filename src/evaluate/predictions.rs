//! Reads predictions: `.jsonl`, or `.json` with a list or an object by instance id.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::artifact::{InstanceId, Prediction};
use crate::dataset::{Dataset, Place};

/// At most one prediction an instance, all of instances that the dataset holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predictions {
    rows: BTreeMap<InstanceId, Prediction>,
    notices: Vec<String>,
}

/// Why predictions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PredictionsError {
    /// The file cannot be read.
    #[error("cannot read predictions {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another kind of file.
    #[error("predictions {path}: expected a file ending in .jsonl or .json")]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON.
    #[error("predictions {path}{}: invalid JSON", at(*place))]
    Json {
        /// The file.
        path: PathBuf,
        /// The line of a `.jsonl` file.
        place: Option<Place>,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// A prediction, or the whole file, has another shape.
    #[error("predictions {path}{}: {problem}", at(*place))]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where, if it is about one prediction.
        place: Option<Place>,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Predictions for instances that the dataset does not hold.
    #[error("predictions {path}: dataset {dataset} has no instance {ids}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Where instances were looked up.
        dataset: String,
        /// The first of them, with the nearest known one, and how many more there are.
        ids: String,
    },
    /// Nothing to evaluate.
    #[error("predictions {path}: the file holds no prediction")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

fn at(place: Option<Place>) -> String {
    place.map(|place| format!(", {place}")).unwrap_or_default()
}

/// Ids listed in an error before the rest is only counted.
const LISTED: usize = 10;

impl Predictions {
    /// Reads a file. Blank lines and a byte order mark are fine; of two predictions for one
    /// instance the last counts, and a notice says so.
    ///
    /// # Errors
    /// [`PredictionsError`] names file, line and field.
    pub fn load(path: &Path, dataset: &Dataset) -> Result<Self, PredictionsError> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let lines = match extension.as_deref() {
            Some("jsonl") => true,
            Some("json") => false,
            _ => return Err(PredictionsError::Kind { path: path.to_owned() }),
        };
        let bytes = std::fs::read(path)
            .map_err(|source| PredictionsError::Read { path: path.to_owned(), source })?;
        let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let values = if lines { lines_of(path, body)? } else { entries_of(path, body)? };
        let mut rows = BTreeMap::new();
        let mut notices = Vec::new();
        for (place, key, value) in values {
            let prediction = prediction(path, place, key, &value)?;
            let id = prediction.instance_id.clone();
            if rows.insert(id.clone(), prediction).is_some() {
                notices.push(format!(
                    "{}, {place}: a second prediction for {id}; the last one counts",
                    path.display()
                ));
            }
        }
        let predictions = Self { rows, notices };
        predictions.check(path, dataset)?;
        Ok(predictions)
    }

    /// The reference patches of a dataset as predictions of the model `gold`.
    #[must_use]
    pub fn gold(dataset: &Dataset) -> Self {
        let rows = dataset.rows().iter().filter_map(|row| {
            let prediction = Prediction {
                instance_id: row.instance.id.clone(),
                model_name_or_path: "gold".to_owned(),
                model_patch: row.gold.as_ref()?.patch.clone(),
            };
            Some((row.instance.id.clone(), prediction))
        });
        Self { rows: rows.collect(), notices: Vec::new() }
    }

    /// Predictions that were made in this process. Of two for one instance the last counts.
    #[must_use]
    pub fn of(predictions: impl IntoIterator<Item = Prediction>) -> Self {
        let rows = predictions.into_iter().map(|row| (row.instance_id.clone(), row)).collect();
        Self { rows, notices: Vec::new() }
    }

    /// Keeps the predictions of some instances.
    pub fn retain(&mut self, wanted: impl Fn(&InstanceId) -> bool) {
        self.rows.retain(|id, _| wanted(id));
    }

    /// All predictions, by instance id.
    pub fn iter(&self) -> impl Iterator<Item = &Prediction> {
        self.rows.values()
    }

    /// The prediction for an instance.
    #[must_use]
    pub fn get(&self, id: &InstanceId) -> Option<&Prediction> {
        self.rows.get(id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What a person should know about the file.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    fn check(&self, path: &Path, dataset: &Dataset) -> Result<(), PredictionsError> {
        if self.rows.is_empty() {
            return Err(PredictionsError::Empty { path: path.to_owned() });
        }
        let unknown: Vec<&InstanceId> =
            self.rows.keys().filter(|id| dataset.instance(id).is_none()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<String> = unknown
            .iter()
            .take(LISTED)
            .map(|id| match dataset.nearest(id.as_str()) {
                Some(near) => format!("{id} (nearest: {near})"),
                None => id.to_string(),
            })
            .collect();
        if unknown.len() > LISTED {
            ids.push(format!("and {} more", unknown.len() - LISTED));
        }
        Err(PredictionsError::Unknown {
            path: path.to_owned(),
            dataset: dataset.source().to_owned(),
            ids: ids.join(", "),
        })
    }
}

/// A place, the key of an object keyed by id, and the value.
type Entry = (Place, Option<String>, Value);

fn lines_of(path: &Path, body: &[u8]) -> Result<Vec<Entry>, PredictionsError> {
    body.split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (Place::Line(index + 1), line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(place, line)| match serde_json::from_slice(line) {
            Ok(value) => Ok((place, None, value)),
            Err(source) => {
                Err(PredictionsError::Json { path: path.to_owned(), place: Some(place), source })
            }
        })
        .collect()
}

fn entries_of(path: &Path, body: &[u8]) -> Result<Vec<Entry>, PredictionsError> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|source| PredictionsError::Json { path: path.to_owned(), place: None, source })?;
    let place = |index| Place::Entry(index + 1);
    match document {
        Value::Array(items) => {
            Ok(items.into_iter().enumerate().map(|(i, item)| (place(i), None, item)).collect())
        }
        Value::Object(map) if !map.contains_key("model_patch") => Ok(map
            .into_iter()
            .enumerate()
            .map(|(i, (key, item))| (place(i), Some(key), item))
            .collect()),
        _ => Err(PredictionsError::Shape {
            path: path.to_owned(),
            place: None,
            problem: "expected a list of predictions or an object of them by instance id"
                .to_owned(),
        }),
    }
}

fn prediction(
    path: &Path,
    place: Place,
    key: Option<String>,
    value: &Value,
) -> Result<Prediction, PredictionsError> {
    let wrong = |problem: String| PredictionsError::Shape {
        path: path.to_owned(),
        place: Some(place),
        problem,
    };
    let map: &Map<String, Value> =
        value.as_object().ok_or_else(|| wrong("expected an object".to_owned()))?;
    let text = |field: &str| match map.get(field) {
        None => Err(wrong(format!("field `{field}` is missing"))),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(wrong(format!("field `{field}` is not a string"))),
    };
    let id = match (key, map.contains_key("instance_id")) {
        (Some(key), false) => key,
        (key, _) => {
            let id = text("instance_id")?;
            if let Some(key) = key.filter(|key| *key != id) {
                return Err(wrong(format!("field `instance_id` is {id:?} under the key {key:?}")));
            }
            id
        }
    };
    let instance_id = InstanceId::new(id).map_err(|error| wrong(error.to_string()))?;
    let model_patch = match map.get("model_patch") {
        Some(Value::Null) => String::new(),
        _ => text("model_patch")?,
    };
    Ok(Prediction { instance_id, model_name_or_path: text("model_name_or_path")?, model_patch })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dataset(dir: &Path) -> Dataset {
        let row = |n: u8| {
            json!({
                "instance_id": format!("o__n-{n}"), "repo": "o/n", "problem_statement": "x",
                "base_commit": "0".repeat(40), "patch": format!("gold {n}"), "test_patch": "",
                "FAIL_TO_PASS": [], "PASS_TO_PASS": [],
            })
        };
        let path = dir.join("rows.json");
        std::fs::write(&path, json!([row(1), row(2)]).to_string()).unwrap();
        Dataset::load(&path).unwrap()
    }

    fn load(name: &str, content: impl AsRef<[u8]>) -> Result<Predictions, PredictionsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        Predictions::load(&path, &dataset(dir.path()))
    }

    fn row(id: &str, patch: &str) -> Value {
        json!({ "instance_id": id, "model_name_or_path": "m", "model_patch": patch, "more": 1 })
    }

    fn patch_of(predictions: &Predictions, id: &str) -> String {
        predictions.get(&InstanceId::new(id).unwrap()).unwrap().model_patch.clone()
    }

    #[test]
    fn lines_lists_and_objects_are_read() {
        let (one, two) = (row("o__n-1", "a"), row("o__n-2", "\n"));
        let lines = format!("\u{feff}{one}\r\n\n{two}\n\n");
        for (name, content) in [
            ("p.jsonl", lines.clone()),
            ("P.JSONL", lines),
            ("p.json", json!([one, two]).to_string()),
            ("p.json", json!({ "o__n-1": one, "o__n-2": two }).to_string()),
        ] {
            let predictions = load(name, content).unwrap();
            assert_eq!(predictions.len(), 2);
            assert_eq!(patch_of(&predictions, "o__n-2"), "\n");
        }
        let keyed = json!({ "o__n-1": { "model_name_or_path": "m", "model_patch": null } });
        assert_eq!(patch_of(&load("p.json", keyed.to_string()).unwrap(), "o__n-1"), "");
    }

    #[test]
    fn the_last_of_two_predictions_counts_and_a_notice_says_so() {
        let text = format!("{}\n{}\n", row("o__n-1", "a"), row("o__n-1", "b"));
        let predictions = load("p.jsonl", text).unwrap();
        assert_eq!(patch_of(&predictions, "o__n-1"), "b");
        assert!(predictions.notices()[0].contains("line 2: a second prediction for o__n-1"));
    }

    #[test]
    fn gold_patches_are_predictions_too() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(patch_of(&Predictions::gold(&dataset(dir.path())), "o__n-2"), "gold 2");
    }

    #[test]
    fn errors_name_the_place_and_the_way_out() {
        let mut keyless = row("o__n-1", "a");
        keyless.as_object_mut().unwrap().remove("model_patch");
        let mut nameless = row("o__n-1", "a");
        nameless.as_object_mut().unwrap().remove("model_name_or_path");
        let mut number = row("o__n-1", "a");
        number["model_patch"] = json!(3);
        let cases = [
            ("p.jsonl", format!("\n{keyless}"), "line 2: field `model_patch` is missing"),
            ("p.jsonl", nameless.to_string(), "line 1: field `model_name_or_path` is missing"),
            ("p.jsonl", number.to_string(), "field `model_patch` is not a string"),
            ("p.jsonl", "[1]".to_owned(), "line 1: expected an object"),
            ("p.jsonl", "{".to_owned(), "line 1: invalid JSON"),
            ("p.json", row("o__n-1", "a").to_string(), "expected a list of predictions"),
            ("p.json", json!({"x": row("o__n-1", "a")}).to_string(), "under the key \"x\""),
            ("p.json", "[]".to_owned(), "holds no prediction"),
            ("p.jsonl", "\n\n".to_owned(), "holds no prediction"),
            ("p.txt", String::new(), "ending in .jsonl or .json"),
            ("p.jsonl", row("O__n-1", "a").to_string(), "no instance O__n-1 (nearest: o__n-1)"),
        ];
        for (name, content, expected) in cases {
            let error = load(name, &content).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} / {expected}");
        }
        let many: Vec<_> = (0..14).map(|n| row(&format!("zzzzzzzz{n}"), "a")).collect();
        let error = load("p.json", json!(many).to_string()).unwrap_err().to_string();
        assert!(error.contains("zzzzzzzz0,") && error.contains("and 4 more"), "{error}");
    }
}
