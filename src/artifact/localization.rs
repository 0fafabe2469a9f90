//! Which files an issue is about.

use serde::{Deserialize, Serialize};

/// Ranked files of one instance, and what each model sample answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Localization {
    /// Best first, without duplicates.
    pub ranked: Vec<RankedFile>,
    /// One list a model sample, in request order, each most important first and without duplicates.
    pub samples: Vec<Vec<String>>,
}

/// One file with the evidence for its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedFile {
    /// Path from the repository root, `/` between components.
    pub path: String,
    /// Fused score; only the order within one instance is meaningful.
    pub score: f64,
    /// One short text for each list that named the file, such as `bm25 rank 3`.
    pub reasons: Vec<String>,
    /// Parts of the file worth showing, best first; empty where none were looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// A class, a function, or some other consecutive lines of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Qualified name, such as `Outer.method`; empty for lines of the module itself.
    pub name: String,
    /// First and last line, from 1, both inclusive.
    pub lines: [usize; 2],
    /// Probability, from 0 to 1, that a fix which changes this file changes these lines.
    pub score: f64,
    /// What spoke for it, such as `in a traceback (line 12)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_places_are_read_and_written_as_before() {
        let old = r#"{"ranked":[{"path":"a.py","score":1.5,"reasons":["x"]}],"samples":[]}"#;
        let read: Localization = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let mut with = read;
        let place = Place { name: "A.f".into(), lines: [3, 9], score: 0.5, reasons: vec![] };
        with.ranked[0].places.push(place);
        let text = serde_json::to_string(&with).unwrap();
        assert!(text.contains(r#""places":[{"name":"A.f","lines":[3,9],"score":0.5}]"#), "{text}");
        assert_eq!(serde_json::from_str::<Localization>(&text).unwrap(), with);
    }
}
