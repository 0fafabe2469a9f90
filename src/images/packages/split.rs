//! Two releases of a package become a test patch and a gold patch.

use std::path::Path;

use git2::{DiffFormat, DiffOptions, Oid, Repository};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::dataset::commit::{CommitError, FileMode, single_commit};
use crate::images::files::Files;
use crate::scratch;

/// The difference of two releases, in git's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Split {
    /// Everything below the test folders.
    pub(crate) test_patch: String,
    /// Python files elsewhere, without lines that only carry the version.
    pub(crate) patch: String,
}

/// Why two trees cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// A tree cannot be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// libgit2 failed.
    #[error("cannot compare the releases")]
    Git(#[from] git2::Error),
    /// The patch would not survive as text.
    #[error("the {what} holds bytes that are not UTF-8")]
    NotText {
        /// Which patch.
        what: &'static str,
    },
    /// There is nothing to solve or nothing to judge by.
    #[error("the {what} is empty: the releases do not differ there")]
    Empty {
        /// Which patch.
        what: &'static str,
    },
}

/// The files of a source release that its repository would track.
pub(crate) fn tracked(files: Files) -> Files {
    let noise =
        |path: &str| path.split('/').any(|part| part == "PKG-INFO" || part.ends_with(".egg-info"));
    files.into_iter().filter(|(path, _)| !noise(path)).collect()
}

/// Splits the difference from `base` to `fix`, two trees of [`tracked`] files.
///
/// # Errors
/// [`SplitError`]; an empty patch is one.
pub(crate) fn split(
    base: &Files,
    fix: &Files,
    tests: &[String],
    versions: (&str, &str),
) -> Result<Split, SplitError> {
    let is_test = |path: &str| tests.iter().any(|prefix| path.starts_with(prefix.as_str()));
    let is_source = |path: &str| path.ends_with(".py") && !is_test(path);
    let with_tests = merged(base, fix, is_test);
    let mut with_fix = merged(base, fix, is_source);
    for (path, file) in &mut with_fix {
        if let Some(before) = base.get(path)
            && file.mode == FileMode::Regular
        {
            file.content = without_version_lines(&before.content, &file.content, versions);
        }
    }
    Ok(Split {
        test_patch: difference(base, &with_tests, "test patch")?,
        patch: difference(base, &with_fix, "patch of the source")?,
    })
}

/// `base`, with the files that `selected` names as they are in `fix`.
fn merged(base: &Files, fix: &Files, selected: impl Fn(&str) -> bool) -> Files {
    let keep = base.iter().filter(|(path, _)| !selected(path));
    let take = fix.iter().filter(|(path, _)| selected(path));
    keep.chain(take).map(|(path, file)| (path.clone(), file.clone())).collect()
}

/// `new`, with each line put back that differs from its old line in the version number alone.
fn without_version_lines(old: &[u8], new: &[u8], (from, to): (&str, &str)) -> Vec<u8> {
    let (Ok(old_text), Ok(new_text)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return new.to_vec();
    };
    let old: Vec<&str> = old_text.split_inclusive('\n').collect();
    let new: Vec<&str> = new_text.split_inclusive('\n').collect();
    let mut result = String::with_capacity(new_text.len());
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        match op {
            DiffOp::Replace { old_index, old_len, new_index, new_len } if old_len == new_len => {
                for offset in 0..new_len {
                    let (before, after) = (old[old_index + offset], new[new_index + offset]);
                    let version_only = before.contains(from) && before.replace(from, to) == after;
                    result.push_str(if version_only { before } else { after });
                }
            }
            other => new[other.new_range()].iter().for_each(|line| result.push_str(line)),
        }
    }
    result.into_bytes()
}

fn difference(before: &Files, after: &Files, what: &'static str) -> Result<String, SplitError> {
    // Both trees go into a repository that is thrown away: the newer release must not lie in any
    // object database that is kept.
    let scratch = scratch::Dir::new("agent-split-").map_err(|error| {
        git2::Error::from_str(&format!("cannot make a temporary directory: {error}"))
    })?;
    let old = single_commit(before.values().cloned(), &scratch.path().join("old"))?;
    let new = single_commit(after.values().cloned(), &scratch.path().join("new"))?;
    let repository = Repository::open_bare(scratch.path().join("old"))?;
    repository.odb()?.add_disk_alternate(&objects(&scratch.path().join("new")))?;
    let tree = |id: Oid| repository.find_commit(id)?.tree();
    let mut options = DiffOptions::new();
    options.show_binary(true).context_lines(3);
    let diff =
        repository.diff_tree_to_tree(Some(&tree(old)?), Some(&tree(new)?), Some(&mut options))?;
    let mut bytes = Vec::new();
    diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            bytes.push(line.origin() as u8);
        }
        bytes.extend_from_slice(line.content());
        true
    })?;
    if bytes.is_empty() {
        return Err(SplitError::Empty { what });
    }
    String::from_utf8(bytes).map_err(|_| SplitError::NotText { what })
}

fn objects(repository: &Path) -> String {
    repository.join("objects").to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::dataset::commit::CommitFile;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs
            .iter()
            .map(|(path, text)| ((*path).to_owned(), CommitFile::regular(*path, *text)))
            .collect()
    }

    fn base() -> Files {
        files(&[
            ("CHANGES.rst", "1.0\n"),
            ("pkg/__init__.py", "__version__ = \"1.0\"\n"),
            ("pkg/core.py", "# since 1.0\ndef f():\n    return 1\n\n\ndef g():\n    return 2\n"),
            ("pkg/old.py", "x = 1\n"),
            ("setup.cfg", "version = 1.0\n"),
            ("tests/data.txt", "1.0\n"),
            ("tests/test_core.py", "def test_f():\n    assert f() == 1\n"),
        ])
    }

    fn fix() -> Files {
        files(&[
            ("CHANGES.rst", "1.1: f fixed\n1.0\n"),
            ("pkg/__init__.py", "__version__ = \"1.1\"\n"),
            ("pkg/core.py", "# since 1.0\ndef f():\n    return 3\n\n\ndef g():\n    return 2"),
            ("pkg/new.py", "y = 1\n"),
            ("setup.cfg", "version = 1.1\n"),
            ("tests/data.txt", "1.1\n"),
            ("tests/test_core.py", "def test_f():\n    assert f() == 3\n"),
            ("tests/test_new.py", ""),
        ])
    }

    fn changed(patch: &str) -> Vec<&str> {
        let names = patch.lines().filter_map(|line| line.strip_prefix("diff --git a/"));
        names.map(|names| names.split(' ').next().unwrap()).collect()
    }

    #[test]
    fn tests_and_source_are_told_apart_and_the_rest_is_left_out() {
        let split = split(&base(), &fix(), &["tests/".to_owned()], ("1.0", "1.1")).unwrap();
        let tests = ["tests/data.txt", "tests/test_core.py", "tests/test_new.py"];
        assert_eq!(changed(&split.test_patch), tests);
        assert_eq!(changed(&split.patch), ["pkg/core.py", "pkg/new.py", "pkg/old.py"]);
        assert!(split.patch.contains("\\ No newline at end of file"));
    }

    #[test]
    fn git_applies_both_patches_and_gets_the_fixed_files() {
        let split = split(&base(), &fix(), &["tests/".to_owned()], ("1.0", "1.1")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (path, file) in base() {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.content).unwrap();
        }
        for patch in [&split.patch, &split.test_patch] {
            let mut git = Command::new("git")
                .args(["apply", "-"])
                .current_dir(dir.path())
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(git.stdin.as_mut().unwrap(), patch.as_bytes()).unwrap();
            assert!(git.wait().unwrap().success(), "{patch}");
        }
        for (path, file) in fix() {
            if path.ends_with(".py") && path != "pkg/__init__.py" {
                assert_eq!(std::fs::read(dir.path().join(&path)).unwrap(), file.content, "{path}");
            }
        }
        assert!(!dir.path().join("pkg/old.py").exists());
    }

    #[test]
    fn only_lines_that_change_nothing_but_the_version_are_put_back() {
        let check = |old: &str, new: &str| {
            let result = without_version_lines(old.as_bytes(), new.as_bytes(), ("1.0", "1.1"));
            String::from_utf8(result).unwrap()
        };
        assert_eq!(check("v = '1.0'\nx = 1\n", "v = '1.1'\nx = 2\n"), "v = '1.0'\nx = 2\n");
        // More than the version changes, or the version is new: part of the fix.
        assert_eq!(check("v = '1.0'  # a\n", "v = '1.1'  # b\n"), "v = '1.1'  # b\n");
        assert_eq!(check("a\n", "a\nsince = '1.1'\n"), "a\nsince = '1.1'\n");
        assert_eq!(check("v = '0.9'\n", "v = '1.1'\n"), "v = '1.1'\n");
    }

    #[test]
    fn releases_without_a_fix_or_without_tests_are_refused() {
        let only_version = files(&[
            ("pkg/__init__.py", "__version__ = \"1.1\"\n"),
            ("tests/test_core.py", "changed\n"),
        ]);
        let old =
            files(&[("pkg/__init__.py", "__version__ = \"1.0\"\n"), ("tests/test_core.py", "x\n")]);
        let tests = ["tests/".to_owned()];
        let result = split(&old, &only_version, &tests, ("1.0", "1.1"));
        assert!(matches!(result, Err(SplitError::Empty { what: "patch of the source" })));
        assert!(matches!(
            split(&old, &old, &tests, ("1.0", "1.1")),
            Err(SplitError::Empty { what: "test patch" })
        ));
    }

    #[test]
    fn what_a_build_writes_into_a_release_is_no_part_of_the_tree() {
        let kept = tracked(files(&[
            ("PKG-INFO", ""),
            ("src/x.egg-info/SOURCES.txt", ""),
            ("src/x.py", ""),
            (".gitignore", ""),
        ]));
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), [".gitignore", "src/x.py"]);
    }
}
