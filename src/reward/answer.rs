//! A model's answer, read and applied as the published reward does it: strictly, all or nothing.
//!
//! An edit is a fenced block that holds nothing but a path line and one SEARCH/REPLACE pair; the
//! search text must begin at the start of a line and every such place is replaced.

use std::ops::Range;

use indexmap::IndexMap;
use memchr::memmem;

use crate::reward::options::{Clock, Limits};
use crate::reward::text::is_blank;
use crate::reward::{Files, Options, Refusal, Text};

const FENCE: &[u8] = b"```";
const PATH: &[u8] = b"### ";
const SEARCH: &[u8] = b"<<<<<<< SEARCH\n";
const SPLIT: &[u8] = b"\n=======\n";
const REPLACE: &[u8] = b"\n>>>>>>> REPLACE\n```";

/// Why an answer gets −1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A thinking or solution tag is missing or repeated.
    #[error("`{0}` occurs {1} times in the output instead of once")]
    Tag(&'static str, usize),
    /// Nothing stands between the thinking tags.
    #[error("the thought is empty")]
    NoThought,
    /// No block of the solution is an edit.
    #[error("the solution holds no edit in the required form")]
    NoEdit,
    /// An edit of this file changes nothing.
    #[error("an edit of `{0}` searches and replaces by the same text")]
    NoChange(Text),
    /// An edit of this file has no place.
    #[error("an edit of `{0}` searches a text that no line starts with")]
    NotFound(Text),
}

/// What stops an answer from being applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The answer breaks the format or does not fit the files.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It goes beyond the limits.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The files that an answer edits, with their new contents, as SWE-RL's reward reads and applies
/// it: by the same code as [`crate::reward::search_replace_reward`]. A file that is not in
/// `code_context` counts as empty.
///
/// # Errors
/// [`AnswerError`]; by the default limits, so [`Refusal::TooLarge`] is the only refusal.
pub fn strict_contents(output: &Text, code_context: &Files) -> Result<Files, AnswerError> {
    new_contents(output, code_context, &Limits::start(&Options::default()))
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit<'a> {
    path: &'a [u8],
    search: &'a [u8],
    replace: &'a [u8],
}

/// The files that an answer edits, with their new contents.
pub(crate) fn new_contents(
    output: &Text,
    code_context: &Files,
    limits: &Limits,
) -> Result<Files, AnswerError> {
    let edits = edits(solution(output.as_bytes())?);
    if edits.is_empty() {
        return Err(FormatError::NoEdit.into());
    }
    let mut by_path: IndexMap<&[u8], Vec<Edit<'_>>> = IndexMap::new();
    for edit in edits {
        by_path.entry(edit.path).or_default().push(edit);
    }
    let mut files = Files::new();
    let clock = &mut limits.clock();
    for (path, edits) in by_path {
        let path = Text::from_wtf8(path.to_vec());
        let old = code_context.get(&path).map_or(&b""[..], Text::as_bytes);
        let new = apply(&path, old, &edits, limits, clock)?;
        files.insert(path, Text::from_wtf8(new));
    }
    Ok(files)
}

/// The part between the solution tags; the tags' order is not looked at.
fn solution(output: &[u8]) -> Result<&[u8], FormatError> {
    let thought = part(output, "<think>", "</think>")?;
    let solution = part(output, "<solution>", "</solution>")?;
    if is_blank(thought) { Err(FormatError::NoThought) } else { Ok(solution) }
}

/// The text after the opening tag and before the next closing tag, or before the end.
fn part<'a>(
    output: &'a [u8],
    open: &'static str,
    close: &'static str,
) -> Result<&'a [u8], FormatError> {
    for tag in [open, close] {
        let count = memmem::find_iter(output, tag).count();
        if count != 1 {
            return Err(FormatError::Tag(tag, count));
        }
    }
    let start = memmem::find(output, open.as_bytes()).map_or(0, |at| at + open.len());
    let rest = &output[start..];
    Ok(&rest[..memmem::find(rest, close.as_bytes()).unwrap_or(rest.len())])
}

/// All edits of a solution. Each part is as short as it can be, so that a marker that is not in
/// its place is swallowed by the part before it.
fn edits(text: &[u8]) -> Vec<Edit<'_>> {
    let mut edits = Vec::new();
    let mut at = 0;
    while let Some((path, body)) = next_header(text, at) {
        // Without these two here, no later header can have them either.
        let Some(split) = find(text, SPLIT, body) else { break };
        let new = split + SPLIT.len();
        let Some(end) = find(text, REPLACE, new) else { break };
        edits.push(Edit {
            path: &text[path],
            search: &text[body..split],
            replace: &text[new..end],
        });
        at = end + REPLACE.len();
    }
    edits
}

fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    memmem::find(&text[from..], needle).map(|at| from + at)
}

/// The next fence line that a path line and the SEARCH marker follow: the path, and where the
/// search text begins.
fn next_header(text: &[u8], mut at: usize) -> Option<(Range<usize>, usize)> {
    loop {
        let fence = find(text, FENCE, at)?;
        let line_end = find(text, b"\n", fence)?;
        let path = line_end + 1;
        // Further fences on this line lead to the same place.
        at = path;
        if !text[path..].starts_with(PATH) {
            continue;
        }
        let path_end = find(text, b"\n", path)?;
        if text[path_end + 1..].starts_with(SEARCH) {
            return Some((path + PATH.len()..path_end, path_end + 1 + SEARCH.len()));
        }
    }
}

/// The content after all edits, one after the other.
fn apply(
    path: &Text,
    old: &[u8],
    edits: &[Edit<'_>],
    limits: &Limits,
    clock: &mut Clock,
) -> Result<Vec<u8>, AnswerError> {
    let mut content = [b"\n", old].concat();
    for edit in edits {
        clock.spend(content.len() / 4)?;
        if edit.search == edit.replace {
            return Err(FormatError::NoChange(path.clone()).into());
        }
        let search = [b"\n", edit.search].concat();
        let places: Vec<usize> = memmem::find_iter(&content, &search).collect();
        if places.is_empty() {
            return Err(FormatError::NotFound(path.clone()).into());
        }
        let added = edit.replace.len().saturating_mul(places.len());
        let removed = edit.search.len() * places.len();
        limits.check_text(path, (content.len() - removed).saturating_add(added))?;
        let mut edited = Vec::with_capacity(content.len() - removed + added);
        let mut from = 0;
        for place in places {
            edited.extend_from_slice(&content[from..=place]);
            edited.extend_from_slice(edit.replace);
            from = place + search.len();
        }
        edited.extend_from_slice(&content[from..]);
        content = edited;
    }
    content.remove(0);
    Ok(content)
}
