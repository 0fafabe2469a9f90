//! The server's three addresses: chat completions, the list of models, and what was asked.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::draw::Draw;
use super::gold::Known;
use super::{Reply, Shared, Stats, Wrap, faults, locate, repair, reproduce};

/// Bytes of a token here.
const TOKEN: usize = 4;

/// A request as far as it matters.
struct Asked {
    instance: String,
    stage: String,
    samples: Range<u32>,
    prompt: String,
    max_tokens: u64,
}

type Refusal = (u16, Value);

pub(super) async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(shared.stats())
}

pub(super) async fn models(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response<Body> {
    if let Err(refusal) = check_key(&shared, &headers) {
        return refuse(refusal);
    }
    let model = json!({"id": shared.config.model, "object": "model", "owned_by": "standin"});
    Json(json!({"object": "list", "data": [model]})).into_response()
}

pub(super) async fn complete(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if header(&headers, "x-agent-instance").is_empty() {
        return somebody(&shared, &headers, &body);
    }
    shared.counts().total.requests += 1;
    let asked = match check(&shared, &headers, &body) {
        Ok(asked) => asked,
        Err(refusal) => return refuse(refusal),
    };
    let known = &shared.known[&asked.instance];
    let kinds: Vec<_> =
        asked.samples.clone().map(|sample| kind(&shared, &asked, known, sample).0).collect();
    let attempt = count(&shared, &asked, &kinds);
    let first = asked.samples.start;
    let mut draw = draw(&shared, &asked, first, &format!("fault {attempt}"));
    let (ordered, rated) = (&shared.config.ordered, &shared.config.rated);
    let at = (&*asked.instance, &*asked.stage, first, attempt);
    if let Some(fault) = faults::met(ordered, rated, at, &mut draw) {
        *shared.counts().total.faults.entry(fault.name().to_owned()).or_default() += 1;
        return fault.respond(shared.config.retry_after).await;
    }
    tokio::time::sleep(shared.config.latency).await;
    if let Some(hold) = &shared.config.hold {
        while (hold.0)(&asked.instance, &asked.stage, first) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    let answer = completion(&shared, &asked, known);
    let mut counts = shared.counts();
    counts.total.answered += 1;
    for sample in asked.samples {
        let key = (asked.instance.clone(), asked.stage.clone(), sample);
        counts.samples.entry(key).and_modify(|(_, answered, _)| *answered += 1);
    }
    Json(answer).into_response()
}

/// Answers a request for no instance, as `agent doctor` sends them; nothing of it is counted.
fn somebody(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
    if let Err(refusal) = check_key(shared, headers) {
        return refuse(refusal);
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let n = body["n"].as_u64().unwrap_or(1).min(shared.config.max_n.into());
    let choice = |index: u64| {
        let message = json!({"role": "assistant", "content": "pass"});
        json!({"index": index, "message": message, "finish_reason": "stop"})
    };
    let choices: Vec<_> = (0..n).map(choice).collect();
    let usage = json!({"prompt_tokens": 8, "completion_tokens": n, "total_tokens": 8 + n});
    let model = &shared.config.model;
    Json(json!({"object": "chat.completion", "model": model, "choices": choices, "usage": usage}))
        .into_response()
}

/// Counts the request; gives back which one it is for its first sample.
fn count(shared: &Shared, asked: &Asked, kinds: &[&'static str]) -> u64 {
    let mut counts = shared.counts();
    let mut attempt = 0;
    for (sample, kind) in asked.samples.clone().zip(kinds).rev() {
        let key = (asked.instance.clone(), asked.stage.clone(), sample);
        let entry = counts.samples.entry(key).or_insert((0, 0, kind));
        entry.0 += 1;
        attempt = entry.0;
    }
    attempt
}

fn check_key(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(key) = &shared.config.api_key else { return Ok(()) };
    if header(headers, "authorization").strip_prefix("Bearer ") == Some(key) {
        return Ok(());
    }
    let error = json!({"message": "Incorrect API key provided.", "code": "invalid_api_key"});
    Err((401, json!({ "error": error })))
}

fn check(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<Asked, Refusal> {
    check_key(shared, headers)?;
    let bad = |message: String| {
        (
            400,
            json!({"object": "error", "message": message, "type": "BadRequestError", "code": 400}),
        )
    };
    let body: Value =
        serde_json::from_slice(body).map_err(|e| bad(format!("the body is not JSON: {e}")))?;
    let model = body["model"].as_str().unwrap_or_default();
    if model != shared.config.model {
        let message = format!("The model `{model}` does not exist.");
        return Err((
            404,
            json!({"error": {"message": message, "type": "NotFoundError", "code": 404}}),
        ));
    }
    let messages = body["messages"].as_array().ok_or_else(|| bad("no messages".to_owned()))?;
    let texts: Vec<_> = messages.iter().filter_map(|m| m["content"].as_str()).collect();
    let prompt = texts.join("\n");
    let n = body["n"].as_u64().map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX));
    if n == 0 || n > shared.config.max_n {
        return Err(bad(format!("n must be between 1 and {}, got {n}.", shared.config.max_n)));
    }
    let max_tokens = body["max_tokens"].as_u64().unwrap_or(4096);
    if let Some(limit) = shared.config.context {
        let own = prompt.len().div_ceil(TOKEN) as u64;
        if own + max_tokens > limit {
            return Err(bad(format!(
                "This model's maximum context length is {limit} tokens. However, you requested {} \
                 tokens ({own} in the messages, {max_tokens} in the completion). Please reduce the \
                 length of the messages or completion.",
                own + max_tokens
            )));
        }
    }
    let instance = header(headers, "x-agent-instance").to_owned();
    if !shared.known.contains_key(&instance) {
        return Err(bad(format!("the stand-in knows no instance {instance:?}")));
    }
    let stage = header(headers, "x-agent-stage").to_owned();
    if !["localize", "repair", "reproduce", "select-regression"].contains(&stage.as_str()) {
        return Err(bad(format!("the stand-in knows no stage {stage:?}")));
    }
    let sample = header(headers, "x-agent-sample");
    let first = sample.split('-').next().and_then(|first| first.parse::<u32>().ok());
    let first = first.ok_or_else(|| bad(format!("x-agent-sample is {sample:?}, not a number")))?;
    let samples = first..first.saturating_add(n);
    Ok(Asked { instance, stage, samples, prompt, max_tokens })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn refuse((status, body): Refusal) -> Response<Body> {
    let status = axum::http::StatusCode::from_u16(status).expect("the statuses are constants");
    (status, Json(body)).into_response()
}

fn draw(shared: &Shared, asked: &Asked, sample: u32, what: &str) -> Draw {
    let (seed, sample) = (shared.config.seed.to_string(), sample.to_string());
    Draw::of(&[&seed, &asked.instance, &asked.stage, &sample, what])
}

/// What the sample is worth, and the chance that its answer goes on with.
fn kind(shared: &Shared, asked: &Asked, known: &Known, sample: u32) -> (&'static str, Draw) {
    let (rates, mut draw) = (&shared.config.rates, draw(shared, asked, sample, "answer"));
    let kind = match asked.stage.as_str() {
        "localize" => locate::kind(rates, &mut draw),
        "repair" => repair::kind(rates, &mut draw),
        "reproduce" => reproduce::kind(known, rates, &mut draw),
        _ => "none",
    };
    (kind, draw)
}

fn completion(shared: &Shared, asked: &Asked, known: &Known) -> Value {
    let mut choices = Vec::new();
    let mut completion_tokens = 0;
    for (index, sample) in asked.samples.clone().enumerate() {
        let (kind, mut draw) = kind(shared, asked, known, sample);
        let rates = &shared.config.rates;
        let reply = match asked.stage.as_str() {
            "localize" if locate::asks_places(&asked.prompt) => {
                locate::places(known, kind, &asked.prompt, &mut draw)
            }
            "localize" => locate::answer(known, kind, &asked.prompt, rates, &mut draw),
            "repair" => repair::answer(known, kind, &mut draw),
            "reproduce" => reproduce::answer(known, kind, &mut draw),
            _ => Reply::text("```\n```\n"),
        };
        let draft = match asked.stage.as_str() {
            "repair" => repair::draft(known, &mut draw),
            _ => String::new(),
        };
        let thoughts =
            format!("First I look at the report. A first idea:\n{draft}\nNo, better so.");
        let (mut message, tokens, cut) = wrapped(shared.config.wrap, reply, &thoughts, asked);
        message["role"] = json!("assistant");
        completion_tokens += tokens;
        let reason = if cut { "length" } else { "stop" };
        choices.push(json!({"index": index, "message": message, "finish_reason": reason}));
    }
    let prompt_tokens = asked.prompt.len().div_ceil(TOKEN) as u64;
    let total_tokens = prompt_tokens + completion_tokens;
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
                       "total_tokens": total_tokens});
    json!({"id": "standin", "object": "chat.completion", "model": shared.config.model,
           "choices": choices, "usage": usage})
}

/// The message, its tokens, and whether the limit cut it.
fn wrapped(wrap: Wrap, reply: Reply, thoughts: &str, asked: &Asked) -> (Value, u64, bool) {
    let (mut content, mut cut) = (reply.content, reply.cut);
    if wrap == Wrap::Tags
        && let Some(text) = &mut content
    {
        let end = if cut { "" } else { "\n</solution>" };
        *text = format!("<think>\n{thoughts}\n</think>\n<solution>\n{text}{end}");
    }
    let limit = usize::try_from(asked.max_tokens).unwrap_or(usize::MAX).saturating_mul(TOKEN);
    if let Some(text) = &mut content
        && text.len() > limit
    {
        let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        cut = true;
    }
    let tokens = content.as_ref().map_or(0, |text| text.len().div_ceil(TOKEN)) as u64;
    let mut message = json!({ "content": content });
    if wrap == Wrap::Reasoning {
        message["reasoning_content"] = json!(thoughts);
    }
    (message, tokens, cut)
}
