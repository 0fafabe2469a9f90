//! The client: splits a request into exchanges, repeats those that may pass, counts what is sent.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::artifact::{Server, Usage};
use crate::budget::Exhausted;
use crate::event::{EventKind, Events, with_causes};
use crate::llm::http::config::HttpConfig;
use crate::llm::http::fit::{self, Fit, Trial};
use crate::llm::http::gate::Gate;
use crate::llm::http::identity;
use crate::llm::http::pace::News;
use crate::llm::http::retry;
use crate::llm::http::transport::{Fault, Transport};
use crate::llm::http::wire::{self, Template, Unusable};
use crate::llm::{Arrival, Completion, ModelClient, ModelError, ModelRequest, Reply};
use crate::queue::{Pass, Place};

/// Bytes of a prompt that make a token, about, before the server has counted.
const LETTERS: usize = 4;

pub(super) const CHAT: &str = "chat/completions";
pub(super) const MODELS: &str = "models";

/// A model behind an HTTP endpoint. Clones share connections, limits and the count of requests.
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
    pub(super) config: HttpConfig,
    pub(super) model: String,
    pub(super) events: Events,
    cancel: CancellationToken,
    gate: Gate,
    sent: AtomicU64,
    /// Set when the server turned out not to serve several choices in one answer.
    singles: AtomicBool,
    fit: Fit,
}

/// What belongs to one exchange, however often it is tried.
struct Turn<'a> {
    events: &'a Events,
    call: &'static str,
    tail: &'static str,
    place: Place,
    /// Tokens of the prompt, about.
    prompt: u64,
    /// Answers wanted; 0 for a question that costs no tokens.
    samples: u32,
    /// Whether it has been sent once.
    went_out: AtomicBool,
}

impl Turn<'_> {
    fn going_out(&self) {
        if self.samples > 0 && !self.went_out.swap(true, Ordering::Relaxed) {
            let (call, samples) = (self.call.to_owned(), self.samples);
            self.events.emit(EventKind::ModelAsked { call, samples });
        }
    }

    fn failed(&self, samples: u32, reason: String) {
        let call = self.call.to_owned();
        self.events.emit(EventKind::ModelFailed { call, samples, reason });
    }
}

/// What the parts of a request share.
struct Asked<'a> {
    request: &'a ModelRequest,
    template: Template,
    place: Place,
}

/// Why an attempt has to be repeated.
struct Trouble {
    error: ModelError,
    reason: String,
    /// The wait that the server asks for.
    after: Option<Duration>,
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
            gate: Gate::new(config.concurrency, config.adaptive_concurrency, events.clone()),
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
        let asked = &Asked {
            request,
            template: Template::new(&inner.model, request, &inner.config.extra_body),
            place: inner.gate.place(request),
        };
        join_all(chunks.map(|samples| inner.answer(asked, samples, &arrived))).await;
    }
}

impl Inner {
    /// Answers `samples`, in one request if it can be.
    async fn answer(
        &self,
        asked: &Asked<'_>,
        samples: Range<u32>,
        arrived: &UnboundedSender<Arrival>,
    ) {
        let send = |sample, reply| {
            // A receiver that went away no longer wants the answers.
            let _ = arrived.send((sample, reply));
        };
        let fail = |error: &ModelError| {
            samples.clone().for_each(|sample| send(sample, Err(error.again())));
        };
        let mut missing = samples.clone();
        match self.chat(asked, samples.clone()).await {
            Ok(replies) => {
                for (sample, reply) in samples.clone().zip(replies) {
                    send(sample, Ok(reply));
                    missing.start = sample + 1;
                }
            }
            Err(ModelError::Refused { status: 400 | 422 | 501, .. }) if samples.len() > 1 => {
                // Is it `n` that the server refuses? If not, one more refusal tells.
                match self.single(asked, missing.start).await {
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
            self.events.of(&asked.request.instance).notice(
                "the model server does not give several answers to one request; asking one by one",
            );
        }
        let single = async |sample| send(sample, self.single(asked, sample).await);
        join_all(missing.map(single)).await;
    }

    async fn single(&self, asked: &Asked<'_>, sample: u32) -> Result<Reply, ModelError> {
        let mut replies = self.chat(asked, sample..sample + 1).await?;
        Ok(replies.pop().expect("`chat` gives exactly one reply to one sample"))
    }

    /// One chat completion; as many replies as the server gives, for one sample exactly one.
    async fn chat(&self, asked: &Asked<'_>, samples: Range<u32>) -> Result<Vec<Reply>, ModelError> {
        let Asked { request, template, place } = asked;
        let events = self.events.of(&request.instance);
        let read = |bytes: &[u8]| match fit::read(bytes) {
            Ok((replies, _)) if replies.is_empty() && samples.len() == 1 => {
                Err(Unusable::Garbled("its `choices` are empty".to_owned()))
            }
            other => other,
        };
        let spent = |(replies, _): &(Vec<Reply>, bool)| {
            let mut sum = Usage::default();
            replies.iter().for_each(|reply| sum += reply.usage);
            sum
        };
        let letters: usize = request.messages.iter().map(|message| message.content.len()).sum();
        let turn = Turn {
            events: &events,
            call: request.call.name(),
            tail: CHAT,
            place: Place { index: samples.start, ..*place },
            prompt: (letters / LETTERS) as u64,
            samples: samples.end - samples.start,
            went_out: AtomicBool::new(false),
        };
        let fields = template.fields(request, &samples);
        let mut trial = Trial::default();
        let answered = loop {
            let build = || {
                let sample = wire::sample_header(&samples);
                // Only when it is sent: hundreds of samples of a long prompt may wait for their turn.
                let body = template.body(self.fit.shaped(fields.clone(), &trial));
                let post = self.transport.post(CHAT, body)?;
                Ok(post
                    .header("x-agent-instance", request.instance.as_str())
                    .header("x-agent-stage", request.call.name())
                    .header("x-agent-sample", sample))
            };
            match self.persist(&turn, build, read, spent).await {
                Ok(found) => break Ok(found),
                Err(error) => match self.fit.another(&fields, &mut trial, error) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
            }
        };
        let ((mut replies, streamed), seconds) = answered.inspect_err(|error| {
            // The budget may end before the first attempt, and then nothing was asked.
            if turn.went_out.load(Ordering::Relaxed) {
                turn.failed(turn.samples, with_causes(error));
            }
        })?;
        self.fit.learn(&trial, streamed, &events);
        self.fit.finish(request, &mut replies, &events);
        replies.truncate(samples.len());
        let missing = turn.samples - u32::try_from(replies.len()).unwrap_or(turn.samples);
        if missing > 0 {
            turn.failed(missing, "the answer holds fewer samples than were asked for".to_owned());
        }
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
        self.question(MODELS, || self.transport.get(MODELS), wire::models).await
    }

    /// A request that is no sample's and costs no tokens of the budget.
    pub(super) async fn question<T>(
        &self,
        tail: &'static str,
        build: impl Fn() -> Result<RequestBuilder, ModelError> + Sync,
        read: impl Fn(&[u8]) -> Result<T, Unusable> + Sync,
    ) -> Result<T, ModelError> {
        let turn = Turn {
            events: &self.events,
            call: tail,
            tail,
            place: Place::default(),
            prompt: 0,
            samples: 0,
            went_out: AtomicBool::new(false),
        };
        self.persist(&turn, build, read, |_| Usage::default()).await.map(|(answer, _)| answer)
    }

    /// Sends until there is an answer, the trouble is final, or the attempts are used up. Gives the
    /// answer and the seconds that its own attempt took. Cancelling drops what is under way; the end
    /// of the budget does not.
    async fn persist<T>(
        &self,
        turn: &Turn<'_>,
        build: impl Fn() -> Result<RequestBuilder, ModelError> + Sync,
        read: impl Fn(&[u8]) -> Result<T, Unusable> + Sync,
        spent: impl Fn(&T) -> Usage + Sync,
    ) -> Result<(T, f64), ModelError> {
        self.unless_cancelled(async {
            let mut attempt = 1;
            loop {
                // Left before waiting: a request that was refused must not keep others out.
                let (error, reason, wait) = {
                    let _pass = self.turn(turn).await?;
                    match self.attempt(turn, &build, &read, &spent).await? {
                        Ok(done) => return Ok(done),
                        Err(trouble) => {
                            let Trouble { error, reason, after } = trouble;
                            let (first, max) = (self.config.first_wait, self.config.max_wait);
                            if let Some(after) = after {
                                self.gate.pause(after.min(max));
                            }
                            (error, reason, retry::wait(attempt, after, first, max))
                        }
                    }
                };
                self.fit.met(&error);
                if attempt >= self.config.max_attempts {
                    return Err(error);
                }
                let (call, seconds) = (turn.call.to_owned(), wait.as_secs_f64());
                turn.events.emit(EventKind::ModelRetried { call, attempt, wait: seconds, reason });
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    why = self.config.budget.until_ended() => return Err(why.into()),
                }
                attempt += 1;
            }
        })
        .await
    }

    /// Waits for the right to send. Questions that cost no tokens are no matter of budgets.
    async fn turn(&self, turn: &Turn<'_>) -> Result<Pass, ModelError> {
        tokio::select! {
            biased;
            why = self.config.budget.until_ended(), if turn.samples > 0 => Err(why.into()),
            pass = self.gate.enter(turn.place) => Ok(pass),
        }
    }

    /// Sends once. The inner error is one that may pass.
    async fn attempt<T>(
        &self,
        turn: &Turn<'_>,
        build: &(impl Fn() -> Result<RequestBuilder, ModelError> + Sync),
        read: &(impl Fn(&[u8]) -> Result<T, Unusable> + Sync),
        spent: &(impl Fn(&T) -> Usage + Sync),
    ) -> Result<Result<(T, f64), Trouble>, ModelError> {
        let reserved = match turn.samples {
            0 => None,
            samples => Some(self.config.budget.reserve(turn.prompt, samples.into())?),
        };
        self.spend()?;
        turn.going_out();
        let sending = self.gate.sent();
        let body = self.transport.exchange(build()?).await;
        let answer = body.and_then(|body| {
            read(&body).map_err(|unusable| self.transport.unusable(turn.tail, unusable))
        });
        match answer {
            Ok(answer) => {
                let usage = spent(&answer);
                if let Some(reserved) = reserved {
                    reserved.settle(
                        usage.prompt_tokens,
                        usage.completion_tokens,
                        turn.samples.into(),
                    );
                    // Several answers of one request are made side by side.
                    let tokens = usage.completion_tokens / u64::from(turn.samples);
                    self.gate.note(News::Answered { call: turn.call, tokens }, sending, "");
                }
                Ok(Ok((answer, sending.at.elapsed().as_secs_f64())))
            }
            Err(Fault::Final(error)) => Err(error),
            Err(Fault::Passing { error, reason, after, sent }) => {
                if !sent {
                    self.sent.fetch_sub(1, Ordering::Relaxed);
                }
                let refused = matches!(error, ModelError::Refused { status: 429 | 503, .. });
                let news = if refused { News::Refused } else { News::Failed };
                self.gate.note(news, sending, &reason);
                Ok(Err(Trouble { error, reason, after }))
            }
        }
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
        spent.map(|_| ()).map_err(|_| {
            let why = Exhausted::Requests { limit };
            self.config.budget.end(why.clone());
            why.into()
        })
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
