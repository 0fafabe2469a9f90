//! Path names as git writes them in diffs: plain, or quoted like a C string when they hold bytes
//! that are not printable ASCII, a quote or a backslash (git's `core.quotePath` default).

use std::borrow::Cow;

/// The path with its prefix, quoted if it needs to be.
pub(crate) fn quote(prefix: &str, path: &str) -> String {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if path.bytes().all(plain) {
        return format!("{prefix}{path}");
    }
    let mut quoted = format!("\"{prefix}");
    for byte in path.bytes() {
        match byte {
            b'"' => quoted.push_str("\\\""),
            b'\\' => quoted.push_str("\\\\"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b'\t' => quoted.push_str("\\t"),
            b'\n' => quoted.push_str("\\n"),
            0x0b => quoted.push_str("\\v"),
            0x0c => quoted.push_str("\\f"),
            b'\r' => quoted.push_str("\\r"),
            byte if plain(byte) => quoted.push(char::from(byte)),
            byte => {
                quoted.push('\\');
                for shift in [6, 3, 0] {
                    quoted.push(char::from(b'0' + ((byte >> shift) & 7)));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Reads a name at the beginning of `text`, quoted or up to a tab or the end; also what follows.
/// Nothing for a broken quotation or one that is not UTF-8.
pub(crate) fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find('\t').unwrap_or(text.len());
        return Some((Cow::Borrowed(&text[..end]), &text[end..]));
    };
    let bytes = inner.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some((Cow::Owned(String::from_utf8(out).ok()?), &inner[at..])),
            b'\\' => {
                let escape = *bytes.get(at)?;
                at += 1;
                out.push(match escape {
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let digits = inner.get(at - 1..at + 2)?;
                        at += 2;
                        u8::from_str_radix(digits, 8).ok()?
                    }
                    _ => return None,
                });
            }
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_like_git_does_and_read_back() {
        assert_eq!(quote("a/", "x y's.py"), "a/x y's.py");
        assert_eq!(quote("a/", "é\t\"\\.py"), "\"a/\\303\\251\\t\\\"\\\\.py\"");
        for path in ["é.py", "a\"b", "tab\there", "back\\slash", "\u{7f}", "plain"] {
            let (name, rest) =
                unquote(&quote("b/", path)).map(|(n, r)| (n.into_owned(), r.to_owned())).unwrap();
            assert_eq!((name.as_str(), rest.as_str()), (format!("b/{path}").as_str(), ""));
        }
        assert_eq!(unquote("\"broken"), None);
        assert_eq!(unquote("\"\\9\""), None);
        assert_eq!(unquote("\"\\377\""), None);
        assert_eq!(unquote("a/x y\t2020"), Some((Cow::Borrowed("a/x y"), "\t2020")));
    }
}
