//! A text file as lines that keep their own ends, so that what no edit touches stays as it was byte
//! for byte: mixed line ends, a missing final newline, a byte order mark, a legacy encoding.

use std::borrow::Cow;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eol {
    Lf,
    CrLf,
    /// The last line of a file without a final newline.
    Missing,
}

impl Eol {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::Missing => b"",
        }
    }
}

/// One line: its bytes without the end, and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: Vec<u8>,
    pub(crate) eol: Eol,
}

/// How bytes stand for characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    /// Not UTF-8. Only its ASCII part is understood; `writable` says that a character up to U+00FF
    /// may be written as the byte of that number.
    Legacy {
        writable: bool,
    },
}

/// A file that can be edited by lines.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub(crate) lines: Vec<Line>,
    encoding: Encoding,
    bom: bool,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl TextFile {
    /// Splits the bytes of a file; nothing when they hold a NUL and so are no text.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.contains(&0) {
            return None;
        }
        let bom = bytes.starts_with(BOM);
        let body = if bom { &bytes[BOM.len()..] } else { bytes };
        let encoding = if std::str::from_utf8(body).is_ok() {
            Encoding::Utf8
        } else {
            Encoding::Legacy { writable: is_latin1_or_unsaid(body) }
        };
        let lines = body.split_inclusive(|&byte| byte == b'\n').map(split_eol).collect();
        Some(Self { lines, encoding, bom })
    }

    /// A file that does not exist yet.
    pub(crate) fn empty() -> Self {
        Self { lines: Vec::new(), encoding: Encoding::Utf8, bom: false }
    }

    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = if self.bom { BOM.to_vec() } else { Vec::new() };
        for line in &self.lines {
            bytes.extend_from_slice(&line.text);
            bytes.extend_from_slice(line.eol.bytes());
        }
        bytes
    }

    /// Whether no line holds anything but blanks.
    pub(crate) fn is_blank(&self) -> bool {
        self.lines.iter().all(|line| line.text.iter().all(u8::is_ascii_whitespace))
    }

    /// The line end that most lines have; `\n` for a file without any.
    pub(crate) fn usual_eol(&self) -> Eol {
        let crlf = self.lines.iter().filter(|line| line.eol == Eol::CrLf).count();
        let lf = self.lines.iter().filter(|line| line.eol == Eol::Lf).count();
        if crlf > lf { Eol::CrLf } else { Eol::Lf }
    }

    /// A line as it is compared with an answer's: text, in a legacy encoding with every run of
    /// bytes beyond ASCII folded to U+FFFD, however the model was shown them.
    pub(crate) fn key(&self, index: usize) -> Cow<'_, str> {
        let text = &self.lines[index].text;
        match self.encoding {
            Encoding::Utf8 => String::from_utf8_lossy(text),
            Encoding::Legacy { .. } => {
                let decoded: String = text.iter().copied().map(char::from).collect();
                Cow::Owned(fold(&decoded).into_owned())
            }
        }
    }

    /// An answer's line, to be compared with [`Self::key`].
    pub(crate) fn needle<'a>(&self, line: &'a str) -> Cow<'a, str> {
        match self.encoding {
            Encoding::Utf8 => Cow::Borrowed(line),
            Encoding::Legacy { .. } => fold(line),
        }
    }

    /// An answer's line in the file's encoding; nothing when it cannot be written in it.
    pub(crate) fn encode(&self, line: &str) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Utf8 => Some(line.as_bytes().to_vec()),
            Encoding::Legacy { .. } if line.is_ascii() => Some(line.as_bytes().to_vec()),
            Encoding::Legacy { writable: false } => None,
            Encoding::Legacy { writable: true } => {
                line.chars().map(|c| u8::try_from(c).ok()).collect()
            }
        }
    }
}

fn split_eol(line: &[u8]) -> Line {
    let (text, eol) = match line {
        [text @ .., b'\r', b'\n'] => (text, Eol::CrLf),
        [text @ .., b'\n'] => (text, Eol::Lf),
        text => (text, Eol::Missing),
    };
    Line { text: text.to_vec(), eol }
}

fn fold(line: &str) -> Cow<'_, str> {
    if line.is_ascii() {
        return Cow::Borrowed(line);
    }
    let mut folded = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_ascii() {
            folded.push(c);
        } else if !folded.ends_with('\u{fffd}') {
            folded.push('\u{fffd}');
        }
    }
    Cow::Owned(folded)
}

/// Whether the first two lines declare Latin-1 or a near relative, or no encoding at all.
fn is_latin1_or_unsaid(bytes: &[u8]) -> bool {
    match coding_cookie(bytes) {
        None => true,
        Some(name) => {
            let name = name.to_ascii_lowercase().replace('_', "-");
            matches!(name.as_str(), "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "cp1252")
        }
    }
}

/// The encoding that a PEP 263 comment in the first two lines declares.
pub(crate) fn coding_cookie(bytes: &[u8]) -> Option<&str> {
    bytes.split(|&byte| byte == b'\n').take(2).find_map(|line| {
        let start = line.iter().position(|byte| !byte.is_ascii_whitespace())?;
        if line[start] != b'#' {
            return None;
        }
        let at = line.windows(6).position(|window| window == b"coding")? + 6;
        let rest = line.get(at..)?;
        if !matches!(rest.first(), Some(b':' | b'=')) {
            return None;
        }
        let rest = rest[1..].trim_ascii_start();
        let end = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte)))
            .unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).ok().filter(|name| !name.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_comes_back_byte_for_byte() {
        for bytes in [
            &b""[..],
            b"\n",
            b"a",
            b"a\r\nb\nc\r\n\r",
            b"\xef\xbb\xbfa\n",
            b"caf\xe9\n\xff\xfe",
            b"\r\r\n\n",
        ] {
            let file = TextFile::parse(bytes).expect("no NUL inside");
            assert_eq!(file.to_bytes(), bytes);
        }
        assert!(TextFile::parse(b"a\0b").is_none());
    }

    #[test]
    fn legacy_lines_compare_however_they_were_shown() {
        let file = TextFile::parse(b"x = 'caf\xe9\xe8'\n").expect("text");
        assert_eq!(file.key(0), file.needle("x = 'caféè'"));
        assert_eq!(file.key(0), file.needle("x = 'caf\u{fffd}\u{fffd}'"));
        assert_eq!(file.encode("é").expect("latin-1"), b"\xe9");
        assert_eq!(file.encode("\u{fffd}"), None);
        let other = TextFile::parse(b"# -*- coding: koi8-r -*-\nx = '\xc1'\n").expect("text");
        assert_eq!(other.encode("é"), None);
        assert_eq!(other.encode("e").expect("ascii"), b"e");
    }
}
