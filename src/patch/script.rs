//! The script in a model's reproduce answer.

use crate::patch::answer::{fence, final_part};
use crate::patch::python::first_error;
use crate::patch::{ReasonCode, Rejection};

/// Bare fence lines after the first that may yet be the true end of a script.
const MAX_ENDS: usize = 8;
/// Blocks that are looked at.
const MAX_BLOCKS: usize = 64;

/// The Python script of an answer: its first fenced block that is tagged as Python; without one,
/// the first block that parses as Python, or the first without a tag.
///
/// Fences are three or more backticks or tildes, indented or not. A script that does not parse up
/// to the first closing fence, since it has fences of its own, goes on to a later one if it parses
/// then. A block that is never closed is taken only if it parses, since it may be cut. The text
/// ends with one newline and has no blank lines around it.
///
/// # Errors
/// `no_script` when there is no block or only empty ones, `unterminated` for a block that is cut,
/// `no_solution` when the thoughts never end.
pub fn extract_script(answer: &str) -> Result<String, Rejection> {
    let text = final_part(answer)?;
    let blocks = blocks(text);
    let none = || Rejection::new(ReasonCode::NoScript, "the answer holds no fenced block");
    if let Some(block) = blocks.iter().find(|block| block.is_python()) {
        return block.script();
    }
    let scripts: Vec<_> = blocks.iter().map(Block::script).collect();
    if let Some(script) = scripts.iter().flatten().find(|script| parses(script)) {
        return Ok(script.clone());
    }
    blocks.iter().find(|block| block.tag.is_empty()).ok_or_else(none)?.script()
}

fn parses(source: &str) -> bool {
    first_error(source, None).is_none()
}

struct Block<'a> {
    tag: String,
    indent: usize,
    /// Everything up to the last line that may end the block.
    lines: Vec<&'a str>,
    /// Indices of lines that may end it; empty when it is never closed.
    ends: Vec<usize>,
}

impl Block<'_> {
    fn is_python(&self) -> bool {
        matches!(self.tag.as_str(), "python" | "py" | "python3" | "py3")
    }

    fn script(&self) -> Result<String, Rejection> {
        let whole = self.text(self.lines.len());
        let found = if self.ends.is_empty() {
            if !parses(&whole) {
                let detail = "the script has no closing fence and does not parse: it is cut";
                return Err(Rejection::new(ReasonCode::Unterminated, detail));
            }
            whole
        } else {
            let mut ends = self.ends.iter().map(|&end| self.text(end));
            let first = ends.next().unwrap_or_default();
            if parses(&first) { first } else { ends.find(|text| parses(text)).unwrap_or(first) }
        };
        if found.is_empty() {
            return Err(Rejection::new(ReasonCode::NoScript, "the script is empty"));
        }
        Ok(found)
    }

    /// The lines before `end`, without the fence's own indentation.
    fn text(&self, end: usize) -> String {
        let lines: Vec<&str> = self.lines[..end]
            .iter()
            .map(|line| {
                let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
                &line[blanks.min(self.indent)..]
            })
            .collect();
        let blank = |line: &&&str| line.trim().is_empty();
        let skip = lines.iter().take_while(blank).count();
        let text = lines[skip..].join("\n");
        let text = text.trim_end();
        if text.is_empty() { String::new() } else { format!("{text}\n") }
    }
}

/// The fenced blocks of a text.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let lines: Vec<&str> =
        text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() && found.len() < MAX_BLOCKS {
        let Some((mark, run, info)) = fence(lines[at]) else {
            at += 1;
            continue;
        };
        let tag = info
            .split(|c: char| c.is_whitespace() || ":,={}.".contains(c))
            .find(|word| !word.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let indent = lines[at].len() - lines[at].trim_start_matches([' ', '\t']).len();
        let body = &lines[at + 1..];
        let closes = |line: &&str| {
            fence(line).is_some_and(|(other, length, info)| {
                other == mark && length >= run && info.is_empty()
            })
        };
        let ends: Vec<usize> = body
            .iter()
            .enumerate()
            .filter(|(_, line)| closes(line))
            .map(|(index, _)| index)
            .take(MAX_ENDS)
            .collect();
        let last = ends.last().copied().unwrap_or(body.len());
        at += 1 + ends.first().copied().unwrap_or(body.len()) + 1;
        found.push(Block { tag, indent, lines: body[..last].to_vec(), ends });
    }
    found
}
