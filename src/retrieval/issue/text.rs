//! Takes an issue apart line by line: what is prose, what is code, what is a frame, a link, a
//! message, and what is noise of templates.

use std::sync::LazyLock;

use regex::Regex;

use crate::retrieval::issue::{Frame, Issue, Mention};

// `[[:word:]]` and not `\w`, here and wherever issues are read: compiling the tables of Unicode took
// longer than a ranking, and a file's name in Chinese prose ends where the prose begins.
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
pattern!(NUMBERED_ADDRESS, r"/(?:issues?|pull|ticket|tickets|bugs?)/([0-9]{1,7})(?-u:\b)");
pattern!(
    NUMBERED,
    r"(?i)(?:^|[\s(\[,;])(?:#|gh-|(?:issue|ticket|bug|pull request|pr)s?\s+#?)([0-9]{2,7})(?-u:\b)"
);
// `name==1.2`, `name: 1.2.3`, `name 1.2.3 py37_0`: lists of installed packages.
pattern!(
    VERSIONED,
    r"^\s*[*-]?\s*[[:word:].\- ]{1,40}(?:==|:\s|\s{2,}|\s)\s*v?[0-9]+(?:\.[[:word:]]+)+[[:word:].+\-]*(?:\s+\S+){0,2}\s*$"
);
// CPython and the debug page of Django; IPython's two forms; pytest's two forms.
pattern!(CPYTHON, r#"^\s*(?:E\s+)?File "([^"]+)",?(?: line [0-9]+,?)?(?: in (\S+))?"#);
pattern!(IPYTHON, r"^\s*(?:File\s+)?([[:word:]~./\\\-]+\.py)(?::[0-9]+,? in |\s+in\s+)([^\s(]+)");
pattern!(PYTEST, r"^\s*([[:word:]./\\\-]+\.py):[0-9]+:(?: in (\S+))?");
pattern!(
    ERROR,
    r"^\s*(?:E\s+|>\s*)?((?:[[:word:]]+\.)*[A-Z][[:word:]]*(?:Error|Exception|Warning|Exit|Interrupt|NotFound|DoesNotExist|Failed|Invalid[[:word:]]*)):\s+(\S.*)$"
);
pattern!(
    TRACEBACK,
    r"^\s*(?:E\s+)?(?:Traceback \(most recent call last\)|Traceback:?\s*$|-{20,}$)"
);
pattern!(PATH, r"[[:word:]./\\\-]*[[:word:]]\.(?:pyx?|pyi|cfg|toml|ini)(?-u:\b)");
pattern!(PROMPT, r"^\s*(?:>>>|\.\.\.|In \[[0-9]+\]:|\.\.\.:)\s?(.*)$");

/// Mentions kept; more is a listing.
const MENTIONS: usize = 2000;

/// Reading goes on from here.
#[derive(Default)]
pub(super) struct Reader {
    issue: Issue,
    /// The marker that closes the open code block.
    fence: Option<&'static str>,
    traceback: usize,
    /// Line of the last frame; what follows it is its source.
    last_frame: usize,
}

impl Reader {
    pub(super) fn read(raw: &str) -> Issue {
        let text = apart(&raw.replace("\r\n", "\n").replace('\r', "\n"));
        // Comments are blanked and not cut, so that line numbers stay those of the issue.
        let text = COMMENT.replace_all(&text, |found: &regex::Captures| {
            "\n".repeat(found[0].matches('\n').count())
        });
        let mut reader = Self::default();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            reader.line(number, line);
        }
        reader.issue
    }

    fn line(&mut self, number: usize, line: &str) {
        if self.fences(line) {
            return;
        }
        for found in LINK.captures_iter(line) {
            if let Some((_reference, path)) = found[1].split_once('/') {
                let path = path.trim_end_matches(['.', ',', ';', ':']).to_owned();
                self.issue.links.push(Mention { path, line: number });
            }
        }
        let numbers = NUMBERED_ADDRESS.captures_iter(line).chain(NUMBERED.captures_iter(line));
        self.issue.numbers.extend(numbers.filter_map(|found| found[1].parse::<u64>().ok()));
        let line = ADDRESS.replace_all(line, " ");
        let title = line.trim().trim_start_matches('#').trim();
        if self.issue.title.is_empty() && !title.is_empty() {
            title.clone_into(&mut self.issue.title);
        }
        if self.frame(number, &line) {
            push(&mut self.issue.text, &line);
            return;
        }
        if number > 1 && VERSIONED.is_match(&line) {
            return;
        }
        if let Some(found) = ERROR.captures(&line) {
            self.issue.errors.push(format!("{}: {}", &found[1], found[2].trim()));
        }
        for found in PATH.find_iter(&line).take(MENTIONS.saturating_sub(self.issue.mentions.len()))
        {
            let path = found.as_str().replace('\\', "/");
            let path = path.trim_start_matches("./").to_owned();
            self.issue.mentions.push(Mention { path, line: number });
        }
        push(&mut self.issue.text, &line);
        if let Some(found) = PROMPT.captures(&line) {
            push(&mut self.issue.program, &found[1]);
        } else if self.fence.is_some() {
            push(&mut self.issue.program, &line);
        } else if self.last_frame == 0 || self.last_frame + 1 != number {
            push(&mut self.issue.prose, &line);
        }
    }

    /// Whether the line only opens or closes a code block: of Markdown or of Trac.
    fn fences(&mut self, line: &str) -> bool {
        let line = line.trim();
        match self.fence {
            Some(close) if line.starts_with(close) => {
                self.fence = None;
                true
            }
            Some(_) => false,
            None => {
                let open = [("```", "```"), ("~~~", "~~~"), ("{{{", "}}}")];
                let found = open.into_iter().find(|(open, _)| line.starts_with(open));
                // "```code```" on one line opens nothing.
                let Some((open, close)) = found else { return false };
                if line[open.len()..].contains(close) {
                    return false;
                }
                self.fence = Some(close);
                true
            }
        }
    }

    fn frame(&mut self, number: usize, line: &str) -> bool {
        if TRACEBACK.is_match(line) {
            self.traceback += 1;
        }
        let found = CPYTHON
            .captures(line)
            .or_else(|| IPYTHON.captures(line))
            .or_else(|| PYTEST.captures(line));
        let Some(found) = found else { return false };
        let function = found.get(2).map(|name| name.as_str().trim_end_matches(['(', ':', ',']));
        self.issue.frames.push(Frame {
            path: found[1].replace('\\', "/"),
            function: function.filter(|name| !name.starts_with('<')).map(str::to_owned),
            line: number,
            traceback: self.traceback,
        });
        self.last_frame = number;
        true
    }
}

/// Blanks between names and the words of languages that write none: `调用open时` names `open`.
fn apart(text: &str) -> String {
    let unspaced = |c: char| {
        matches!(c, '\u{e00}'..='\u{e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
    };
    let named = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let mut spaced = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if (unspaced(before) && named(c)) || (named(before) && unspaced(c)) {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    spaced
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
