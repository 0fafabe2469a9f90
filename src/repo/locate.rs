//! Where a repository lies, which directory holds its objects, and what a revision means.

use std::path::{Path, PathBuf};
use std::process::Command;

use git2::{ErrorCode, Oid, Repository};

use crate::repo::RepoError;
use crate::repo::git;

/// The directory below `repos_dir` that holds `repo` (`owner/name`): `owner__name` or
/// `owner__name.git`, bare or not. A directory that is a repository is preferred to one that is not.
#[must_use]
pub fn find(repos_dir: &Path, repo: &str) -> Option<PathBuf> {
    let name = repo.replace('/', "__");
    if name.is_empty() || name.starts_with('.') || name.contains(['\\', '\0']) {
        return None;
    }
    let places = [repos_dir.join(&name), repos_dir.join(format!("{name}.git"))];
    let known = places.iter().find(|path| git_dir(path).is_some());
    known.or_else(|| places.iter().find(|path| path.is_dir())).cloned()
}

/// Whether the repository at `path` holds the commit `id` (40 hexadecimal digits).
#[must_use]
pub fn has_commit(path: &Path, id: &str) -> bool {
    let find = || Repository::open(path)?.find_commit(Oid::from_str(id)?).map(drop);
    find().is_ok()
}

/// A repository's directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// What the user named, or the root found above it.
    pub(crate) root: PathBuf,
    /// Directory with `HEAD`, one for each work tree.
    pub(crate) git_dir: PathBuf,
    /// Directory with `objects`, shared by all work trees.
    pub(crate) common_dir: PathBuf,
}

/// The repository at `path`, not above it.
pub(crate) fn locate(path: &Path) -> Result<Located, RepoError> {
    if !path.exists() {
        return Err(RepoError::Missing { path: path.to_owned() });
    }
    let Some(git_dir) = git_dir(path) else {
        let enclosing = enclosing(path);
        return Err(RepoError::NotARepository { path: path.to_owned(), enclosing });
    };
    let common_dir = common_dir(&git_dir);
    Ok(Located { root: path.to_owned(), git_dir, common_dir })
}

/// The nearest repository at `path` or above it.
pub(crate) fn discover(path: &Path) -> Result<Located, RepoError> {
    match locate(path) {
        Err(RepoError::NotARepository { enclosing: Some(root), .. }) => locate(&root),
        other => other,
    }
}

fn enclosing(path: &Path) -> Option<PathBuf> {
    let absolute = path.canonicalize().ok()?;
    absolute.ancestors().skip(1).find(|above| git_dir(above).is_some()).map(Path::to_owned)
}

fn git_dir(path: &Path) -> Option<PathBuf> {
    let inner = path.join(".git");
    if inner.is_file() {
        let text = std::fs::read_to_string(&inner).ok()?;
        let target = path.join(text.strip_prefix("gitdir:")?.trim());
        return is_git_dir(&target).then_some(target);
    }
    [inner, path.to_owned()].into_iter().find(|dir| is_git_dir(dir))
}

fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && common_dir(dir).join("objects").is_dir()
}

fn common_dir(git_dir: &Path) -> PathBuf {
    match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim_end()),
        Err(_) => git_dir.to_owned(),
    }
}

/// A full id as it is; any other revision through the repository's references.
pub(crate) fn resolve(at: &Located, rev: &str) -> Result<Oid, RepoError> {
    let rev = rev.trim();
    if rev.len() == 40
        && let Ok(id) = Oid::from_str(rev)
    {
        return Ok(id);
    }
    match Repository::open(&at.git_dir) {
        Ok(repository) => resolve_in(&repository, at, rev),
        Err(error) if error.code() == ErrorCode::Owner => {
            Err(RepoError::NotOwned { path: at.root.clone(), rev: rev.to_owned() })
        }
        // libgit2 refuses extensions that do not concern references, such as partial clones.
        Err(_) => resolve_with_git(at, rev),
    }
}

fn resolve_in(repository: &Repository, at: &Located, rev: &str) -> Result<Oid, RepoError> {
    let commit = repository.revparse_single(rev).and_then(|object| object.peel_to_commit());
    commit.map(|commit| commit.id()).map_err(|error| {
        let unborn =
            matches!(repository.head(), Err(head) if head.code() == ErrorCode::UnbornBranch);
        if unborn && rev.starts_with("HEAD") {
            return RepoError::NoCommits { path: at.root.clone() };
        }
        let detail = error.message().to_owned();
        RepoError::UnknownRevision { path: at.root.clone(), rev: rev.to_owned(), detail }
    })
}

fn resolve_with_git(at: &Located, rev: &str) -> Result<Oid, RepoError> {
    let mut command = Command::new("git");
    git::isolate(&mut command);
    command.arg("--git-dir").arg(&at.git_dir);
    command.args(["rev-parse", "--verify", "--end-of-options", &format!("{rev}^{{commit}}")]);
    let output = command.output().map_err(RepoError::NoGit)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Oid::from_str(text.trim()).map_err(|_| RepoError::UnknownRevision {
        path: at.root.clone(),
        rev: rev.to_owned(),
        detail: match text.trim().len() {
            64 => "its objects are named by SHA-256, which libgit2 cannot read".to_owned(),
            _ => git::last_lines(&output.stderr),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::git as run;

    #[test]
    fn repositories_are_found_by_name_bare_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        run(root, &["init", "-q", "psf__requests"]);
        run(root, &["init", "-q", "--bare", "pallets__flask.git"]);
        std::fs::create_dir(root.join("a__b")).unwrap();
        run(root, &["init", "-q", "--bare", "a__b.git"]);
        std::fs::create_dir(root.join("c__d")).unwrap();
        assert_eq!(find(root, "psf/requests"), Some(root.join("psf__requests")));
        assert_eq!(find(root, "pallets/flask"), Some(root.join("pallets__flask.git")));
        assert_eq!(find(root, "a/b"), Some(root.join("a__b.git")));
        assert_eq!(find(root, "c/d"), Some(root.join("c__d")));
        assert_eq!(find(root, "psf/other"), None);
        assert_eq!(find(root, "../x"), None);
    }
}
