//! slime's `remote_rm`: `{"prompt", "response", "label"}`; the answer's whole body is the reward.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::serve::Kind;
use crate::serve::item::{Outcome, Wrong};
use crate::serve::json::Fields;
use crate::serve::label::Label;
use crate::serve::refusal::Refusal;
use crate::serve::shape::batch::{all, written};
use crate::serve::shape::{Call, Shape};

pub(super) fn read(raw: &RawValue, kind: Kind) -> Result<Call, Wrong> {
    let fields =
        Fields::of(raw).map_err(|wrong| Wrong::new("", format!("the body {}", wrong.message)))?;
    let Some(response) = fields.raw("response") else {
        return Err(Wrong::new("response", "is missing"));
    };
    let response = written(response).map_err(|wrong| wrong.within("response"))?;
    let Some(label) = fields.raw("label") else {
        return Err(Wrong::new("label", "is missing; set --label-key"));
    };
    let item = Label::read(label)
        .and_then(|label| label.item(response, kind))
        .map_err(|wrong| wrong.within("label"))?;
    Ok(Call { frame: super::Frame::Slime, items: vec![Ok(item)] })
}

pub(super) fn answer(outcomes: &[Outcome]) -> Result<Value, Refusal> {
    Ok(json!(all(Shape::Slime, outcomes)?.first()))
}
