//! A chat completion that comes as server-sent events, read tolerantly: whatever ends the lines,
//! with or without blank lines between events, comments and unknown fields passed over.
//!
//! Answers are of use when they are whole, so the body is read to its end first. A character that
//! is split between two packets, or a packet that ends in mid-line, is then no case of its own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::artifact::Usage;
use crate::llm::Reply;
use crate::llm::http::wire::{self, Unusable, WireMessage, WireUsage};

const DONE: &str = "[DONE]";

/// Whether a body is a stream of events and no JSON document.
pub(super) fn is_stream(body: &[u8]) -> bool {
    let start = body[..body.len().min(64)].trim_ascii_start();
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    [b"data:".as_slice(), b"event:", b"id:", b"retry:", b":"].iter().any(|w| start.starts_with(w))
}

/// Whether the stream says that nothing more will come, though the connection may stay open.
pub(super) fn is_done(body: &[u8]) -> bool {
    // Asked after every packet, so only the end is looked at.
    let end = &body[body.len().saturating_sub(64)..];
    end.trim_ascii_end().ends_with(DONE.as_bytes()) && is_stream(body)
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    /// Servers that only play at streaming send the whole `message` at once.
    #[serde(default, alias = "message")]
    delta: Option<WireMessage>,
    #[serde(default)]
    finish_reason: Option<String>,
}

/// The replies of a streamed chat completion, in order of their index, each with its share of the
/// usage.
///
/// # Errors
/// [`Unusable::Error`] for an error inside the stream, [`Unusable::Truncated`] for one that broke
/// off before its end: neither `[DONE]` nor a reason to finish for each choice.
pub(super) fn replies(body: &[u8]) -> Result<Vec<Reply>, Unusable> {
    let text = String::from_utf8_lossy(body);
    let mut choices = BTreeMap::<u32, Reply>::new();
    let (mut usage, mut model, mut done) = (Usage::default(), None, false);
    for data in events(&text) {
        if data.trim() == DONE {
            done = true;
            break;
        }
        let Ok(value) = serde_json::from_str::<Value>(&data) else {
            if data.starts_with("{\"error\"") {
                // Written without care for the quotes in it, as transformers' server does.
                return Err(Unusable::Error(json!({ "error": data })));
            }
            // The last event may be half of one.
            break;
        };
        if let Some(error) = error_of(&value) {
            return Err(Unusable::Error(error));
        }
        let Ok(chunk) = serde_json::from_value::<Chunk>(value) else { continue };
        if let Some(counted) = chunk.usage {
            usage = counted.into();
        }
        model = model.or(chunk.model);
        for choice in chunk.choices.into_iter().flatten() {
            let reply = choices.entry(choice.index).or_default();
            if let Some(delta) = choice.delta {
                let (content, reasoning) = delta.into_parts();
                append(&mut reply.content, content);
                append(&mut reply.reasoning, reasoning.filter(|text| !text.is_empty()));
            }
            if choice.finish_reason.is_some() {
                reply.finish_reason = choice.finish_reason;
            }
        }
    }
    let ended = done || choices.values().all(|reply| reply.finish_reason.is_some());
    if choices.is_empty() && done {
        return Err(Unusable::Garbled("the stream holds no choice".to_owned()));
    }
    if choices.is_empty() || !ended {
        return Err(Unusable::Truncated);
    }
    let mut replies = choices.into_values().collect::<Vec<_>>();
    replies.iter_mut().for_each(|reply| reply.model.clone_from(&model));
    wire::share(usage, &mut replies);
    Ok(replies)
}

fn append(to: &mut Option<String>, more: Option<String>) {
    if let Some(more) = more {
        to.get_or_insert_default().push_str(&more);
    }
}

/// The error that an event reports instead of a part of the answer.
fn error_of(value: &Value) -> Option<Value> {
    let error = value.get("error").filter(|error| !error.is_null());
    if let Some(error) = error {
        return Some(json!({ "error": error }));
    }
    let says = value.get("choices").is_none()
        && (value["object"] == "error" || value.get("detail").is_some());
    says.then(|| value.clone())
}

/// The data of each event. One whose single line is a whole document ends there: some servers leave
/// out the blank line after it.
fn events(text: &str) -> Vec<String> {
    let (mut events, mut open) = (Vec::new(), String::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines =
        text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
    for line in lines {
        let data = line.strip_prefix("data:").map(|data| data.strip_prefix(' ').unwrap_or(data));
        match data {
            Some(data) if open.is_empty() && is_whole(data) => events.push(data.to_owned()),
            Some(data) => {
                if !open.is_empty() {
                    open.push('\n');
                }
                open.push_str(data);
            }
            None if line.is_empty() && !open.is_empty() => events.push(std::mem::take(&mut open)),
            None => {}
        }
    }
    if !open.is_empty() {
        events.push(open);
    }
    events
}

fn is_whole(data: &str) -> bool {
    data.trim() == DONE || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(index: u32, delta: &Value) -> String {
        json!({"model": "m-2", "choices": [{"index": index, "delta": delta, "finish_reason": null}]})
            .to_string()
    }

    fn end(index: u32, reason: &str) -> String {
        json!({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]}).to_string()
    }

    fn text(index: u32, content: &str) -> String {
        delta(index, &json!({ "content": content }))
    }

    fn stream(events: &[String], end_of_line: &str) -> String {
        let between = end_of_line.repeat(2);
        events.iter().map(|event| format!("data: {event}{between}")).collect()
    }

    #[test]
    fn parts_become_answers_whatever_ends_the_lines() {
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 4}});
        let events = [
            delta(0, &json!({"role": "assistant", "content": ""})),
            delta(0, &json!({"reasoning_content": "thi"})),
            delta(0, &json!({"reasoning": "nk"})),
            text(0, "naïve "),
            text(1, "zwei"),
            text(0, "é\n"),
            end(1, "length"),
            end(0, "stop"),
            usage.to_string(),
            DONE.to_owned(),
        ];
        for end_of_line in ["\n", "\r\n", "\r"] {
            let body = format!(": keep-alive{end_of_line}{}", stream(&events, end_of_line));
            assert!(is_stream(body.as_bytes()) && is_done(body.as_bytes()));
            let replies = replies(body.as_bytes()).unwrap();
            assert_eq!(replies[0].content.as_deref(), Some("naïve é\n"), "{end_of_line:?}");
            assert_eq!(replies[0].reasoning.as_deref(), Some("think"));
            assert_eq!(replies[1].content.as_deref(), Some("zwei"));
            assert_eq!(replies[1].reasoning, None);
            assert_eq!(replies[1].finish_reason.as_deref(), Some("length"));
            assert_eq!(replies[1].model.as_deref(), Some("m-2"));
            let tokens = replies.iter().map(|reply| reply.usage.completion_tokens).sum::<u64>();
            assert_eq!((replies[0].usage.prompt_tokens, tokens), (7, 4));
        }
    }

    #[test]
    fn odd_streams_are_read_all_the_same() {
        let whole = json!({"choices": [{"message": {"content": "all"}, "finish_reason": "stop"}]});
        let pretty = serde_json::to_string_pretty(&whole).unwrap();
        let lines = pretty.lines().map(|line| format!("data: {line}\n")).collect::<String>();
        for body in [
            // No blank lines, no blank after the colon, no `[DONE]`.
            format!("data:{}\ndata:{}\n", text(0, "all"), end(0, "stop")),
            // Other fields, and an event over several lines.
            format!("event: chunk\nid: 3\nretry: 5\n{lines}\n\ndata: [DONE]"),
            // `[DONE]` without any reason to finish.
            stream(&[text(0, "al"), text(0, "l"), DONE.to_owned()], "\n"),
            // A byte order mark, and events of other kinds.
            format!("\u{feff}data: {{\"ping\": 1}}\n\ndata: {whole}\n\n"),
            // What stands after the end does not count.
            stream(&[text(0, "all"), DONE.to_owned(), text(0, "more")], "\n"),
        ] {
            let replies = replies(body.as_bytes()).unwrap_or_else(|e| panic!("{body}: {e:?}"));
            assert_eq!(replies[0].content.as_deref(), Some("all"), "{body}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_answer() {
        let part = stream(&[text(0, "some")], "\n");
        let half = format!("{part}data: {{\"choices\": [{{\"ind");
        let one_of_two = stream(&[text(0, "a"), text(1, "b"), end(0, "stop")], "\n");
        for body in [part.as_str(), half.as_str(), one_of_two.as_str(), ": keep-alive\n\n"] {
            assert_eq!(replies(body.as_bytes()), Err(Unusable::Truncated), "{body}");
            assert!(!is_done(body.as_bytes()));
        }
        assert!(matches!(replies(b"data: [DONE]\n\n"), Err(Unusable::Garbled(_))));
    }

    #[test]
    fn an_error_inside_the_stream_is_the_answer_s_error() {
        for event in [
            r#"{"error": {"message": "out of memory", "code": 500}}"#,
            r#"{"error": "out of memory", "choices": []}"#,
            r#"{"object": "error", "message": "out of memory"}"#,
            r#"{"detail": "out of memory"}"#,
            r#"{"error": "out of memory: "quoted""}"#,
        ] {
            let body = format!("data: {}\n\nevent: error\ndata: {event}\n\n", text(0, "some"));
            let Err(Unusable::Error(error)) = replies(body.as_bytes()) else { panic!("{event}") };
            assert!(error.to_string().contains("out of memory"), "{error}");
        }
    }

    #[test]
    fn a_document_is_no_stream() {
        for body in ["{\"choices\": []}", "<html>", "", "hello: world", " [1]"] {
            assert!(!is_stream(body.as_bytes()), "{body}");
        }
    }
}
