//! The model, asked over HTTP or replayed from a journal.

mod answer;
mod http;
mod journal;
mod reply;
mod secret;
mod tokens;

#[cfg(test)]
mod test_server;

use std::ops::Range;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedSender;

pub use answer::final_part;
pub use http::{Ability, HttpClient, HttpConfig, Streaming, install_crypto_provider, sample_seed};
pub use journal::{
    Exchange, Journaled, Recorded, Replay, copy_journal, has_journal, join_journals,
};
pub use reply::Reply;
pub use secret::Secret;
pub use tokens::{TokenCounter, TokenizerError};

use crate::artifact::{InstanceId, Message, Server, Usage};
use crate::budget::Exhausted;
use crate::event::with_causes;

/// What a request is for: the value of the header `x-agent-stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// Files for an issue.
    Localize,
    /// SEARCH/REPLACE edits.
    Repair,
    /// A reproduction script.
    Reproduce,
    /// Tests that the fix may legitimately change.
    SelectRegression,
}

impl Call {
    /// The header's text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Localize => "localize",
            Self::Repair => "repair",
            Self::Reproduce => "reproduce",
            Self::SelectRegression => "select-regression",
        }
    }
}

/// Samples wanted of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// The instance, for attribution and for the journal.
    pub instance: InstanceId,
    /// What it is for.
    pub call: Call,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Indices of the samples wanted, as numbered within `instance` and `call`.
    pub samples: Range<u32>,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Upper bound of the answer in tokens, thinking included.
    pub max_tokens: u32,
    /// Seed of the run; each sample's own seed is derived from it. None sends no seed.
    pub seed: Option<u64>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Which sample it is.
    pub sample: u32,
    /// The final part of the answer, without thinking.
    pub answer: Result<String, NoAnswer>,
    /// All that the model wrote; thinking that the server separated stands before the rest, between
    /// `<think>` and `</think>`.
    pub written: String,
    /// Whether the token limit cut the answer.
    pub truncated: bool,
    /// Tokens spent on it; the prompt's tokens are counted with the first sample of a request.
    pub usage: Usage,
    /// Whether it came from the journal.
    pub journaled: bool,
}

/// Why a reply holds no final answer. The sample is invalid; the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Null or blank content.
    #[error("empty: the reply has no content")]
    Empty,
    /// The thinking never ended, or the solution never began.
    #[error("no_solution: the reply ended while thinking")]
    NoSolution,
}

/// Why a request failed for good.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The client cannot be set up with these settings; nothing was asked of a model.
    #[error("the model client cannot be set up: {detail}")]
    Config {
        /// What is wrong, and the way out.
        detail: String,
    },
    /// The prompt does not fit the model; the caller shortens it.
    #[error("the prompt is longer than the model's context ({detail})")]
    ContextOverflow {
        /// Context length in tokens, where the server names it.
        limit: Option<u64>,
        /// The server's words.
        detail: String,
    },
    /// No connection, or it broke, on every attempt.
    #[error("cannot reach the model at {url}")]
    Unreachable {
        /// Address asked.
        url: String,
        /// The last attempt's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused in a way that repeating does not mend, or kept refusing.
    #[error("the model server at {url} answered {status}: {detail}")]
    Refused {
        /// Address asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// The server's words, shortened.
        detail: String,
    },
    /// The answer was not a chat completion.
    #[error("the model server at {url} did not answer with a chat completion: {detail}")]
    Garbled {
        /// Address asked.
        url: String,
        /// What was wrong, with the beginning of the body.
        detail: String,
    },
    /// A replay has no such sample.
    #[error("no recorded reply for {call} sample {sample} of {instance}")]
    NotRecorded {
        /// Instance asked for.
        instance: InstanceId,
        /// Kind of request.
        call: &'static str,
        /// Sample asked for.
        sample: u32,
    },
    /// Requests, tokens or time are used up.
    #[error(transparent)]
    Budget(#[from] Exhausted),
    /// The journal could not be read or written.
    #[error("cannot use the response journal {path}")]
    Journal {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The run is being stopped.
    #[error("cancelled")]
    Cancelled,
}

impl ModelError {
    /// The same error for another sample of the same request. A cause keeps its words only.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::ContextOverflow { limit, detail } => {
                Self::ContextOverflow { limit: *limit, detail: detail.clone() }
            }
            Self::Unreachable { url, source } => {
                Self::Unreachable { url: url.clone(), source: with_causes(&**source).into() }
            }
            Self::Refused { url, status, detail } => {
                Self::Refused { url: url.clone(), status: *status, detail: detail.clone() }
            }
            Self::Garbled { url, detail } => {
                Self::Garbled { url: url.clone(), detail: detail.clone() }
            }
            Self::Budget(why) => Self::Budget(why.clone()),
            Self::Config { detail } => Self::Config { detail: detail.clone() },
            Self::Journal { path, source } => Self::Journal {
                path: path.clone(),
                source: std::io::Error::new(source.kind(), source.to_string()),
            },
            Self::NotRecorded { instance, call, sample } => {
                Self::NotRecorded { instance: instance.clone(), call, sample: *sample }
            }
            Self::Cancelled => Self::Cancelled,
        }
    }

    /// What the user can do about it; empty where nothing simple mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "is the server up? its address is --base-url or OPENAI_BASE_URL; `agent doctor` asks it"
            }
            Self::Refused { status: 401 | 403, .. } => {
                "set OPENAI_API_KEY to a key that the server takes"
            }
            Self::Refused { status: 404, .. } | Self::Garbled { .. } => {
                "is --base-url an OpenAI-compatible endpoint (.../v1), and --model a name that it serves?"
            }
            Self::ContextOverflow { .. } => {
                "the issue alone may be longer than the model's context; serve the model with a longer one"
            }
            Self::Budget(exhausted) => exhausted.hint(),
            _ => "",
        }
    }
}

/// A model that answers prompts.
///
/// Implementations: the HTTP client, and the journal that wraps it (or stands alone in replay).
/// A caller may not assume that samples are answered in order of time, only that the result is
/// in order of `request.samples`, one entry each.
#[async_trait]
pub trait ModelClient: Send + Sync {
    /// Answers all samples of `request`.
    async fn complete(&self, request: &ModelRequest) -> Vec<Result<Completion, ModelError>>;

    /// The model's name as the server knows it; for predictions and records.
    fn model(&self) -> &str;

    /// What beside the request decides the answers: the model's name, and vendor settings where
    /// there are any. Answers of another identity are never taken for this one's.
    fn identity(&self) -> String {
        self.model().to_owned()
    }

    /// The program that serves the model, as far as it says; none where no server is asked.
    async fn server(&self) -> Option<Server> {
        None
    }

    /// As [`ModelClient::complete`], but sends each sample's raw reply as soon as it arrives, in
    /// any order, so that a journal keeps what is finished when the process is killed.
    ///
    /// The default serves clients without raw replies: it asks `complete` and sends at the end.
    async fn stream(&self, request: &ModelRequest, arrived: UnboundedSender<Arrival>) {
        for (sample, answer) in request.samples.clone().zip(self.complete(request).await) {
            // A receiver that went away no longer wants the answers.
            let _ = arrived.send((sample, answer.map(Reply::from)));
        }
    }
}

/// A sample's index and its raw reply.
pub type Arrival = (u32, Result<Reply, ModelError>);
