//! Unified diffs as the Python library `unidiff` reads them, down to what it refuses: the text of
//! each file's hunks by path.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use crate::reward::options::Clock;
use crate::reward::text::{is_blank, strip};
use crate::reward::{Refusal, Text};

const DEV_NULL: &[u8] = b"/dev/null";

/// One path's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// What is compared.
    pub(crate) text: Text,
    /// Everything the diff says about the file, to compare changes without hunks.
    pub(crate) whole: Text,
}

/// Changes by path.
pub(crate) type Changes = BTreeMap<Text, Change>;

/// What a list of diff texts says.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) changes: Changes,
    /// A text that is not blank was refused, or holds no file.
    pub(crate) unparsable: bool,
    /// A binary file was left out.
    pub(crate) skipped: bool,
}

/// Reads all texts; a later change of a path replaces an earlier one.
pub(crate) fn parse_all(texts: &[Text], clock: &mut Clock) -> Result<Parsed, Refusal> {
    let mut parsed = Parsed::default();
    for text in texts {
        clock.spend(text.as_bytes().len() * 8)?;
        let files = match parse(text.as_bytes()) {
            Ok(files) if !files.is_empty() || is_blank(text.as_bytes()) => files,
            _ => {
                parsed.unparsable = true;
                continue;
            }
        };
        for file in files {
            if file.is_binary {
                parsed.skipped = true;
                continue;
            }
            let (path, change) = file.into_change();
            parsed.changes.insert(path, change);
        }
    }
    Ok(parsed)
}

/// The library refuses the text.
#[derive(Debug, PartialEq, Eq)]
struct Refused;

#[derive(Debug)]
struct File<'a> {
    source: &'a [u8],
    target: &'a [u8],
    is_binary: bool,
    /// As printed.
    hunks: Vec<Vec<u8>>,
    info: Vec<u8>,
}

impl<'a> File<'a> {
    fn new(source: &'a [u8], target: &'a [u8]) -> Self {
        Self { source, target, is_binary: false, hunks: Vec::new(), info: Vec::new() }
    }

    fn is_rename(&self) -> bool {
        let name = |path: &'a [u8]| path.get(path.len().min(char_start(path, 2))..);
        self.source != DEV_NULL && self.target != DEV_NULL && name(self.source) != name(self.target)
    }

    fn into_change(self) -> (Text, Change) {
        let body = self.hunks.iter().map(|hunk| strip(hunk)).collect::<Vec<_>>().join(&b'\n');
        let (path, text) = if self.is_rename() {
            let (source, target) = (without_prefix(self.source), without_prefix(self.target));
            let mut text = [b"rename from ", &source[..], b" to ", &target].concat();
            if !body.is_empty() {
                text.push(b'\n');
                text.extend_from_slice(&body);
            }
            (source, text)
        } else {
            let path = if self.source == DEV_NULL { self.target } else { self.source };
            (without_prefix(path), body)
        };
        let change = Change {
            text: Text::from_wtf8(text),
            whole: Text::from_wtf8(strip(&self.info).to_vec()),
        };
        (Text::from_wtf8(path), change)
    }
}

/// Where the code point with this number starts.
fn char_start(text: &[u8], number: usize) -> usize {
    let mut starts = (0..text.len()).filter(|&at| text[at] & 0xC0 != 0x80);
    starts.nth(number).unwrap_or(text.len())
}

/// The path without the prefix that version control puts before it, inside quotes too.
fn without_prefix(path: &[u8]) -> Vec<u8> {
    let quoted = path.starts_with(b"\"") && path.ends_with(b"\"");
    let name = if quoted { path.get(1..path.len() - 1).unwrap_or_default() } else { path };
    let name = match name {
        [b'a' | b'b' | b'c' | b'i' | b'o' | b'w' | b'1' | b'2', b'/', rest @ ..] => rest,
        _ => name,
    };
    if quoted { [b"\"", name, b"\""].concat() } else { name.to_vec() }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns of this file are valid")
}

static GIT: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        regex(r#"^diff --git (?-u:("?a/[^\t\n]+"?) ("?b/[^\t\n]+"?))"#),
        regex(r"^diff --git (?-u:(.*://[^\t\n]+) (.*://[^\t\n]+))"),
        regex(r"^diff --git (?-u:([^\t\n]+) ([^\t\n]+))"),
    ]
});
static NEW_FILE: LazyLock<Regex> = LazyLock::new(|| regex(r"^new file mode \d+\n?$"));
static DELETED_FILE: LazyLock<Regex> = LazyLock::new(|| regex(r"^deleted file mode \d+\n?$"));
static NAME: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:---|\+\+\+) ((?-u:[^\t\n]*))"));
static HUNK: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^@@ -([0-9]+)(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@ ?((?-u:[^\n]*))")
});
static BINARY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^Binary files? ((?-u:[^\t]+?))(?:\t[\s0-9:\+-]+)?(?: and (?-u:[^\t]+?)(?:\t[\s0-9:\+-]+)?)? (?:differ|has changed)",
    )
});

fn group<'a>(captures: &Captures<'a>, index: usize) -> &'a [u8] {
    captures.get(index).map_or(&[], |found| found.as_bytes())
}

/// The line that begins a file in git's format. The patterns are tried on few lines.
fn git_header(line: &[u8]) -> Option<Captures<'_>> {
    let patterns = line.starts_with(b"diff --git ").then_some(&*GIT)?;
    patterns.iter().find_map(|pattern| pattern.captures(line))
}

/// Where the parser stands between two lines.
#[derive(Default)]
struct Parser<'a> {
    files: Vec<File<'a>>,
    /// The last file is still being read.
    in_file: bool,
    /// Lines that belong to no hunk are being read.
    in_info: bool,
    /// The source name that a target name may follow.
    source: Option<&'a [u8]>,
}

fn parse(text: &[u8]) -> Result<Vec<File<'_>>, Refused> {
    let mut parser = Parser::default();
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    while let Some(line) = lines.next() {
        let header = line.starts_with(b"@@").then(|| HUNK.captures(line)).flatten();
        if let Some(header) = header {
            parser.in_info = false;
            let hunk = hunk(&header, &mut lines)?;
            parser.current().ok_or(Refused)?.hunks.push(hunk);
        } else {
            parser.line(line)?;
        }
    }
    Ok(parser.files)
}

impl<'a> Parser<'a> {
    fn current(&mut self) -> Option<&mut File<'a>> {
        if self.in_file { self.files.last_mut() } else { None }
    }

    fn open(&mut self, file: File<'a>) {
        self.files.push(file);
        self.in_file = true;
    }

    /// A line outside of hunks.
    fn line(&mut self, line: &'a [u8]) -> Result<(), Refused> {
        if let Some(names) = git_header(line) {
            let (source, target) = (group(&names, 1), group(&names, 2));
            self.open(File::new(source, target));
            self.source = Some(source);
            self.in_info = true;
        } else if line.starts_with(b"new file") && NEW_FILE.is_match(line) {
            self.header_file()?.source = DEV_NULL;
        } else if line.starts_with(b"deleted") && DELETED_FILE.is_match(line) {
            self.header_file()?.target = DEV_NULL;
        } else if line.starts_with(b"--- ") {
            self.source = NAME.captures(line).map(|name| group(&name, 1));
            self.in_file &= self.in_info;
            return Ok(());
        } else if line.starts_with(b"+++ ") {
            let target = NAME.captures(line).map(|name| group(&name, 1)).unwrap_or_default();
            return self.target(target);
        } else if line.starts_with(b"\\ No newline at end of file") {
            let hunk = self.current().and_then(|file| file.hunks.last_mut()).ok_or(Refused)?;
            hunk.extend_from_slice(b"\\ No newline at end of file\n");
            return Ok(());
        } else if line == b"\n" && self.current().is_some_and(|file| !file.hunks.is_empty()) {
            if let Some(hunk) = self.current().and_then(|file| file.hunks.last_mut()) {
                hunk.push(b'\n');
            }
            return Ok(());
        } else {
            return self.other(line);
        }
        if let Some(file) = self.current() {
            file.info.extend_from_slice(line);
        }
        Ok(())
    }

    /// The file whose git header is being read.
    fn header_file(&mut self) -> Result<&mut File<'a>, Refused> {
        if self.in_info { self.current().ok_or(Refused) } else { Err(Refused) }
    }

    fn target(&mut self, target: &'a [u8]) -> Result<(), Refused> {
        if let Some(file) = self.current() {
            return if file.target == target { Ok(()) } else { Err(Refused) };
        }
        let source = self.source.take().ok_or(Refused)?;
        self.open(File::new(source, target));
        self.in_info = false;
        Ok(())
    }

    /// A line that is no part of the format.
    fn other(&mut self, line: &'a [u8]) -> Result<(), Refused> {
        if !self.in_info {
            self.in_file = false;
            self.in_info = true;
        }
        let name = line.starts_with(b"Binary").then(|| BINARY.captures(line)).flatten();
        if let Some(name) = name {
            self.source = Some(group(&name, 1));
            if !self.in_file {
                self.open(File::new(group(&name, 1), b""));
            }
        } else if line != b"GIT binary patch\n" {
            if let Some(file) = self.current() {
                file.info.extend_from_slice(line);
            }
            return Ok(());
        }
        self.current().ok_or(Refused)?.is_binary = true;
        self.in_file = false;
        self.in_info = false;
        Ok(())
    }
}

/// A hunk as the library prints it. It ends with the numbers of lines that its header announces.
fn hunk<'a>(
    header: &Captures<'_>,
    lines: &mut impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, Refused> {
    let number = |index: usize| -> Result<u64, Refused> {
        let Some(digits) = header.get(index) else { return Ok(1) };
        let digits = std::str::from_utf8(digits.as_bytes()).map_err(|_| Refused)?;
        digits.parse().map_err(|_| Refused)
    };
    let (source_length, target_length) = (number(2)?, number(4)?);
    let head = format!("@@ -{},{source_length} +{},{target_length} @@", number(1)?, number(3)?);
    let mut text = head.into_bytes();
    let section = group(header, 5);
    if !section.is_empty() {
        text.push(b' ');
        text.extend_from_slice(section);
    }
    text.push(b'\n');
    let (mut source, mut target) = (0, 0);
    for line in lines {
        match line[0] {
            b'+' => target += 1,
            b'-' => source += 1,
            b' ' | b'\r' | b'\n' => {
                source += 1;
                target += 1;
            }
            b'\\' => {}
            _ => return Err(Refused),
        }
        if source > source_length || target > target_length {
            return Err(Refused);
        }
        if matches!(line[0], b'\r' | b'\n') {
            // An empty line counts as context; no more than its line end is kept.
            text.push(b' ');
            let end = line.iter().take(2).take_while(|byte| matches!(byte, b'\r' | b'\n'));
            text.extend(end);
        } else {
            text.extend_from_slice(line);
        }
        if source == source_length && target == target_length {
            break;
        }
    }
    if source < source_length || target < target_length {
        return Err(Refused);
    }
    Ok(text)
}
