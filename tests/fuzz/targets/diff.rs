//! Any two contents: the diff leads from the one to the other, by our reader and by `git apply`.
#![no_main]

use agent_fuzz::check_diff;
use agent_fuzz::patch::{FileChange, FileMode, FileState};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Line<'a> {
    Known(u8),
    Text(&'a [u8]),
    Crlf(u8),
}

#[derive(Debug, Arbitrary)]
struct Side<'a> {
    exists: bool,
    executable: bool,
    ends: bool,
    lines: Vec<Line<'a>>,
}

const LINES: [&[u8]; 8] =
    [b"a", b"b", b"", b"  x", b"-", b"\\ No newline", b"@@ -1 +1 @@", b"caf\xe9"];

fn state(side: &Side<'_>) -> Option<FileState> {
    let mut content = Vec::new();
    for line in &side.lines {
        let (text, end): (&[u8], &[u8]) = match line {
            Line::Known(n) => (LINES[*n as usize % LINES.len()], b"\n"),
            Line::Text(text) => (text, b"\n"),
            Line::Crlf(n) => (LINES[*n as usize % LINES.len()], b"\r\n"),
        };
        content.extend_from_slice(text);
        content.extend_from_slice(end);
    }
    if !side.ends {
        content.pop();
    }
    let mode = if side.executable { FileMode::Executable } else { FileMode::Regular };
    (side.exists || !content.is_empty()).then_some(FileState { content, mode })
}

fuzz_target!(|sides: (Side<'_>, Side<'_>, u8)| {
    let (old, new, real_git) = sides;
    let change = FileChange { path: "d/f x.py".to_owned(), old: state(&old), new: state(&new) };
    if !change.is_unchanged() {
        check_diff(&[change], real_git < 4);
    }
});
