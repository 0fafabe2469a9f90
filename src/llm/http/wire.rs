//! The request's and the answer's JSON.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::artifact::Usage;
use crate::llm::http::refusal::shorten;
use crate::llm::{Call, ModelRequest, Reply};

/// The seed sent for one sample, below 2^31 (some servers keep it in a signed 32-bit integer).
///
/// It is the first four bytes, big endian and without the top bit, of SHA-256 over the ASCII text
/// `agent-seed-1 <run seed> <call name> <sample>`. This never changes: journals are keyed by the run
/// seed, and a run must be repeatable with a later version.
#[must_use]
pub fn sample_seed(run_seed: u64, call: Call, sample: u32) -> u32 {
    let text = format!("agent-seed-1 {run_seed} {} {sample}", call.name());
    let digest = Sha256::digest(text);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) & 0x7fff_ffff
}

/// The seed of a request for `samples`: with several, the first one's.
pub(super) fn request_seed(request: &ModelRequest, samples: &Range<u32>) -> Option<u32> {
    request.seed.map(|seed| sample_seed(seed, request.call, samples.start))
}

/// What the bodies of all samples of a request share: long prompts are written out once for all.
#[derive(Debug)]
pub(super) struct Template {
    /// `"messages":[...]`.
    messages: String,
    /// All other fields.
    fields: Map<String, Value>,
}

impl Template {
    pub(super) fn new(model: &str, request: &ModelRequest, extra: &Map<String, Value>) -> Self {
        // By way of its shortest decimal form: 0.8, where a cast would send 0.800000011920929.
        let temperature: Value = request.temperature.to_string().parse().unwrap_or(json!(0));
        let mut fields = Map::new();
        fields.insert("model".into(), json!(model));
        fields.insert("temperature".into(), temperature);
        fields.insert("max_tokens".into(), json!(request.max_tokens));
        fields.insert("stream".into(), json!(false));
        if !request.stop.is_empty() {
            fields.insert("stop".into(), json!(request.stop));
        }
        for (name, value) in extra {
            match value {
                Value::Null => fields.shift_remove(name),
                value => fields.insert(name.clone(), value.clone()),
            };
        }
        Self { messages: format!(r#""messages":{}"#, json!(request.messages)), fields }
    }

    /// What asks for `samples` of `request`, without the messages.
    pub(super) fn fields(
        &self,
        request: &ModelRequest,
        samples: &Range<u32>,
    ) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        if samples.len() > 1 {
            fields.insert("n".into(), json!(samples.len()));
        }
        if let Some(seed) = request_seed(request, samples) {
            fields.insert("seed".into(), json!(seed));
        }
        fields
    }

    /// The body that holds the messages and these fields.
    pub(super) fn body(&self, fields: Map<String, Value>) -> Vec<u8> {
        let fields = Value::Object(fields).to_string();
        // `model` always stands there, so that a comma may follow the messages.
        ["{", &self.messages, ",", &fields[1..]].concat().into_bytes()
    }
}

/// The header `x-agent-sample`: the index, or the first and last of several.
pub(super) fn sample_header(samples: &Range<u32>) -> String {
    match samples.len() {
        0 | 1 => samples.start.to_string(),
        _ => format!("{}-{}", samples.start, samples.end - 1),
    }
}

/// What is said of a body without anything in it.
pub(super) const EMPTY: &str = "the body is empty";

/// Why a successful answer's body is of no use.
#[derive(Debug, PartialEq)]
pub(super) enum Unusable {
    /// It ends in the middle: the connection broke.
    Truncated,
    /// The server reports an error with status 200.
    Error(Value),
    /// It is something else.
    Garbled(String),
}

#[derive(Deserialize)]
struct Body {
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    message: Option<WireMessage>,
    #[serde(default)]
    finish_reason: Option<String>,
}

/// A message, or what a stream adds to one.
#[derive(Deserialize)]
pub(super) struct WireMessage {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
}

impl WireMessage {
    /// Text and separated thinking.
    pub(super) fn into_parts(self) -> (Option<String>, Option<String>) {
        (self.content.map(Content::into_text), self.reasoning_content.or(self.reasoning))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        Self {
            prompt_tokens: usage.prompt_tokens.unwrap_or(0),
            cached_tokens: cached.or(usage.prompt_cache_hit_tokens).unwrap_or(0),
            completion_tokens: usage.completion_tokens.unwrap_or(0),
        }
    }
}

/// The replies of a chat completion, in order of their index, each with its share of the usage.
pub(super) fn replies(bytes: &[u8]) -> Result<Vec<Reply>, Unusable> {
    let body: Body = json_of(bytes)?;
    let Some(mut choices) = body.choices else {
        return Err(match body.error.filter(|error| !error.is_null()) {
            Some(error) => Unusable::Error(json!({ "error": error })),
            None => garbled("it has no `choices`", bytes),
        });
    };
    choices.sort_by_key(|choice| choice.index);
    let mut replies = Vec::with_capacity(choices.len());
    for choice in choices {
        let Some(message) = choice.message else {
            return Err(garbled("a choice has no `message`", bytes));
        };
        let (content, reasoning) = message.into_parts();
        replies.push(Reply {
            content,
            reasoning,
            finish_reason: choice.finish_reason,
            model: body.model.clone(),
            ..Reply::default()
        });
    }
    share(body.usage.unwrap_or_default().into(), &mut replies);
    Ok(replies)
}

/// The names in a list of models.
pub(super) fn models(bytes: &[u8]) -> Result<Vec<String>, Unusable> {
    #[derive(Deserialize)]
    struct List {
        data: Option<Vec<Entry>>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: String,
    }
    let list: List = json_of(bytes)?;
    let data = list.data.ok_or_else(|| garbled("the list of models has no `data`", bytes))?;
    Ok(data.into_iter().map(|entry| entry.id).collect())
}

impl Content {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        }
    }
}

/// The prompt's tokens go to the first reply, the answers' by their length in bytes; nothing is lost.
pub(super) fn share(usage: Usage, replies: &mut [Reply]) {
    let length = |reply: &Reply| {
        let of = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() as u64);
        of(&reply.content) + of(&reply.reasoning) + 1
    };
    let (mut bytes, mut left) = (replies.iter().map(length).sum::<u64>(), usage.completion_tokens);
    for reply in replies.iter_mut() {
        let own = length(reply);
        let share = u128::from(left) * u128::from(own) / u128::from(bytes.max(1));
        reply.usage.completion_tokens = u64::try_from(share).unwrap_or(left);
        left -= reply.usage.completion_tokens;
        bytes -= own;
    }
    if let Some(first) = replies.first_mut() {
        first.usage.prompt_tokens = usage.prompt_tokens;
        first.usage.cached_tokens = usage.cached_tokens;
    }
}

fn json_of<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unusable> {
    serde_json::from_slice(bytes).map_err(|error| {
        let begun = bytes.trim_ascii_start().starts_with(b"{");
        if error.is_eof() && begun {
            return Unusable::Truncated;
        }
        let what = if bytes.trim_ascii().is_empty() {
            EMPTY.to_owned()
        } else if bytes.trim_ascii_start().starts_with(b"<") {
            "it is an HTML page, so this is not the API's address".to_owned()
        } else if begun {
            format!("unexpected JSON ({error})")
        } else {
            "it is not a JSON object".to_owned()
        };
        garbled(&what, bytes)
    })
}

fn garbled(what: &str, bytes: &[u8]) -> Unusable {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
    let text = shorten(&text);
    Unusable::Garbled(if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::InstanceId;
    use crate::llm::Message;

    fn request() -> ModelRequest {
        ModelRequest {
            instance: InstanceId::new("a__b-1").unwrap(),
            call: Call::Repair,
            messages: vec![Message { role: "user".into(), content: "fix".into() }],
            samples: 0..3,
            temperature: 0.8,
            max_tokens: 100,
            seed: None,
            stop: Vec::new(),
        }
    }

    fn body(request: &ModelRequest, samples: &Range<u32>, extra: &Map<String, Value>) -> Vec<u8> {
        let template = Template::new("m", request, extra);
        template.body(template.fields(request, samples))
    }

    #[test]
    fn seeds_are_stable_distinct_and_fit_in_31_bits() {
        // Computed apart with Python's hashlib.
        assert_eq!(sample_seed(0, Call::Localize, 0), 1_098_874_911);
        assert_eq!(sample_seed(42, Call::SelectRegression, 7), 992_271_053);
        let mut seeds: Vec<u32> = (0..1000).map(|n| sample_seed(1, Call::Repair, n)).collect();
        assert!(seeds.iter().all(|&seed| seed < 1 << 31));
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 1000);
    }

    #[test]
    fn absent_things_are_not_sent() {
        let text = String::from_utf8(body(&request(), &(2..3), &Map::new())).unwrap();
        assert!(text.contains(r#""temperature":0.8,"#), "{text}");
        for absent in ["seed", "stop\"", "\"n\""] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
        let full = ModelRequest { seed: Some(5), stop: vec!["END".into()], ..request() };
        let text = body(&full, &(0..3), &Map::new());
        let sent: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(sent["n"], 3);
        assert_eq!(sent["stop"], json!(["END"]));
        assert_eq!(sent["seed"], sample_seed(5, Call::Repair, 0));
    }

    #[test]
    fn extra_fields_win_and_null_removes() {
        let extra = json!({"top_p": 0.9, "max_tokens": null, "max_completion_tokens": 7});
        let Value::Object(extra) = extra else { unreachable!() };
        let sent = body(&request(), &(0..1), &extra);
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!((&sent["top_p"], &sent["max_completion_tokens"]), (&json!(0.9), &json!(7)));
        assert!(sent.get("max_tokens").is_none());
    }

    #[test]
    fn usage_is_shared_without_loss() {
        let body = json!({
            "model": "m-1",
            "choices": [
                {"index": 1, "message": {"content": "bbbbbbbbb"}, "finish_reason": "length"},
                {"index": 0, "message": {"content": [{"type": "text", "text": "a"}], "reasoning": "r"}},
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 13,
                      "prompt_tokens_details": {"cached_tokens": 4}},
        });
        let replies = replies(body.to_string().as_bytes()).unwrap();
        assert_eq!(replies[0].content.as_deref(), Some("a"));
        assert_eq!(replies[0].reasoning.as_deref(), Some("r"));
        assert_eq!(replies[1].finish_reason.as_deref(), Some("length"));
        let usage = |n: usize| replies[n].usage;
        assert_eq!((usage(0).prompt_tokens, usage(0).cached_tokens), (10, 4));
        assert_eq!((usage(1).prompt_tokens, usage(1).cached_tokens), (0, 0));
        assert_eq!((usage(0).completion_tokens, usage(1).completion_tokens), (3, 10));
    }

    #[test]
    fn useless_bodies_are_told_apart() {
        let of = |text: &str| replies(text.as_bytes()).unwrap_err();
        assert_eq!(of(r#"{"choices": [{"index": 0, "mess"#), Unusable::Truncated);
        for (text, words) in [
            ("", "empty"),
            ("<!doctype html><html>", "HTML"),
            ("hello", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "no `choices`"),
            (r#"{"choices": null}"#, "no `choices`"),
            (r#"{"choices": 3}"#, "unexpected JSON"),
            (r#"{"choices": [{"index": 0}]}"#, "no `message`"),
        ] {
            let Unusable::Garbled(detail) = of(text) else { panic!("{text}") };
            assert!(detail.contains(words), "{text}: {detail}");
        }
        assert!(matches!(of(r#"{"error": {"code": 502}}"#), Unusable::Error(_)));
    }
}
