//! Reading an answer: a state machine over lines that finds edits and deletions. Fences matter
//! only as borders for the search for a path; everything between the markers is taken literally.
//!
//! ```text
//! ### path/to/file.py
//! <<<<<<< SEARCH
//! old lines
//! =======
//! new lines
//! >>>>>>> REPLACE
//! ### DELETE path/to/other.py
//! ```

use crate::patch::{ReasonCode, Rejection};

/// Answers longer than this are refused, in bytes.
pub(crate) const MAX_ANSWER: usize = 10 << 20;
/// Answers with more edits than this are refused.
pub(crate) const MAX_STEPS: usize = 1000;

/// A line that may name an edit's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hint<'a> {
    pub(crate) text: &'a str,
    /// It is the nearest line before the marker, blank lines aside.
    pub(crate) nearest: bool,
    /// It is a fence's info string, not a line of its own.
    pub(crate) info: bool,
}

/// One edit as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEdit<'a> {
    /// Line of the answer with the SEARCH marker, from 1.
    pub(crate) line: usize,
    /// Lines that may name the file, the likeliest first.
    pub(crate) hints: Vec<Hint<'a>>,
    /// Whether no fence lies between the edit before and this one.
    pub(crate) same_block: bool,
    /// The lines between the SEARCH and the REPLACE marker.
    pub(crate) body: Vec<&'a str>,
    /// Indices of body lines that may divide search from replacement.
    pub(crate) dividers: Vec<usize>,
}

/// What an answer asks for, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    Edit(RawEdit<'a>),
    /// A line `### DELETE path`.
    Delete {
        line: usize,
        path: &'a str,
    },
}

/// Refuses an answer beyond [`MAX_ANSWER`].
pub(crate) fn check_length(answer: &str) -> Result<(), Rejection> {
    if answer.len() > MAX_ANSWER {
        let detail = format!("the answer has {} bytes, more than {MAX_ANSWER}", answer.len());
        return Err(Rejection::new(ReasonCode::TooLarge, detail));
    }
    Ok(())
}

/// The part of an answer that counts: without thoughts, and only the solution where one is marked.
///
/// # Errors
/// `no_solution` when the thoughts never end; `too_large` beyond [`MAX_ANSWER`].
pub(crate) fn final_part(answer: &str) -> Result<&str, Rejection> {
    check_length(answer)?;
    let mut text = answer;
    for (open, close) in [("<think>", "</think>"), ("◁think▷", "◁/think▷")] {
        let thinking = text.trim_start().strip_prefix(open);
        if let Some(end) = tag_at_border(thinking.unwrap_or(text), close) {
            text = &thinking.unwrap_or(text)[end + close.len()..];
        } else if let Some(thoughts) = thinking {
            let Some(start) = tag_at_border(thoughts, "<solution>") else {
                let detail = format!("the answer is cut before `{close}`");
                return Err(Rejection::new(ReasonCode::NoSolution, detail));
            };
            text = &thoughts[start..];
        }
    }
    if let Some(start) = tag_at_border(text, "<solution>") {
        text = &text[start + "<solution>".len()..];
        if let Some(end) = tag_at_border(text, "</solution>") {
            text = &text[..end];
        }
    }
    Ok(text)
}

/// Offset of the first `tag` that begins or ends its line, so that code which only mentions the
/// tag is left alone.
fn tag_at_border(text: &str, tag: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with(tag) || bare.ends_with(tag) {
            let within = if bare.starts_with(tag) { line.find(tag) } else { line.rfind(tag) };
            return within.map(|within| offset + within);
        }
        offset += line.len();
    }
    None
}

/// Finds the edits and deletions of an answer's final part.
///
/// # Errors
/// `unterminated` and `no_divider` for an edit that lacks a marker, `too_large` beyond
/// [`MAX_STEPS`].
pub(crate) fn parse(text: &str) -> Result<Vec<Step<'_>>, Rejection> {
    let mut steps = Vec::new();
    let mut outside: Vec<&str> = Vec::new();
    let mut open: Option<OpenEdit<'_>> = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let number = index + 1;
        if let Some(marker) = search_marker(line) {
            if let Some(cut) = open {
                return Err(cut.unterminated());
            }
            open = Some(OpenEdit::new(number, marker, &outside));
            outside.clear();
        } else if let Some(mut edit) = open.take() {
            if is_replace_marker(line) {
                steps.push(Step::Edit(edit.close()?));
            } else {
                edit.body.push(line);
                open = Some(edit);
            }
        } else if let Some(path) = deletion(line) {
            steps.push(Step::Delete { line: number, path });
        } else {
            outside.push(line);
        }
        if steps.len() > MAX_STEPS {
            let detail = format!("the answer has more than {MAX_STEPS} edits");
            return Err(Rejection::new(ReasonCode::TooLarge, detail));
        }
    }
    match open {
        Some(cut) => Err(cut.unterminated()),
        None => Ok(steps),
    }
}

/// An edit whose REPLACE marker is still to come.
struct OpenEdit<'a> {
    line: usize,
    marker: Marker<'a>,
    hints: Vec<Hint<'a>>,
    same_block: bool,
    body: Vec<&'a str>,
}

#[derive(Clone, Copy)]
struct Marker<'a> {
    length: usize,
    indent: &'a str,
    /// What follows the word SEARCH; a path, in some dialects.
    rest: &'a str,
}

impl<'a> OpenEdit<'a> {
    fn new(line: usize, marker: Marker<'a>, outside: &[&'a str]) -> Self {
        let (mut hints, same_block) = hints(outside);
        if !marker.rest.is_empty() {
            hints.insert(0, Hint { text: marker.rest, nearest: false, info: false });
        }
        Self { line, marker, hints, same_block, body: Vec::new() }
    }

    fn unterminated(&self) -> Rejection {
        let detail = format!("the edit at line {} of the answer has no REPLACE marker", self.line);
        Rejection::new(ReasonCode::Unterminated, detail)
    }

    fn close(mut self) -> Result<RawEdit<'a>, Rejection> {
        let indent = self.marker.indent;
        let indented = |line: &&str| line.trim().is_empty() || line.starts_with(indent);
        if !indent.is_empty() && self.body.iter().all(indented) {
            for line in &mut self.body {
                *line = line.strip_prefix(indent).unwrap_or(line);
            }
        }
        let dividers = dividers(&self.body, self.marker.length);
        if dividers.is_empty() {
            let line = self.line;
            let detail = format!("the edit at line {line} of the answer has no `=======` line");
            return Err(Rejection::new(ReasonCode::NoDivider, detail));
        }
        Ok(RawEdit {
            line: self.line,
            hints: self.hints,
            same_block: self.same_block,
            body: self.body,
            dividers,
        })
    }
}

/// Lines of four to nine `=`; if any is as long as the SEARCH marker only those, since headings of
/// reStructuredText are underlined with `=` too.
fn dividers(body: &[&str], length: usize) -> Vec<usize> {
    let lengths: Vec<(usize, usize)> = body
        .iter()
        .enumerate()
        .filter_map(|(index, line)| {
            let (run, rest) = run_of(line, '=')?;
            rest.trim().is_empty().then_some((index, run))
        })
        .collect();
    let same = lengths.iter().any(|&(_, run)| run == length);
    lengths.iter().filter(|&&(_, run)| !same || run == length).map(|&(index, _)| index).collect()
}

/// A run of four to nine `mark` at the beginning of `line`, and what follows it.
fn run_of(line: &str, mark: char) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches(mark);
    let run = line.len() - rest.len();
    (4..=9).contains(&run).then_some((run, rest))
}

fn search_marker(line: &str) -> Option<Marker<'_>> {
    let bare = line.trim_start_matches([' ', '\t']);
    let (length, rest) = run_of(bare, '<')?;
    let rest = strip_word(rest.trim_start(), "SEARCH")?;
    let rest = rest.trim_start_matches(':').trim();
    Some(Marker { length, indent: &line[..line.len() - bare.len()], rest })
}

fn is_replace_marker(line: &str) -> bool {
    let bare = line.trim_start_matches([' ', '\t']);
    run_of(bare, '>')
        .and_then(|(_, rest)| strip_word(rest.trim_start(), "REPLACE"))
        .is_some_and(|rest| rest.trim().trim_matches(['`', '~', ':']).is_empty())
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

/// The path of a line `### DELETE path`.
fn deletion(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix('#')?.trim_start_matches('#');
    let path = rest.trim_start().strip_prefix("DELETE")?;
    path.starts_with([' ', ':']).then(|| path.trim_start_matches([' ', ':']))
}

/// The info string of a fence line: three or more backticks or tildes at its beginning.
pub(crate) fn fence(line: &str) -> Option<(char, usize, &str)> {
    let bare = line.trim_start();
    for mark in ['`', '~'] {
        let rest = bare.trim_start_matches(mark);
        let run = bare.len() - rest.len();
        if run >= 3 && !(mark == '`' && rest.contains('`')) {
            return Some((mark, run, rest.trim()));
        }
    }
    None
}

/// The lines before a SEARCH marker that may name its file: those of its own block, then the
/// fence's info string, then the last ones before the fence.
fn hints<'a>(outside: &[&'a str]) -> (Vec<Hint<'a>>, bool) {
    const IN_BLOCK: usize = 12;
    const BEFORE_FENCE: usize = 3;
    let mut hints = Vec::new();
    let mut nearest = true;
    let mut left = IN_BLOCK;
    let mut crossed = false;
    for line in outside.iter().rev() {
        if let Some((_, _, info)) = fence(line) {
            if crossed {
                break;
            }
            crossed = true;
            left = BEFORE_FENCE;
            if !info.is_empty() {
                hints.push(Hint { text: info, nearest: false, info: true });
            }
        } else if !line.trim().is_empty() && left > 0 {
            hints.push(Hint { text: line, nearest, info: false });
            nearest = false;
            left -= 1;
        }
    }
    (hints, !crossed)
}
