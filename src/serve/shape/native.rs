//! Our own shape: a case, a list of cases, or `{"cases": [...]}`; the same back.

use axum::http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::reward::Text;
use crate::serve::Kind;
use crate::serve::item::{Item, Outcome, Wrong};
use crate::serve::json::{self, Fields};
use crate::serve::label::{self, Label};
use crate::serve::shape::Call;

/// How the cases came, with the name of each.
pub(in crate::serve) struct Frame {
    form: Form,
    ids: Vec<Value>,
}

enum Form {
    One,
    List,
    Cases,
}

pub(super) fn read(raw: &RawValue, kind: Kind) -> Result<Call, Wrong> {
    let (form, cases) = match json::kind(raw) {
        "a list" => (Form::List, json::list(raw)?),
        "an object" => {
            let fields = Fields::of(raw)?;
            match fields.raw("cases") {
                Some(_) => (Form::Cases, fields.list("cases")?),
                None => (Form::One, vec![raw]),
            }
        }
        other => {
            return Err(Wrong::new(
                "",
                format!("the body is {other}, expected a case or a list of cases"),
            ));
        }
    };
    let mut ids = Vec::with_capacity(cases.len());
    let mut items = Vec::with_capacity(cases.len());
    for (index, raw) in cases.into_iter().enumerate() {
        let (id, item) = case(raw, kind);
        let place = match form {
            Form::One => String::new(),
            Form::List => format!("[{index}]"),
            Form::Cases => format!("cases[{index}]"),
        };
        items.push(item.map_err(|wrong| wrong.within(&place)));
        ids.push(id);
    }
    Ok(Call { frame: super::Frame::Native(Frame { form, ids }), items })
}

fn case(raw: &RawValue, kind: Kind) -> (Value, Result<Item, Wrong>) {
    let fields = match Fields::of(raw) {
        Ok(fields) => fields,
        Err(wrong) => return (Value::Null, Err(wrong)),
    };
    let id = match fields.read::<Value>("id") {
        Ok(Some(id @ (Value::String(_) | Value::Number(_)))) => id,
        Ok(None) => Value::Null,
        _ => return (Value::Null, Err(Wrong::new("id", "expected text or a number"))),
    };
    let item = item(&fields, raw, kind);
    (id, item)
}

fn item(fields: &Fields<'_>, raw: &RawValue, kind: Kind) -> Result<Item, Wrong> {
    let asked = match fields.raw("kind") {
        Some(raw) => label::kind(raw).map_err(|wrong| wrong.within("kind"))?,
        None => kind,
    };
    if let Some((name, label)) = fields.first(&["label", "ground_truth"]) {
        let answer: Text = fields.need("output")?;
        let label = Label::read(label).map_err(|wrong| wrong.within(name))?;
        return label.item(answer, asked).map_err(|wrong| wrong.within(name));
    }
    let reference = ["oracle_new_content", "oracle_patches"];
    if fields.first(&["instance_id"]).is_some()
        && (asked == Kind::Tests || fields.first(&reference).is_none())
    {
        let answer: Text = fields.need("output")?;
        return Label::of_fields(fields)?.item(answer, asked);
    }
    if asked == Kind::Tests {
        return Err(Wrong::new("instance_id", "is missing: the kind `tests` needs an instance"));
    }
    let case = json::read(raw)?;
    Ok(Item::Case(Box::new(case)))
}

pub(super) fn answer(frame: Frame, outcomes: Vec<Outcome>) -> (StatusCode, Value) {
    let single = matches!(frame.form, Form::One);
    let status = match outcomes.first() {
        Some(Outcome::Wrong(_)) if single => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let mut results: Vec<Value> =
        frame.ids.into_iter().zip(&outcomes).map(|(id, outcome)| result(id, outcome)).collect();
    let body = match frame.form {
        Form::One => results.pop().unwrap_or_default(),
        Form::List => Value::Array(results),
        Form::Cases => json!({"results": results}),
    };
    (status, body)
}

fn result(id: Value, outcome: &Outcome) -> Value {
    let mut result = Map::new();
    result.insert("id".to_owned(), id);
    match outcome {
        Outcome::Compared(score) => {
            if let Ok(Value::Object(fields)) = serde_json::to_value(score) {
                result.extend(fields.into_iter().filter(|(name, _)| name != "id"));
            }
        }
        Outcome::Judged { resolved, error, cached } => {
            result.insert("reward".to_owned(), json!(outcome.reward()));
            result.insert("resolved".to_owned(), json!(resolved));
            result.insert("cached".to_owned(), json!(cached));
            if let Some(error) = error {
                result.insert("error".to_owned(), json!(error));
            }
        }
        Outcome::Wrong(wrong) => {
            result.insert("error".to_owned(), json!(wrong_text(wrong)));
            result.insert("field".to_owned(), json!(wrong.field));
        }
        Outcome::Masked(failure) => {
            result.insert("reward".to_owned(), Value::Null);
            result.insert("mask_sample".to_owned(), json!(true));
            result.insert("failure_kind".to_owned(), json!(failure.kind.name()));
            result.insert("failure_reason".to_owned(), json!(failure.reason));
        }
    }
    Value::Object(result)
}

fn wrong_text(wrong: &Wrong) -> String {
    if wrong.field.is_empty() {
        wrong.message.clone()
    } else {
        format!("{}: {}", wrong.field, wrong.message)
    }
}
