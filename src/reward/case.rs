//! One case to be scored, and its JSON form.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use crate::reward::Text;

/// Contents by path.
pub type Files = BTreeMap<Text, Text>;

/// What a case is called; it comes back with the score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// A string.
    Text(String),
    /// A number, which is written as it came.
    Number(serde_json::Number),
}

/// One thing to be scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What the case is called.
    pub id: Option<Id>,
    /// What is compared.
    pub input: Input,
}

/// The three kinds of cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A model's answer with SEARCH/REPLACE edits: scored by its format and its change.
    Output {
        /// The files that the model was shown; a path that is missing counts as empty.
        code_context: Files,
        /// The files of the true change, after it.
        oracle_new_content: Files,
        /// The answer: one `<think>` and one `<solution>` part, fenced edits in the latter.
        output: Text,
    },
    /// New contents: scored by the change alone.
    Content {
        /// The files before; a path that is missing counts as empty.
        code_context: Files,
        /// The files of the true change, after it.
        oracle_new_content: Files,
        /// The files of the predicted change, after it.
        pred_new_content: Files,
    },
    /// Unified diffs on both sides; of two texts for one path the last one counts.
    Diffs {
        /// The true change.
        oracle_patches: Vec<Text>,
        /// The predicted change.
        pred_patches: Vec<Text>,
    },
}

/// Why a line is no case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CaseError {
    /// The case's name, where it could be read.
    pub id: Option<Id>,
    /// What is wrong, with the field's name.
    pub message: String,
}

const FIELDS: [&str; 7] = [
    "id",
    "code_context",
    "oracle_new_content",
    "output",
    "pred_new_content",
    "oracle_patches",
    "pred_patches",
];

impl Case {
    /// Reads one JSON object. Fields that no kind knows are ignored, as rows often carry more.
    ///
    /// # Errors
    /// Text that is not UTF-8 or not JSON; a field that is missing, of a wrong type, or of another
    /// kind than the rest. The message names the field.
    pub fn from_json(json: &[u8]) -> Result<Self, CaseError> {
        let fail = |message: String| CaseError { id: id_of(json), message };
        if let Err(error) = std::str::from_utf8(json) {
            return Err(fail(format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)));
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let case = serde_path_to_error::deserialize::<_, Self>(&mut reader).map_err(|error| {
            // Paths of files are no UTF-8 to the tracker; the message has them.
            let path = error.path().to_string().trim_end_matches(".?").to_owned();
            let cause = error.inner();
            if path == "." || !cause.is_data() {
                fail(message(cause))
            } else {
                fail(format!("field `{path}`: {}", message(cause)))
            }
        })?;
        reader.end().map_err(|error| fail(message(&error)))?;
        Ok(case)
    }
}

/// The message without the line number, which is always 1, and for wrong data without a place.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) if error.is_data() => text.to_owned(),
        Some(text) => format!("{text} at column {}", error.column()),
        None => text,
    }
}

/// The name in a broken case, if that much can be read.
fn id_of(json: &[u8]) -> Option<Id> {
    #[derive(Deserialize)]
    struct Named {
        id: Option<Id>,
    }
    serde_json::from_slice::<Named>(json).ok()?.id
}

/// The fields as they come, in any order.
#[derive(Default)]
struct Fields {
    id: Option<Id>,
    code_context: Option<Files>,
    oracle_new_content: Option<Files>,
    output: Option<Text>,
    pred_new_content: Option<Files>,
    oracle_patches: Option<Vec<Text>>,
    pred_patches: Option<Vec<Text>>,
    unknown: Vec<String>,
}

impl Fields {
    fn into_case(self) -> Result<Case, String> {
        let hint = self.hint();
        let missing = |name: &str| format!("missing field `{name}`{hint}");
        let whole = |name: &str| {
            format!(
                "`{name}` belongs to another kind of case than `oracle_patches` and `pred_patches`"
            )
        };
        let input = if self.oracle_patches.is_some() || self.pred_patches.is_some() {
            for (name, is_there) in [
                ("code_context", self.code_context.is_some()),
                ("oracle_new_content", self.oracle_new_content.is_some()),
                ("output", self.output.is_some()),
                ("pred_new_content", self.pred_new_content.is_some()),
            ] {
                if is_there {
                    return Err(whole(name));
                }
            }
            Input::Diffs {
                oracle_patches: self.oracle_patches.ok_or_else(|| missing("oracle_patches"))?,
                pred_patches: self.pred_patches.ok_or_else(|| missing("pred_patches"))?,
            }
        } else {
            if self.output.is_none() && self.pred_new_content.is_none() {
                return Err(format!(
                    "missing field: one of `output`, `pred_new_content`, `pred_patches` says what \
                     is scored{hint}"
                ));
            }
            let code_context = self.code_context.ok_or_else(|| missing("code_context"))?;
            let oracle_new_content =
                self.oracle_new_content.ok_or_else(|| missing("oracle_new_content"))?;
            match (self.output, self.pred_new_content) {
                (Some(_), Some(_)) => {
                    return Err(
                        "both `output` and `pred_new_content` are given; keep one".to_owned()
                    );
                }
                (Some(output), None) => Input::Output { code_context, oracle_new_content, output },
                (None, pred) => Input::Content {
                    code_context,
                    oracle_new_content,
                    pred_new_content: pred.unwrap_or_default(),
                },
            }
        };
        Ok(Case { id: self.id, input })
    }

    /// Names of unknown fields, which may be misspelt ones.
    fn hint(&self) -> String {
        if self.unknown.is_empty() {
            return String::new();
        }
        let shown: Vec<_> = self.unknown.iter().take(5).map(|name| format!("`{name}`")).collect();
        format!(" (unknown and ignored: {})", shown.join(", "))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id::Text(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id::Number(number.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id::Number(number.into()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Id, E> {
                let number = serde_json::Number::from_f64(number);
                number.map(Id::Number).ok_or_else(|| E::custom("the number is not finite"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Contents by path, with the path in the message if one is wrong.
struct Contents(Files);

impl<'de> Deserialize<'de> for Contents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Contents;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts by path")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Contents, A::Error> {
                let mut files = Files::new();
                while let Some(path) = map.next_key::<Text>()? {
                    let content = map.next_value().map_err(|error| {
                        let text = error.to_string();
                        let cause = text.split(" at line ").next().unwrap_or(&text);
                        de::Error::custom(format!("path `{path}`: {cause}"))
                    })?;
                    files.insert(path, content);
                }
                Ok(Contents(files))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl<'de> Deserialize<'de> for Case {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Case;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Case, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<String>()? {
                    match &*key {
                        "id" => fields.id = map.next_value()?,
                        "code_context" => {
                            fields.code_context = Some(map.next_value::<Contents>()?.0);
                        }
                        "oracle_new_content" => {
                            fields.oracle_new_content = Some(map.next_value::<Contents>()?.0);
                        }
                        "output" => fields.output = Some(map.next_value()?),
                        "pred_new_content" => {
                            fields.pred_new_content = Some(map.next_value::<Contents>()?.0);
                        }
                        "oracle_patches" => fields.oracle_patches = Some(map.next_value()?),
                        "pred_patches" => fields.pred_patches = Some(map.next_value()?),
                        unknown => {
                            fields.unknown.push(unknown.chars().take(60).collect());
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                fields.into_case().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_struct("Case", &FIELDS, Visitor)
    }
}
