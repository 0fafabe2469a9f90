//! TRL: the arguments of a reward function, columns of the dataset included. TRL takes `null` for
//! a sample without reward.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::reward::Files;
use crate::serve::Kind;
use crate::serve::item::{Item, Outcome, Wrong};
use crate::serve::json::{self, Fields};
use crate::serve::label::{self, Label};
use crate::serve::refusal::Refusal;
use crate::serve::shape::batch::{column, written, wrong_first};
use crate::serve::shape::{Call, Shape};

/// Columns that hold labels, best first.
const LABELS: [&str; 5] =
    ["label", "ground_truth", "instance_id", "oracle_patches", "oracle_new_content"];

pub(super) fn read(raw: &RawValue, kind: Kind) -> Result<Call, Wrong> {
    let fields =
        Fields::of(raw).map_err(|wrong| Wrong::new("", format!("the body {}", wrong.message)))?;
    let completions = fields.list("completions")?;
    let length = completions.len();
    let Some((name, _)) = fields.first(&LABELS) else {
        let message =
            format!("is missing: one column of {} names the references", LABELS.join(", "));
        return Err(Wrong::new("label", message));
    };
    let labels = column(&fields, name, length)?.unwrap_or_default();
    let contexts = column(&fields, "code_context", length)?;
    let kinds = column(&fields, "kind", length)?;
    let mut items = Vec::with_capacity(length);
    for (index, completion) in completions.into_iter().enumerate() {
        let at = |name: &str| format!("{name}[{index}]");
        let answer = written(completion).map_err(|wrong| wrong.within(&at("completions")))?;
        let asked = match &kinds {
            Some(kinds) => label::kind(kinds[index]).map_err(|wrong| wrong.within(&at("kind")))?,
            None => kind,
        };
        let mut label = one(name, labels[index]).map_err(|wrong| wrong.within(&at(name)))?;
        if label.lacks_context()
            && let Some(contexts) = &contexts
        {
            let context: Files =
                json::read(contexts[index]).map_err(|wrong| wrong.within(&at("code_context")))?;
            label = label.with_context(context);
        }
        let item: Item = label.item(answer, asked).map_err(|wrong| wrong.within(&at(name)))?;
        items.push(Ok(item));
    }
    Ok(Call { frame: super::Frame::Trl, items })
}

/// A label; columns that are named after a part of one hold that part.
fn one(name: &str, raw: &RawValue) -> Result<Label, Wrong> {
    if !name.starts_with("oracle_") {
        return Label::read(raw);
    }
    let text = format!("{{\"{name}\":{}}}", raw.get());
    let whole: Box<RawValue> =
        RawValue::from_string(text).map_err(|error| Wrong::new("", error.to_string()))?;
    Label::read(&whole)
}

pub(super) fn answer(outcomes: &[Outcome]) -> Result<Value, Refusal> {
    wrong_first(Shape::Trl, outcomes)?;
    let rewards: Vec<Option<f64>> = outcomes.iter().map(Outcome::reward).collect();
    let errors: Vec<Option<&str>> = outcomes.iter().map(Outcome::error).collect();
    let failures: Vec<Value> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, outcome)| match outcome {
            Outcome::Masked(failure) => Some(json!({
                "index": index, "kind": failure.kind.name(), "reason": failure.reason,
            })),
            _ => None,
        })
        .collect();
    Ok(json!({"rewards": rewards, "errors": errors, "failures": failures}))
}
