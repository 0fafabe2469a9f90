//! A source (revision of a repository, archive, folder) becomes the `.git` of `/testbed`: one
//! commit, its files, and nothing else.
//!
//! A revision keeps its commit id: the commit is marked as a shallow boundary, so git neither has
//! nor misses its parents. Archives and folders get a commit whose author and date are fixed.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryInitOptions};

use crate::dataset::commit::single_commit;
use crate::images::ImageError;
use crate::images::files::{self, Files};
use crate::scratch;

/// Where a tree comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A revision of a git repository, bare or not.
    Git {
        /// The repository.
        path: PathBuf,
        /// Whatever `git rev-parse` takes.
        rev: String,
    },
    /// A source archive, or a folder that is no repository.
    Files(PathBuf),
}

impl Source {
    /// A repository if `path` is one (at `rev`, or its `HEAD`), else an archive or a folder.
    #[must_use]
    pub fn detect(path: &Path, rev: Option<&str>) -> Self {
        // Not `discover`: a folder inside of a repository is a folder.
        if path.is_dir() && Repository::open(path).is_ok() {
            let rev = rev.unwrap_or("HEAD").to_owned();
            return Self::Git { path: path.to_owned(), rev };
        }
        Self::Files(path.to_owned())
    }
}

/// A `.git` with one commit, in a temporary directory.
pub(crate) struct Checkout {
    dir: scratch::Dir,
    commit: Oid,
}

impl Checkout {
    /// Makes it from a source.
    ///
    /// # Errors
    /// [`ImageError`] for sources that cannot be read.
    pub(crate) fn of(source: &Source) -> Result<Self, ImageError> {
        match source {
            Source::Git { path, rev } => {
                let failed = |source| ImageError::Git {
                    path: path.display().to_string(),
                    rev: rev.clone(),
                    source,
                };
                let repository = Repository::open(path).map_err(failed)?;
                let commit = repository
                    .revparse_single(rev)
                    .and_then(|object| object.peel_to_commit())
                    .map_err(failed)?
                    .id();
                Self::taken(&repository, commit, failed)
            }
            Source::Files(path) => Self::of_files(&files::read(path)?),
        }
    }

    /// Makes it from files.
    ///
    /// # Errors
    /// [`ImageError`] for paths that git would refuse.
    pub(crate) fn of_files(files: &Files) -> Result<Self, ImageError> {
        let scratch = temporary()?;
        let bare = scratch.path().join("tree.git");
        let commit = single_commit(files.values().cloned(), &bare)?;
        let failed = |source| ImageError::Git {
            path: "the files of the source".to_owned(),
            rev: commit.to_string(),
            source,
        };
        let repository = Repository::open_bare(&bare).map_err(failed)?;
        Self::taken(&repository, commit, failed)
    }

    fn taken(
        from: &Repository,
        commit: Oid,
        failed: impl Fn(git2::Error) -> ImageError,
    ) -> Result<Self, ImageError> {
        let dir = temporary()?;
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).initial_head("main");
        let into = Repository::init_opts(dir.path(), &options).map_err(&failed)?;
        copy_commit(from, commit, &into, "refs/heads/main").map_err(&failed)?;
        let boundary = from.find_commit(commit).map_err(&failed)?.parent_count() > 0;
        let io = |source| ImageError::Io { action: "write a temporary repository".into(), source };
        if boundary {
            fs::write(into.path().join("shallow"), format!("{commit}\n")).map_err(io)?;
        }
        fs::create_dir_all(into.path().join("info")).map_err(io)?;
        match fs::remove_dir_all(into.path().join("logs")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(error)),
            _ => Ok(Self { dir, commit }),
        }
    }

    /// The commit's id.
    pub(crate) fn commit(&self) -> Oid {
        self.commit
    }

    /// The repository itself.
    ///
    /// # Errors
    /// What libgit2 says.
    pub(crate) fn repository(&self) -> Result<Repository, git2::Error> {
        Repository::open(self.dir.path())
    }

    /// A tar archive of `.git`, owned by root.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub(crate) fn tar(&self) -> Result<fs::File, ImageError> {
        let io = |source| ImageError::Io { action: "pack a temporary repository".into(), source };
        let file = tempfile::tempfile().map_err(io)?;
        let mut builder = tar::Builder::new(file);
        builder.mode(tar::HeaderMode::Deterministic);
        builder.append_dir_all(".git", self.dir.path().join(".git")).map_err(io)?;
        let mut file = builder.into_inner().map_err(io)?;
        std::io::Seek::rewind(&mut file).map_err(io)?;
        Ok(file)
    }
}

/// Copies one commit with its tree, without its parents, and keeps it alive by a reference.
pub(crate) fn copy_commit(
    from: &Repository,
    commit: Oid,
    into: &Repository,
    reference: &str,
) -> Result<(), git2::Error> {
    let mut pack = from.packbuilder()?;
    pack.insert_commit(commit)?;
    pack.write(&into.path().join("objects/pack"), 0o444)?;
    drop(pack);
    into.odb()?.refresh()?;
    into.reference(reference, commit, true, "base").map(drop)
}

fn temporary() -> Result<scratch::Dir, ImageError> {
    scratch::Dir::new("agent-checkout-")
        .map_err(|source| ImageError::Io { action: "make a temporary directory".into(), source })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    fn git(dir: &Path, args: &[&str]) -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@b.test"];
        let output =
            Command::new("git").current_dir(dir).args(identity).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn repository() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main"]);
        for (text, message) in [("1", "first"), ("2", "base"), ("3", "the later answer")] {
            fs::create_dir_all(dir.path().join("pkg")).unwrap();
            fs::write(dir.path().join("pkg/a.py"), text).unwrap();
            git(dir.path(), &["add", "-A"]);
            git(dir.path(), &["commit", "-qm", message]);
        }
        dir
    }

    fn unpacked(checkout: &Checkout) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        tar::Archive::new(checkout.tar().unwrap()).unpack(dir.path()).unwrap();
        git(dir.path(), &["read-tree", "--reset", "-u", "HEAD"]);
        dir
    }

    #[test]
    fn a_revision_keeps_its_id_and_nothing_before_or_after_it_comes_along() {
        let origin = repository();
        let base = git(origin.path(), &["rev-parse", "HEAD^"]);
        let source = Source::detect(origin.path(), Some("HEAD~1"));
        let tree = unpacked(&Checkout::of(&source).unwrap());
        assert_eq!(git(tree.path(), &["rev-parse", "HEAD"]), base);
        assert_eq!(fs::read_to_string(tree.path().join("pkg/a.py")).unwrap(), "2");
        assert_eq!(git(tree.path(), &["log", "--all", "--format=%s"]), "base");
        assert_eq!(git(tree.path(), &["status", "--porcelain"]), "");
        git(tree.path(), &["fsck", "--strict"]);
        // Four objects: the commit, two trees, one file.
        let count = git(tree.path(), &["cat-file", "--batch-all-objects", "--batch-check"]);
        assert_eq!(count.lines().count(), 4, "{count}");
        assert!(!tree.path().join(".git/logs").exists());
    }

    #[test]
    fn equal_folders_give_equal_commits_without_a_parent() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.py"), "x").unwrap();
        let source = Source::detect(dir.path(), None);
        assert_eq!(source, Source::Files(dir.path().to_owned()));
        let first = Checkout::of(&source).unwrap();
        assert_eq!(first.commit(), Checkout::of(&source).unwrap().commit());
        let tree = unpacked(&first);
        assert_eq!(
            git(tree.path(), &["rev-list", "--all", "--parents"]),
            first.commit().to_string()
        );
        assert!(!tree.path().join(".git/shallow").exists());
    }

    #[test]
    fn a_missing_revision_is_named() {
        let origin = repository();
        let error = Checkout::of(&Source::detect(origin.path(), Some("v9"))).err().unwrap();
        assert!(error.to_string().contains("\"v9\""), "{error}");
    }
}
