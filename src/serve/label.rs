//! What trainers call a label or ground truth: the reference itself, or the name of an instance.

use serde_json::value::RawValue;

use crate::artifact::InstanceId;
use crate::reward::{Case, Files, Input, Text};
use crate::serve::Kind;
use crate::serve::answer;
use crate::serve::item::{Item, Wrong};
use crate::serve::json::{self, Fields};

/// What a label may hold, for messages.
const EXPECTED: &str = "expected an instance id, a diff, or an object (also as text) with \
     `instance_id`, with `code_context` and `oracle_new_content`, or with `oracle_patches`";

/// A label that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// How the item is scored, where the label says so.
    kind: Option<Kind>,
    reference: Reference,
}

#[derive(Debug, Clone, PartialEq)]
enum Reference {
    Instance(InstanceId),
    Contents { code_context: Option<Files>, oracle_new_content: Files },
    Diffs(Vec<Text>),
}

/// Reads a kind's name.
pub(super) fn kind(raw: &RawValue) -> Result<Kind, Wrong> {
    let name = json::string(raw)?;
    Kind::from_name(&name)
        .ok_or_else(|| Wrong::new("", format!("is {name:?}, expected similarity or tests")))
}

fn instance(name: &str) -> Result<InstanceId, Wrong> {
    InstanceId::new(name).map_err(|_| Wrong::new("", format!("is {:?}: {EXPECTED}", short(name))))
}

/// The beginning of a text, for messages.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}

impl Label {
    /// Reads text or an object.
    pub(super) fn read(raw: &RawValue) -> Result<Self, Wrong> {
        match json::kind(raw) {
            "an object" => Self::of_fields(&Fields::of(raw)?),
            "text" => {
                let text: Text = json::read(raw)?;
                let plain = text.to_str_lossy().into_owned();
                let trimmed = plain.trim();
                if trimmed.starts_with('{') {
                    let inner = json::document(trimmed.as_bytes())
                        .map_err(|refusal| Wrong::new("", refusal.message))?;
                    return Self::of_fields(&Fields::of(inner)?);
                }
                let reference = if answer::is_diff(trimmed) {
                    Reference::Diffs(vec![text])
                } else {
                    Reference::Instance(instance(trimmed)?)
                };
                Ok(Self { kind: None, reference })
            }
            other => Err(Wrong::new("", format!("is {other}: {EXPECTED}"))),
        }
    }

    /// Reads the fields of an object, of which those that are no part of a label are ignored.
    pub(super) fn of_fields(fields: &Fields<'_>) -> Result<Self, Wrong> {
        let kind = fields
            .raw("kind")
            .map(|raw| self::kind(raw).map_err(|wrong| wrong.within("kind")))
            .transpose()?;
        if kind != Some(Kind::Tests) {
            if let Some(oracle_new_content) = fields.read("oracle_new_content")? {
                let code_context = fields.read("code_context")?;
                let reference = Reference::Contents { code_context, oracle_new_content };
                return Ok(Self { kind, reference });
            }
            if let Some(diffs) = fields.read("oracle_patches")? {
                return Ok(Self { kind, reference: Reference::Diffs(diffs) });
            }
        }
        let Some(raw) = fields.raw("instance_id") else {
            return Err(Wrong::new("", format!("holds no reference: {EXPECTED}")));
        };
        let id = json::string(raw).and_then(|name| instance(&name));
        let reference = Reference::Instance(id.map_err(|wrong| wrong.within("instance_id"))?);
        Ok(Self { kind, reference })
    }

    /// Whether the code that the model was shown is still to be named.
    pub(super) fn lacks_context(&self) -> bool {
        matches!(self.reference, Reference::Contents { code_context: None, .. })
    }

    /// Names that code.
    #[must_use]
    pub(super) fn with_context(mut self, context: Files) -> Self {
        if let Reference::Contents { code_context, .. } = &mut self.reference {
            code_context.get_or_insert(context);
        }
        self
    }

    /// The item that scores an answer against this label. `asked` is the kind that the request or
    /// the server names; the label's own goes before it.
    pub(super) fn item(self, answer: Text, asked: Kind) -> Result<Item, Wrong> {
        Ok(match (self.kind.unwrap_or(asked), self.reference) {
            (Kind::Tests, Reference::Instance(instance)) => Item::Tests(instance, answer),
            (Kind::Tests, _) => {
                let message = "names no instance, and the kind `tests` needs one: its tests decide";
                return Err(Wrong::new("", message));
            }
            (Kind::Similarity, Reference::Instance(instance)) => Item::Like(instance, answer),
            (Kind::Similarity, Reference::Contents { code_context, oracle_new_content }) => {
                let Some(code_context) = code_context else {
                    let message = "is missing: `oracle_new_content` is compared on top of it";
                    return Err(Wrong::new("code_context", message));
                };
                let input = Input::Output { code_context, oracle_new_content, output: answer };
                Item::Case(Box::new(Case { id: None, input }))
            }
            (Kind::Similarity, Reference::Diffs(oracle_patches)) => {
                let pred_patches = vec![answer::diff_or_all(answer)];
                let input = Input::Diffs { oracle_patches, pred_patches };
                Item::Case(Box::new(Case { id: None, input }))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn label(value: &Value) -> Result<Label, Wrong> {
        let text = value.to_string();
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        Label::read(raw)
    }

    #[test]
    fn the_forms_of_a_label_mean_the_same() {
        let id = label(&json!("a__b-1")).unwrap();
        assert_eq!(label(&json!({"instance_id": "a__b-1"})).unwrap(), id);
        assert_eq!(label(&json!(r#"{"instance_id": "a__b-1"}"#)).unwrap(), id);
        let diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(
            label(&json!(diff)).unwrap(),
            label(&json!({"oracle_patches": [diff]})).unwrap()
        );
    }

    #[test]
    fn a_label_decides_the_kind_before_the_request_does() {
        let tests = label(&json!({"instance_id": "a__b-1", "kind": "tests"})).unwrap();
        let item = tests.item("x".into(), Kind::Similarity).unwrap();
        assert_eq!(item.kind(), Kind::Tests);
        let plain = label(&json!("a__b-1")).unwrap();
        let item = plain.item("x".into(), Kind::Tests).unwrap();
        assert_eq!(item.kind(), Kind::Tests);
    }

    #[test]
    fn what_is_no_label_says_what_one_is() {
        for bad in [json!(7), json!("no id/at all"), json!({"patch": "x"}), json!([]), json!("{")] {
            let wrong = label(&bad).unwrap_err();
            assert!(
                wrong.message.contains("expected an instance id") || wrong.message.contains("JSON"),
                "{bad}: {}",
                wrong.message
            );
        }
        let wrong = label(&json!({"instance_id": "a__b-1", "kind": "vibes"})).unwrap_err();
        assert_eq!(wrong.field, "kind");
        let lacks = label(&json!({"oracle_new_content": {"x": "y"}})).unwrap();
        let wrong = lacks.clone().item(Text::default(), Kind::Similarity).unwrap_err();
        assert_eq!(wrong.field, "code_context");
        assert!(lacks.lacks_context());
        let context = Files::from_iter([("x".into(), "z".into())]);
        lacks.with_context(context).item(Text::default(), Kind::Similarity).unwrap();
    }
}
