//! What is embedded: the issue and the definitions of files, in pieces that small models take.

use sha2::{Digest, Sha256};

use crate::index::VectorKey;
use crate::repo::Checkout;
use crate::source;

/// Bytes of a piece. Many embedding models see 512 tokens, and code has about 3.3 bytes a token.
pub(super) const LONGEST: usize = 1600;

/// Pieces of the issue, and of one file: a generated file of 20,000 lines would take them all.
const OF_ISSUE: usize = 4;
const OF_FILE: usize = 60;

/// A text to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Path of the file; empty for the issue.
    pub(super) path: String,
    /// First and last line in the file, from 1.
    pub(super) lines: (usize, usize),
    pub(super) text: String,
    pub(super) key: VectorKey,
}

impl Piece {
    fn new(path: &str, lines: (usize, usize), text: String) -> Self {
        let mut key = VectorKey::default();
        key.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
        Self { path: path.to_owned(), lines, text, key }
    }
}

/// The beginning of an issue, in pieces.
pub(super) fn of_issue(issue: &str) -> Vec<Piece> {
    let text = issue.replace("\r\n", "\n");
    let cut = cut(&text, LONGEST);
    let pieces = cut.into_iter().take(OF_ISSUE).map(|(_, _, text)| Piece::new("", (0, 0), text));
    pieces.filter(|piece| !piece.text.trim().is_empty()).collect()
}

/// The definitions of the files that can be read, each below its path.
pub(super) fn of_files(checkout: &Checkout, paths: &[String]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for path in paths {
        // What cannot be read was said when it was ranked.
        let Ok(Some(bytes)) = checkout.read(path) else { continue };
        let Some(text) = source::decode(&bytes) else { continue };
        pieces.extend(of_file(path, &text));
    }
    pieces
}

fn of_file(path: &str, text: &str) -> Vec<Piece> {
    let module = source::parse(text);
    let lines = text.lines().collect::<Vec<_>>();
    let mut pieces = Vec::new();
    for block in source::blocks(text, &module) {
        let (first, last) = (*block.lines.start(), (*block.lines.end()).min(lines.len()));
        let body = lines[first - 1..last].join("\n");
        let room = LONGEST.saturating_sub(path.len() + 3).max(LONGEST / 2);
        for (start, length, part) in cut(&body, room) {
            if !part.trim().is_empty() {
                let lines = (first + start, first + start + length.max(1) - 1);
                pieces.push(Piece::new(path, lines, format!("# {path}\n{part}")));
            }
        }
    }
    pieces.truncate(OF_FILE);
    pieces
}

/// A text in parts of at most `longest` bytes, whole lines where they fit: the number of the first
/// line from 0, how many there are, and the part.
fn cut(text: &str, longest: usize) -> Vec<(usize, usize, String)> {
    let mut parts = Vec::<(usize, usize, String)>::new();
    for (number, line) in text.lines().enumerate() {
        let line = &line[..line.floor_char_boundary(longest - 1)];
        match parts.last_mut() {
            Some((_, count, part)) if part.len() + line.len() < longest => {
                part.push('\n');
                part.push_str(line);
                *count += 1;
            }
            _ => parts.push((number, 1, line.to_owned())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_at_its_definitions() {
        let long =
            format!("def c():\n{}", "    x = 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy'\n".repeat(60));
        let text = format!(
            "import os\n\n\ndef a():\n    return 1\n\n\ndef b():\n    return 2\n\n\n{long}"
        );
        let pieces = of_file("pkg/m.py", &text);
        let lines = pieces.iter().map(|piece| piece.lines).collect::<Vec<_>>();
        assert_eq!(&lines[..3], [(1, 2), (4, 6), (8, 10)]);
        assert!(pieces.len() > 4, "a long function is several pieces: {lines:?}");
        assert_eq!(lines.last().unwrap().1, text.lines().count());
        assert!(lines.windows(2).all(|pair| pair[0].1 < pair[1].0), "{lines:?}");
        for piece in &pieces {
            assert!(piece.text.starts_with("# pkg/m.py\n") && piece.text.len() <= LONGEST);
        }
        let keys = pieces.iter().map(|piece| piece.key).collect::<std::collections::HashSet<_>>();
        assert_eq!(keys.len(), pieces.len());
    }

    #[test]
    fn only_the_beginning_of_an_issue_counts() {
        let issue = "a long line of words about nothing at all\r\n".repeat(400);
        let pieces = of_issue(&issue);
        assert_eq!(pieces.len(), OF_ISSUE);
        assert!(pieces.iter().all(|piece| piece.text.len() <= LONGEST));
        assert_eq!(of_issue(" \n\n"), []);
        let line = "ä".repeat(5000);
        assert!(of_issue(&line)[0].text.len() <= LONGEST);
    }
}
