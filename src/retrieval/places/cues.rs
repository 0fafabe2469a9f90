//! What an issue says of places within files: frames with function and line, linked lines, quoted
//! source lines, dotted names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::retrieval::issue::Issue;
use crate::retrieval::terms;

/// A place that a traceback or a link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Path as printed, `/` between components.
    pub(super) path: String,
    /// The function, where it is said.
    pub(super) function: Option<String>,
    /// First and last line, where they are said. They are those of the reporter's version.
    pub(super) lines: Option<(usize, usize)>,
    /// Line of the issue, from 1.
    pub(super) at: usize,
}

/// Everything that points below a file.
#[derive(Debug, Default)]
pub(super) struct Cues {
    pub(super) issue: Issue,
    /// Frames of tracebacks, outermost first.
    pub(super) frames: Vec<Named>,
    /// Lines linked on GitHub.
    pub(super) links: Vec<Named>,
    /// Lines that look like code, blanks squeezed, with the line of the issue where each is first.
    pub(super) quoted: BTreeMap<String, usize>,
    /// `A.b` for each two consecutive components of a dotted name.
    pub(super) pairs: BTreeSet<(String, String)>,
    /// Identifiers of the title.
    pub(super) title: BTreeSet<String>,
    /// All identifiers of the text of three letters and more.
    pub(super) words: BTreeSet<String>,
    /// Each three consecutive words, in lower case.
    pub(super) triples: HashSet<Vec<String>>,
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("a constant pattern that the tests use"));
    };
}

pattern!(CPYTHON, r#"File "([^"]+)", line ([0-9]+)(?:, in ([[:word:].<>]+))?"#);
pattern!(IPYTHON, r"^\s*(?:File\s+)?([[:word:]~./\\\-]+\.py)(?::([0-9]+),?)? in ([[:word:].]+)\(");
pattern!(PYTEST, r"^\s*([[:word:]./\\\-]+\.py):([0-9]+):");
pattern!(
    LINK,
    r"github\.com/[^/\s]+/[^/\s]+/(?:blob|blame)/[^/\s]+/([^\s)>\]#?]+)#L([0-9]+)(?:-L?([0-9]+))?"
);
// Markers of debuggers and quotes before a line of source.
pattern!(MARKER, r"^\s*(?:>>>|\.\.\.|[-=]*>|E\s\s|>)?\s*(?:[0-9]+\s)?\s*");
pattern!(DOTTED, r"[A-Za-z_][[:word:]]*(?:\.[A-Za-z_][[:word:]]*)+");

/// Shorter lines occur everywhere.
const QUOTED: usize = 12;

impl Cues {
    /// Reads an issue of any size and shape.
    pub(super) fn read(raw: &str) -> Self {
        let mut cues = Self { issue: Issue::read(raw), ..Self::default() };
        for (at, line) in raw.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            cues.read_line(at, line);
        }
        for found in DOTTED.find_iter(&cues.issue.text) {
            let parts = found.as_str().split('.').collect::<Vec<_>>();
            for pair in parts.windows(2) {
                cues.pairs.insert((pair[0].to_owned(), pair[1].to_owned()));
            }
        }
        let names = |text: &str| {
            let ranges = terms::identifiers(text).filter(|range| range.len() > 2);
            ranges.map(|range| text[range].to_owned()).collect::<BTreeSet<_>>()
        };
        cues.title = names(&cues.issue.title);
        cues.words = names(&cues.issue.text);
        cues.triples = words_of(&cues.issue.text).windows(3).map(<[_]>::to_vec).collect();
        cues
    }

    fn read_line(&mut self, at: usize, line: &str) {
        for found in LINK.captures_iter(line) {
            let first = found[2].parse().unwrap_or(0);
            let last = found.get(3).and_then(|last| last.as_str().parse().ok()).unwrap_or(first);
            let lines = Some((first, last.max(first)));
            self.links.push(Named { path: found[1].to_owned(), function: None, lines, at });
        }
        let frame = CPYTHON.captures(line).or_else(|| IPYTHON.captures(line));
        if let Some(found) = frame.or_else(|| PYTEST.captures(line)) {
            let number = found.get(2).and_then(|number| number.as_str().parse::<usize>().ok());
            self.frames.push(Named {
                path: found[1].replace('\\', "/"),
                function: found.get(3).map(|name| name.as_str().to_owned()),
                lines: number.map(|line| (line, line)),
                at,
            });
            return;
        }
        let bare = line.get(MARKER.find(line).map_or(0, |marker| marker.end())..);
        let bare = squeezed(bare.unwrap_or_default());
        if bare.len() >= QUOTED && bare.contains(['(', '=', '[', '.', ':']) {
            self.quoted.entry(bare).or_insert(at);
        }
    }
}

/// Words in lower case, without what stands between them.
pub(super) fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// A line without blanks at its ends and with single blanks within.
pub(super) fn squeezed(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for word in line.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Whether a printed path can be that of `path`: they share two trailing components, or all of the
/// shorter one.
pub(super) fn same_file(printed: &str, path: &str) -> bool {
    let components = |path: &str| {
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let (printed, own) = (components(printed), components(path));
    let shared = printed.iter().rev().zip(own.iter().rev()).take_while(|(a, b)| a == b).count();
    shared >= 2 || (shared > 0 && (shared == printed.len() || shared == own.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Crash in Session.send of requests\r\n\
        see https://github.com/psf/requests/blob/v2.1/requests/sessions.py#L10-L20\r\n\
        Traceback (most recent call last):\r\n  \
        File \"/x/site-packages/requests/api.py\", line 5, in get\r\n    \
        return request('get',  url)\r\n\
        ~/lib/pkg/frame.py in run(self)\r\n     12     x = 1\r\n---> 13     self.total = compute(x)\r\n\
        File ~/a/b.py:44, in Thing.go(self)\r\nrequests/utils.py:42: ValueError\r\n";

    #[test]
    fn frames_links_and_quoted_lines_are_read() {
        let cues = Cues::read(TEXT);
        let frame = |named: &Named| {
            let function = named.function.as_deref().unwrap_or("-");
            format!("{} {function} {:?}", named.path, named.lines.map(|lines| lines.0))
        };
        assert_eq!(
            cues.frames.iter().map(frame).collect::<Vec<_>>(),
            [
                "/x/site-packages/requests/api.py get Some(5)",
                "~/lib/pkg/frame.py run None",
                "~/a/b.py Thing.go Some(44)",
                "requests/utils.py - Some(42)",
            ]
        );
        assert_eq!(cues.links[0].lines, Some((10, 20)));
        assert_eq!(cues.quoted["return request('get', url)"], 5);
        assert_eq!(cues.quoted["self.total = compute(x)"], 8);
        assert!(!cues.quoted.contains_key("x = 1"));
        assert!(cues.pairs.contains(&("Session".into(), "send".into())));
        assert!(cues.title.contains("Session"));
    }

    #[test]
    fn printed_paths_match_by_their_ends() {
        for (printed, path, same) in [
            ("/x/site-packages/requests/api.py", "requests/api.py", true),
            ("/x/site-packages/requests/api.py", "src/requests/api.py", true),
            ("api.py", "requests/api.py", true),
            ("other/api.py", "requests/api.py", false),
            ("/x/setup.py", "setup.py", true),
            ("", "setup.py", false),
        ] {
            assert_eq!(same_file(printed, path), same, "{printed} {path}");
        }
    }

    #[test]
    fn odd_issues_are_read() {
        for text in ["", "\r\r\n", "File \"", "a.py:99999999999999999999999: x\n", "`#L1"] {
            let _ = Cues::read(text);
        }
        let cues =
            Cues::read(&"File \"a/b.py\", line 3, in f\n    x = compute(y)\n".repeat(50_000));
        assert_eq!((cues.frames.len(), cues.quoted.len()), (50_000, 1));
    }
}
