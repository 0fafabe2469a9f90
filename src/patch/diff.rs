//! Diffs in git's format, such that `git apply` gives the new bytes exactly: real blob ids, modes,
//! quoted names, line ends as they are, `\ No newline at end of file`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use crate::patch::binary::write_literal;
use crate::patch::quote::quote;
use crate::patch::{FileChange, FileMode, FileState};

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Digits of a blob id in an `index` line; binary patches need all of them.
const ABBREVIATED: usize = 10;
/// Files with more lines than this, old and new together, are first divided at lines that are
/// unique in both, since the time of the plain search grows with lines times changes.
const LONG: usize = 20_000;
/// Beyond this many lines everything between the first and the last change is one hunk.
const HUGE: usize = 200_000;
const NO_BLOB: &str = "0000000000000000000000000000000000000000";

/// The changes as git writes them, in the order given; files that do not change are left out.
///
/// The text is always UTF-8: a file with changed or surrounding lines that are not is written as a
/// `GIT binary patch`, which `git apply` takes like any other. The line diff is the bounded Myers
/// algorithm of the `similar` crate; long files are divided at their unique lines first, and huge
/// ones get one large hunk instead of a long wait.
#[must_use]
pub fn diff(changes: &[FileChange]) -> String {
    let mut out = String::new();
    for change in changes.iter().filter(|change| !change.is_unchanged()) {
        match (&change.old, &change.new) {
            // Git writes a file that becomes a link, or stops being one, as two changes.
            (Some(old), Some(new)) if is_link(old) != is_link(new) => {
                write_file(&mut out, &change.path, Some(old), None);
                write_file(&mut out, &change.path, None, Some(new));
            }
            (old, new) => write_file(&mut out, &change.path, old.as_ref(), new.as_ref()),
        }
    }
    out
}

fn is_link(state: &FileState) -> bool {
    state.mode == FileMode::Symlink
}

fn write_file(out: &mut String, path: &str, old: Option<&FileState>, new: Option<&FileState>) {
    let (from, to) = (quote("a/", path), quote("b/", path));
    let _ = writeln!(out, "diff --git {from} {to}");
    let mut index_mode = "";
    match (old.map(|state| state.mode), new.map(|state| state.mode)) {
        (None, Some(mode)) => {
            let _ = writeln!(out, "new file mode {}", mode.as_git());
        }
        (Some(mode), None) => {
            let _ = writeln!(out, "deleted file mode {}", mode.as_git());
        }
        (Some(before), Some(after)) if before != after => {
            let _ = writeln!(out, "old mode {}\nnew mode {}", before.as_git(), after.as_git());
        }
        (Some(mode), Some(_)) => index_mode = mode.as_git(),
        (None, None) => {}
    }
    let before = old.map_or(&[][..], |state| &state.content);
    let after = new.map_or(&[][..], |state| &state.content);
    let (before_id, after_id) = (blob_id(old), blob_id(new));
    if before_id == after_id {
        return;
    }
    let hunks = hunks(before, after);
    let digits = if hunks.is_some() { ABBREVIATED } else { NO_BLOB.len() };
    let _ = write!(out, "index {}..{}", &before_id[..digits], &after_id[..digits]);
    let _ = if index_mode.is_empty() { writeln!(out) } else { writeln!(out, " {index_mode}") };
    match hunks {
        Some(hunks) if hunks.is_empty() => {}
        Some(hunks) => {
            // Git ends a name that has blanks with a tab, for tools that expect a date after it.
            let tab = if path.contains(' ') { "\t" } else { "" };
            let name = |exists: bool, name: &str| {
                if exists { format!("{name}{tab}") } else { "/dev/null".to_owned() }
            };
            let _ = writeln!(out, "--- {}", name(old.is_some(), &from));
            let _ = writeln!(out, "+++ {}", name(new.is_some(), &to));
            out.push_str(&hunks);
        }
        None => {
            out.push_str("GIT binary patch\n");
            write_literal(out, after);
            write_literal(out, before);
        }
    }
}

/// Git's id of a blob; all zeros for none.
fn blob_id(state: Option<&FileState>) -> String {
    state
        .and_then(|state| git2::Oid::hash_object(git2::ObjectType::Blob, &state.content).ok())
        .map_or_else(|| NO_BLOB.to_owned(), |id| id.to_string())
}

/// The hunks between two texts; nothing if they cannot be written as text.
fn hunks(before: &[u8], after: &[u8]) -> Option<String> {
    if before.contains(&0) || after.contains(&0) {
        return None;
    }
    let (before, after) = (split(before), split(after));
    let mut ids: HashMap<&[u8], u32> = HashMap::new();
    let (old, new) = (intern(&before, &mut ids), intern(&after, &mut ids));
    let lines = old.len() + new.len();
    let ops = if lines <= LONG {
        capture_diff_slices(Algorithm::Myers, &old, &new)
    } else if lines <= HUGE {
        capture_diff_slices(Algorithm::Patience, &old, &new)
    } else {
        middle(&old, &new)
    };
    let mut out = String::new();
    for group in group_diff_ops(ops, CONTEXT) {
        write_hunk(&mut out, &group, &before, &after)?;
    }
    Some(out)
}

/// One replacement between the lines that both sides begin with and those that both end with.
fn middle(old: &[u32], new: &[u32]) -> Vec<DiffOp> {
    let same = |pair: &(&u32, &u32)| pair.0 == pair.1;
    let head = old.iter().zip(new).take_while(same).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
    let (old_len, new_len) = (old.len() - head - tail, new.len() - head - tail);
    vec![
        DiffOp::Equal { old_index: 0, new_index: 0, len: head },
        DiffOp::Replace { old_index: head, old_len, new_index: head, new_len },
        DiffOp::Equal { old_index: head + old_len, new_index: head + new_len, len: tail },
    ]
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

fn intern<'a>(lines: &[&'a [u8]], ids: &mut HashMap<&'a [u8], u32>) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(lines.len());
    for &line in lines {
        let next = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        numbers.push(*ids.entry(line).or_insert(next));
    }
    numbers
}

fn write_hunk(out: &mut String, ops: &[DiffOp], before: &[&[u8]], after: &[&[u8]]) -> Option<()> {
    let (first, last) = (ops.first()?, ops.last()?);
    let old = first.old_range().start..last.old_range().end;
    let new = first.new_range().start..last.new_range().end;
    let _ = writeln!(out, "@@ -{} +{} @@", span(&old), span(&new));
    for op in ops {
        if let DiffOp::Equal { .. } = op {
            write_lines(out, ' ', &before[op.old_range()])?;
        } else {
            write_lines(out, '-', &before[op.old_range()])?;
            write_lines(out, '+', &after[op.new_range()])?;
        }
    }
    Some(())
}

fn write_lines(out: &mut String, sign: char, lines: &[&[u8]]) -> Option<()> {
    for line in lines {
        out.push(sign);
        out.push_str(std::str::from_utf8(line).ok()?);
        if !line.ends_with(b"\n") {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
    Some(())
}

/// A range of lines as a hunk header has it: from 1, and the line before for an empty one.
fn span(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        len => format!("{},{len}", range.start + 1),
    }
}
