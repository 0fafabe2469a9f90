//! Any text as a diff: no panic, and what it leads to can be written as a diff and read again.
#![no_main]

use agent_fuzz::patch::apply_diff;
use agent_fuzz::{check_diff, grown, tree};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Piece<'a> {
    Git(u8, u8),
    Old(u8),
    New(u8),
    Hunk(u8, u8, u8, u8),
    Whole(u8),
    Context(u8),
    Minus(u8),
    Plus(u8),
    NoNewline,
    Header(u8),
    Text(&'a str),
}

const PATHS: [&str; 9] =
    ["a.py", "b.py", "crlf.py", "end.txt", "latin.py", "new.py", "d/n", "../x", "\"q\\t\""];
const LINES: [&str; 10] = [
    "import os",
    "",
    "def add(a, b):",
    "    return a + b",
    "x = 1",
    "y = 2",
    "one",
    "two",
    "x = 1\r",
    "-- x",
];
const HEADERS: [&str; 9] = [
    "new file mode 100644",
    "deleted file mode 100644",
    "old mode 100644",
    "new mode 100755",
    "rename from a.py",
    "rename to new.py",
    "similarity index 100%",
    "index 0000000..e69de29",
    "GIT binary patch",
];

fn text(pieces: &[Piece<'_>]) -> String {
    let path = |n: &u8| PATHS[*n as usize % PATHS.len()];
    let line = |n: &u8| LINES[*n as usize % LINES.len()];
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Git(a, b) => format!("diff --git a/{} b/{}\n", path(a), path(b)),
        Piece::Old(n) if n % 8 == 7 => "--- /dev/null\n".to_owned(),
        Piece::Old(n) => format!("--- a/{}\n", path(n)),
        Piece::New(n) if n % 8 == 7 => "+++ /dev/null\n".to_owned(),
        Piece::New(n) => format!("+++ b/{}\n", path(n)),
        Piece::Hunk(a, b, c, d) => format!("@@ -{a},{} +{c},{} @@\n", b % 9, d % 9),
        Piece::Whole(n) => format!(
            "--- a/b.py\n+++ b/b.py\n@@ -1,3 +1,3 @@\n x = 1\n-y = 2\n+{}\n x = 1\n",
            line(n)
        ),
        Piece::Context(n) => format!(" {}\n", line(n)),
        Piece::Minus(n) => format!("-{}\n", line(n)),
        Piece::Plus(n) => format!("+{}\n", line(n)),
        Piece::NoNewline => "\\ No newline at end of file\n".to_owned(),
        Piece::Header(n) => format!("{}\n", HEADERS[*n as usize % HEADERS.len()]),
        Piece::Text(other) => (*other).to_owned(),
    };
    pieces.iter().map(piece).collect()
}

fuzz_target!(|input: (u16, Vec<Piece<'_>>)| {
    let text = grown(text(&input.1), input.0);
    if let Ok(changes) = apply_diff(&text, &tree())
        && !changes.is_empty()
        && changes.iter().all(|change| !change.is_unchanged())
    {
        check_diff(&changes, input.0 % 16 == 0);
    }
});
