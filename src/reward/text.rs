//! Text as Python sees it: a sequence of code points, lone surrogates included. It is kept as
//! generalized UTF-8 (WTF-8), in which byte search and byte equality agree with Python's.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A Python string. JSON escapes of lone surrogates (`\ud800`), which `String` cannot hold, are
/// kept as Python's `json` keeps them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// The text as generalized UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is no code point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with U+FFFD in place of lone surrogates.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(
                code_points(&self.0)
                    .map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            ),
        }
    }

    /// Wraps bytes that were cut from other texts at ASCII borders.
    pub(crate) fn from_wtf8(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str_lossy())
    }
}

/// Lone surrogates are written as U+FFFD.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_str_lossy())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(text.into())
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                if is_wtf8(bytes) {
                    Ok(Text(bytes.to_vec()))
                } else {
                    Err(E::custom("the string is not UTF-8"))
                }
            }
        }
        // As bytes, because `serde_json` accepts lone surrogates there and nowhere else.
        deserializer.deserialize_bytes(Visitor)
    }
}

/// Whether the bytes are UTF-8 in which three-byte sequences may also stand for surrogates.
fn is_wtf8(mut bytes: &[u8]) -> bool {
    loop {
        match std::str::from_utf8(bytes) {
            Ok(_) => return true,
            Err(error) => match bytes[error.valid_up_to()..] {
                [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => bytes = &bytes[error.valid_up_to() + 3..],
                _ => return false,
            },
        }
    }
}

/// The code points of well-formed generalized UTF-8.
pub(crate) fn code_points(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = bytes.iter().copied();
    std::iter::from_fn(move || {
        let first = u32::from(rest.next()?);
        let (bits, more) = match first {
            0..=0x7F => return Some(first),
            0x80..=0xDF => (first & 0x1F, 1),
            0xE0..=0xEF => (first & 0x0F, 2),
            _ => (first & 0x07, 3),
        };
        let point = (0..more)
            .fold(bits, |point, _| point << 6 | u32::from(rest.next().unwrap_or(0x80)) & 0x3F);
        Some(point)
    })
}

/// Python's `str.splitlines()`: the lines without their ends.
pub(crate) fn split_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let end_length = match text[at..] {
            [b'\r', b'\n', ..] | [0xC2, 0x85, ..] => 2,
            [0x0A..=0x0D | 0x1C..=0x1E, ..] => 1,
            [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push(&text[start..at]);
        at += end_length;
        start = at;
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

/// Whether Python's `str.strip()` removes the code point.
fn is_python_space(point: u32) -> bool {
    matches!(point, 0x1C..=0x1F) || char::from_u32(point).is_some_and(char::is_whitespace)
}

/// Whether Python's `str.strip()` leaves nothing.
pub(crate) fn is_blank(text: &[u8]) -> bool {
    code_points(text).all(is_python_space)
}

/// Python's `str.strip()`.
pub(crate) fn strip(text: &[u8]) -> &[u8] {
    let mut start = 0;
    while start < text.len() {
        let width = width(text[start]).min(text.len() - start);
        if !is_blank(&text[start..start + width]) {
            break;
        }
        start += width;
    }
    let mut end = text.len();
    while end > start {
        let mut from = end - 1;
        while from > start && text[from] & 0xC0 == 0x80 {
            from -= 1;
        }
        if !is_blank(&text[from..end]) {
            break;
        }
        end = from;
    }
    &text[start..end]
}

/// Bytes of the code point that begins with this byte.
fn width(first: u8) -> usize {
    match first {
        0..=0x7F => 1,
        0x80..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let split = split_lines(text.as_bytes());
        split.into_iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn lines_end_where_pythons_do() {
        let text = "a\nb\r\nc\rd\x0be\x0cf\x1cg\x1dh\x1ei\u{85}j\u{2028}k\u{2029}l\x1fm\u{200b}";
        let expected = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l\x1fm\u{200b}"];
        assert_eq!(lines(text), expected);
        assert_eq!(lines("a\n\n"), ["a", ""]);
        assert!(lines("").is_empty());
        assert_eq!(lines("\r\r\n"), ["", ""]);
    }

    #[test]
    fn json_keeps_lone_surrogates_as_python_does() {
        let text: Text = serde_json::from_str(r#""a\ud800b\ud83d\ude00\udfff\u0000""#).unwrap();
        let points: Vec<u32> = code_points(text.as_bytes()).collect();
        assert_eq!(points, [0x61, 0xD800, 0x62, 0x1F600, 0xDFFF, 0]);
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"a\u{fffd}b\u{1f600}\u{fffd}\\u0000\"");
        assert!(serde_json::from_str::<Text>("[97]").is_err());
    }

    #[test]
    fn stripping_knows_unicode_and_the_separators() {
        assert_eq!(
            strip("\u{a0}\x1f\n a\u{3000}b \u{2009}\x1c".as_bytes()),
            "a\u{3000}b".as_bytes()
        );
        assert_eq!(strip("\u{200b}".as_bytes()), "\u{200b}".as_bytes());
        assert!(is_blank("\u{3000}\x1d\t".as_bytes()));
        assert_eq!(strip(b" \n"), b"");
    }
}
