//! Real repositories in temporary directories, for tests.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A repository with a work tree on branch `main`, deleted with the value.
pub(crate) struct TestRepo(TempDir);

impl TestRepo {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main"]);
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file of the work tree, making directories.
    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        let place = self.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
    }

    pub(crate) fn make_executable(&self, path: &str) {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path().join(path), mode).unwrap();
    }

    /// Commits everything; gives the full id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.commit_at(message, "2020-01-01T00:00:00Z")
    }

    /// Commits everything at a date.
    pub(crate) fn commit_at(&self, message: &str, date: &str) -> String {
        git(self.path(), &["add", "-A"]);
        let mut command = Command::new("git");
        command.args(["commit", "-q", "--allow-empty", "-m", message]).current_dir(self.path());
        command.env("GIT_COMMITTER_DATE", date).env("GIT_AUTHOR_DATE", date);
        run(command);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }
}

/// Runs git in a directory, apart from the user's configuration; panics when it fails.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(dir);
    run(command)
}

fn run(mut command: Command) -> String {
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A").env(format!("GIT_{role}_EMAIL"), "a@b.c");
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
