//! When two patches are the same change: when the trees that they lead to mean the same.
//!
//! A Python file is compared by its normal form (see [`crate::patch::normal`]), any
//! other file, and a Python file that does not parse, by its bytes. So patches of one class behave
//! alike, while patches that behave alike may still be in two classes.

use sha2::{Digest as _, Sha256};

use crate::patch::bases::change_between;
use crate::patch::imports::Shadows;
use crate::patch::normal::{Hash256, normal_form};
use crate::patch::python::decode;
use crate::patch::syntax::is_source;
use crate::patch::{FileChange, FileState};

/// How much a patch changes, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClassKind {
    /// Behaviour may differ.
    Substantive,
    /// Only comments, docstrings, layout and names of local variables differ.
    Cosmetic,
    /// Only blanks and line breaks differ.
    Whitespace,
}

/// The class of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Class {
    /// 16 hexadecimal digits of a SHA-256.
    pub digest: String,
    /// How much it changes.
    pub kind: ClassKind,
}

/// The class of a patch.
///
/// It depends on the resulting tree alone: not on the order of the changes, nor on how they were
/// written. Next to substantive changes, files that only look different do not count. For many
/// patches of one tree there is [`crate::patch::Classifier`].
#[must_use]
pub fn classify(changes: &[FileChange]) -> Class {
    let changed = changes.iter().filter(|change| !change.is_unchanged());
    class_of(changed.map(|change| {
        let form = |state: &Option<FileState>| {
            let state = state.as_ref().filter(|state| is_source(&change.path, state))?;
            normal_form(&decode(&state.content), &Shadows::Unknown)
        };
        (change, Normal { old: form(&change.old), new: form(&change.new) })
    }))
}

/// The normal forms of a file before and after; nothing where it has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal {
    pub(crate) old: Option<Hash256>,
    pub(crate) new: Option<Hash256>,
}

/// The class of changes, none of them without effect.
pub(crate) fn class_of<'a>(changes: impl Iterator<Item = (&'a FileChange, Normal)>) -> Class {
    let mut files: Vec<FileClass<'_>> =
        changes.map(|(change, normal)| FileClass::of(change, normal)).collect();
    files.sort_by_key(|file| file.path);
    let kind = files.iter().map(|file| file.kind).min().unwrap_or(ClassKind::Whitespace);
    let mut hasher = Sha256::new();
    hasher.update(match kind {
        ClassKind::Substantive => b"substantive",
        ClassKind::Cosmetic => b"cosmetic---",
        ClassKind::Whitespace => b"whitespace-",
    });
    for file in &files {
        if kind == ClassKind::Substantive && file.same_meaning {
            continue;
        }
        hasher.update(file.path.len().to_le_bytes());
        hasher.update(file.path);
        hasher.update(file.meaning);
    }
    Class { digest: short(hasher), kind }
}

/// The digest of a reproduction script's normal form; of its text, but for blanks at line ends,
/// when it does not parse.
#[must_use]
pub fn script_class(source: &str) -> String {
    let mut hasher = Sha256::new();
    if let Some(normal) = normal_form(source, &Shadows::Unknown) {
        hasher.update(b"python");
        hasher.update(normal);
    } else {
        hasher.update(b"text--");
        for line in source.trim().lines() {
            hasher.update(line.trim_end());
            hasher.update(b"\n");
        }
    }
    short(hasher)
}

fn short(hasher: Sha256) -> String {
    use std::fmt::Write as _;
    hasher.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct FileClass<'a> {
    path: &'a str,
    kind: ClassKind,
    /// Hash of what the new state means.
    meaning: [u8; 32],
    /// Whether the old state means the same for certain.
    same_meaning: bool,
}

impl<'a> FileClass<'a> {
    fn of(change: &'a FileChange, normal: Normal) -> Self {
        let path = change.path.as_str();
        let new = Meaning::of(change.new.as_ref(), normal.new);
        let same = match (&change.old, &change.new) {
            (Some(old), Some(state)) if old.mode == state.mode => {
                let before = Meaning::of(Some(old), normal.old);
                Some((&old.content, &state.content, before.hash == new.hash, new.parsed))
            }
            _ => None,
        };
        let kind = match same {
            None => ClassKind::Substantive,
            Some((old, new, true, _)) if same_but_blanks(old, new) => ClassKind::Whitespace,
            Some((_, _, true, _)) => ClassKind::Cosmetic,
            Some((old, new, false, false)) if soft(old) == soft(new) => ClassKind::Whitespace,
            Some((_, _, false, _)) => ClassKind::Substantive,
        };
        let same_meaning = matches!(same, Some((_, _, true, _)));
        Self { path, kind, meaning: new.hash, same_meaning }
    }
}

struct Meaning {
    hash: [u8; 32],
    /// Whether the hash is that of a syntax tree.
    parsed: bool,
}

impl Meaning {
    fn of(state: Option<&FileState>, normal: Option<Hash256>) -> Self {
        let mut hasher = Sha256::new();
        let Some(state) = state else {
            hasher.update(b"deleted");
            return Self { hash: hasher.finalize().into(), parsed: false };
        };
        hasher.update(state.mode.as_git());
        // A source in a legacy encoding is decoded differently, which must not be lost.
        let utf8 = std::str::from_utf8(&state.content).is_ok();
        match normal {
            Some(normal) => {
                hasher.update(if utf8 { b"utf-8 " } else { b"legacy" });
                hasher.update(normal);
            }
            None => {
                hasher.update(b"bytes ");
                hasher.update(&state.content);
            }
        }
        Self { hash: hasher.finalize().into(), parsed: normal.is_some() }
    }
}

/// Whether the bytes without any blank or line break are the same.
fn same_but_blanks(old: &[u8], new: &[u8]) -> bool {
    // What both start and end with need not be looked at.
    let change = change_between(old, new);
    let end = new.len() - (old.len() - change.end);
    let dense = |text: &'_ [u8]| -> Vec<u8> {
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    };
    dense(&old[change.clone()]) == dense(&new[change.start..end])
}

/// The lines that are not blank, without blanks at their ends.
fn soft(content: &[u8]) -> Vec<&[u8]> {
    content
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .filter(|line| !line.is_empty())
        .collect()
}
