//! What the targets share: the modules under test, a tree to edit, and real git.
//!
//! The modules are compiled from their sources and not taken from the product's crate, since nothing
//! they need is large: an instrumented build takes two minutes instead of twenty.

#![allow(dead_code, unreachable_pub, reason = "the modules' other users are not here")]
#![allow(clippy::unwrap_used, reason = "a target fails by panic")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

#[path = "../../../src/artifact/mod.rs"]
pub mod artifact;
#[path = "../../../src/patch/mod.rs"]
pub mod patch;
#[path = "../../../src/reward/mod.rs"]
pub mod reward;
#[path = "../../../src/testlog/mod.rs"]
pub mod testlog;

use patch::{BaseTree, FileChange, FileMode, FileState};

/// A tree in memory.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, FileState>,
    paths: Vec<String>,
}

impl Tree {
    /// A tree of these files.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, FileState)>) -> Self {
        let files: BTreeMap<String, FileState> =
            files.into_iter().map(|(path, state)| (path.to_owned(), state)).collect();
        let paths = files.keys().cloned().collect();
        Self { files, paths }
    }

    /// The old side of changes.
    pub fn before(changes: &[FileChange]) -> Self {
        let old = changes.iter().filter_map(|change| Some((&*change.path, change.old.clone()?)));
        Self::new(old)
    }
}

impl BaseTree for Tree {
    fn read(&self, path: &str) -> Option<FileState> {
        self.files.get(path).cloned()
    }

    fn paths(&self) -> &[String] {
        &self.paths
    }
}

/// A regular file.
pub fn file(content: &[u8]) -> FileState {
    FileState { content: content.to_vec(), mode: FileMode::Regular }
}

/// What every answer is applied to: ordinary lines, repeated ones, CRLF, no line end, Latin-1.
pub fn tree() -> Tree {
    Tree::new([
        ("a.py", file(b"import os\n\ndef add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n")),
        ("b.py", file(b"x = 1\ny = 2\nx = 1\n")),
        ("crlf.py", file(b"x = 1\r\nif x:\r\n    y = 2\r\n")),
        ("end.txt", file(b"one\ntwo")),
        ("latin.py", file(b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n")),
        ("pkg/__init__.py", file(b"")),
    ])
}

/// Largest text that targets make, in bytes: what must be read within the targets' time limit.
pub const MEGABYTE: usize = 1 << 20;

/// The text, or now and then so many copies of it that they fill [`MEGABYTE`]: work that grows with
/// the square of the text then runs into the time limit.
pub fn grown(text: String, choice: u16) -> String {
    if choice % 1024 == 1 && !text.is_empty() {
        return text.repeat((MEGABYTE / text.len()).max(1));
    }
    text
}

/// Panics unless our diff leads to exactly the new states: by our own reader, and where `real`, by
/// `git apply`.
pub fn check_diff(changes: &[FileChange], real: bool) {
    let text = patch::diff(changes);
    let back = patch::apply_diff(&text, &Tree::before(changes));
    assert_eq!(back.as_deref(), Ok(changes), "{text}");
    if !real {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    for change in changes {
        if let Some(old) = &change.old {
            write(place.path(), &change.path, old);
        }
    }
    git_apply(place.path(), &text);
    for change in changes {
        assert_eq!(read(place.path(), &change.path), change.new, "{text}");
    }
}

fn write(dir: &Path, path: &str, state: &FileState) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &state.content).unwrap();
    let mode = if state.mode == FileMode::Executable { 0o755 } else { 0o644 };
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn read(dir: &Path, path: &str) -> Option<FileState> {
    let path = dir.join(path);
    let content = fs::read(&path).ok()?;
    let executable = fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0;
    let mode = if executable { FileMode::Executable } else { FileMode::Regular };
    Some(FileState { content, mode })
}

fn git_apply(dir: &Path, text: &str) {
    let mut git = Command::new("git")
        .args(["-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"])
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    git.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = git.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}
