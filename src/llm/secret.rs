//! A text that is never shown: API keys.

use std::fmt;

/// A secret. `Debug` and `Display` print `<redacted>`; the text comes out by [`Secret::expose`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, without the blanks around it (keys read from files end with a newline).
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is in it: an empty key means no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with every occurrence of the secret replaced; servers like to quote a key they refuse.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.is_empty() { text.to_owned() } else { text.replace(&self.0, "<redacted>") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_formatting_shows_it() {
        let key = Secret::new(" sk-123\n");
        assert_eq!(format!("{key} {key:?} {:#?}", Some(&key)).matches("sk-123").count(), 0);
        assert_eq!(key.expose(), "sk-123");
        assert_eq!(key.redact("bad key sk-123!"), "bad key <redacted>!");
    }

    #[test]
    fn an_empty_key_redacts_nothing() {
        assert_eq!(Secret::new(" ").redact("abc"), "abc");
    }
}
