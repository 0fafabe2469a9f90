//! A stand-in for a model server: real HTTP, answers of chosen quality, troubles on order.
//!
//! It knows instances by the gold patches of SWE-bench rows and answers each request by the headers
//! `x-agent-instance`, `x-agent-stage` and `x-agent-sample`. What a sample is worth follows from
//! seed, instance, stage and sample alone, so a repeated or resumed run meets the same model.
//! Use it from a test with `#[path = "../standin/server.rs"] mod standin;`.

mod chat;
mod draw;
mod faults;
mod gold;
mod locate;
mod repair;
mod reproduce;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use serde::Serialize;

pub(crate) use faults::{Ordered, Rated};

/// What it serves and how well.
#[derive(Debug, Clone)]
pub(crate) struct StandinConfig {
    /// Files of SWE-bench rows, JSON lines or JSON.
    pub(crate) datasets: Vec<PathBuf>,
    /// Folder of `<instance>/{good,bad}*.py`.
    pub(crate) scripts: Option<PathBuf>,
    /// Address; port 0 takes any free one.
    pub(crate) listen: String,
    /// Another seed is another model.
    pub(crate) seed: u64,
    /// The one model it offers.
    pub(crate) model: String,
    /// The key that it wants, if any.
    pub(crate) api_key: Option<String>,
    /// Context length in tokens (a token is four bytes here), if it is limited.
    pub(crate) context: Option<u64>,
    /// Most choices it gives in one answer; a larger `n` is refused.
    pub(crate) max_n: u32,
    /// How answers are wrapped.
    pub(crate) wrap: Wrap,
    /// Time that an answer takes.
    pub(crate) latency: Duration,
    /// Quality.
    pub(crate) rates: Rates,
    /// Troubles at certain requests.
    pub(crate) ordered: Vec<Ordered>,
    /// Troubles by rate.
    pub(crate) rated: Vec<Rated>,
    /// What `Retry-After` says, in seconds.
    pub(crate) retry_after: f64,
    /// Answers that are held back.
    pub(crate) hold: Option<Hold>,
}

/// Says of a request, by instance, stage and first sample, whether its answer is held back; asked
/// again and again until it is not.
#[derive(Clone)]
pub(crate) struct Hold(pub(crate) Arc<Holds>);

type Holds = dyn Fn(&str, &str, u32) -> bool + Send + Sync;

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hold")
    }
}

impl Default for StandinConfig {
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            scripts: None,
            listen: "127.0.0.1:0".to_owned(),
            seed: 0,
            model: "standin".to_owned(),
            api_key: None,
            context: None,
            max_n: 128,
            wrap: Wrap::Plain,
            latency: Duration::ZERO,
            rates: Rates::default(),
            ordered: Vec::new(),
            rated: Vec::new(),
            retry_after: 1.0,
            hold: None,
        }
    }
}

/// Share of samples of each quality, 0 to 1.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    /// Repairs that are the gold change.
    pub(crate) right: f64,
    /// Repairs that are the gold change in another dress.
    pub(crate) mutated: f64,
    /// Repairs that cannot be read or fit nowhere. What the three leave over is wrong.
    pub(crate) malformed: f64,
    /// Localizations that name the gold files.
    pub(crate) localize_hit: f64,
    /// Localizations that need a tolerant reader.
    pub(crate) localize_messy: f64,
    /// Good scripts, where there are any; the others are bad.
    pub(crate) reproduce_good: f64,
    /// Scripts that never end.
    pub(crate) reproduce_endless: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            right: 0.3,
            mutated: 0.2,
            malformed: 0.15,
            localize_hit: 0.9,
            localize_messy: 0.3,
            reproduce_good: 0.6,
            reproduce_endless: 0.0,
        }
    }
}

/// How answers are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// Not at all.
    Plain,
    /// `<think>…</think><solution>…</solution>`, with a wrong draft inside the thinking.
    Tags,
    /// The thinking apart, in `reasoning_content`.
    Reasoning,
}

/// One answer before it is put into JSON.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    content: Option<String>,
    /// Whether it ends as if the token limit had cut it.
    cut: bool,
}

impl Reply {
    fn text(text: impl Into<String>) -> Self {
        Self { content: Some(text.into()), cut: false }
    }
}

/// What was asked so far.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Stats {
    /// Requests for completions.
    pub(crate) requests: u64,
    /// Of these, requests that got choices.
    pub(crate) answered: u64,
    /// Of these, requests that met a fault, by its name.
    pub(crate) faults: BTreeMap<String, u64>,
    /// By instance, stage and sample.
    pub(crate) samples: Vec<Asked>,
}

/// How often a sample was asked for, and what it is worth.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Asked {
    pub(crate) instance: String,
    pub(crate) stage: String,
    pub(crate) sample: u32,
    /// Requests for it, refused and faulty ones included.
    pub(crate) requests: u64,
    /// Times that it was given.
    pub(crate) answered: u64,
    /// `right`, `mutated`, `wrong`, `malformed`; `hit`, `miss`; `good`, `bad`, ...
    pub(crate) kind: String,
}

/// Everything that requests share.
struct Shared {
    config: StandinConfig,
    known: HashMap<String, gold::Known>,
    stats: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: Stats,
    samples: BTreeMap<(String, String, u32), (u64, u64, &'static str)>,
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> Stats {
        let counts = self.counts();
        let asked = |((instance, stage, sample), (requests, answered, kind)): (
            &(String, String, u32),
            &(u64, u64, &'static str),
        )| Asked {
            instance: instance.clone(),
            stage: stage.clone(),
            sample: *sample,
            requests: *requests,
            answered: *answered,
            kind: (*kind).to_owned(),
        };
        Stats { samples: counts.samples.iter().map(asked).collect(), ..counts.total.clone() }
    }
}

/// The running server. It ends when this is dropped.
pub(crate) struct Standin {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Standin {
    /// Loads the instances and listens.
    pub(crate) async fn start(config: StandinConfig) -> Result<Self, String> {
        let known = gold::load(&config.datasets, config.scripts.as_deref())?;
        let listener = tokio::net::TcpListener::bind(&config.listen).await;
        let listener = listener.map_err(|e| format!("cannot listen on {}: {e}", config.listen))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let shared = Arc::new(Shared { config, known, stats: Mutex::default() });
        let app = Router::new()
            .route("/v1/chat/completions", post(chat::complete))
            .route("/v1/models", get(chat::models))
            .route("/stats", get(chat::stats))
            .with_state(shared.clone());
        let serve = async move {
            // It ends with the task; accepting again after an error is axum's affair.
            let _ = axum::serve(listener, app).await;
        };
        Ok(Self { address, shared, task: tokio::spawn(serve) })
    }

    /// What clients take as base URL.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many instances it knows.
    pub(crate) fn instances(&self) -> usize {
        self.shared.known.len()
    }

    /// What was asked so far; `GET /stats` says the same.
    pub(crate) fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.task.abort();
    }
}
