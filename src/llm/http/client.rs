//! The client: splits a request into exchanges, repeats those that may pass, counts what is sent.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::artifact::Server;
use crate::event::{EventKind, Events};
use crate::llm::http::config::HttpConfig;
use crate::llm::http::fit::{self, Fit, Trial};
use crate::llm::http::identity;
use crate::llm::http::retry;
use crate::llm::http::transport::{Fault, Transport};
use crate::llm::http::wire::{self, Unusable};
use crate::llm::{Arrival, Completion, ModelClient, ModelError, ModelRequest, Reply};

pub(super) const CHAT: &str = "chat/completions";
pub(super) const MODELS: &str = "models";

/// A model behind an HTTP endpoint. Clones share connections, permits and the count of requests.
///
/// Connections to this machine go past any proxy; others honour `HTTP_PROXY`, `HTTPS_PROXY` and
/// `NO_PROXY`. Certificates are checked against the system's trust roots, or those that
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) transport: Transport,
    config: HttpConfig,
    pub(super) model: String,
    pub(super) events: Events,
    cancel: CancellationToken,
    permits: Semaphore,
    sent: AtomicU64,
    /// Set when the server turned out not to serve several choices in one answer.
    singles: AtomicBool,
    fit: Fit,
}

impl HttpClient {
    /// Sets the client up. Asks the server for its models only if the configuration names none.
    ///
    /// # Errors
    /// [`ModelError::Config`] for settings that cannot work, or if the server does not offer exactly
    /// one model; the errors of a request if the server is asked.
    pub async fn new(
        config: HttpConfig,
        events: Events,
        cancel: CancellationToken,
    ) -> Result<Self, ModelError> {
        config.check()?;
        let mut inner = Inner {
            transport: Transport::new(&config)?,
            model: config.model.clone().unwrap_or_default(),
            permits: Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS)),
            sent: AtomicU64::new(0),
            singles: AtomicBool::new(config.n_per_request == 1),
            fit: Fit::new(&config),
            config,
            events,
            cancel,
        };
        if inner.model.is_empty() {
            let offered = inner.models().await?;
            inner.model = match <[String; 1]>::try_from(offered) {
                Ok([only]) => only,
                Err(offered) => return Err(not_chosen(&inner.transport.url(MODELS), &offered)),
            };
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The models that the server offers.
    ///
    /// # Errors
    /// Those of any request.
    pub async fn models(&self) -> Result<Vec<String>, ModelError> {
        self.inner.models().await
    }

    /// What requests beside the client's own need.
    pub(super) fn parts(&self) -> (&Transport, &HttpConfig) {
        (&self.inner.transport, &self.inner.config)
    }

    /// Requests sent so far, repeated ones included.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.inner.sent.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ModelClient for HttpClient {
    async fn complete(&self, request: &ModelRequest) -> Vec<Result<Completion, ModelError>> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        self.stream(request, sender).await;
        let mut arrived = Vec::with_capacity(request.samples.len());
        while let Ok(arrival) = receiver.try_recv() {
            arrived.push(arrival);
        }
        arrived.sort_by_key(|(sample, _)| *sample);
        let completion =
            |(sample, reply): Arrival| reply.map(|reply| reply.completion(sample, false));
        arrived.into_iter().map(completion).collect()
    }

    fn model(&self) -> &str {
        &self.inner.model
    }

    fn identity(&self) -> String {
        let extra = &self.inner.config.extra_body;
        if extra.is_empty() {
            self.inner.model.clone()
        } else {
            format!("{} {}", self.inner.model, serde_json::Value::Object(extra.clone()))
        }
    }

    async fn server(&self) -> Option<Server> {
        Some(identity::identify(&self.inner.transport).await)
    }

    async fn stream(&self, request: &ModelRequest, arrived: UnboundedSender<Arrival>) {
        let inner = &self.inner;
        let step =
            if inner.singles.load(Ordering::Relaxed) { 1 } else { inner.config.n_per_request };
        let Range { start, end } = request.samples;
        let chunks = (start..end).step_by(step as usize);
        let chunks = chunks.map(|first| first..end.min(first.saturating_add(step)));
        join_all(chunks.map(|samples| inner.answer(request, samples, &arrived))).await;
    }
}

impl Inner {
    /// Answers `samples`, in one request if it can be.
    async fn answer(
        &self,
        request: &ModelRequest,
        samples: Range<u32>,
        arrived: &UnboundedSender<Arrival>,
    ) {
        let send = |sample, reply| {
            // A receiver that went away no longer wants the answers.
            let _ = arrived.send((sample, reply));
        };
        let fail = |error: &ModelError| {
            samples.clone().for_each(|sample| send(sample, Err(again(error))));
        };
        let mut missing = samples.clone();
        match self.chat(request, samples.clone()).await {
            Ok(replies) => {
                for (sample, reply) in samples.clone().zip(replies) {
                    send(sample, Ok(reply));
                    missing.start = sample + 1;
                }
            }
            Err(ModelError::Refused { status: 400 | 422 | 501, .. }) if samples.len() > 1 => {
                // Is it `n` that the server refuses? If not, one more refusal tells.
                match self.single(request, missing.start).await {
                    Ok(reply) => send(missing.start, Ok(reply)),
                    Err(error) => return fail(&error),
                }
                missing.start += 1;
            }
            Err(error) => return fail(&error),
        }
        if missing.is_empty() {
            return;
        }
        if !self.singles.swap(true, Ordering::Relaxed) {
            self.events.of(&request.instance).notice(
                "the model server does not give several answers to one request; asking one by one",
            );
        }
        let single = async |sample| send(sample, self.single(request, sample).await);
        join_all(missing.map(single)).await;
    }

    async fn single(&self, request: &ModelRequest, sample: u32) -> Result<Reply, ModelError> {
        let mut replies = self.chat(request, sample..sample + 1).await?;
        Ok(replies.pop().expect("`chat` gives exactly one reply to one sample"))
    }

    /// One chat completion; as many replies as the server gives, for one sample exactly one.
    async fn chat(
        &self,
        request: &ModelRequest,
        samples: Range<u32>,
    ) -> Result<Vec<Reply>, ModelError> {
        let events = self.events.of(&request.instance);
        let body = wire::body(&self.model, request, &samples, &self.config.extra_body);
        let read = |bytes: &[u8]| match fit::read(bytes) {
            Ok((replies, _)) if replies.is_empty() && samples.len() == 1 => {
                Err(Unusable::Garbled("its `choices` are empty".to_owned()))
            }
            other => other,
        };
        let mut trial = Trial::default();
        let ((mut replies, streamed), seconds) = loop {
            let build = || {
                let sample = wire::sample_header(&samples);
                let post = self.transport.post(CHAT, self.fit.body(&body, &trial))?;
                Ok(post
                    .header("x-agent-instance", request.instance.as_str())
                    .header("x-agent-stage", request.call.name())
                    .header("x-agent-sample", sample))
            };
            match self.persist(&events, request.call.name(), CHAT, build, read).await {
                Ok(found) => break found,
                Err(error) => self.fit.another(&body, &mut trial, error)?,
            }
        };
        self.fit.learn(&trial, streamed, &events);
        self.fit.finish(request, &mut replies, &events);
        replies.truncate(samples.len());
        let seed = wire::request_seed(request, &samples);
        for (sample, reply) in samples.zip(&mut replies) {
            (reply.seconds, reply.seed) = (seconds, seed);
            events.emit(EventKind::ModelReplied {
                call: request.call.name().to_owned(),
                sample,
                usage: reply.usage,
                journaled: false,
                seconds,
            });
        }
        Ok(replies)
    }

    async fn models(&self) -> Result<Vec<String>, ModelError> {
        let build = || self.transport.get(MODELS);
        self.persist(&self.events, MODELS, MODELS, build, wire::models).await.map(|(list, _)| list)
    }

    /// Sends until there is an answer, the trouble is final, or the attempts are used up. Gives the
    /// answer and the seconds that its own attempt took. Cancelling drops what is under way.
    pub(super) async fn persist<T>(
        &self,
        events: &Events,
        call: &str,
        tail: &str,
        build: impl Fn() -> Result<RequestBuilder, ModelError> + Sync,
        read: impl Fn(&[u8]) -> Result<T, Unusable> + Sync,
    ) -> Result<(T, f64), ModelError> {
        self.unless_cancelled(async {
            // Kept while waiting, so that a busy server is asked less, not by others instead.
            let permit = self.permits.acquire().await;
            let _permit = permit.map_err(|_| ModelError::Cancelled)?;
            let mut attempt = 1;
            loop {
                self.spend()?;
                let started = Instant::now();
                let body = self.transport.exchange(build()?).await;
                let answer = body.and_then(|body| {
                    read(&body).map_err(|unusable| self.transport.unusable(tail, unusable))
                });
                let (error, reason, after, sent) = match answer {
                    Ok(answer) => return Ok((answer, started.elapsed().as_secs_f64())),
                    Err(Fault::Final(error)) => return Err(error),
                    Err(Fault::Passing { error, reason, after, sent }) => {
                        (error, reason, after, sent)
                    }
                };
                self.fit.met(&error);
                if !sent {
                    self.sent.fetch_sub(1, Ordering::Relaxed);
                }
                if attempt >= self.config.max_attempts {
                    return Err(error);
                }
                let (first, max) = (self.config.first_wait, self.config.max_wait);
                let wait = retry::wait(attempt, after, first, max);
                let call = call.to_owned();
                let seconds = wait.as_secs_f64();
                events.emit(EventKind::ModelRetried { call, attempt, wait: seconds, reason });
                tokio::time::sleep(wait).await;
                attempt += 1;
            }
        })
        .await
    }

    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, ModelError>>,
    ) -> Result<T, ModelError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ModelError::Cancelled),
            done = work => done,
        }
    }

    /// Takes one request out of the budget.
    fn spend(&self) -> Result<(), ModelError> {
        let limit = self.config.max_requests.unwrap_or(u64::MAX);
        let more = |sent| (sent < limit).then_some(sent + 1);
        let spent = self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        spent.map(|_| ()).map_err(|_| ModelError::Budget { limit })
    }
}

fn not_chosen(url: &str, offered: &[String]) -> ModelError {
    let detail = match offered {
        [] => format!("{url} offers no model; name one with --model"),
        several => {
            let names = several.join(", ");
            format!("{url} offers {} models ({names}); choose one with --model", several.len())
        }
    };
    ModelError::Config { detail }
}

/// The same error for another sample of the same request. A cause keeps its words only.
fn again(error: &ModelError) -> ModelError {
    match error {
        ModelError::ContextOverflow { limit, detail } => {
            ModelError::ContextOverflow { limit: *limit, detail: detail.clone() }
        }
        ModelError::Unreachable { url, source } => {
            let words = std::iter::successors(source.source(), |cause| cause.source());
            let words = words.fold(source.to_string(), |all, cause| format!("{all}: {cause}"));
            ModelError::Unreachable { url: url.clone(), source: words.into() }
        }
        ModelError::Refused { url, status, detail } => {
            ModelError::Refused { url: url.clone(), status: *status, detail: detail.clone() }
        }
        ModelError::Garbled { url, detail } => {
            ModelError::Garbled { url: url.clone(), detail: detail.clone() }
        }
        ModelError::Budget { limit } => ModelError::Budget { limit: *limit },
        ModelError::Config { detail } => ModelError::Config { detail: detail.clone() },
        ModelError::Journal { path, source } => ModelError::Journal {
            path: path.clone(),
            source: std::io::Error::new(source.kind(), source.to_string()),
        },
        ModelError::NotRecorded { instance, call, sample } => {
            ModelError::NotRecorded { instance: instance.clone(), call, sample: *sample }
        }
        ModelError::Cancelled => ModelError::Cancelled,
    }
}
