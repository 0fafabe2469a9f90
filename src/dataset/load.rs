//! Rows that were read, with unique ids: all of a source or none.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::artifact::{Instance, InstanceId};
use crate::dataset::{DatasetError, Gold, HubName, ImageNaming, Place, Taken, files};

/// Rows of one source, in its order, with unique ids.
#[derive(Debug, Clone)]
pub struct Dataset {
    source: String,
    digest: String,
    taken: Option<Taken>,
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

/// A row and where it stood.
pub(super) struct Placed {
    pub(super) path: PathBuf,
    pub(super) place: Place,
    pub(super) row: Row,
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
    /// Reads a file (`.jsonl`, `.json`, `.parquet`, `.jsonl.gz`, `.jsonl.zst`) or a folder of
    /// parquet files, of which those of the split `test` are taken; rows without an image get the
    /// official one's name where such images are published.
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
        Self::load_files(path, &files::of(path)?, naming)
    }

    /// Reads what was taken of the hub.
    pub(super) fn load_taken(
        name: &str,
        taken: Taken,
        naming: &ImageNaming,
    ) -> Result<Self, DatasetError> {
        let dataset = Self::load_files(Path::new(name), &taken.files, naming)?;
        Ok(Self { taken: Some(taken), ..dataset })
    }

    fn load_files(
        source: &Path,
        files: &[PathBuf],
        naming: &ImageNaming,
    ) -> Result<Self, DatasetError> {
        let (mut rows, mut digest) = (Vec::new(), Sha256::new());
        for path in files {
            let bytes = std::fs::read(path)
                .map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
            digest.update(&bytes);
            let placed = files::rows(path, &bytes, naming)?.into_iter();
            rows.extend(placed.map(|(place, row)| Placed { path: path.clone(), place, row }));
        }
        Self::from_rows(source, source.display().to_string(), hex(&digest.finalize()), rows)
    }

    /// Checks that ids are unique and that there is at least one row.
    pub(super) fn from_rows(
        path: &Path,
        source: String,
        digest: String,
        placed: Vec<Placed>,
    ) -> Result<Self, DatasetError> {
        if placed.is_empty() {
            return Err(DatasetError::Empty { path: path.to_owned() });
        }
        let mut by_id = HashMap::with_capacity(placed.len());
        for (index, Placed { path, place, row }) in placed.iter().enumerate() {
            if let Some(first) = by_id.insert(row.instance.id.clone(), index) {
                let first = &placed[first];
                let first = match &first.path == path {
                    true => first.place.to_string(),
                    false => format!("{}, {}", first.path.display(), first.place),
                };
                let (path, place, id) = (path.clone(), *place, row.instance.id.to_string());
                return Err(DatasetError::Duplicate { path, place, id, first });
            }
        }
        let rows = placed.into_iter().map(|placed| placed.row).collect();
        Ok(Self { source, digest, taken: None, rows, by_id })
    }

    /// Where the rows came from: a path or a known name.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// For rows of the hub: the name, with the commit as revision, that opens just these again.
    #[must_use]
    pub fn pinned(&self) -> Option<&HubName> {
        self.taken.as_ref().map(|taken| &taken.pinned)
    }

    /// For rows of the hub: the cached files, in order.
    #[must_use]
    pub fn cached_files(&self) -> &[PathBuf] {
        self.taken.as_ref().map_or(&[], |taken| &taken.files)
    }

    /// SHA-256 of the source's bytes (of several files one after another), 64 hexadecimal digits.
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

    use serde_json::{Value, json};

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
        let pretty = serde_json::to_string_pretty(&classic("a__a-1")).unwrap();
        let single = load("d.json", pretty).unwrap_err().to_string();
        assert!(single.contains("put it in a list"), "{single}");
    }

    #[test]
    fn lines_called_json_are_read_as_lines() {
        for rows in [&["a__a-1"][..], &["a__a-1", "a__a-2"]] {
            let lines: String = rows.iter().map(|id| format!("{}\n", classic(id))).collect();
            assert_eq!(load("d.json", lines).unwrap().len(), rows.len());
        }
    }

    #[test]
    fn compressed_lines_are_read_and_the_digest_is_of_the_file() {
        use std::io::Write as _;

        let text = classic("a__a-1").to_string();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        let dataset = load("d.jsonl.gz", &packed).unwrap();
        assert_eq!((dataset.len(), dataset.digest()), (1, sha256_hex(&packed).as_str()));
        let packed = zstd::encode_all(text.as_bytes(), 0).unwrap();
        assert_eq!(load("d.jsonl.zst", &packed).unwrap().len(), 1);
    }

    /// A parquet file with these ids, or without the column of repositories.
    fn parquet_of(ids: &[&str], with_repo: bool) -> Vec<u8> {
        use crate::dataset::test_parquet::{Column, parquet};

        let same = |text: &str| Column::text(vec![text.to_owned(); ids.len()]);
        let commit = "a".repeat(40);
        let mut columns = vec![
            ("instance_id", Column::text(ids.iter().copied())),
            ("base_commit", same(&commit)),
            ("problem_statement", same("it breaks")),
            ("patch", same("gold")),
            ("test_patch", same("tests")),
            ("FAIL_TO_PASS", Column::List(vec![vec!["t::a".to_owned()]; ids.len()])),
            ("PASS_TO_PASS", same("[\"t::b\"]")),
        ];
        if with_repo {
            columns.push(("repo", same("a/a")));
        }
        parquet(&columns, ::parquet::basic::Compression::SNAPPY)
    }

    #[test]
    fn parquet_rows_are_rows_like_others() {
        let dataset = load("d.parquet", parquet_of(&["a__a-1", "a__a-2"], true)).unwrap();
        let gold = dataset.rows()[1].gold.as_ref().unwrap();
        assert_eq!(
            (gold.fail_to_pass.len(), gold.pass_to_pass.as_slice()),
            (1, &["t::b".into()][..])
        );
        let missing = load("d.parquet", parquet_of(&["a__a-1"], false)).unwrap_err().to_string();
        assert!(missing.contains("d.parquet, row 1: field `repo` is missing"), "{missing}");
    }

    #[test]
    fn a_folder_gives_the_shards_of_its_test_split() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("rows");
        std::fs::create_dir_all(folder.join("data")).unwrap();
        let write = |name: &str, ids: &[&str]| {
            std::fs::write(folder.join("data").join(name), parquet_of(ids, true)).unwrap();
        };
        write("dev-00000-of-00001.parquet", &["a__a-9"]);
        write("test-00000-of-00002.parquet", &["a__a-1", "a__a-2"]);
        let incomplete = Dataset::load(&folder).unwrap_err().to_string();
        assert!(incomplete.contains("has 1 of 2 files"), "{incomplete}");
        write("test-00001-of-00002.parquet", &["a__a-3"]);
        let dataset = Dataset::load(&folder).unwrap();
        let ids: Vec<_> = dataset.instances().into_iter().map(|row| row.id.to_string()).collect();
        assert_eq!(ids, ["a__a-1", "a__a-2", "a__a-3"]);
        write("test-00001-of-00002.parquet", &["a__a-2"]);
        let twice = Dataset::load(&folder).unwrap_err().to_string();
        assert!(twice.contains("test-00000-of-00002.parquet, row 2"), "{twice}");
        let plain = dir.path().join("plain");
        std::fs::create_dir(&plain).unwrap();
        std::fs::write(plain.join("part-0.parquet"), parquet_of(&["a__a-1"], true)).unwrap();
        assert_eq!(Dataset::load(&plain).unwrap().len(), 1);
        std::fs::rename(plain.join("part-0.parquet"), plain.join("train.parquet")).unwrap();
        let other = Dataset::load(&plain).unwrap_err().to_string();
        assert!(other.contains("it has train"), "{other}");
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
        assert!(parquet.to_string().contains("d.parquet"), "{parquet}");
        assert!(parquet.source().unwrap().to_string().contains("damaged"));
        let gzip = load("d.jsonl.gz", "{}").unwrap_err();
        assert!(matches!(gzip, DatasetError::Unpack { .. }), "{gzip}");
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
