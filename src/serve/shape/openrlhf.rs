//! OpenRLHF: `query` (prompt and response in one text), `prompts` and `labels`.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::reward::Text;
use crate::serve::Kind;
use crate::serve::item::{Item, Outcome, Wrong};
use crate::serve::json::{self, Fields};
use crate::serve::label::Label;
use crate::serve::refusal::Refusal;
use crate::serve::shape::batch::{all, column};
use crate::serve::shape::{Call, Shape};

pub(super) fn read(raw: &RawValue, kind: Kind) -> Result<Call, Wrong> {
    let fields =
        Fields::of(raw).map_err(|wrong| Wrong::new("", format!("the body {}", wrong.message)))?;
    let queries = fields.list("query")?;
    let needed = |name: &str, why: &str| {
        column(&fields, name, queries.len())?
            .ok_or_else(|| Wrong::new(name, format!("is missing: {why}")))
    };
    let labels = needed("labels", "they name the references; set --label_key")?;
    let prompts = needed("prompts", "they tell where in `query` the response begins")?;
    let mut items = Vec::with_capacity(queries.len());
    for (index, query) in queries.iter().enumerate() {
        let at = |name: &str| format!("{name}[{index}]");
        let query: Text = json::read(query).map_err(|wrong| wrong.within(&at("query")))?;
        let prompt: Text =
            json::read(prompts[index]).map_err(|wrong| wrong.within(&at("prompts")))?;
        let response = after_prompt(&query.to_str_lossy(), &prompt.to_str_lossy())
            .map_err(|wrong| wrong.within(&at("query")))?;
        let item: Item = Label::read(labels[index])
            .and_then(|label| label.item(response.into(), kind))
            .map_err(|wrong| wrong.within(&at("labels")))?;
        items.push(Ok(item));
    }
    Ok(Call { frame: super::Frame::OpenRlhf, items })
}

/// What follows the prompt. The tokenizer may have put a special token before it; blanks at the
/// prompt's ends may have been lost.
fn after_prompt(query: &str, prompt: &str) -> Result<String, Wrong> {
    let found = query
        .strip_prefix(prompt)
        .or_else(|| query.split_once(prompt).map(|(_, response)| response))
        .or_else(|| query.split_once(prompt.trim()).map(|(_, response)| response));
    found.map(str::to_owned).ok_or_else(|| {
        let message =
            "does not hold its entry of `prompts`, so the response cannot be told from it";
        Wrong::new("", message)
    })
}

/// `scores` lie between 0 and 1, as dynamic filtering wants them.
pub(super) fn answer(outcomes: &[Outcome]) -> Result<Value, Refusal> {
    let rewards = all(Shape::OpenRlhf, outcomes)?;
    let scores: Vec<f64> = rewards.iter().map(|reward| reward.clamp(0.0, 1.0)).collect();
    let invalid: Vec<f64> =
        outcomes.iter().map(|outcome| f64::from(u8::from(outcome.error().is_some()))).collect();
    let exact: Vec<f64> = rewards.iter().map(|r| f64::from(u8::from(*r >= 1.0))).collect();
    Ok(json!({
        "rewards": rewards,
        "scores": scores,
        "extra_logs": {"invalid": invalid, "exact": exact},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_what_follows_the_prompt() {
        assert_eq!(after_prompt("ask <think>answer", "ask <think>").unwrap(), "answer");
        assert_eq!(after_prompt("<s>ask answer", "ask").unwrap(), " answer");
        assert_eq!(after_prompt("ask answer", "\nask\n").unwrap(), " answer");
        assert!(after_prompt("other answer", "ask").is_err());
    }
}
