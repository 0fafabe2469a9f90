//! What an issue's text says: its title, the code it quotes, the files and frames it names.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::retrieval::terms;

/// One frame of a traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Path as printed, `/` between components.
    pub(crate) path: String,
    /// Line of the issue, from 1.
    pub(crate) line: usize,
}

/// A file named in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Path as written, `/` between components.
    pub(crate) path: String,
    /// Line of the issue, from 1.
    pub(crate) line: usize,
}

/// An issue, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issue {
    /// First line with text.
    pub(crate) title: String,
    /// Everything worth searching with: no comments of templates, no addresses, no version lists.
    pub(crate) text: String,
    /// Names that look like code, as written: `snake_case`, `CamelCase`, quoted, called, dotted.
    pub(crate) code: BTreeSet<String>,
    /// Files named outside of tracebacks.
    pub(crate) mentions: Vec<Mention>,
    /// Files linked on GitHub, from the part after `blob/` on.
    pub(crate) links: Vec<Mention>,
    /// Frames of tracebacks, in order.
    pub(crate) frames: Vec<Frame>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests use")
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| regex($text));
    };
}

pattern!(COMMENT, r"(?s)<!--.*?(?:-->|\z)");
pattern!(
    LINK,
    r#"(?:github\.com/[^/\s]+/[^/\s]+/(?:blob|tree|blame|raw)|raw\.githubusercontent\.com/[^/\s]+/[^/\s]+)/([^\s)>\]"'#?]+)"#
);
pattern!(ADDRESS, r#"(?:https?|ftp)://[^\s)>\]"']+"#);
// `name==1.2`, `name: 1.2.3`, `name 1.2.3 py37_0`: lists of installed packages.
pattern!(
    VERSIONED,
    r"^\s*[*-]?\s*[\w.\- ]{1,40}(?:==|:\s|\s{2,}|\s)\s*v?\d+(?:\.\w+)+[\w.+\-]*(?:\s+\S+){0,2}\s*$"
);
// CPython; `File x.py:n, in f` and `x.py in f(...)` of IPython; `x.py:n: Error` of pytest.
pattern!(CPYTHON, r#"^\s*(?:E\s+)?File "([^"]+)", line \d+"#);
pattern!(IPYTHON, r"^\s*(?:File\s+)?([\w~./\\\-]+\.py)(?::\d+,? in |\s+in\s+\S+\()");
pattern!(PYTEST, r"^\s*([\w./\\\-]+\.py):\d+:");
pattern!(PATH, r"[\w./\\\-]*\w\.(?:pyx?|pyi|cfg|toml|ini)\b");
pattern!(BACKTICKED, r"`([^`\n]{1,80})`");
pattern!(CALLED, r"([A-Za-z_]\w*)\(");
pattern!(DOTTED, r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+");

impl Issue {
    /// Reads an issue of any size and shape.
    pub(crate) fn read(raw: &str) -> Self {
        let text = raw.replace("\r\n", "\n").replace('\r', "\n");
        // Comments are blanked and not cut, so that line numbers stay those of the issue.
        let text = COMMENT.replace_all(&text, |found: &regex::Captures| {
            "\n".repeat(found[0].matches('\n').count())
        });
        let mut issue = Self::default();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            issue.read_line(number, line);
        }
        issue.code = code_names(&issue.text);
        issue
    }

    fn read_line(&mut self, number: usize, line: &str) {
        for found in LINK.captures_iter(line) {
            if let Some((_reference, path)) = found[1].split_once('/') {
                let path = path.trim_end_matches(['.', ',', ';', ':']).to_owned();
                self.links.push(Mention { path, line: number });
            }
        }
        let line = ADDRESS.replace_all(line, " ");
        let title = line.trim().trim_start_matches('#').trim();
        if self.title.is_empty() && !title.is_empty() {
            title.clone_into(&mut self.title);
        }
        let frame = CPYTHON
            .captures(&line)
            .or_else(|| IPYTHON.captures(&line))
            .or_else(|| PYTEST.captures(&line));
        if let Some(found) = frame {
            self.frames.push(Frame { path: found[1].replace('\\', "/"), line: number });
        } else if VERSIONED.is_match(&line) && number > 1 {
            return;
        } else {
            for found in PATH.find_iter(&line) {
                let path = found.as_str().replace('\\', "/");
                let path = path.trim_start_matches("./").to_owned();
                self.mentions.push(Mention { path, line: number });
            }
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

fn code_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |piece: &str| {
        for range in terms::identifiers(piece) {
            if piece[range.clone()].len() > 2 {
                names.insert(piece[range].to_owned());
            }
        }
    };
    for found in BACKTICKED.captures_iter(text) {
        add(&found[1]);
    }
    for found in CALLED.captures_iter(text) {
        add(&found[1]);
    }
    for found in DOTTED.find_iter(text) {
        add(found.as_str());
    }
    for range in terms::identifiers(text) {
        let name = &text[range];
        let inner = name.trim_matches('_');
        let camel =
            inner.chars().any(char::is_lowercase) && inner.chars().skip(1).any(char::is_uppercase);
        if inner.contains('_') || camel || (inner.len() > 2 && inner.len() < name.len()) {
            add(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\r\n# Crash in `resolve_url` of Session\r\n<!-- Please search\r\nfirst -->\r\n\
        See https://github.com/psf/requests/blob/v2.1/requests/sessions.py#L10-L20 and\r\n\
        requests/models.py, calling HTTPAdapter.send_request(x)\r\n```\r\n\
        Traceback (most recent call last):\r\n  File \"/usr/lib/python3/site-packages/requests/api.py\", line 5, in get\r\n\
        ~/lib/pkg/frame.py in run(self)\r\nrequests/utils.py:42: ValueError\r\n```\r\n\
        numpy==1.2.3\r\npandas: 0.25.1\r\nOS: Windows\r\n";

    #[test]
    fn an_issue_is_taken_apart() {
        let issue = Issue::read(TEXT);
        assert_eq!(issue.title, "Crash in `resolve_url` of Session");
        let paths =
            |m: &[Mention]| m.iter().map(|m| format!("{} {}", m.path, m.line)).collect::<Vec<_>>();
        assert_eq!(paths(&issue.links), ["requests/sessions.py 5"]);
        assert_eq!(paths(&issue.mentions), ["requests/models.py 6"]);
        let frames = issue.frames.iter().map(|f| format!("{} {}", f.path, f.line));
        let expected = [
            "/usr/lib/python3/site-packages/requests/api.py 9",
            "~/lib/pkg/frame.py 10",
            "requests/utils.py 11",
        ];
        assert_eq!(frames.collect::<Vec<_>>(), expected);
        for name in ["resolve_url", "HTTPAdapter", "send_request"] {
            assert!(issue.code.contains(name), "{name} of {:?}", issue.code);
        }
        assert!(!issue.code.contains("Crash"));
        for gone in ["Please", "numpy", "pandas", "github"] {
            assert!(!issue.text.contains(gone), "{gone}");
        }
        assert!(issue.text.contains("OS: Windows"));
    }

    #[test]
    fn empty_and_odd_issues_are_read() {
        for text in ["", "\r\r\n \n", "<!-- never closed", "`", "\u{0}\u{fffd}"] {
            let issue = Issue::read(text);
            assert!(issue.mentions.is_empty() && issue.frames.is_empty(), "{text:?}");
        }
        let million = Issue::read(&"word some_name( a.py\n".repeat(50_000));
        assert_eq!(million.mentions.len(), 50_000);
    }
}
