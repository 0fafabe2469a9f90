//! What is kept between runs: archives, finished rows, the dataset's file, and bare repositories
//! with base commits. Every file is whole or absent.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository, RepositoryInitOptions};
use serde_json::Value;

use crate::artifact::InstanceId;
use crate::images::checkout::{Checkout, copy_commit};
use crate::images::packages::PackageError;

/// The folders below a cache directory.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Source archives.
    pub(crate) fn sources(&self) -> PathBuf {
        self.root.join("packages/sources")
    }

    /// The dataset.
    pub(crate) fn dataset(&self) -> PathBuf {
        self.root.join("packages/packages.jsonl")
    }

    fn row_file(&self, id: &InstanceId) -> PathBuf {
        self.root.join("packages/rows").join(format!("{id}.json"))
    }

    /// A finished row, if it was made from these inputs.
    pub(crate) fn row(&self, id: &InstanceId, inputs: &str) -> Option<Value> {
        let bytes = fs::read(self.row_file(id)).ok()?;
        let mut kept: Value = serde_json::from_slice(&bytes).ok()?;
        (kept.get("inputs")? == inputs).then(|| kept["row"].take())
    }

    /// Keeps a finished row.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn keep_row(&self, id: &InstanceId, inputs: &str, row: &Value) -> io::Result<()> {
        let text = serde_json::json!({"inputs": inputs, "row": row}).to_string();
        write_atomically(&self.row_file(id), text.as_bytes())
    }

    /// Writes the dataset: the finished rows of these instances, in this order, whatever their
    /// inputs were.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn write_dataset<'a>(
        &self,
        ids: impl Iterator<Item = &'a InstanceId>,
    ) -> io::Result<()> {
        let mut text = String::new();
        for id in ids {
            let Ok(bytes) = fs::read(self.row_file(id)) else { continue };
            let kept: Value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
            text.push_str(&ascii(&kept["row"].to_string()));
            text.push('\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        write_atomically(&self.dataset(), text.as_bytes())
    }

    /// Puts the base commit into the bare repository of `repo` (`owner/name`), where other base
    /// commits of the same repository may be.
    ///
    /// # Errors
    /// [`PackageError::Repository`].
    pub(crate) fn keep_commit(
        &self,
        repo: &str,
        id: &InstanceId,
        checkout: &Checkout,
    ) -> Result<(), PackageError> {
        let path = self.root.join("repos").join(format!("{}.git", repo.replace('/', "__")));
        let reference = format!("refs/heads/{id}");
        let keep = || {
            let mut options = RepositoryInitOptions::new();
            options.bare(true).mkpath(true).external_template(false).initial_head(&reference);
            let bare = match Repository::open_bare(&path) {
                Err(error) if error.code() == ErrorCode::NotFound => {
                    Repository::init_opts(&path, &options)?
                }
                opened => opened?,
            };
            let commit = checkout.commit();
            if bare.find_reference(&reference).is_ok_and(|found| found.target() == Some(commit)) {
                return Ok(());
            }
            copy_commit(&checkout.repository()?, commit, &bare, &reference)
        };
        keep().map_err(|source| PackageError::Repository { path: path.clone(), source })
    }
}

/// Writes a file that is whole or absent, also when the machine stops.
///
/// # Errors
/// What the disk says; the file is as before then.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    // As readable as any other new file: less the umask.
    let permissions = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// JSON text with everything outside of ASCII escaped: readers that split lines at U+2028 or
/// U+0085, as SWE-bench's does, would break rows apart otherwise.
fn ascii(json: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::commit::CommitFile;

    #[test]
    fn rows_stay_on_one_line_whatever_they_hold() {
        let value = serde_json::json!({"text": "a\u{2028}b\u{85}ö😀\n\"\\"});
        let line = ascii(&value.to_string());
        assert!(line.is_ascii() && line.lines().count() == 1, "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_row_counts_only_for_the_inputs_it_was_made_from() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        let ids = ["a__a-1", "b__b-1", "c__c-1"].map(|id| InstanceId::new(id).unwrap());
        for id in [&ids[2], &ids[0]] {
            cache.keep_row(id, "in", &serde_json::json!({"instance_id": id.as_str()})).unwrap();
        }
        assert!(cache.row(&ids[0], "in").is_some());
        assert!(cache.row(&ids[0], "other").is_none());
        assert!(cache.row(&ids[1], "in").is_none());
        cache.write_dataset(ids.iter()).unwrap();
        let text = fs::read_to_string(cache.dataset()).unwrap();
        assert_eq!(text, "{\"instance_id\":\"a__a-1\"}\n{\"instance_id\":\"c__c-1\"}\n");
    }

    #[test]
    fn one_bare_repository_holds_the_base_commits_of_several_instances() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        let mut commits = Vec::new();
        for (id, text) in [("o__n-1", "one"), ("o__n-2", "two"), ("o__n-1", "one")] {
            let file = CommitFile::regular("a.py", text);
            let checkout = Checkout::of_files(&[("a.py".to_owned(), file)].into()).unwrap();
            cache.keep_commit("o/n", &InstanceId::new(id).unwrap(), &checkout).unwrap();
            commits.push(checkout.commit());
        }
        let bare = Repository::open_bare(dir.path().join("repos/o__n.git")).unwrap();
        for commit in &commits {
            let commit = bare.find_commit(*commit).unwrap();
            assert_eq!(commit.parent_count(), 0);
            let blob = commit.tree().unwrap().get_name("a.py").unwrap().id();
            assert!(bare.find_blob(blob).is_ok());
        }
        assert_eq!(commits[0], commits[2]);
        assert_eq!(bare.references().unwrap().count(), 2);
        assert!(bare.head().is_ok());
    }
}
