//! Text that others wrote, made harmless: nothing of it can become markup or reorder what is read.

use std::fmt::Write as _;

/// The text for element content and for quoted attributes. Control characters and those that turn
/// the direction of writing become visible names.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // Also the line end of a CR LF file, which a reader must be able to see in a diff.
            c if c.is_control() || turns(c) => {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Marks that reorder text on the screen, so that code reads other than it runs.
fn turns(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
}

/// The first `limit` bytes or a little less, at a character's border, and what is left out.
pub(super) fn shorten(text: &str, limit: usize) -> (&str, usize) {
    if text.len() <= limit {
        return (text, 0);
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_quotes_and_tricks_of_direction_come_out_as_text() {
        assert_eq!(
            escape("<script a='\"'>&\u{1b}[31m\u{202e}\r\n"),
            "&lt;script a=&#39;&quot;&#39;&gt;&amp;[U+001B][31m[U+202E][U+000D]\n"
        );
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shorten("aäb", 2), ("a", 3));
        assert_eq!(shorten("aäb", 4), ("aäb", 0));
    }
}
