//! A hermetic place to run the real binary in: own home, own cache, own work directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A directory of its own for one test.
pub(crate) struct Place {
    root: TempDir,
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("agent-it-").tempdir().unwrap();
        std::fs::create_dir(root.path().join("work")).unwrap();
        Self { root }
    }

    /// Where commands run.
    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary with a clean environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
        command
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.root.path())
            .env("AGENT_CACHE", self.root.path().join("cache"))
            .env("TMPDIR", std::env::temp_dir())
            .stdin(Stdio::null());
        for name in ["DOCKER_HOST", "SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "PIP_FIND_LINKS"]
        {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    pub(crate) fn agent(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().unwrap())
    }

    /// Runs and expects exit code 0.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.agent(args);
        assert_eq!(ran.code, Some(0), "agent {args:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Standard error with what differs from run to run replaced.
    pub(crate) fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.dir().display().to_string(), "[DIR]");
        let text = text.replace(&self.root.path().display().to_string(), "[HOME]");
        let text = regex(r"\s+\d+\.\d+s").replace_all(&text, " [TIME]").into_owned();
        regex(r"127\.0\.0\.1:\d+").replace_all(&text, "[ADDRESS]").into_owned()
    }
}

fn regex(pattern: &str) -> regex::Regex {
    regex::Regex::new(pattern).unwrap()
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether tests that need a daemon can run; says so where they cannot.
pub(crate) fn docker() -> bool {
    let answers = Command::new("docker")
        .args(["image", "inspect", "agent-base:bookworm"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !answers {
        eprintln!("skipped: no Docker daemon with the image agent-base:bookworm");
    }
    answers
}

/// Runs git and returns its standard output.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@t")])
        .envs([("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@t")])
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The bundled instances, in order.
pub(crate) const SAMPLES: [&str; 4] =
    ["sample__cadence-2", "sample__ledgerly-1", "sample__quillet-3", "sample__stowage-4"];

/// A file of a bundled instance.
pub(crate) fn sample(instance: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/sample").join(instance).join(file)
}

/// A git repository with a bundled instance's base tree as its only commit.
pub(crate) fn sample_repository(place: &Place, instance: &str, name: &str) -> PathBuf {
    let repo = place.path(name);
    copy_dir(&sample(instance, "repo"), &repo);
    git(&repo, &["init", "-q", "-b", "main"]);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "-m", "base"]);
    repo
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Samples of a bundled instance that are right, by its `truth.json`.
pub(crate) fn right_samples(instance: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(sample(instance, "truth.json")).unwrap();
    let truth: serde_json::Value = serde_json::from_str(&text).unwrap();
    truth["right"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The rows of a JSON-lines file.
pub(crate) fn rows(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The lines of an instance's journal.
pub(crate) fn journal(folder: &Path) -> Vec<serde_json::Value> {
    let file = std::fs::File::open(folder.join("journal.jsonl.zst")).unwrap();
    let text = String::from_utf8(zstd::stream::decode_all(file).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
