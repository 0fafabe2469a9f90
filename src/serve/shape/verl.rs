//! verl: the arguments of `compute_score`, or its batch form with plural names.
//!
//! The answer is what `compute_score` may return: `score` and further numbers that verl logs. The
//! keys are always the same, because verl puts them in columns.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::reward::{Files, Text};
use crate::serve::Kind;
use crate::serve::item::{Item, Outcome, Wrong};
use crate::serve::json::{self, Fields};
use crate::serve::label::{self, Label};
use crate::serve::refusal::Refusal;
use crate::serve::shape::batch::{all, column};
use crate::serve::shape::{Call, Shape};

/// Which form was asked.
pub(in crate::serve) enum Frame {
    One,
    Many,
}

pub(super) fn read(raw: &RawValue, kind: Kind) -> Result<Call, Wrong> {
    let fields =
        Fields::of(raw).map_err(|wrong| Wrong::new("", format!("the body {}", wrong.message)))?;
    if fields.raw("solution_strs").is_some() {
        return many(&fields, kind);
    }
    let solution = fields.need("solution_str")?;
    let item = item(solution, fields.raw("ground_truth"), fields.raw("extra_info"), kind)?;
    Ok(Call { frame: super::Frame::Verl(Frame::One), items: vec![Ok(item)] })
}

fn many(fields: &Fields<'_>, kind: Kind) -> Result<Call, Wrong> {
    let solutions = fields.list("solution_strs")?;
    let truths = column(fields, "ground_truths", solutions.len())?;
    let extras = column(fields, "extra_infos", solutions.len())?;
    let items = solutions.iter().enumerate().map(|(index, solution)| {
        let solution = json::read(solution)
            .map_err(|wrong| wrong.within(&format!("solution_strs[{index}]")))?;
        let truth = truths.as_ref().map(|column| column[index]);
        let extra = extras.as_ref().map(|column| column[index]);
        item(solution, truth, extra, kind).map_err(|wrong| {
            let plural =
                wrong.field.replacen("ground_truth", &format!("ground_truths[{index}]"), 1);
            let plural = plural.replacen("extra_info", &format!("extra_infos[{index}]"), 1);
            Wrong { field: plural, ..wrong }
        })
    });
    let items = items.map(|item| item.map(Ok)).collect::<Result<_, _>>()?;
    Ok(Call { frame: super::Frame::Verl(Frame::Many), items })
}

/// `ground_truth` names the reference; what it lacks may stand in `extra_info`.
fn item(
    solution: Text,
    truth: Option<&RawValue>,
    extra: Option<&RawValue>,
    kind: Kind,
) -> Result<Item, Wrong> {
    let truth = truth.filter(|raw| !matches!(raw.get(), "null" | "\"\""));
    let extra = extra.filter(|raw| json::kind(raw) == "an object").map(Fields::of).transpose()?;
    let in_extra = |wrong: Wrong| wrong.within("extra_info");
    let mut asked = kind;
    if let Some(raw) = extra.as_ref().and_then(|extra| extra.raw("kind")) {
        asked = label::kind(raw).map_err(|wrong| in_extra(wrong.within("kind")))?;
    }
    let mut label = match (truth, &extra) {
        (Some(truth), _) => Label::read(truth).map_err(|wrong| wrong.within("ground_truth"))?,
        (None, Some(extra)) if extra.raw("instance_id").is_some() => {
            Label::of_fields(extra).map_err(in_extra)?
        }
        (None, _) => return Err(Wrong::new("ground_truth", "is missing")),
    };
    if label.lacks_context()
        && let Some(extra) = &extra
        && let Some(context) = extra.read::<Files>("code_context").map_err(in_extra)?
    {
        label = label.with_context(context);
    }
    label.item(solution, asked).map_err(|wrong| wrong.within("ground_truth"))
}

pub(super) fn answer(frame: Frame, outcomes: &[Outcome]) -> Result<Value, Refusal> {
    let rewards = all(Shape::Verl, outcomes)?;
    let mut results = rewards.into_iter().zip(outcomes).map(|(reward, outcome)| {
        let exact = f64::from(u8::from(reward >= 1.0));
        let failed = f64::from(u8::from(outcome.error().is_some()));
        json!({"score": reward, "acc": exact, "invalid": failed})
    });
    Ok(match frame {
        Frame::One => results.next().unwrap_or_default(),
        Frame::Many => results.collect(),
    })
}
