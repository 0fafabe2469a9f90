//! Makes a bare repository with exactly one commit out of files. Equal files give the equal commit
//! id on every machine: author, date and message are fixed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, RepositoryInitOptions};

/// Author and committer of the commit, 2024-01-01T00:00:00Z.
const SIGNATURE: &str = "agent <agent@localhost> 1704067200 +0000";

/// One file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFile {
    /// Relative path, `/` between components.
    pub path: String,
    /// Content; the target of a symbolic link.
    pub content: Vec<u8>,
    /// What it is.
    pub mode: FileMode,
}

impl CommitFile {
    /// A plain file.
    #[must_use]
    pub fn regular(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: content.into(), mode: FileMode::Regular }
    }
}

/// What git may record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// A plain file.
    Regular,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Symlink,
}

/// Why no commit can be made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A path that git would not take.
    #[error("path {path:?} cannot be committed: {reason}")]
    Path {
        /// The path.
        path: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The object database failed.
    #[error("cannot write objects to {repository}")]
    Git {
        /// The bare repository.
        repository: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
}

/// Writes `files` as the only commit of a new bare repository at `into`, with `HEAD` on branch
/// `main`, and gives the commit's id. `into` must be absent or empty.
///
/// # Errors
/// [`CommitError`] for paths that git would refuse and for a failing disk.
pub fn single_commit(
    files: impl IntoIterator<Item = CommitFile>,
    into: &Path,
) -> Result<Oid, CommitError> {
    let root = Dir::of(files)?;
    let write = || {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).initial_head("main");
        let repository = Repository::init_opts(into, &options)?;
        let commit = root.commit(&Sink::Odb(&repository.odb()?))?;
        repository.reference("refs/heads/main", commit, true, "base")?;
        Ok(commit)
    };
    write().map_err(|source| CommitError::Git { repository: into.display().to_string(), source })
}

/// Adds the commit to a repository that exists, kept alive by the reference `reference`.
///
/// # Errors
/// [`CommitError`], as [`single_commit`].
pub(super) fn add_commit(
    files: impl IntoIterator<Item = CommitFile>,
    repository: &Path,
    reference: &str,
) -> Result<Oid, CommitError> {
    let root = Dir::of(files)?;
    let write = || -> Result<Oid, git2::Error> {
        let repository = Repository::open_bare(repository)?;
        let commit = root.commit(&Sink::Odb(&repository.odb()?))?;
        repository.reference(reference, commit, true, "base")?;
        Ok(commit)
    };
    let mut attempt = 1;
    loop {
        match write() {
            // Another process is writing the same reference.
            Err(error) if error.code() == ErrorCode::Locked && attempt < 100 => {
                attempt += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            result => {
                let repository = repository.display().to_string();
                return result.map_err(|source| CommitError::Git { repository, source });
            }
        }
    }
}

/// Whether `repository` is one and holds the commit `id`.
pub(super) fn has_commit(repository: &Path, id: &str) -> bool {
    let find = || Repository::open_bare(repository)?.find_commit(Oid::from_str(id)?).map(drop);
    find().is_ok()
}

/// The id that [`single_commit`] would give, without writing anything.
///
/// # Errors
/// [`CommitError::Path`].
pub fn commit_id(files: impl IntoIterator<Item = CommitFile>) -> Result<Oid, CommitError> {
    Dir::of(files)?
        .commit(&Sink::HashOnly)
        .map_err(|source| CommitError::Git { repository: "memory".to_owned(), source })
}

/// Where objects go.
enum Sink<'a> {
    Odb(&'a Odb<'a>),
    HashOnly,
}

impl Sink<'_> {
    fn put(&self, kind: ObjectType, bytes: &[u8]) -> Result<Oid, git2::Error> {
        match self {
            Self::Odb(odb) => odb.write(kind, bytes),
            Self::HashOnly => Oid::hash_object(kind, bytes),
        }
    }
}

#[derive(Default)]
struct Dir {
    entries: BTreeMap<String, Node>,
}

enum Node {
    Dir(Dir),
    File(CommitFile),
}

impl Dir {
    fn of(files: impl IntoIterator<Item = CommitFile>) -> Result<Self, CommitError> {
        let mut root = Self::default();
        for file in files {
            root.insert(file)?;
        }
        Ok(root)
    }

    fn insert(&mut self, file: CommitFile) -> Result<(), CommitError> {
        let path = file.path.clone();
        let refuse = |reason| CommitError::Path { path: path.clone(), reason };
        let mut dir = self;
        let mut components = path.split('/').peekable();
        while let Some(component) = components.next() {
            match component {
                "" | "." | ".." => return Err(refuse("it has an empty, `.` or `..` component")),
                _ if component.eq_ignore_ascii_case(".git") => {
                    return Err(refuse("it lies in a .git folder"));
                }
                _ if component.contains('\0') => return Err(refuse("it holds a NUL byte")),
                _ => {}
            }
            if components.peek().is_none() {
                if dir.entries.contains_key(component) {
                    return Err(refuse("it is given twice"));
                }
                dir.entries.insert(component.to_owned(), Node::File(file));
                return Ok(());
            }
            let next = dir.entries.entry(component.to_owned());
            match next.or_insert_with(|| Node::Dir(Self::default())) {
                Node::Dir(next) => dir = next,
                Node::File(_) => return Err(refuse("a file lies where it needs a folder")),
            }
        }
        Ok(())
    }

    fn commit(&self, sink: &Sink<'_>) -> Result<Oid, git2::Error> {
        let tree = self.tree(sink)?;
        let text = format!("tree {tree}\nauthor {SIGNATURE}\ncommitter {SIGNATURE}\n\nbase\n");
        sink.put(ObjectType::Commit, text.as_bytes())
    }

    fn tree(&self, sink: &Sink<'_>) -> Result<Oid, git2::Error> {
        // Git sorts a tree as if the names of folders ended in a slash.
        let mut sorted: Vec<(String, &str, &Node)> = self
            .entries
            .iter()
            .map(|(name, node)| match node {
                Node::Dir(_) => (format!("{name}/"), name.as_str(), node),
                Node::File(_) => (name.clone(), name.as_str(), node),
            })
            .collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut bytes = Vec::new();
        for (_, name, node) in sorted {
            let (mode, id) = match node {
                Node::Dir(dir) => ("40000", dir.tree(sink)?),
                Node::File(file) => (file.mode.octal(), sink.put(ObjectType::Blob, &file.content)?),
            };
            bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        sink.put(ObjectType::Tree, &bytes)
    }
}

impl FileMode {
    fn octal(self) -> &'static str {
        match self {
            Self::Regular => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn files() -> Vec<CommitFile> {
        vec![
            CommitFile::regular("a.py", "print(1)\n"),
            CommitFile::regular("a/b/c.txt", b"\x00\xff".to_vec()),
            CommitFile::regular("a-b", ""),
            CommitFile {
                path: "run.sh".into(),
                content: b"#!/bin/sh\n".to_vec(),
                mode: FileMode::Executable,
            },
            CommitFile { path: "link".into(), content: b"a.py".to_vec(), mode: FileMode::Symlink },
        ]
    }

    fn git(dir: &Path, args: &[&str]) -> String {
        let output = Command::new("git").current_dir(dir).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn git_finds_a_sound_repository_with_the_files_and_one_commit() {
        let dir = tempfile::tempdir().unwrap();
        let bare = dir.path().join("o__n.git");
        let id = single_commit(files(), &bare).unwrap();
        git(&bare, &["fsck", "--strict"]);
        assert_eq!(git(&bare, &["rev-parse", "HEAD"]).trim(), id.to_string());
        assert_eq!(git(&bare, &["rev-list", "--all", "--count"]).trim(), "1");
        let log = git(&bare, &["log", "--format=%an <%ae> %cn %at %s"]);
        assert_eq!(log.trim(), "agent <agent@localhost> agent 1704067200 base");
        let work = dir.path().join("work");
        git(dir.path(), &["clone", "-q", bare.to_str().unwrap(), "work"]);
        assert_eq!(std::fs::read(work.join("a/b/c.txt")).unwrap(), b"\x00\xff");
        assert_eq!(std::fs::read_link(work.join("link")).unwrap(), Path::new("a.py"));
        assert!(git(&work, &["ls-files", "-s", "run.sh"]).starts_with("100755"));
    }

    #[test]
    fn the_id_is_the_one_that_git_itself_gives() {
        let dir = tempfile::tempdir().unwrap();
        let written = single_commit(files(), &dir.path().join("x.git")).unwrap();
        let mut reversed = files();
        reversed.reverse();
        assert_eq!(commit_id(reversed).unwrap(), written);

        let work = dir.path().join("work");
        git(dir.path(), &["clone", "-q", "x.git", "work"]);
        let tree = git(&work, &["write-tree"]);
        let output = Command::new("git")
            .current_dir(&work)
            .args(["commit-tree", "-m", "base", tree.trim()])
            .envs([("GIT_AUTHOR_NAME", "agent"), ("GIT_COMMITTER_NAME", "agent")])
            .env("GIT_AUTHOR_EMAIL", "agent@localhost")
            .env("GIT_COMMITTER_EMAIL", "agent@localhost")
            .env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), written.to_string());
    }

    #[test]
    fn paths_that_git_refuses_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", "/etc/passwd", "a/../b", "./a", "a//b", ".git/hooks/x", "a/.GIT/x", "a\0"] {
            let into = dir.path().join("x.git");
            let result = single_commit([CommitFile::regular(bad, "")], &into);
            assert!(matches!(result, Err(CommitError::Path { .. })), "{bad:?}");
            assert!(!into.exists());
        }
        let clash = ["a", "a/b"].map(|path| CommitFile::regular(path, ""));
        assert!(matches!(commit_id(clash), Err(CommitError::Path { .. })));
    }
}
