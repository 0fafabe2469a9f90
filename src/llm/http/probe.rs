//! What a server can do, found out by a few short requests: what `agent doctor` shows.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::llm::http::client::{CHAT, HttpClient, MODELS};
use crate::llm::http::embeddings::{EMBEDDINGS, vectors};
use crate::llm::http::fit;
use crate::llm::http::transport::{Fault, Transport};
use crate::llm::{ModelError, Reply};

/// One thing that may be asked of a server, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// What was asked for.
    pub name: &'static str,
    /// Whether it can; none where that could not be told.
    pub has: Option<bool>,
    /// What was seen.
    pub found: String,
    /// What the client does instead; empty where nothing has to be done.
    pub instead: &'static str,
    /// What the user can do; empty where nothing has to be done.
    pub mend: &'static str,
}

impl Ability {
    fn yes(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, has: Some(true), found: found.into(), instead: "", mend: "" }
    }

    fn no(name: &'static str, found: impl Into<String>, instead: &'static str) -> Self {
        Self { name, has: Some(false), found: found.into(), instead, mend: "" }
    }

    fn unknown(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, has: None, found: found.into(), instead: "", mend: "" }
    }

    fn mend(self, mend: &'static str) -> Self {
        Self { mend, ..self }
    }
}

/// Longest time for one probe.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tokens of a probe's answer.
const SHORT: u32 = 16;

/// A longer context is not tried: its overflow would cost more than it tells.
const LONGEST_CONTEXT: u64 = 1 << 18;

const PROMPT: &str = "Write one line of Python.";

/// An answer to a probe.
struct Answer {
    replies: Vec<Reply>,
    streamed: bool,
}

impl Answer {
    fn text(&self) -> String {
        let first = self.replies.first();
        let both = first.map(|r| [r.reasoning.as_deref(), r.content.as_deref()]);
        both.into_iter().flatten().flatten().collect()
    }

    fn counted(&self) -> bool {
        self.replies.iter().any(|r| r.usage.prompt_tokens > 0 && r.usage.completion_tokens > 0)
    }
}

struct Probe<'a> {
    transport: &'a Transport,
    model: &'a str,
    extra: &'a Map<String, Value>,
    /// The field that bounds an answer, if one is taken.
    bound: Option<&'static str>,
    streams: bool,
}

impl HttpClient {
    /// Tries what the server can do, by about a dozen requests of a few tokens each. `context` is
    /// the model's context length in tokens where the server does not say it.
    pub async fn abilities(&self, context: Option<u64>) -> Vec<Ability> {
        let mut probe = Probe {
            transport: &self.inner.transport,
            model: &self.inner.model,
            extra: &self.inner.config.extra_body,
            bound: Some("max_tokens"),
            streams: false,
        };
        let (models, limit) = probe.models().await;
        let mut found = vec![models];
        let (chat, first) = probe.chat().await;
        found.push(chat);
        if let Some(first) = first {
            found.push(probe.bound(&first));
            found.extend(probe.streaming().await);
            found.push(usage("usage", &first));
            found.push(probe.several().await);
            let (seed, known) = probe.seed().await;
            found.push(seed);
            found.push(probe.stop(known).await);
            found.push(reasoning(&first));
            found.push(probe.overflow(context.or(limit)).await);
        }
        found.push(probe.embeddings().await);
        found
    }
}

impl Probe<'_> {
    async fn send(&self, fields: Value) -> Result<Answer, ModelError> {
        let mut body = Map::new();
        body.insert("model".into(), json!(self.model));
        body.insert("messages".into(), json!([{"role": "user", "content": PROMPT}]));
        body.insert("temperature".into(), json!(1));
        body.insert("stream".into(), json!(self.streams));
        if let Some(bound) = self.bound {
            body.insert(bound.into(), json!(SHORT));
        }
        body.extend(self.extra.clone().into_iter().filter(|(name, _)| !name.starts_with("max_")));
        body.extend(fields.as_object().cloned().unwrap_or_default());
        body.retain(|_, value| !value.is_null());
        let bytes = self.post(CHAT, &Value::Object(body)).await?;
        let read = fit::read(&bytes);
        let unusable = |unusable| final_error(self.transport.unusable(CHAT, unusable));
        read.map(|(replies, streamed)| Answer { replies, streamed }).map_err(unusable)
    }

    async fn post(&self, tail: &str, body: &Value) -> Result<Vec<u8>, ModelError> {
        let bytes = body.to_string().into_bytes();
        let send = async || match self.transport.post(tail, bytes.clone()) {
            Ok(request) => self.transport.exchange(request.timeout(PATIENCE)).await,
            Err(error) => Err(Fault::Final(error)),
        };
        match send().await {
            Err(Fault::Passing { .. }) => send().await.map_err(final_error),
            other => other.map_err(final_error),
        }
    }

    async fn models(&self) -> (Ability, Option<u64>) {
        let name = "models";
        let listed = async {
            let bytes = self.transport.exchange(self.transport.get(MODELS)?).await;
            bytes.map_err(final_error)
        };
        let bytes = match listed.await {
            Ok(bytes) => bytes,
            Err(error) => {
                let no = Ability::no(name, error.to_string(), "the model's name must be given");
                return (no.mend("--model NAME"), None);
            }
        };
        let list = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let entries = list["data"].as_array().cloned().unwrap_or_default();
        let own = entries.iter().find(|entry| entry["id"] == self.model);
        // vLLM and SGLang; llama.cpp.
        let limit = ["/max_model_len", "/meta/n_ctx", "/context_length"]
            .into_iter()
            .find_map(|at| own?.pointer(at)?.as_u64());
        let context = match limit {
            Some(limit) => format!(", context {limit} tokens"),
            None => ", context length not said".to_owned(),
        };
        let ability = match own {
            Some(_) => Ability::yes(name, format!("{} listed{context}", entries.len())),
            None => {
                Ability::no(name, format!("{:?} is not listed", self.model), "asked all the same")
            }
        };
        (ability, limit)
    }

    /// The plainest request, in every form that a server may want it.
    async fn chat(&mut self) -> (Ability, Option<Answer>) {
        let name = "chat";
        let mut first = None;
        for (bound, streams) in [
            (Some("max_tokens"), false),
            (Some("max_completion_tokens"), false),
            (None, false),
            (Some("max_tokens"), true),
        ] {
            (self.bound, self.streams) = (bound, streams);
            match self.send(json!({})).await {
                Ok(answer) if streams => {
                    let only = "answers only as a stream";
                    return (Ability::no(name, only, "streams are asked for"), Some(answer));
                }
                Ok(answer) => {
                    let text = answer.text().chars().take(40).collect::<String>();
                    return (Ability::yes(name, format!("answers {text:?}")), Some(answer));
                }
                Err(error @ ModelError::Refused { status: 400 | 422 | 501, .. }) => {
                    first.get_or_insert(error);
                }
                Err(error) => {
                    first = Some(error);
                    break;
                }
            }
        }
        let error = first.unwrap_or(ModelError::Cancelled);
        let mend = match error.hint() {
            "" => "the server's log says why it does not answer a chat completion",
            hint => hint,
        };
        (Ability::no(name, error.to_string(), "").mend(mend), None)
    }

    fn bound(&self, first: &Answer) -> Ability {
        let name = "max_tokens";
        let kept = |answer: &Answer| {
            answer.replies.iter().all(|r| r.usage.completion_tokens <= u64::from(SHORT) + 1)
        };
        match self.bound {
            None => Ability::no(
                name,
                "neither it nor max_completion_tokens is taken",
                "no bound is sent",
            )
            .mend("bound answers at the server; one without end takes until model.timeout"),
            Some("max_completion_tokens") => {
                Ability::no(name, "refused", "max_completion_tokens is sent")
            }
            Some(_) if !kept(first) => Ability::no(name, "taken, but answers are longer", "").mend(
                "bound answers at the server, or set max_completion_tokens in model.extra_body",
            ),
            // Whether the other name is taken too is not asked: a server that passes it over would
            // write until its context is full.
            Some(_) => Ability::yes(name, "kept"),
        }
    }

    async fn streaming(&self) -> Vec<Ability> {
        let (name, counts) = ("streaming", "usage in streams");
        let instead =
            "whole answers are asked for (model.stream = \"auto\" and \"off\" do so anyway)";
        let options = json!({"stream": true, "stream_options": {"include_usage": true}});
        match self.send(options).await {
            Ok(answer) if answer.streamed => {
                vec![Ability::yes(name, "server-sent events"), usage(counts, &answer)]
            }
            Ok(_) => vec![Ability::no(name, "answers whole all the same", instead)],
            Err(error) => match self.send(json!({"stream": true})).await {
                Ok(answer) if answer.streamed => vec![
                    Ability::yes(name, "server-sent events"),
                    Ability::no(counts, error.to_string(), "tokens of streams are counted here"),
                ],
                Ok(_) => vec![Ability::no(name, "answers whole all the same", instead)],
                Err(_) => vec![Ability::no(name, error.to_string(), instead)],
            },
        }
    }

    async fn several(&self) -> Ability {
        let (name, instead) = ("n", "samples are asked for one by one");
        match self.send(json!({"n": 2})).await {
            Ok(answer) if answer.replies.len() == 2 => Ability::yes(name, "2 answers for n = 2")
                .mend("model.n_per_request above 1 sends a prompt once for several samples"),
            Ok(answer) => {
                Ability::no(name, format!("{} answer for n = 2", answer.replies.len()), instead)
            }
            Err(error) => Ability::no(name, error.to_string(), instead),
        }
    }

    /// Also gives an answer that can be had again, and what it takes.
    async fn seed(&self) -> (Ability, Option<(Value, String)>) {
        let name = "seed";
        let with = async |seed: u32| {
            let answer = self.send(json!({ "seed": seed })).await;
            answer.map(|answer| answer.text())
        };
        let (one, again, other) = match (with(1).await, with(1).await, with(2).await) {
            (Ok(one), Ok(again), Ok(other)) => (one, again, other),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                let instead = "it is left out; answers cannot be had again";
                return (Ability::no(name, error.to_string(), instead), None);
            }
        };
        let known = (one == again && !one.is_empty()).then(|| (json!({"seed": 1}), one.clone()));
        let ability = match (one == again, one == other) {
            (true, false) => Ability::yes(name, "same seed, same answer; another seed, another"),
            (true, true) => Ability::unknown(name, "the same answer for every seed"),
            (false, _) => Ability::no(
                name,
                "taken, but the same seed gives another answer",
                "answers are in the journal, and are had again from there alone",
            ),
        };
        (ability, known)
    }

    /// Asks for an answer that is known again, ended by a part of itself.
    async fn stop(&self, known: Option<(Value, String)>) -> Ability {
        let (name, instead) = ("stop", "answers are cut here");
        let (fields, text) = match known {
            Some(known) => known,
            None => match self.send(json!({"temperature": 0})).await {
                Ok(answer) => (json!({"temperature": 0}), answer.text()),
                Err(error) => return Ability::unknown(name, error.to_string()),
            },
        };
        let Some((before, stop)) = middle(&text) else {
            return Ability::unknown(name, "the answer is too short to be ended early");
        };
        let mut fields = fields;
        fields["stop"] = json!([stop]);
        match self.send(fields).await {
            Ok(answer) if answer.text() == before => {
                Ability::yes(name, "ends before the stop text")
            }
            Ok(answer) if answer.text() == format!("{before}{stop}") => {
                Ability::no(name, "ends after the stop text", instead)
            }
            Ok(answer) if answer.text().contains(stop) => {
                Ability::no(name, "taken, but the answer goes on", instead)
            }
            Ok(_) => Ability::unknown(name, "taken; the answer is another one this time"),
            Err(error) => Ability::no(name, error.to_string(), instead),
        }
    }

    async fn overflow(&self, limit: Option<u64>) -> Ability {
        let name = "context overflow";
        let Some(limit) = limit else {
            return Ability::unknown(name, "not tried: the server does not say its context length")
                .mend("agent doctor --context TOKENS tries it");
        };
        if limit > LONGEST_CONTEXT {
            return Ability::unknown(name, format!("not tried: the context has {limit} tokens"));
        }
        let words = "x ".repeat(usize::try_from(limit).unwrap_or_default() + 64);
        let silent = "keep localize.tree_tokens, repair.context_tokens and reproduce.context_tokens \
                      well below the context";
        match self.send(json!({"messages": [{"role": "user", "content": words}]})).await {
            Err(ModelError::ContextOverflow { limit, detail }) => {
                let limit = limit.map_or_else(String::new, |limit| format!(" (limit {limit})"));
                Ability::yes(name, format!("refused and understood{limit}: {detail}"))
            }
            Err(error) => {
                Ability::no(name, format!("fails in other words: {error}"), "").mend(silent)
            }
            Ok(_) => Ability::no(
                name,
                "a prompt beyond the context is answered, so cut or forgotten",
                "",
            )
            .mend(silent),
        }
    }

    async fn embeddings(&self) -> Ability {
        let body = json!({"model": self.model, "input": ["a", "b"]});
        let mend = "--embeddings-url names a server that has them; they are optional";
        match self.post(EMBEDDINGS, &body).await {
            Ok(bytes) => match vectors(&bytes, 2) {
                Ok(vectors) => Ability::yes(EMBEDDINGS, format!("{} dimensions", vectors[0].len())),
                Err(why) => Ability::no(EMBEDDINGS, why, "").mend(mend),
            },
            Err(error) => Ability::no(EMBEDDINGS, error.to_string(), "").mend(mend),
        }
    }
}

fn usage(name: &'static str, answer: &Answer) -> Ability {
    match answer.counted() {
        true => Ability::yes(name, "tokens of prompt and answer"),
        false => Ability::no(
            name,
            "not said",
            "tokens are counted here (model.tokenizer, or an estimate)",
        ),
    }
}

fn reasoning(answer: &Answer) -> Ability {
    let name = "reasoning";
    let first = answer.replies.first();
    let (thinks, text) = match first {
        Some(reply) => (reply.reasoning.is_some(), reply.content.as_deref().unwrap_or_default()),
        None => (false, ""),
    };
    if thinks {
        Ability::yes(name, "in a field of its own; only what follows is parsed")
    } else if text.contains("<think>") || text.contains("</think>") {
        Ability::yes(name, "inside the text; it is taken off before parsing")
    } else {
        Ability::unknown(name, "none in a short answer")
    }
}

fn final_error(fault: Fault) -> ModelError {
    match fault {
        Fault::Final(error) | Fault::Passing { error, .. } => error,
    }
}

/// A few characters in the middle of a text that do not stand before there, and what does.
fn middle(text: &str) -> Option<(&str, &str)> {
    let starts = text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
    let half = starts.len() / 2;
    (half..starts.len().saturating_sub(1)).find_map(|place| {
        let (start, end) = (starts[place], starts.get(place + 2).copied().unwrap_or(text.len()));
        let part = &text[start..end];
        // Bytes that are no text come out differently each time.
        let usable = !part.contains('\u{fffd}') && part.trim() == part;
        (usable && text.find(part) == Some(start) && start > 0).then(|| (&text[..start], part))
    })
}
