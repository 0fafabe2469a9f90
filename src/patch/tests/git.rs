//! Round trips through real git: what [`diff`] writes is applied by `git apply`, and what
//! `git diff` writes is applied by [`apply_diff`].

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

fn git(dir: &Path, args: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Write as _;
    let mut child = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap())
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn write(dir: &Path, path: &str, state: Option<&FileState>) {
    let full = dir.join(path);
    let _ = fs::remove_file(&full);
    let Some(state) = state else { return };
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    if state.mode == FileMode::Symlink {
        symlink(std::str::from_utf8(&state.content).unwrap(), &full).unwrap();
        return;
    }
    fs::write(&full, &state.content).unwrap();
    let mode = if state.mode == FileMode::Executable { 0o755 } else { 0o644 };
    fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
}

fn read(dir: &Path, path: &str) -> Option<FileState> {
    let full = dir.join(path);
    let meta = fs::symlink_metadata(&full).ok()?;
    if meta.is_symlink() {
        let target = fs::read_link(&full).unwrap();
        let content = target.to_str().unwrap().into();
        return Some(FileState { content, mode: FileMode::Symlink });
    }
    let executable = meta.permissions().mode() & 0o100 != 0;
    let mode = if executable { FileMode::Executable } else { FileMode::Regular };
    Some(FileState { content: fs::read(&full).unwrap(), mode })
}

fn base_of(changes: &[FileChange]) -> Tree {
    let mut tree = Tree::default();
    for change in changes {
        if let Some(old) = &change.old {
            tree.put(&change.path, &old.content, old.mode);
        }
    }
    tree
}

/// Our diff through `git apply` and through [`apply_diff`], then git's own diff through
/// [`apply_diff`]: all must give the new states exactly.
#[track_caller]
pub(super) fn check(changes: &[FileChange]) {
    let text = diff(changes);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("w");
    fs::create_dir(&dir).unwrap();
    git(&dir, &["init", "-q"], b"").unwrap();
    for change in changes {
        write(&dir, &change.path, change.old.as_ref());
    }
    git(&dir, &["add", "-A"], b"").unwrap();
    git(&dir, &["commit", "-q", "--allow-empty", "-m", "old"], b"").unwrap();
    git(&dir, &["apply", "--index"], text.as_bytes())
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    for change in changes {
        assert_eq!(read(&dir, &change.path), change.new, "{}\n{text}", change.path);
    }
    if changes.iter().any(|change| change.path.contains(['\\', '\t'])) {
        // Git takes such names; we refuse them.
        assert_eq!(apply_diff(&text, &base_of(changes)).unwrap_err().code, ReasonCode::UnsafePath);
        return;
    }
    let base = base_of(changes);
    let mut expected: Vec<FileChange> = changes.to_vec();
    expected.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(apply_diff(&text, &base).unwrap(), expected, "{text}");
    for options in
        [&["--binary"][..], &["--binary", "-M10%", "-C"], &["--binary", "--no-prefix", "-U5"]]
    {
        if options.contains(&"--no-prefix")
            && changes.iter().any(|change| change.path.contains("a/"))
        {
            continue;
        }
        let mut args = vec!["diff", "--cached", "HEAD"];
        args.extend(options);
        let Ok(theirs) = String::from_utf8(git(&dir, &args, b"").unwrap()) else { continue };
        let ours = apply_diff(&theirs, &base);
        // Without prefixes a file that only changes its mode is named nowhere.
        if options.contains(&"--no-prefix") && ours.is_err() {
            continue;
        }
        assert_eq!(ours.unwrap(), expected, "{theirs}");
    }
}

fn state(content: &[u8], mode: FileMode) -> Option<FileState> {
    Some(FileState { content: content.to_vec(), mode })
}

fn change(path: &str, old: &[u8], new: &[u8]) -> FileChange {
    let regular = |content| state(content, FileMode::Regular);
    FileChange { path: path.to_owned(), old: regular(old), new: regular(new) }
}

#[test]
fn a_copy_of_an_empty_file_that_the_same_diff_fills() {
    for mode in [FileMode::Regular, FileMode::Executable] {
        for content in [&b""[..], b"x\ny\nz\n1\n2\n3\n"] {
            let filled = change("0/p.py", content, b"-\n-\n  x\n+ y");
            let copied =
                FileChange { path: "1/\u{e9}.py".to_owned(), old: None, new: state(content, mode) };
            check(&[filled, copied]);
        }
    }
}

#[test]
fn hand_made_pairs() {
    let many: Vec<u8> = (0..200).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let edited = String::from_utf8(many.clone())
        .unwrap()
        .replace("line 0\n", "")
        .replace("line 50\n", "fifty\n")
        .replace("line 57\n", "x\ny\n")
        .replace("line 199\n", "end");
    check(&[
        change("many.py", &many, edited.as_bytes()),
        change("crlf.py", b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\n"),
        change("end1", b"a\nb", b"a\nb\n"),
        change("end2", b"a\nb\n", b"a\nb"),
        change("end3", b"a", b"b"),
        change("empty1", b"", b"a\n"),
        change("empty2", b"a\n", b""),
        change("latin.py", b"x\ncaf\xe9\ny\n", b"x\ncaf\xe8\ny\n"),
        change("near_latin.py", b"caf\xe9\n1\n2\n3\n4\n5\n6\n", b"caf\xe9\n1\n2\n3\n4\n5\n7\n"),
        change("binary", b"a\0b\n", b"a\0c\n"),
        change("long line", "x".repeat(200_000).as_bytes(), "y".repeat(200_000).as_bytes()),
        change("dir/with blank.py", b"a\n", b"b\n"),
        change("d\u{e9}j\u{e0}.py", b"a\n", b"b\n"),
        change("quo\"te.py", b"a\n", b"b\n"),
        change("signs", b"-- x\n++ y\n@@ z\n", b"-- x\n++ z\n\\ no\n"),
        change("cr", b"a\rb\n", b"a\rc\n"),
    ]);
    check(&[change("tab\tquote\"back\\slash.py", b"a\n", b"b\n")]);
}

#[test]
fn modes_creations_and_deletions() {
    let file = |path: &str, old, new| FileChange { path: path.to_owned(), old, new };
    check(&[
        file("new.py", None, state(b"a\nb\n", FileMode::Regular)),
        file("new no end.py", None, state(b"a", FileMode::Regular)),
        file("new_empty", None, state(b"", FileMode::Regular)),
        file("new_exec", None, state(b"#!/bin/sh\n", FileMode::Executable)),
        file("new_link", None, state(b"new.py", FileMode::Symlink)),
        file("new_latin", None, state(b"\xe9\n", FileMode::Regular)),
        file("gone", state(b"a\n", FileMode::Regular), None),
        file("gone_empty", state(b"", FileMode::Regular), None),
        file("gone_exec", state(b"a", FileMode::Executable), None),
        file("gone_link", state(b"x", FileMode::Symlink), None),
        file("chmod", state(b"a\n", FileMode::Regular), state(b"a\n", FileMode::Executable)),
        file("chmod_edit", state(b"a\n", FileMode::Executable), state(b"b\n", FileMode::Regular)),
        file("exec_edit", state(b"a\n", FileMode::Executable), state(b"b\n", FileMode::Executable)),
        file("relink", state(b"x", FileMode::Symlink), state(b"y", FileMode::Symlink)),
        file("file_to_link", state(b"a\n", FileMode::Regular), state(b"y", FileMode::Symlink)),
    ]);
}

#[test]
fn hunks_are_found_where_they_have_moved_to() {
    let base: String = (0..30).map(|n| format!("{n}\n")).collect();
    let tree = Tree::new([("f", format!("new\nnew\n{base}").as_bytes())]);
    let diff = "--- a/f\n+++ b/f\n@@ -10,3 +10,4 @@ fn\n 9\n-10\n+ten\n+10b\n 11\n@@ -20,3 +21,3 @@\n 19\n-20\n+x\n 21\n";
    let changes = apply_diff(diff, &tree).unwrap();
    let expected =
        format!("new\nnew\n{base}").replace("\n10\n", "\nten\n10b\n").replace("\n20\n", "\nx\n");
    assert_eq!(changes[0].new.as_ref().unwrap().content, expected.as_bytes());
}

#[test]
fn diffs_that_do_not_fit() {
    let tree = tree();
    for (diff, code) in [
        ("", ReasonCode::BadDiff),
        ("no diff\n", ReasonCode::BadDiff),
        ("@@ -1 +1 @@\n-a\n+b\n", ReasonCode::BadDiff),
        ("--- a/b.py\n+++ b/b.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n", ReasonCode::BadDiff),
        ("--- a/b.py\n+++ b/b.py\n@@ -1,x +1,2 @@\n", ReasonCode::BadDiff),
        ("--- a/b.py\n+++ b/b.py\n@@ -1,2 +1,2 @@\n-x = 7\n+x = 2\n y = 2\n", ReasonCode::NotFound),
        ("--- a/b.py\n+++ b/b.py\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n", ReasonCode::NotFound),
        ("--- a/no.py\n+++ b/no.py\n@@ -1 +1 @@\n-x\n+y\n", ReasonCode::NoSuchFile),
        ("--- /dev/null\n+++ b/b.py\n@@ -0,0 +1 @@\n+y\n", ReasonCode::PathConflict),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", ReasonCode::BadDiff),
        ("diff --git a/b.py b/b.py\nGIT binary patch\nliteral 5\nxx\n\n", ReasonCode::BadDiff),
        ("diff --git a/b.py b/a.py\nrename from b.py\nrename to a.py\n", ReasonCode::PathConflict),
        ("diff --git a/b.py b/b.py\nold mode 100644\nnew mode 100644\n", ReasonCode::Unchanged),
    ] {
        let found = apply_diff(diff, &tree).map_err(|error| error.code);
        assert_eq!(found, Err(code), "{diff}");
    }
    let renamed = "diff --git a/b.py b/c d.py\nsimilarity index 50%\nrename from b.py\nrename to c d.py\n\
                   --- a/b.py\n+++ b/c d.py\t\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 3\n y = 2\n";
    let changes = apply_diff(renamed, &tree).unwrap();
    assert_eq!((changes[0].path.as_str(), &changes[0].new), ("b.py", &None));
    assert_eq!((changes[1].path.as_str(), &changes[1].old), ("c d.py", &None));
    assert_eq!(changes[1].new.as_ref().unwrap().content, b"x = 3\ny = 2\n");
}
