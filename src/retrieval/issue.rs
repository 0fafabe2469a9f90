//! What an issue's text says: its title, its prose and the code it quotes, the files, frames,
//! modules, error messages and other issues that it names.

mod names;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use names::Names;
use text::Reader;

/// One frame of a traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Path as printed, `/` between components.
    pub(crate) path: String,
    /// Name of the function, where the format gives it.
    pub(crate) function: Option<String>,
    /// Line of the issue, from 1.
    pub(crate) line: usize,
    /// Number of the traceback in the issue, from 0.
    pub(crate) traceback: usize,
}

/// A file named in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Path as written, `/` between components.
    pub(crate) path: String,
    /// Line of the issue, from 1.
    pub(crate) line: usize,
}

/// An issue, read once. Of an issue above 256 KiB, the first 256 KiB.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issue {
    /// First line with text.
    pub(crate) title: String,
    /// Everything worth searching with: no comments of templates, no addresses, no version lists.
    pub(crate) text: String,
    /// The part of `text` outside of code blocks, sessions and tracebacks.
    pub(crate) prose: String,
    /// The part of `text` inside of code blocks and sessions, prompts cut off.
    pub(crate) program: String,
    /// Messages of errors and warnings, `Kind: message` as printed.
    pub(crate) errors: Vec<String>,
    /// Names that look like code, as written: `snake_case`, `CamelCase`, quoted, called, dotted.
    pub(crate) code: BTreeSet<String>,
    /// Every identifier of the text with how often it occurs, as written.
    pub(crate) words: BTreeMap<String, usize>,
    /// Identifiers of the title, as written.
    pub(crate) titled: BTreeSet<String>,
    /// Dotted names, aliases of imported modules resolved.
    pub(crate) dotted: BTreeSet<String>,
    /// What code blocks import: module and name; an empty name is the module itself.
    pub(crate) imported: BTreeSet<(String, String)>,
    /// Files named outside of tracebacks.
    pub(crate) mentions: Vec<Mention>,
    /// Files linked on GitHub, from the part after `blob/` on.
    pub(crate) links: Vec<Mention>,
    /// Frames of tracebacks, in order.
    pub(crate) frames: Vec<Frame>,
    /// Numbers of issues and changes that the text refers to.
    pub(crate) numbers: BTreeSet<u64>,
}

/// What is read at most: nothing that a person wrote is longer, and the work is bounded by it.
const LONGEST: usize = 256 << 10;

impl Issue {
    /// Reads an issue of any size and shape.
    pub(crate) fn read(raw: &str) -> Self {
        let end = (0..=LONGEST.min(raw.len())).rev().find(|end| raw.is_char_boundary(*end));
        let mut issue = Reader::read(&raw[..end.unwrap_or(0)]);
        let names = Names::of(&issue);
        issue.code = names.code;
        issue.words = names.words;
        issue.titled = names.titled;
        issue.dotted = names.dotted;
        issue.imported = names.imported;
        issue
    }
}

#[cfg(test)]
mod tests;
