//! Reads a file of rows, all of it or none: an unusable row is an error that says where it is.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::artifact::{Instance, InstanceId};
use crate::dataset::fields::{Fields, kind};
use crate::dataset::{DatasetError, Gold, ImageNaming, Place, row};

/// Rows of one source, in its order, with unique ids.
#[derive(Debug, Clone)]
pub struct Dataset {
    source: String,
    digest: String,
    rows: Vec<Row>,
    by_id: HashMap<InstanceId, usize>,
}

/// One row: what a solver may know and what a grader may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// For solvers.
    pub instance: Instance,
    /// For graders; absent when the row holds nothing to grade with.
    pub gold: Option<Gold>,
    /// When the fix was proposed, as the row says it; not part of the digest.
    pub created_at: Option<String>,
}

impl Row {
    /// SHA-256 of all that the row holds, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        // Strings and lists of strings always have a form in JSON.
        let text = serde_json::to_vec(&(&self.instance, &self.gold)).unwrap_or_default();
        sha256_hex(&text)
    }
}

impl Dataset {
    /// Reads a `.jsonl` or `.json` file; rows without an image get the official one's name where
    /// such images are published.
    ///
    /// # Errors
    /// [`DatasetError`] names file, line and field.
    pub fn load(path: &Path) -> Result<Self, DatasetError> {
        Self::load_with(path, &ImageNaming::default())
    }

    /// Like [`Dataset::load`], with a rule for rows that name no image.
    ///
    /// # Errors
    /// [`DatasetError`] names file, line and field.
    pub fn load_with(path: &Path, naming: &ImageNaming) -> Result<Self, DatasetError> {
        let wrong_kind = |found| DatasetError::Kind { path: path.to_owned(), found };
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let lines = match extension.as_deref() {
            _ if path.is_dir() => return Err(wrong_kind("a directory")),
            Some("jsonl" | "ndjson") => true,
            Some("json") => false,
            Some("parquet") => return Err(wrong_kind("a parquet file")),
            _ => return Err(wrong_kind("a file of another kind")),
        };
        let bytes = std::fs::read(path)
            .map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
        let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let rows = if lines {
            read_lines(path, body, naming)?
        } else {
            read_document(path, body, naming)?
        };
        Self::from_rows(path, path.display().to_string(), sha256_hex(&bytes), rows)
    }

    /// Checks that ids are unique and that there is at least one row.
    pub(super) fn from_rows(
        path: &Path,
        source: String,
        digest: String,
        placed: Vec<(Place, Row)>,
    ) -> Result<Self, DatasetError> {
        if placed.is_empty() {
            return Err(DatasetError::Empty { path: path.to_owned() });
        }
        let mut by_id = HashMap::with_capacity(placed.len());
        for (index, (place, row)) in placed.iter().enumerate() {
            if let Some(first) = by_id.insert(row.instance.id.clone(), index) {
                return Err(DatasetError::Duplicate {
                    path: path.to_owned(),
                    place: *place,
                    id: row.instance.id.to_string(),
                    first: placed[first].0,
                });
            }
        }
        let rows = placed.into_iter().map(|(_, row)| row).collect();
        Ok(Self { source, digest, rows, by_id })
    }

    /// Where the rows came from: a path or a known name.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the source's bytes, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Number of rows; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// All instances, in the source's order, without gold data.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.rows.iter().map(|row| row.instance.clone()).collect()
    }

    /// All rows, in the source's order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// One row.
    #[must_use]
    pub fn row(&self, id: &InstanceId) -> Option<&Row> {
        self.by_id.get(id).map(|index| &self.rows[*index])
    }

    /// One instance, without gold data.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.row(id).map(|row| &row.instance)
    }

    /// The gold data of an instance: none for unknown instances and for rows that have none.
    #[must_use]
    pub fn gold(&self, id: &InstanceId) -> Option<&Gold> {
        self.row(id).and_then(|row| row.gold.as_ref())
    }

    /// The id most like `text`, if one is near: for error messages.
    #[must_use]
    pub fn nearest(&self, text: &str) -> Option<&InstanceId> {
        let wanted = text.to_ascii_lowercase();
        let likeness = |id: &InstanceId| {
            strsim::normalized_levenshtein(&wanted, &id.as_str().to_ascii_lowercase())
        };
        self.rows
            .iter()
            .map(|row| (&row.instance.id, likeness(&row.instance.id)))
            .filter(|(_, likeness)| *likeness >= 0.6)
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(id, _)| id)
    }
}

fn read_lines(
    path: &Path,
    body: &[u8],
    naming: &ImageNaming,
) -> Result<Vec<(Place, Row)>, DatasetError> {
    let mut rows = Vec::new();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let place = Place::Line(index + 1);
        let text = std::str::from_utf8(line)
            .map_err(|_| DatasetError::Encoding { path: path.to_owned(), place })?
            .trim();
        if text.is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(text).map_err(|source| DatasetError::Json {
            path: path.to_owned(),
            place,
            source,
        })?;
        rows.push((place, read_row(path, place, &value, naming)?));
    }
    Ok(rows)
}

fn read_document(
    path: &Path,
    body: &[u8],
    naming: &ImageNaming,
) -> Result<Vec<(Place, Row)>, DatasetError> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|source| DatasetError::JsonFile { path: path.to_owned(), source })?;
    let rows: Vec<Value> = match document {
        Value::Array(rows) => rows,
        Value::Object(map) if map.values().all(Value::is_object) => keyed_rows(path, map)?,
        Value::Object(map) if map.contains_key("instance_id") => {
            let found = "a single row (put it in a list)";
            return Err(DatasetError::Shape { path: path.to_owned(), found });
        }
        other => {
            return Err(DatasetError::Shape { path: path.to_owned(), found: kind(&other) });
        }
    };
    rows.iter()
        .enumerate()
        .map(|(index, value)| {
            let place = Place::Entry(index + 1);
            Ok((place, read_row(path, place, value, naming)?))
        })
        .collect()
}

/// Rows of an object keyed by id. The key counts as the id where the row itself has none.
fn keyed_rows(path: &Path, map: Map<String, Value>) -> Result<Vec<Value>, DatasetError> {
    map.into_iter()
        .enumerate()
        .map(|(index, (key, mut row))| {
            if let Some(fields) = row.as_object_mut() {
                let inner = fields.entry("instance_id").or_insert_with(|| key.clone().into());
                if *inner != key {
                    return Err(DatasetError::Field {
                        path: path.to_owned(),
                        place: Place::Entry(index + 1),
                        field: "instance_id",
                        problem: format!("is {inner}, but the row's key is {key:?}"),
                    });
                }
            }
            Ok(row)
        })
        .collect()
}

fn read_row(
    path: &Path,
    place: Place,
    value: &Value,
    naming: &ImageNaming,
) -> Result<Row, DatasetError> {
    let map = value.as_object().ok_or_else(|| DatasetError::NotAnObject {
        path: path.to_owned(),
        place,
        found: kind(value),
    })?;
    row::row(&Fields { path, place, map }, naming)
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use serde_json::json;

    use super::*;
    use crate::dataset::EvalType;

    fn classic(id: &str) -> Value {
        json!({
            "repo": "django/django", "instance_id": id, "base_commit": "A".repeat(40),
            "patch": "gold", "test_patch": "tests", "problem_statement": "it\r\nbreaks \u{2028}",
            "hints_text": "use the force", "created_at": "2020-01-01T00:00:00Z", "version": "4.3",
            "FAIL_TO_PASS": "[\"test_a (m.C)\"]", "PASS_TO_PASS": "[]",
            "environment_setup_commit": "b", "difficulty": "<15 min fix",
        })
    }

    fn with(mut row: Value, field: &str, value: Value) -> Value {
        row[field] = value;
        row
    }

    fn without(mut row: Value, field: &str) -> Value {
        row.as_object_mut().unwrap().remove(field);
        row
    }

    fn load(name: &str, content: impl AsRef<[u8]>) -> Result<Dataset, DatasetError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        Dataset::load(&path)
    }

    /// The error of a `.jsonl` file with a good row on line 1 and `row` on line 2.
    fn second_line(row: &Value) -> String {
        let content = format!("{}\n{row}\n", classic("django__django-1"));
        load("d.jsonl", content).unwrap_err().to_string()
    }

    #[test]
    fn classic_rows_give_an_instance_and_gold_apart() {
        let dataset = load("d.jsonl", classic("django__django-11099").to_string()).unwrap();
        let id = InstanceId::new("django__django-11099").unwrap();
        let instance = dataset.instance(&id).unwrap();
        assert_eq!(instance.base_commit, "a".repeat(40));
        assert_eq!(instance.problem_statement, "it\r\nbreaks \u{2028}");
        assert_eq!(
            instance.image.as_deref(),
            Some("swebench/sweb.eval.x86_64.django_1776_django-11099:latest")
        );
        let command = instance.test_command.as_ref().unwrap();
        assert!(command.command.starts_with("./tests/runtests.py"));
        let gold = dataset.gold(&id).unwrap();
        assert_eq!(gold.fail_to_pass, ["test_a (m.C)"]);
        assert_eq!((gold.version.as_str(), gold.eval_type), ("4.3", EvalType::PassAndFail));
        let everything = format!("{dataset:?}");
        assert!(!everything.contains("force"), "hints were kept");
    }

    #[test]
    fn v5_columns_and_our_own_override() {
        let row = json!({
            "repo": "someone/thing", "instance_id": "someone__thing-7", "problem_statement": "x",
            "base_commit": "0".repeat(40), "patch": "", "test_patch": "",
            "FAIL_TO_PASS": ["a"], "PASS_TO_PASS": ["b", "c"], "image_name": "img:1",
            "eval_script": "#!/bin/bash\n", "log_parser": "parse_log_flask",
            "eval_type": "fail_only", "test_command": "make check", "log_format": "unittest",
            "install": "pip install -e .", "test_directives": ["x.py"],
        });
        let dataset = load("d.json", json!([row]).to_string()).unwrap();
        let Row { instance, gold, .. } = &dataset.rows()[0];
        let gold = gold.as_ref().unwrap();
        assert_eq!(instance.image.as_deref(), Some("img:1"));
        assert_eq!(instance.install.as_deref(), Some("pip install -e ."));
        let command = instance.test_command.as_ref().unwrap();
        assert_eq!(
            (command.command.as_str(), command.log_format.name()),
            ("make check", "unittest")
        );
        assert_eq!(gold.eval_type, EvalType::FailOnly);
        assert_eq!(gold.eval_script.as_deref(), Some("#!/bin/bash\n"));
        assert_eq!(gold.test_directives.as_deref(), Some(&["x.py".to_owned()][..]));
        assert_eq!(gold.pass_to_pass, ["b", "c"]);

        let parser_only = without(without(row.clone(), "test_command"), "log_format");
        let dataset = load("d.json", json!([parser_only]).to_string()).unwrap();
        let command = dataset.instances()[0].test_command.clone().unwrap();
        assert_eq!((command.command.as_str(), command.log_format.name()), ("pytest -rA", "pytest"));
    }

    #[test]
    fn images_of_rows_that_name_none_follow_the_rule_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.jsonl");
        let rows = [classic("a__a-1"), with(classic("b__b-1"), "repo", json!("b/b"))];
        std::fs::write(&path, format!("{}\n{}", rows[0], rows[1])).unwrap();
        let images = |naming: &ImageNaming| -> Vec<Option<String>> {
            let dataset = Dataset::load_with(&path, naming).unwrap();
            dataset.instances().into_iter().map(|instance| instance.image).collect()
        };
        assert_eq!(images(&ImageNaming::Official)[1], None);
        assert_eq!(images(&ImageNaming::None), [None, None]);
        let template = ImageNaming::Template("mine/{id_1776}:v1".parse().unwrap());
        assert_eq!(images(&template)[1].as_deref(), Some("mine/b_1776_b-1:v1"));
    }

    #[test]
    fn rows_without_gold_can_be_solved_but_not_half_graded() {
        let mut row = classic("django__django-1");
        for column in ["patch", "test_patch", "FAIL_TO_PASS", "PASS_TO_PASS"] {
            row = without(row, column);
        }
        let dataset = load("d.jsonl", row.to_string()).unwrap();
        assert_eq!(dataset.rows()[0].gold, None);
        let half = with(row.clone(), "FAIL_TO_PASS", json!([]));
        assert_eq!(load("d.jsonl", half.to_string()).unwrap().rows()[0].gold, None);
        let wrong = second_line(&with(row, "FAIL_TO_PASS", json!(7)));
        assert!(wrong.contains("line 2: field `FAIL_TO_PASS`"), "{wrong}");
    }

    #[test]
    fn byte_order_marks_blank_lines_and_crlf_are_no_obstacle() {
        let (one, two) = (classic("a__a-1"), classic("a__a-2"));
        let text = format!("\u{feff}\r\n{one}\r\n\r\n  \n{two}\r\n\n");
        let dataset = load("d.JSONL", &text).unwrap();
        assert_eq!(dataset.len(), 2);
        assert_eq!(dataset.digest(), sha256_hex(text.as_bytes()));
        assert_eq!(dataset.instances()[0].problem_statement, "it\r\nbreaks \u{2028}");
        assert_eq!(load("d.json", format!("\u{feff}[{one}]")).unwrap().len(), 1);
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_object_keyed_by_id_is_read_like_a_list() {
        let keyed = json!({
            "a__a-1": without(classic("x"), "instance_id"), "a__a-2": classic("a__a-2"),
        });
        let ids: Vec<_> = load("d.json", keyed.to_string())
            .unwrap()
            .instances()
            .into_iter()
            .map(|instance| instance.id.to_string())
            .collect();
        assert_eq!(ids, ["a__a-1", "a__a-2"]);
        let clash = json!({ "a__a-1": classic("a__a-2") });
        let error = load("d.json", clash.to_string()).unwrap_err().to_string();
        assert!(error.contains("entry 1: field `instance_id`"), "{error}");
        let single = load("d.json", classic("a__a-1").to_string()).unwrap_err().to_string();
        assert!(single.contains("put it in a list"), "{single}");
    }

    #[test]
    fn errors_name_line_field_and_expectation() {
        let row = || classic("django__django-2");
        let cases = [
            (without(row(), "repo"), "line 2: field `repo` is missing"),
            (with(row(), "repo", json!("../x")), "expected owner/name"),
            (with(row(), "repo", json!("a/b/c")), "expected owner/name"),
            (with(row(), "version", json!(4.3)), "`version` is a number, expected a string"),
            (with(row(), "base_commit", json!("abc")), "`base_commit` is \"abc\", expected a full"),
            (with(row(), "instance_id", json!("a/b")), "`instance_id` is unusable"),
            (with(row(), "problem_statement", json!(" \n")), "`problem_statement` is blank"),
            (with(row(), "problem_statement", json!(null)), "`problem_statement` is null"),
            (with(row(), "FAIL_TO_PASS", json!("[1]")), "holds a number at index 0"),
            (with(row(), "FAIL_TO_PASS", json!("{}")), "holds an object, expected a list"),
            (with(row(), "PASS_TO_PASS", json!("[\"a")), "not a list in JSON"),
            (with(row(), "PASS_TO_PASS", json!(7)), "`PASS_TO_PASS` is a number"),
            (with(row(), "eval_type", json!("both")), "expected pass_and_fail or fail_only"),
            (with(row(), "log_format", json!("tap")), "expected one of pytest, "),
            (with(row(), "image", json!(["x"])), "`image` is a list, expected a string"),
            (classic("django__django-1"), "\"django__django-1\" is already taken by line 1"),
            (json!([1]), "line 2: expected an object, found a list"),
        ];
        for (row, expected) in cases {
            let error = second_line(&row);
            assert!(error.contains("d.jsonl") && error.contains(expected), "{error} / {expected}");
        }
        let command = with(with(row(), "repo", json!("x/y")), "test_command", json!("make"));
        assert!(second_line(&command).contains("`log_format` is missing"));
    }

    #[test]
    fn broken_files_say_where() {
        let good = classic("a__a-1");
        let cut = load("d.jsonl", format!("{good}\n{{\"a\": ")).unwrap_err();
        assert!(cut.to_string().contains("line 2: invalid JSON"), "{cut}");
        assert!(cut.source().unwrap().to_string().contains("EOF"));
        let latin =
            load("d.jsonl", [good.to_string().as_bytes(), b"\n\xff\n"].concat()).unwrap_err();
        assert!(latin.to_string().contains("line 2: the text is not UTF-8"), "{latin}");
        let document = load("d.json", "[\n{]").unwrap_err();
        assert!(document.source().unwrap().to_string().contains("line 2 column 2"));
        assert!(matches!(load("d.jsonl", "\n\n"), Err(DatasetError::Empty { .. })));
        assert!(matches!(load("d.json", "[]"), Err(DatasetError::Empty { .. })));
        assert!(matches!(load("d.json", "3"), Err(DatasetError::Shape { .. })));
        let parquet = load("d.parquet", "PAR1").unwrap_err();
        assert!(parquet.hint().unwrap().contains("to_json"), "{parquet}");
        assert!(matches!(load("d.csv", ""), Err(DatasetError::Kind { .. })));
        assert!(matches!(Dataset::load(Path::new("/")), Err(DatasetError::Kind { .. })));
    }

    #[test]
    fn mistyped_ids_find_their_neighbour() {
        let rows = format!("{}\n{}", classic("django__django-11099"), classic("a__a-1"));
        let dataset = load("d.jsonl", rows).unwrap();
        let near = |text| dataset.nearest(text).map(InstanceId::as_str);
        assert_eq!(near("Django_django-11099"), Some("django__django-11099"));
        assert_eq!(near("nothing like it"), None);
    }
}
