//! Fits requests to what the server takes. What it refuses it says once, in its own words; from
//! then on such requests are sent otherwise.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::event::Events;
use crate::llm::http::config::{HttpConfig, Streaming};
use crate::llm::http::sse;
use crate::llm::http::wire::{self, Unusable};
use crate::llm::{ModelError, ModelRequest, Reply, TokenCounter};

/// A way in which a request can give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// No `stream_options`.
    NoStreamOptions,
    /// The whole answer at once.
    Whole,
    /// The answer as a stream.
    Streamed,
    /// No `seed`.
    NoSeed,
    /// No `stop`.
    NoStop,
    /// `max_completion_tokens` in place of `max_tokens`.
    Renamed,
    /// No bound of the answer at all.
    Unbounded,
}

/// In the order in which a refusal's words are understood.
const WAYS: [Way; 7] = [
    Way::NoStreamOptions,
    Way::Whole,
    Way::Streamed,
    Way::NoSeed,
    Way::NoStop,
    Way::Renamed,
    Way::Unbounded,
];

impl Way {
    /// What the words of a refusal must speak of.
    fn words(self) -> &'static str {
        match self {
            Self::NoStreamOptions => r"stream_options|include_usage",
            Self::Whole | Self::Streamed => r"\bstream(ed|ing)?\b",
            Self::NoSeed => r"\bseed\b",
            Self::NoStop => r"\bstop\b",
            Self::Renamed => r"\bmax_tokens\b",
            Self::Unbounded => r"\bmax_(completion_)?tokens\b",
        }
    }

    fn notice(self) -> &'static str {
        match self {
            Self::NoStreamOptions => {
                "the model server takes no `stream_options`; tokens of streamed answers are counted here"
            }
            Self::Whole => "the model server does not stream; whole answers are asked for",
            Self::Streamed => "answers of the model server are streamed from now on",
            Self::NoSeed => {
                "the model server takes no `seed`; it is left out, so answers cannot be had again"
            }
            Self::NoStop => "the model server takes no `stop`; answers are cut here",
            Self::Renamed => {
                "the model server takes `max_completion_tokens` in place of `max_tokens`"
            }
            Self::Unbounded => {
                "the model server takes no bound of an answer's tokens; none is sent"
            }
        }
    }

    /// What the request must hold for this to make a difference.
    fn applies(self, body: &Map<String, Value>) -> bool {
        let has = |name: &str| body.contains_key(name);
        let streamed = body.get("stream") == Some(&Value::Bool(true));
        match self {
            Self::NoStreamOptions => has("stream_options"),
            Self::Whole => streamed,
            Self::Streamed => !streamed,
            Self::NoSeed => has("seed"),
            Self::NoStop => has("stop"),
            Self::Renamed => has("max_tokens"),
            Self::Unbounded => has("max_tokens") || has("max_completion_tokens"),
        }
    }

    fn take(self, body: &mut Map<String, Value>) {
        match self {
            Self::NoStreamOptions => drop(body.shift_remove("stream_options")),
            Self::Whole => {
                body.insert("stream".into(), json!(false));
                body.shift_remove("stream_options");
            }
            Self::Streamed => {
                body.insert("stream".into(), json!(true));
                body.entry("stream_options").or_insert(json!({"include_usage": true}));
            }
            Self::NoSeed => drop(body.shift_remove("seed")),
            Self::NoStop => drop(body.shift_remove("stop")),
            Self::Renamed => {
                if let Some(bound) = body.shift_remove("max_tokens") {
                    body.insert("max_completion_tokens".into(), bound);
                }
            }
            Self::Unbounded => {
                body.shift_remove("max_tokens");
                body.shift_remove("max_completion_tokens");
            }
        }
    }
}

/// What is known of one server.
#[derive(Debug)]
pub(super) struct Fit {
    mode: Streaming,
    known: [AtomicBool; WAYS.len()],
    /// Set when whole answers ran into a gateway's time limit.
    slow: AtomicBool,
    told_slow: AtomicBool,
    uncounted: AtomicBool,
    tokenizer: Option<PathBuf>,
    counter: OnceLock<TokenCounter>,
}

/// What one request tries beyond what is known.
#[derive(Debug, Default)]
pub(super) struct Trial {
    ways: Vec<Way>,
    /// The first refusal: what is reported if nothing helps.
    first: Option<ModelError>,
}

impl Fit {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            mode: config.stream,
            known: Default::default(),
            slow: AtomicBool::new(false),
            told_slow: AtomicBool::new(false),
            uncounted: AtomicBool::new(false),
            tokenizer: config.tokenizer.clone(),
            counter: OnceLock::new(),
        }
    }

    /// The fields to send in place of `fields`.
    pub(super) fn shaped(
        &self,
        mut fields: Map<String, Value>,
        trial: &Trial,
    ) -> Map<String, Value> {
        if self.streams() {
            Way::Streamed.take(&mut fields);
        }
        let known = WAYS.into_iter().filter(|way| self.knows(*way));
        known.chain(trial.ways.iter().copied()).for_each(|way| way.take(&mut fields));
        fields
    }

    fn knows(&self, way: Way) -> bool {
        self.known[way as usize].load(Ordering::Relaxed)
    }

    fn streams(&self) -> bool {
        self.mode == Streaming::On || self.slow.load(Ordering::Relaxed)
    }

    /// Takes note of a passing trouble: a gateway that gives up on a whole answer keeps a stream.
    pub(super) fn met(&self, error: &ModelError) {
        if self.mode == Streaming::Auto
            && matches!(error, ModelError::Refused { status: 504 | 524, .. })
        {
            self.slow.store(true, Ordering::Relaxed);
        }
    }

    /// After `error`: whether another try is worth it, by a way that the server's words suggest.
    /// Otherwise gives the error to report.
    pub(super) fn another(
        &self,
        fields: &Map<String, Value>,
        trial: &mut Trial,
        error: ModelError,
    ) -> Result<(), ModelError> {
        let way = match &error {
            ModelError::Refused { status: 400 | 422 | 501, detail, .. } => {
                self.suggested(detail, &self.shaped(fields.clone(), trial), trial)
            }
            // llama-cpp-python's stream is empty where it refuses the same request with words.
            ModelError::Garbled { detail, .. } if detail == wire::EMPTY => {
                let body = self.shaped(fields.clone(), trial);
                let streamed = Way::Whole.applies(&body) && !trial.ways.contains(&Way::Streamed);
                streamed.then_some(Way::Whole)
            }
            ModelError::ContextOverflow { .. } => return Err(error),
            _ => None,
        };
        let Some(way) = way else { return Err(trial.first.take().unwrap_or(error)) };
        trial.ways.push(way);
        trial.first.get_or_insert(error);
        Ok(())
    }

    fn suggested(&self, words: &str, body: &Map<String, Value>, trial: &Trial) -> Option<Way> {
        static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
            let regex = |way: Way| Regex::new(&format!("(?i){}", way.words()));
            WAYS.map(|way| regex(way).expect("the patterns are constants, compiled in a test"))
                .into()
        });
        static SEVERAL: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\bn\b").expect("a constant, compiled in a test"));
        if body.contains_key("n") && SEVERAL.is_match(words) {
            return None;
        }
        WAYS.into_iter().find(|way| {
            let allowed = match way {
                Way::Streamed => self.mode == Streaming::Auto && !trial.ways.contains(&Way::Whole),
                Way::Whole => !trial.ways.contains(&Way::Streamed),
                _ => true,
            };
            allowed
                && !trial.ways.contains(way)
                && PATTERNS[*way as usize].is_match(words)
                && way.applies(body)
        })
    }

    /// After an answer: what helped is done from now on, and said once.
    pub(super) fn learn(&self, trial: &Trial, streamed: bool, events: &Events) {
        // What was renamed in vain is dropped, which alone is what helped.
        let last = |way: &&Way| **way != Way::Renamed || !trial.ways.contains(&Way::Unbounded);
        for way in trial.ways.iter().filter(last) {
            if !self.known[*way as usize].swap(true, Ordering::Relaxed) {
                events.notice(way.notice());
            }
        }
        let slow = self.slow.load(Ordering::Relaxed);
        if slow && streamed && !self.told_slow.swap(true, Ordering::Relaxed) {
            events.notice(
                "a gateway gave up waiting for a whole answer; answers are streamed from now on",
            );
        }
    }

    /// Counts what the server did not, and cuts what it did not stop.
    pub(super) fn finish(&self, request: &ModelRequest, replies: &mut [Reply], events: &Events) {
        for reply in &mut *replies {
            cut(reply, &request.stop);
        }
        let counted = |reply: &Reply| reply.usage.prompt_tokens + reply.usage.completion_tokens > 0;
        if replies.is_empty() || replies.iter().any(counted) {
            return;
        }
        let counter = self.counter.get_or_init(|| {
            let file = self.tokenizer.as_deref().map(TokenCounter::from_file);
            file.and_then(Result::ok).unwrap_or_else(TokenCounter::estimate)
        });
        if !self.uncounted.swap(true, Ordering::Relaxed) {
            let how = if counter.is_exact() { "counted by the tokenizer" } else { "estimated" };
            events.notice(format!(
                "the model server does not say how many tokens it used; they are {how} here"
            ));
        }
        let count = |text: &str| counter.count(text) as u64;
        replies[0].usage.prompt_tokens =
            request.messages.iter().map(|message| count(&message.content)).sum();
        for reply in replies {
            let texts = [&reply.content, &reply.reasoning];
            reply.usage.completion_tokens =
                texts.into_iter().flatten().map(|text| count(text)).sum();
        }
    }
}

/// The replies in `bytes`, and whether they came as a stream, whatever was asked for.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Reply>, bool), Unusable> {
    match sse::is_stream(bytes) {
        true => Ok((sse::replies(bytes)?, true)),
        false => Ok((wire::replies(bytes)?, false)),
    }
}

/// Ends the text before the first of the stop texts, wherever a server went on.
fn cut(reply: &mut Reply, stop: &[String]) {
    let Some(content) = &mut reply.content else { return };
    let at =
        stop.iter().filter(|text| !text.is_empty()).filter_map(|text| content.find(text)).min();
    if let Some(at) = at {
        content.truncate(at);
        reply.finish_reason = Some("stop".to_owned());
    }
}
