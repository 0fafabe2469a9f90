//! Any answer, read tolerantly and strictly: no panic; what is accepted is a real change whose diff
//! leads to exactly it.
#![no_main]

use agent_fuzz::patch::{
    ApplyOptions, Reading, apply_answer, check_syntax, classify, extract_script,
};
use agent_fuzz::{check_diff, grown, tree};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

/// Pieces that mean something to a reader, between arbitrary text.
#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Fence,
    Python,
    Path(u8),
    Search,
    Divider,
    Replace,
    Delete(u8),
    Think,
    ThinkEnd,
    Solution,
    SolutionEnd,
    Line(u8),
    Text(&'a str),
}

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    replace_all: bool,
    strict: bool,
    real_git: u8,
    grow: u16,
    pieces: Vec<Piece<'a>>,
}

const PATHS: [&str; 8] =
    ["a.py", "b.py", "crlf.py", "end.txt", "latin.py", "pkg/__init__.py", "new.py", "../x"];
const LINES: [&str; 12] = [
    "import os",
    "def add(a, b):",
    "    return a + b",
    "return a + b",
    "x = 1",
    "y = 2",
    "if x:",
    "two",
    "...",
    "",
    "name = 'caf\u{e9}'",
    "    return b + a",
];

fn text(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Fence => text.push_str("```\n"),
            Piece::Python => text.push_str("```python\n"),
            Piece::Path(n) => text += &format!("### {}\n", PATHS[*n as usize % PATHS.len()]),
            Piece::Search => text.push_str("<<<<<<< SEARCH\n"),
            Piece::Divider => text.push_str("=======\n"),
            Piece::Replace => text.push_str(">>>>>>> REPLACE\n"),
            Piece::Delete(n) => {
                text += &format!("### DELETE {}\n", PATHS[*n as usize % PATHS.len()])
            }
            Piece::Think => text.push_str("<think>"),
            Piece::ThinkEnd => text.push_str("</think>"),
            Piece::Solution => text.push_str("<solution>\n"),
            Piece::SolutionEnd => text.push_str("</solution>"),
            Piece::Line(n) => text += &format!("{}\n", LINES[*n as usize % LINES.len()]),
            Piece::Text(other) => text.push_str(other),
        }
    }
    text
}

fuzz_target!(|input: Input<'_>| {
    let text = grown(text(&input.pieces), input.grow);
    let shown = PATHS[..5].iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    let reading = if input.strict { Reading::Strict } else { Reading::Tolerant };
    let options = ApplyOptions { reading, replace_all: input.replace_all };
    let _ = extract_script(&text);
    let Ok(applied) = apply_answer(&text, &shown, &tree(), &options) else { return };
    assert!(!applied.changes.is_empty() && !applied.rules.is_empty());
    assert!(applied.changes.iter().all(|change| !change.is_unchanged()));
    assert!(applied.changes.is_sorted_by(|a, b| a.path < b.path));
    check_diff(&applied.changes, input.real_git == 0);
    let _ = check_syntax(&applied.changes, Some((3, 8)));
    let _ = classify(&applied.changes);
});
