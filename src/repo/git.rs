//! What needs the `git` program: cloning (credentials, proxies and keys are the user's) and
//! applying a patch to the user's own work tree.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Events;
use crate::repo::RepoError;
use crate::repo::locate;
use crate::scratch;

/// Where repositories are cloned from; `{repo}` stands for `owner/name`.
pub const DEFAULT_URL: &str = "https://github.com/{repo}.git";

/// The address of `repo` (`owner/name`) by `template`, such as [`DEFAULT_URL`].
///
/// # Errors
/// [`RepoError::BadName`] when `repo` is not `owner/name` in the letters that hosts allow.
pub fn clone_url(template: &str, repo: &str) -> Result<String, RepoError> {
    let valid = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match repo.split_once('/') {
        Some((owner, name)) if valid(owner) && valid(name) => Ok(template.replace("{repo}", repo)),
        _ => Err(RepoError::BadName { repo: repo.to_owned() }),
    }
}

/// Clones `url` as a bare repository with its whole history to `into`, which must not exist.
///
/// The clone grows under a temporary name beside `into` and is renamed when complete, so that a
/// killed clone is never taken for a repository. Calls for the same `into` wait for one another,
/// and the later ones find the work done.
///
/// # Errors
/// [`RepoError::Clone`] with git's last words, [`RepoError::NoGit`], [`RepoError::Io`].
pub async fn clone(url: &str, into: &Path, events: &Events) -> Result<(), RepoError> {
    let lock = lock_of(into);
    let _one_at_a_time = lock.lock().await;
    if locate::locate(into).is_ok() {
        return Ok(());
    }
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| RepoError::Io { action, path, source }
    };
    let parent = match into.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(io("create", parent))?;
    let temporary =
        scratch::Dir::below(parent, ".clone-").map_err(io("create a directory in", parent))?;
    let bare = temporary.path().join("repository.git");
    events.notice(format!("cloning {} into {}", without_secret(url), into.display()));
    let mut command = Command::new("git");
    isolate(&mut command);
    command.args(["clone", "--bare", "--quiet", "--template=", "--"]).arg(url).arg(&bare);
    command.stdin(Stdio::null());
    let output = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(RepoError::NoGit)?;
    if !output.status.success() {
        return Err(RepoError::Clone {
            url: without_secret(url),
            into: into.to_owned(),
            detail: last_lines(&output.stderr).replace(url, &without_secret(url)),
        });
    }
    match std::fs::rename(&bare, into) {
        // Another process was faster; its clone is as good.
        Err(_) if locate::locate(into).is_ok() => Ok(()),
        renamed => renamed.map_err(io("rename the clone to", into)),
    }
}

fn lock_of(into: &Path) -> Arc<tokio::sync::Mutex<()>> {
    static LOCKS: Mutex<Option<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>> = Mutex::new(None);
    let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(locks.get_or_insert_default().entry(into.to_owned()).or_default())
}

/// An address without the password or token before its `@`.
fn without_secret(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.find('/').map_or(rest, |end| &rest[..end]);
            let secret = host.rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[secret..])
        }
        None => url.to_owned(),
    }
}

/// Applies `patch` (git format) to the work tree at `repo_path`, for the user who asked for it.
/// The index and the history stay as they are.
///
/// # Errors
/// [`RepoError::Conflict`] lists what does not fit, and then nothing was changed;
/// [`RepoError::NotARepository`] also for bare repositories.
pub fn apply_to_worktree(repo_path: &Path, patch: &str) -> Result<(), RepoError> {
    locate::discover(repo_path)?;
    let mut command = Command::new("git");
    isolate(&mut command);
    command.arg("-C").arg(repo_path).args(["rev-parse", "--show-toplevel"]);
    let output = command.output().map_err(RepoError::NoGit)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let root = PathBuf::from(text.strip_suffix('\n').unwrap_or(&text));
    if !output.status.success() || root.as_os_str().is_empty() {
        return Err(RepoError::NotARepository { path: repo_path.to_owned(), enclosing: None });
    }
    git_apply(&root, patch, &["--check"])?;
    git_apply(&root, patch, &[])
}

fn git_apply(root: &Path, patch: &str, options: &[&str]) -> Result<(), RepoError> {
    let mut command = Command::new("git");
    isolate(&mut command);
    command.arg("-C").arg(root).args(["apply", "-p1", "--whitespace=nowarn"]).args(options);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(RepoError::NoGit)?;
    if let Some(mut input) = child.stdin.take() {
        // git may refuse before it has read everything; its exit status tells.
        let _ = input.write_all(patch.as_bytes());
    }
    let output = child.wait_with_output().map_err(RepoError::NoGit)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().map(|line| line.strip_prefix("error: ").unwrap_or(line));
    let conflicts = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Err(RepoError::Conflict { path: root.to_owned(), conflicts })
}

/// No prompts, no translated messages, no fetching behind the back, and no variables of a git hook
/// that this process may have been started from.
pub(crate) fn isolate(command: &mut Command) {
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"]
    {
        command.env_remove(name);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1").env("LC_ALL", "C");
}

/// The last three lines of a program's output, on one line.
pub(crate) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let tail = &lines[lines.len().saturating_sub(3)..];
    if tail.is_empty() { "git gave no reason".to_owned() } else { tail.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::repo::testing::TestRepo;
    use crate::repo::{Checkout, find};

    #[test]
    fn addresses_come_from_the_template_and_from_plain_names_only() {
        assert_eq!(
            clone_url(DEFAULT_URL, "psf/requests").unwrap(),
            "https://github.com/psf/requests.git"
        );
        assert_eq!(clone_url("/srv/{repo}", "a/b").unwrap(), "/srv/a/b");
        for bad in ["requests", "a/b/c", "../b", "a/-b", "a/b c", "/b", "a/"] {
            assert!(clone_url(DEFAULT_URL, bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn clones_are_complete_or_absent_and_made_once() {
        let repo = TestRepo::new();
        repo.write("a.py", b"1\n");
        repo.commit("one");
        repo.write("a.py", b"2\n");
        let base = repo.commit("two");
        let dir = tempfile::tempdir().unwrap();
        let repos = dir.path().join("deep/repos");
        let into = repos.join("o__n.git");
        let url = format!("file://{}", repo.path().display());
        let (events, mut received) = Events::channel();
        let (first, second) =
            tokio::join!(clone(&url, &into, &events), clone(&url, &into, &events));
        first.unwrap();
        second.unwrap();
        drop(events);
        let mut notices = 0;
        while let Some(event) = received.recv().await {
            notices += usize::from(matches!(event.kind, EventKind::Notice { .. }));
        }
        assert_eq!(notices, 1);
        assert_eq!(find(&repos, "o/n"), Some(into.clone()));
        assert_eq!(Checkout::open(&into, &base).unwrap().history(9).len(), 2);
        assert_eq!(std::fs::read_dir(&repos).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_failed_clone_says_why_and_leaves_nothing_and_tells_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("o__n.git");
        let url = "http://user:token@127.0.0.1:9/o/n.git";
        let error = clone(url, &into, &Events::discard()).await.unwrap_err().to_string();
        assert!(error.contains("cannot clone http://127.0.0.1:9/o/n.git"), "{error}");
        assert!(error.contains("unable to access"), "{error}");
        assert!(error.contains(&into.display().to_string()), "{error}");
        assert!(!error.contains("token"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    const PATCH: &str = "diff --git a/p/a.py b/p/a.py\n--- a/p/a.py\n+++ b/p/a.py\n\
        @@ -1 +1 @@\n-a = 1\n+a = 2\ndiff --git a/new.py b/new.py\nnew file mode 100644\n\
        --- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+n = 1\n";

    #[test]
    fn a_patch_is_applied_whole_or_not_at_all() {
        let repo = TestRepo::new();
        repo.write("p/a.py", b"a = 1\n");
        repo.commit("base");
        // Also from a subdirectory, where `git apply` by itself would skip files without a word.
        apply_to_worktree(&repo.path().join("p"), PATCH).unwrap();
        assert_eq!(std::fs::read(repo.path().join("p/a.py")).unwrap(), b"a = 2\n");
        assert_eq!(std::fs::read(repo.path().join("new.py")).unwrap(), b"n = 1\n");
        assert!(repo.git(&["diff", "--cached"]).is_empty());

        repo.git(&["checkout", "-q", "--", "p/a.py"]);
        let Err(RepoError::Conflict { conflicts, .. }) = apply_to_worktree(repo.path(), PATCH)
        else {
            panic!("new.py is in the way");
        };
        assert!(conflicts.iter().any(|line| line.starts_with("new.py:")), "{conflicts:?}");
        assert_eq!(std::fs::read(repo.path().join("p/a.py")).unwrap(), b"a = 1\n");

        let outside = PATCH.replace("new.py", "../new.py");
        assert!(apply_to_worktree(repo.path(), &outside).is_err());
        assert!(!repo.path().join("../new.py").exists());
        assert!(apply_to_worktree(repo.path(), "no patch at all").is_err());
        repo.git(&["config", "core.bare", "true"]);
        assert!(apply_to_worktree(repo.path(), PATCH).is_err());
    }
}
