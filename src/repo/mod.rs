//! The repository at the base commit, straight from git's object database.
//!
//! A [`Checkout`] is the tree of one commit and that commit's ancestors. It wraps the object
//! database alone, without the repository around it: references, reflogs, the stash, the index and
//! the work tree do not exist for it, so nothing later than the base commit can be read by mistake.

use std::path::PathBuf;

mod checkout;
mod git;
mod history;
mod layout;
mod locate;
mod loose;
#[cfg(test)]
pub(crate) mod testing;

pub use checkout::{BlobReader, Checkout, FileMode, Skipped, TreeFile};
pub use git::{DEFAULT_URL, apply_to_worktree, clone, clone_url};
pub use history::{HistoryCommit, HistoryFile, ReadCommit};
pub use locate::{find, has_commit};

/// Why a repository cannot be read, cloned or patched. Each message ends with the way out, where
/// there is one.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// There is nothing at the path.
    #[error("there is no repository at {}", path.display())]
    Missing {
        /// The path asked for.
        path: PathBuf,
    },
    /// The path exists and is no git repository.
    #[error(
        "{} is not a git repository{}",
        path.display(),
        enclosing.as_ref().map_or(String::new(), |root| format!(
            "; it lies inside of one, whose root is {}", root.display()
        ))
    )]
    NotARepository {
        /// The path asked for.
        path: PathBuf,
        /// Root of the repository around it.
        enclosing: Option<PathBuf>,
    },
    /// git refuses to read references of a repository that belongs to another user.
    #[error(
        "{} belongs to another user; `git config --global --add safe.directory {}` trusts it, and a \
         full commit id in place of {rev} needs no trust",
        path.display(), path.display()
    )]
    NotOwned {
        /// The repository.
        path: PathBuf,
        /// The revision asked for.
        rev: String,
    },
    /// The current branch has no commit yet.
    #[error(
        "the branch that HEAD of {} names has no commit yet; commit the files first, or name a \
         commit or another branch in place of HEAD",
        path.display()
    )]
    NoCommits {
        /// The repository.
        path: PathBuf,
    },
    /// A name that stands for no commit here.
    #[error("{rev:?} names no commit of {}: {detail}", path.display())]
    UnknownRevision {
        /// The repository.
        path: PathBuf,
        /// The revision asked for.
        rev: String,
        /// git's words.
        detail: String,
    },
    /// The base commit's object is absent.
    #[error(
        "commit {commit} is not in {}; `git -C {} fetch origin {commit}` gets it",
        path.display(), path.display()
    )]
    CommitMissing {
        /// The repository.
        path: PathBuf,
        /// Full id.
        commit: String,
    },
    /// A tree or a file of the base commit is absent, as happens in partial clones.
    #[error(
        "{} lacks {what} of commit {commit} (a partial clone?); \
         `git -C {} fetch --refetch --no-filter origin {commit}` gets it",
        path.display(), path.display()
    )]
    ObjectMissing {
        /// The repository.
        path: PathBuf,
        /// The base commit.
        commit: String,
        /// What is absent: a path, or how many files.
        what: String,
    },
    /// An object that is there cannot be read.
    #[error("cannot read {what} of {}", path.display())]
    Read {
        /// The repository.
        path: PathBuf,
        /// What was read.
        what: String,
        /// libgit2's words.
        #[source]
        source: git2::Error,
    },
    /// A repository name that is not `owner/name`.
    #[error("{repo:?} is not a repository name; expected owner/name")]
    BadName {
        /// The text given.
        repo: String,
    },
    /// The `git` program cannot be started.
    #[error("cannot run git; install it or add it to PATH")]
    NoGit(#[source] std::io::Error),
    /// `git clone` failed.
    #[error(
        "cannot clone {url}: {detail}; without a network, put the repository into {} yourself",
        into.display()
    )]
    Clone {
        /// What was cloned.
        url: String,
        /// Where to.
        into: PathBuf,
        /// The end of git's output.
        detail: String,
    },
    /// A directory cannot be made or renamed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `create`, `rename`, ….
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The patch does not fit the work tree, which is as it was.
    #[error(
        "the patch does not apply to {}, nothing was changed: {}",
        path.display(), conflicts.join("; ")
    )]
    Conflict {
        /// Root of the work tree.
        path: PathBuf,
        /// git's words, one entry a conflict.
        conflicts: Vec<String>,
    },
}
