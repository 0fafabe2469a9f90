//! From bytes of a repository to text.

use std::borrow::Cow;

/// How much of a file is looked at to tell binary from text, as git does it.
const SNIFFED: usize = 8000;

/// The text of a file: without a byte order mark, line ends as they are, invalid UTF-8 as U+FFFD.
/// None for binary content (a NUL in the first 8,000 bytes).
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes[..bytes.len().min(SNIFFED)].contains(&0) {
        return None;
    }
    Some(String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_binary_and_never_lost() {
        assert_eq!(decode(b"\xef\xbb\xbfx = 1\r\n").unwrap(), "x = 1\r\n");
        assert_eq!(decode(b"# caf\xe9\n").unwrap(), "# caf\u{fffd}\n");
        assert_eq!(decode(b"").unwrap(), "");
        assert_eq!(decode(b"PK\0\x01"), None);
    }
}
