//! NeMo Gym's `/verify`: the row with the model's response; the same back with `reward`,
//! `mask_sample`, `failure_kind` and `failure_reason`.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::serve::Kind;
use crate::serve::item::{Outcome, Wrong};
use crate::serve::json::{self, Fields};
use crate::serve::label::Label;
use crate::serve::refusal::Refusal;
use crate::serve::shape::batch::{written, wrong_first};
use crate::serve::shape::{Call, Shape};

pub(super) fn read(raw: &RawValue, kind: Kind) -> Result<Call, Wrong> {
    let fields =
        Fields::of(raw).map_err(|wrong| Wrong::new("", format!("the body {}", wrong.message)))?;
    let Some(response) = fields.raw("response") else {
        return Err(Wrong::new("response", "is missing"));
    };
    let answer = answered(response).map_err(|wrong| wrong.within("response"))?;
    let (label, place) = label(&fields)?;
    let item = label.item(answer.into(), kind).map_err(|wrong| wrong.within(place))?;
    let row = json::read(raw)?;
    Ok(Call { frame: super::Frame::Nemo(Box::new(row)), items: vec![Ok(item)] })
}

/// Where rows put what a verifier needs, best first.
fn label(fields: &Fields<'_>) -> Result<(Label, &'static str), Wrong> {
    if let Some((name, raw)) = fields.first(&["label", "ground_truth"]) {
        return Ok((Label::read(raw).map_err(|wrong| wrong.within(name))?, name));
    }
    let own = ["instance_id", "oracle_new_content", "oracle_patches"];
    if fields.first(&own).is_some() {
        return Ok((Label::of_fields(fields)?, ""));
    }
    if let Some(raw) = fields.raw("verifier_metadata") {
        let label = Label::read(raw).map_err(|wrong| wrong.within("verifier_metadata"))?;
        return Ok((label, "verifier_metadata"));
    }
    let place = "responses_create_params.metadata";
    let metadata = match fields.raw("responses_create_params") {
        Some(raw) => Fields::of(raw)
            .map_err(|wrong| wrong.within("responses_create_params"))?
            .raw("metadata"),
        None => None,
    };
    match metadata {
        Some(raw) => Ok((Label::read(raw).map_err(|wrong| wrong.within(place))?, place)),
        None => Err(Wrong::new(
            "label",
            "is missing: the reference may stand in `label`, `instance_id`, `verifier_metadata` or \
             `responses_create_params.metadata`",
        )),
    }
}

/// The text of a response: its output messages; reasoning and tool calls are left out.
fn answered(raw: &RawValue) -> Result<String, Wrong> {
    if json::kind(raw) != "an object" {
        return Ok(written(raw)?.to_str_lossy().into_owned());
    }
    let fields = Fields::of(raw)?;
    let mut texts = Vec::new();
    for (index, part) in fields.list("output")?.into_iter().enumerate() {
        let place = format!("output[{index}]");
        let part_fields = Fields::of(part).map_err(|wrong| wrong.within(&place))?;
        let kind: Option<String> =
            part_fields.read("type").map_err(|wrong| wrong.within(&place))?;
        if kind.is_none_or(|kind| kind == "message") {
            let text = written(part).map_err(|wrong| wrong.within(&place))?;
            texts.push(text.to_str_lossy().into_owned());
        }
    }
    Ok(texts.join("\n"))
}

/// NeMo Gym's schema wants a number in `reward`; `mask_sample` says that it is none.
pub(super) fn answer(row: Value, outcomes: &[Outcome]) -> Result<Value, Refusal> {
    wrong_first(Shape::Nemo, outcomes)?;
    let Some(outcome) = outcomes.first() else { return Ok(row) };
    let Value::Object(mut row) = row else { return Ok(row) };
    let (kind, reason) = match outcome {
        Outcome::Masked(failure) => (json!(failure.kind.nemo_name()), json!(failure.reason)),
        _ => (Value::Null, json!(outcome.error())),
    };
    row.insert("reward".to_owned(), json!(outcome.reward().unwrap_or(0.0)));
    row.insert("mask_sample".to_owned(), json!(outcome.reward().is_none()));
    row.insert("failure_kind".to_owned(), kind);
    row.insert("failure_reason".to_owned(), reason);
    Ok(Value::Object(row))
}
