//! The bundled dataset `sample`: small projects with an issue, gold tests and recorded model
//! replies, compiled in from `evaluation/sample`.
//!
//! A sample has no history: its base commit is the one that [`crate::dataset::commit`]
//! makes of its files, so the id follows from the files alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::{Dir, DirEntry, include_dir};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::artifact::InstanceId;
use crate::dataset::commit::{self, CommitError, CommitFile};
use crate::dataset::fields::Fields;
use crate::dataset::load::{Placed, hex};
use crate::dataset::{Dataset, DatasetError, ImageNaming, Place, Row, row};
use crate::scratch;

static FOLDER: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/evaluation/sample");

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    Samples::read(&FOLDER).expect("the samples are compiled in and a test has read them")
});

/// Why a sample cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A file of a sample is not there or not text.
    #[error("sample {sample}: {file} is missing or not UTF-8")]
    File {
        /// Its folder.
        sample: String,
        /// The file.
        file: &'static str,
    },
    /// `instance.json` is not an object in JSON.
    #[error("sample {sample}: instance.json is no JSON object")]
    Json {
        /// Its folder.
        sample: String,
    },
    /// A field is wrong.
    #[error(transparent)]
    Row(#[from] DatasetError),
    /// The base commit cannot be made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The folder for repositories cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The bundled instances.
#[must_use]
pub fn dataset() -> Dataset {
    SAMPLES.dataset.clone()
}

/// The recorded model replies of an instance, one JSON object a line; none for other instances.
#[must_use]
pub fn replies(id: &InstanceId) -> Option<&'static str> {
    SAMPLES.replies(id)
}

/// The files of an instance's repository as `(path, content)`; none for other instances.
pub fn files(id: &InstanceId) -> impl Iterator<Item = (String, &'static [u8])> {
    SAMPLES.files(id).into_iter()
}

/// Makes sure that `repos` holds a bare repository `owner__name.git` with the base commit of each
/// sample. May run in several processes at once: a repository appears whole or not at all, and
/// one that exists is only ever added to.
///
/// # Errors
/// [`SampleError`] when the folder cannot be written.
pub fn install(repos: &Path) -> Result<(), SampleError> {
    SAMPLES.install(repos)
}

/// Samples below a folder that is compiled in.
struct Samples {
    folder: &'static Dir<'static>,
    dataset: Dataset,
}

impl Samples {
    fn read(folder: &'static Dir<'static>) -> Result<Self, SampleError> {
        let mut rows = Vec::new();
        let mut digest = Sha256::new();
        for sample in folder.dirs() {
            let place = Place::Entry(rows.len() + 1);
            rows.push(Placed { path: "sample".into(), place, row: read_sample(sample)? });
            for (path, content) in all_files(sample) {
                digest.update(format!("{path}\0{}\0", content.len()));
                digest.update(content);
            }
        }
        let digest = hex(&digest.finalize());
        let dataset = Dataset::from_rows(Path::new("sample"), "sample".into(), digest, rows)?;
        Ok(Self { folder, dataset })
    }

    fn sample(&self, id: &InstanceId) -> Option<&'static Dir<'static>> {
        self.dataset.instance(id)?;
        self.folder.get_dir(id.as_str())
    }

    fn replies(&self, id: &InstanceId) -> Option<&'static str> {
        let sample = self.sample(id)?;
        sample.get_file(sample.path().join("replies.jsonl"))?.contents_utf8()
    }

    fn files(&self, id: &InstanceId) -> Vec<(String, &'static [u8])> {
        self.sample(id).map(repository_files).unwrap_or_default()
    }

    fn install(&self, repos: &Path) -> Result<(), SampleError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            |source| SampleError::Io { path, source }
        };
        fs::create_dir_all(repos).map_err(io(repos))?;
        for row in self.dataset.rows() {
            let instance = &row.instance;
            let target = repos.join(format!("{}.git", instance.repo.replace('/', "__")));
            if commit::has_commit(&target, &instance.base_commit) {
                continue;
            }
            let files = || self.files(&instance.id).into_iter().map(as_commit_file);
            if !target.exists() {
                let scratch = scratch::Dir::below(repos, ".sample-").map_err(io(repos))?;
                let fresh = scratch.path().join("repo.git");
                commit::single_commit(files(), &fresh)?;
                match fs::rename(&fresh, &target) {
                    Ok(()) => continue,
                    Err(source) if !target.exists() => return Err(io(&target)(source)),
                    // Another process was faster.
                    Err(_) if commit::has_commit(&target, &instance.base_commit) => continue,
                    Err(_) => {}
                }
            }
            let reference = format!("refs/agent/{}", instance.id);
            commit::add_commit(files(), &target, &reference)?;
        }
        Ok(())
    }
}

fn as_commit_file((path, content): (String, &'static [u8])) -> CommitFile {
    CommitFile::regular(path, content)
}

fn read_sample(sample: &'static Dir<'static>) -> Result<Row, SampleError> {
    let name = sample.path().display().to_string();
    let text = |file: &'static str| {
        sample
            .get_file(sample.path().join(file))
            .and_then(include_dir::File::contents_utf8)
            .ok_or_else(|| SampleError::File { sample: name.clone(), file })
    };
    let mut map: Map<String, Value> = serde_json::from_str(text("instance.json")?)
        .map_err(|_| SampleError::Json { sample: name.clone() })?;
    let base = commit::commit_id(repository_files(sample).into_iter().map(as_commit_file))?;
    map.insert("base_commit".into(), base.to_string().into());
    map.insert("problem_statement".into(), text("issue.md")?.into());
    map.insert("patch".into(), text("gold.patch")?.into());
    map.insert("test_patch".into(), text("test.patch")?.into());
    let path = Path::new("sample").join(&name).join("instance.json");
    let fields = Fields { path: &path, place: Place::Entry(1), map: &map };
    let row = row::row(&fields, &ImageNaming::None)?;
    if row.instance.id.as_str() != name {
        let problem = format!("is {}, but the folder is {name}", row.instance.id);
        return Err(fields.wrong("instance_id", problem).into());
    }
    Ok(row)
}

/// Files below `repo/`, with paths relative to it.
fn repository_files(sample: &'static Dir<'static>) -> Vec<(String, &'static [u8])> {
    let Some(repo) = sample.get_dir(sample.path().join("repo")) else {
        return Vec::new();
    };
    let prefix = format!("{}/", repo.path().display());
    all_files(repo)
        .into_iter()
        .filter_map(|(path, content)| Some((path.strip_prefix(&prefix)?.to_owned(), content)))
        .collect()
}

/// All files of a folder, sorted by path, without what Python leaves when somebody runs the tests
/// in place.
fn all_files(dir: &'static Dir<'static>) -> Vec<(String, &'static [u8])> {
    let mut files = Vec::new();
    let mut dirs = vec![dir];
    while let Some(dir) = dirs.pop() {
        for entry in dir.entries() {
            let name = entry.path().file_name().unwrap_or_default().to_string_lossy();
            match entry {
                DirEntry::Dir(_) if name == "__pycache__" || name == ".pytest_cache" => {}
                DirEntry::Dir(dir) => dirs.push(dir),
                DirEntry::File(_) if name.ends_with(".pyc") => {}
                DirEntry::File(file) => {
                    files.push((file.path().display().to_string(), file.contents()));
                }
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    static FIXTURES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/fixtures/sample");

    fn fixtures() -> Samples {
        Samples::read(&FIXTURES).unwrap()
    }

    fn git(dir: &Path, args: &[&str]) -> String {
        let output = Command::new("git").current_dir(dir).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn what_is_compiled_in_is_what_lies_in_the_folder() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/sample");
        let mut names: Vec<_> = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut embedded: Vec<_> =
            dataset().instances().iter().map(|instance| instance.id.to_string()).collect();
        embedded.sort();
        assert_eq!(embedded, names, "touch src/dataset/sample.rs and build again");
        for row in dataset().rows() {
            let (instance, gold) = (&row.instance, row.gold.as_ref().unwrap());
            assert!(files(&instance.id).count() > 3, "{}", instance.id);
            assert!(!replies(&instance.id).unwrap().is_empty(), "{}", instance.id);
            assert!(!gold.fail_to_pass.is_empty(), "{}", instance.id);
            assert!(instance.test_command.is_some(), "{}", instance.id);
        }
    }

    #[test]
    fn instances_carry_no_gold_and_gold_is_found_apart() {
        let samples = fixtures();
        let id = InstanceId::new("fixture__words-2").unwrap();
        let instance = samples.dataset.instance(&id).unwrap();
        assert_eq!(instance.problem_statement, "count(\"\") is 1\r\n\r\nIt should be 0.\r\n");
        let command = instance.test_command.as_ref().unwrap();
        assert_eq!(command.log_format, crate::artifact::LogFormat::Unittest);
        assert_eq!(instance.image, None);
        let gold = samples.dataset.gold(&id).unwrap();
        assert_eq!(gold.test_directives.as_ref().unwrap().len(), 2);
        let seen = serde_json::to_string(instance).unwrap();
        assert!(!seen.contains("EmptyTest") && !seen.contains("text.split()"));
        assert_eq!(samples.replies(&InstanceId::new("other").unwrap()), None);
        assert_eq!(samples.files(&id).len(), 2);
    }

    #[test]
    fn installed_repositories_hold_the_base_commits_and_nothing_later() {
        let dir = tempfile::tempdir().unwrap();
        let samples = fixtures();
        samples.install(dir.path()).unwrap();
        samples.install(dir.path()).unwrap();
        for row in samples.dataset.rows() {
            let repo = row.instance.repo.replace('/', "__");
            let bare = dir.path().join(format!("{repo}.git"));
            assert_eq!(git(&bare, &["rev-parse", "main"]).trim(), row.instance.base_commit);
            assert_eq!(git(&bare, &["rev-list", "--all", "--count"]).trim(), "1");
            git(dir.path(), &["clone", "-q", bare.to_str().unwrap(), &repo]);
            let gold = row.gold.as_ref().unwrap();
            for (name, patch) in [("gold", &gold.patch), ("test", &gold.test_patch)] {
                let file = dir.path().join(name);
                fs::write(&file, patch).unwrap();
                git(&dir.path().join(&repo), &["apply", file.to_str().unwrap()]);
            }
        }
        let left = fs::read_dir(dir.path()).unwrap();
        let scratch = left
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        assert_eq!(scratch.count(), 0);
    }

    #[test]
    fn an_older_repository_of_that_name_is_added_to_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("fixture__adder.git");
        let kept = commit::single_commit([CommitFile::regular("old", "old")], &old).unwrap();
        let samples = fixtures();
        samples.install(dir.path()).unwrap();
        let base = &samples.dataset.rows()[0].instance.base_commit;
        assert_eq!(git(&old, &["rev-parse", "main"]).trim(), kept.to_string());
        assert_eq!(git(&old, &["cat-file", "-t", base]).trim(), "commit");
        git(&old, &["fsck", "--strict"]);
    }

    #[test]
    fn many_installers_may_add_to_an_older_repository_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("fixture__adder.git");
        commit::single_commit([CommitFile::regular("old", "old")], &old).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| fixtures().install(dir.path()).unwrap());
            }
        });
        git(&old, &["fsck", "--strict"]);
    }

    #[test]
    fn many_installers_at_once_leave_whole_repositories() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| fixtures().install(dir.path()).unwrap());
            }
        });
        for repo in ["fixture__adder.git", "fixture__words.git"] {
            git(&dir.path().join(repo), &["fsck", "--strict"]);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
