//! What the trainers' shapes share: columns, texts of chats, and rewards that must all be there.

use serde_json::value::RawValue;

use crate::reward::Text;
use crate::serve::item::{Outcome, Wrong};
use crate::serve::json::{self, Fields};
use crate::serve::refusal::Refusal;
use crate::serve::shape::Shape;

/// A column with one entry for each of `length` samples.
pub(super) fn column<'a>(
    fields: &Fields<'a>,
    name: &str,
    length: usize,
) -> Result<Option<Vec<&'a RawValue>>, Wrong> {
    if fields.raw(name).is_none() {
        return Ok(None);
    }
    let column = fields.list(name)?;
    if column.len() != length {
        let message = format!("has {} entries, expected {length}", column.len());
        return Err(Wrong::new(name, message));
    }
    Ok(Some(column))
}

/// What a model wrote: text, a message, or a list of messages of which the assistant's count.
pub(super) fn written(raw: &RawValue) -> Result<Text, Wrong> {
    match json::kind(raw) {
        "text" => json::read(raw),
        "an object" => message(raw),
        "a list" => {
            let mut whole = Vec::new();
            for (index, part) in json::list(raw)?.into_iter().enumerate() {
                let place = format!("[{index}]");
                let fields = Fields::of(part).map_err(|wrong| wrong.within(&place))?;
                let role: Option<String> =
                    fields.read("role").map_err(|wrong| wrong.within(&place))?;
                if role.is_none_or(|role| role == "assistant") {
                    let text = message(part).map_err(|wrong| wrong.within(&place))?;
                    whole.push(text.to_str_lossy().into_owned());
                }
            }
            Ok(whole.join("\n").into())
        }
        other => Err(Wrong::new("", format!("is {other}, expected text or messages"))),
    }
}

/// The text of a message, whose content may come in parts.
fn message(raw: &RawValue) -> Result<Text, Wrong> {
    let fields = Fields::of(raw)?;
    let Some(content) = fields.raw("content") else { return Ok(Text::default()) };
    match json::kind(content) {
        "text" => fields.need("content"),
        "a list" => {
            let mut whole = String::new();
            for (index, part) in fields.list("content")?.into_iter().enumerate() {
                let place = format!("content[{index}]");
                let part = Fields::of(part).map_err(|wrong| wrong.within(&place))?;
                let text: Option<Text> = part.read("text").map_err(|wrong| wrong.within(&place))?;
                whole.push_str(&text.unwrap_or_default().to_str_lossy());
            }
            Ok(whole.into())
        }
        other => {
            Err(Wrong::new("content", format!("is {other}, expected text or a list of parts")))
        }
    }
}

/// The rewards of all items, for shapes that have no place for a missing one: a single failure
/// fails the request, so that the trainer asks again and never sees a made-up number.
pub(super) fn all(shape: Shape, outcomes: &[Outcome]) -> Result<Vec<f64>, Refusal> {
    wrong_first(shape, outcomes)?;
    outcomes.iter().map(|outcome| outcome.reward().ok_or_else(|| shape.refuse(outcome))).collect()
}

/// A request with a field that another try will not mend fails with that.
pub(super) fn wrong_first(shape: Shape, outcomes: &[Outcome]) -> Result<(), Refusal> {
    let many = outcomes.len() > 1;
    let wrong = outcomes.iter().enumerate().find_map(|(index, outcome)| match outcome {
        Outcome::Wrong(wrong) if many => Some(wrong.clone().within(&format!("[{index}]"))),
        Outcome::Wrong(wrong) => Some(wrong.clone()),
        _ => None,
    });
    wrong.map_or(Ok(()), |wrong| Err(shape.refuse(&Outcome::Wrong(wrong))))
}
