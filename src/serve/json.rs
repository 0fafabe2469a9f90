//! JSON that names the field at fault, and whose parts fail apart from one another.

use std::fmt;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::serve::item::Wrong;
use crate::serve::refusal::Refusal;

/// The fields of an object, not yet read. Of a repeated field the last counts, as in Python.
#[derive(Debug)]
pub(super) struct Fields<'a>(IndexMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Checks that a body is one JSON document in UTF-8.
pub(super) fn document(bytes: &[u8]) -> Result<&RawValue, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Refusal::invalid_json(format!("the byte at {} is not UTF-8", error.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Refusal::invalid_json("the body is empty"));
    }
    serde_json::from_str(text).map_err(Refusal::invalid_json)
}

impl<'a> Fields<'a> {
    /// Reads an object's fields.
    pub(super) fn of(raw: &'a RawValue) -> Result<Self, Wrong> {
        serde_json::from_str(raw.get())
            .map_err(|_| Wrong::new("", format!("is {}, expected an object", kind(raw))))
    }

    /// A field that is there and not null.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// The first of some names that is there.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<(&'static str, &'a RawValue)> {
        names.iter().find_map(|name| Some((*name, self.raw(name)?)))
    }

    /// A field's value, if it is there and not null.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Wrong> {
        self.raw(name).map(|raw| read(raw).map_err(|wrong| wrong.within(name))).transpose()
    }

    /// A field's value, which must be there.
    pub(super) fn need<T: DeserializeOwned>(&self, name: &str) -> Result<T, Wrong> {
        self.read(name)?.ok_or_else(|| Wrong::new(name, "is missing"))
    }

    /// A list that must be there.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, Wrong> {
        match self.raw(name) {
            Some(raw) => list(raw).map_err(|wrong| wrong.within(name)),
            None => Err(Wrong::new(name, "is missing")),
        }
    }
}

/// Reads text without lone surrogates.
pub(super) fn string(raw: &RawValue) -> Result<String, Wrong> {
    match kind(raw) {
        "text" => read(raw),
        other => Err(Wrong::new("", format!("is {other}, expected text"))),
    }
}

/// Reads a value of some type; the part that does not fit is named.
pub(super) fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, Wrong> {
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        Wrong::new(field, plain(error.inner()))
    })
}

/// Reads a list, its elements not yet.
pub(super) fn list(raw: &RawValue) -> Result<Vec<&RawValue>, Wrong> {
    serde_json::from_str(raw.get())
        .map_err(|_| Wrong::new("", format!("is {}, expected a list", kind(raw))))
}

/// The parser's words without a position, which would count from the wrong start.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if text.contains("surrogate") || text.contains("unexpected end of hex escape") {
        return "holds half a surrogate pair, which is no character: send U+FFFD in its place"
            .to_owned();
    }
    text.to_owned()
}

/// The kind of a value, with its article.
pub(super) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::reward::Text;

    #[test]
    fn the_part_at_fault_is_named() {
        let text =
            r#"{"a": 1, "files": {"x.py": ["fine", "bad \ud800 end"]}, "n": {"b": [1, "c"]}}"#;
        let raw = document(text.as_bytes()).unwrap();
        let wrong = read::<Value>(raw).unwrap_err();
        assert_eq!(wrong.field, "files.x.py[1]");
        assert!(wrong.message.contains("surrogate"), "{}", wrong.message);
        // The neighbours can still be read, and so can this one as Python's text.
        let fields = Fields::of(raw).unwrap();
        assert_eq!(fields.read("a").unwrap(), Some(1));
        type Python = BTreeMap<String, Vec<Text>>;
        assert!(fields.need::<Python>("files").is_ok());
        let wrong = fields.need::<BTreeMap<String, Vec<u8>>>("n").unwrap_err();
        assert_eq!(wrong.field, "n.b[1]");
        assert!(wrong.message.starts_with("invalid type: string"), "{}", wrong.message);
        assert_eq!(fields.need::<Text>("missing").unwrap_err().message, "is missing");
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_overflow() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let raw = document(deep.as_bytes()).unwrap();
        assert!(read::<Value>(raw).unwrap_err().message.contains("recursion"));
    }

    #[test]
    fn bodies_that_are_no_json_say_where() {
        for (bytes, expected) in [
            (&b""[..], "empty"),
            (b"{\"a\":", "line 1 column"),
            (b"\"\xff\"", "byte at 1 is not UTF-8"),
            (b"{} {}", "trailing"),
        ] {
            let refusal = document(bytes).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400);
            assert!(refusal.message.contains(expected), "{}", refusal.message);
        }
    }
}
